"""The errors of generation.

InvalidArgument
├── StrategyUnknown    no strategy of that name; the message gives the nearest
└── TemplateInvalid    a template is not Jinja2, or names what the strategy does not give
NotFound
├── PromptUnknown
└── TeacherUnknown
FailedPrecondition
├── PromptChanged      a version of a prompt is another text than when the run was made
├── SeedsUnusable      the seeds are empty, or lack what the task needs
└── OutcomesUnusable   an artifact says nothing of candidates
"""

from collections.abc import Iterable
from difflib import get_close_matches

from cultivar_service.errors import FailedPrecondition, InvalidArgument, NotFound


class StrategyUnknown(InvalidArgument):
    """No strategy has that name."""

    reason = "STRATEGY_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str], field: str) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the strategies are {', '.join(names)}"
        super().__init__(f"there is no strategy {name[:80]!r}: {hint}", field=field)


class TemplateInvalid(InvalidArgument):
    """A template cannot be used."""

    reason = "TEMPLATE_INVALID"

    def __init__(self, why: str, field: str = "prompt.template") -> None:
        super().__init__(f"the template cannot be used: {why}", field=field)
        self.why = why


class PromptUnknown(NotFound):
    """No prompt has that name."""

    reason = "PROMPT_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: ListPrompts gives those that do")


class TeacherUnknown(NotFound):
    """No teacher has that name."""

    reason = "TEACHER_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not registered: register it with RegisterTeacher, or leave the teacher empty")


class PromptChanged(FailedPrecondition):
    """A version of a prompt is another text than it was."""

    reason = "PROMPT_CHANGED"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the prompt {name} has another text than when this run was made, so the rest would ask something else: go "
            "on with the release that made the run, or create a run anew"
        )


class SeedsUnusable(FailedPrecondition):
    """The seeds cannot be used for the task."""

    reason = "SEEDS_UNUSABLE"


class OutcomesUnusable(FailedPrecondition):
    """An artifact holds neither verdicts nor reviews."""

    reason = "OUTCOMES_UNUSABLE"
