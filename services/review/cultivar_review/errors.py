"""The errors of review.

InvalidArgument            a field of a queue or of a review is wrong; `field` names it
NotFound
├── QueueUnknown
└── TaskUnknown
AlreadyExists
└── QueueExists
FailedPrecondition
├── ExamplesUnusable       the examples are none, or not of the queue's task
├── QueueClosed            the queue takes no more reviews
├── AlreadyReviewed        the same lease submitted another review before
├── CloseFailed            the artifacts of a queue could not be made
└── StaleLease             of cultivar_service: the lease was lost or has lapsed
"""

from cultivar_service.errors import AlreadyExists, FailedPrecondition, NotFound


class QueueUnknown(NotFound):
    """No queue has that name."""

    reason = "QUEUE_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: ListQueues gives those that do", field="name")


class TaskUnknown(NotFound):
    """No task has that name."""

    reason = "TASK_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: LeaseTask gives tasks", field="name")


class QueueExists(AlreadyExists):
    """The project has another queue of that name."""

    reason = "QUEUE_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} exists: choose another queue_id", field="queue_id")


class ExamplesUnusable(FailedPrecondition):
    """The examples cannot be reviewed."""

    reason = "EXAMPLES_UNUSABLE"


class QueueClosed(FailedPrecondition):
    """The queue takes no more reviews."""

    reason = "QUEUE_CLOSED"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is closed and takes no more reviews; nothing was changed: ask who closed it")


class AlreadyReviewed(FailedPrecondition):
    """The same lease submitted another review before."""

    reason = "ALREADY_REVIEWED"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was reviewed under this lease with other content; the first review stands: ask for the next task"
        )


class CloseFailed(FailedPrecondition):
    """The artifacts of a queue could not be made."""

    reason = "CLOSE_FAILED"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the artifacts of {name} could not be made: {why}; put that right and call CloseQueue again")
