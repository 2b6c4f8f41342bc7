"""The errors of training.

InvalidArgument
└── BaseModelUnknown    no base model of that name; the message gives the nearest
FailedPrecondition
├── DatasetUnusable     the rows cannot be trained on
├── RayMissing          there is no Ray to train on
└── TrainingFailed      the program ended with an error; its sentence is the message
NotFound
├── AdapterUnknown
└── AliasUnknown
"""

from collections.abc import Iterable
from difflib import get_close_matches

from cultivar_service.errors import FailedPrecondition, InvalidArgument, NotFound


class BaseModelUnknown(InvalidArgument):
    """No base model has that name."""

    reason = "BASE_MODEL_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str], field: str) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"give {', '.join(names)}, or owner/name of a repository"
        super().__init__(f"there is no base model {name[:80]!r} to train: {hint}", field=field)


class DatasetUnusable(FailedPrecondition):
    """The rows cannot be trained on."""

    reason = "DATASET_UNUSABLE"


class RayMissing(FailedPrecondition):
    """There is no Ray to train on."""

    reason = "RAY_MISSING"


class TrainingFailed(FailedPrecondition):
    """The program ended with an error that another attempt would meet again."""

    reason = "TRAINING_FAILED"


class AdapterUnknown(NotFound):
    """No adapter has that name."""

    reason = "ADAPTER_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is no adapter: ListAdapters gives those of the project")


class AliasUnknown(NotFound):
    """No alias has that name."""

    reason = "ALIAS_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no alias {name}: ListAliases gives those of the project, SetAlias makes one")
