"""The errors of campaigns.

InvalidArgument
└── NameUnknown         the file names a strategy, filter, … that does not exist; the message gives the nearest
NotFound
├── CampaignUnknown
└── GateUnknown
AlreadyExists
└── CampaignExists
FailedPrecondition
├── NotReported         the campaign has no report yet
├── CampaignEnded       the campaign has ended and cannot be changed
├── StageFailed         the work of another service failed
└── DataUnusable        the files do not fit each other
ResourceExhausted
└── BudgetSpent
"""

from collections.abc import Iterable
from difflib import get_close_matches

from cultivar_service.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted


class NameUnknown(InvalidArgument):
    """No such thing exists."""

    reason = "NAME_UNKNOWN"

    def __init__(self, what: str, name: str, known: Iterable[str], field: str) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"
        super().__init__(f"{field}: there is no {what} {name[:80]!r}: {hint}", field=f"config.{field}")


class CampaignUnknown(NotFound):
    """No campaign has that name."""

    reason = "CAMPAIGN_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: `cultivar campaign list` shows those that do")


class GateUnknown(NotFound):
    """The campaign has no such gate."""

    reason = "GATE_UNKNOWN"


class CampaignExists(AlreadyExists):
    """The name is taken."""

    reason = "CAMPAIGN_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} exists: choose another campaign_id, or leave it empty")


class NotReported(FailedPrecondition):
    """There is no report yet."""

    reason = "NOT_REPORTED"


class CampaignEnded(FailedPrecondition):
    """The campaign has ended."""

    reason = "CAMPAIGN_ENDED"


class StageFailed(FailedPrecondition):
    """What a stage needs of another service failed."""

    reason = "STAGE_FAILED"


class DataUnusable(FailedPrecondition):
    """The files do not fit each other."""

    reason = "DATA_UNUSABLE"


class BudgetSpent(ResourceExhausted):
    """The campaign has spent what it may."""

    reason = "BUDGET_SPENT"
