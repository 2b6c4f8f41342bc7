"""The errors of evaluation.

InvalidArgument
├── MetricUnknown     no metric of that name; the message gives those that are
├── MetricUnfit       a metric that does not measure the runs' kind of task; the message gives those that do
└── RowsDiffer        runs that are to be compared did not score the same rows
FailedPrecondition
├── RowsUnusable      the rows are empty, or lack what the task needs
└── NotEnded          a run that is to be compared has not SUCCEEDED
"""

from collections.abc import Iterable

from cultivar_service.errors import FailedPrecondition, InvalidArgument


class MetricUnknown(InvalidArgument):
    """No metric has that name."""

    reason = "METRIC_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"there is no metric {name[:80]!r}: the metrics are {', '.join(sorted(known))}", field="metric"
        )


class MetricUnfit(InvalidArgument):
    """A metric does not measure the kind of task of a run."""

    reason = "METRIC_UNFIT"

    def __init__(self, name: str, kind: str, fit: Iterable[str]) -> None:
        super().__init__(
            f"{name} does not measure a task of kind {kind}: take {' or '.join(sorted(fit))}", field="metric"
        )


class RowsDiffer(InvalidArgument):
    """Runs did not score the same rows."""

    reason = "ROWS_DIFFER"

    def __init__(self) -> None:
        super().__init__("the runs did not score the same rows: compare runs with the same `examples`", field="second")


class RowsUnusable(FailedPrecondition):
    """The rows cannot be scored."""

    reason = "ROWS_UNUSABLE"


class NotEnded(FailedPrecondition):
    """A run has no predictions yet."""

    reason = "NOT_ENDED"

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"{name} is {state}: compare runs that SUCCEEDED")
