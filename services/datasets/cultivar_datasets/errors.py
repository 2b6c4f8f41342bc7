"""The errors of datasets.

InvalidArgument
├── SelectorUnknown    no selector of that name; the message gives the nearest
├── FileTooLarge       an upload is larger than the setting allows
└── DigestDiffers      the bytes received are not those of the digest that was announced
NotFound
├── FileUnknown
├── ArtifactUnknown
├── VersionUnknown
└── ExampleUnknown
FailedPrecondition
├── UploadBroken       an upload ended early, or begins where nothing was received yet
├── FileUnusable       no example can be made of a file, or a bad row is one too many
└── SourceUnusable     an artifact is erased, holds no examples, or none are left of it
Aborted
└── UploadBusy         another call sends the same file now
"""

from collections.abc import Iterable
from difflib import get_close_matches

from cultivar_service.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


class SelectorUnknown(InvalidArgument):
    """No selector has that name."""

    reason = "SELECTOR_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str], field: str) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the selectors are {', '.join(names)}"
        super().__init__(f"there is no selector {name[:80]!r}: {hint}", field=field)


class FileTooLarge(InvalidArgument):
    """A file is larger than the setting allows."""

    reason = "FILE_TOO_LARGE"

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the file has {size} bytes and {most} are allowed: split it, or raise CULTIVAR_DATASETS_MOST_FILE_BYTES",
            field="size",
        )


class DigestDiffers(InvalidArgument):
    """What was received is not what was announced."""

    reason = "DIGEST_DIFFERS"

    def __init__(self, announced: str, received: str) -> None:
        super().__init__(
            f"the bytes received have SHA-256 {received} and {announced} was announced: nothing was kept, send the "
            "file again from its start",
            field="sha256",
        )


class FileUnknown(NotFound):
    """No file has that name."""

    reason = "FILE_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was not uploaded to this project: upload it with UploadFile")


class ArtifactUnknown(NotFound):
    """No artifact has that name."""

    reason = "ARTIFACT_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: ListArtifacts gives those that do")


class VersionUnknown(NotFound):
    """No dataset version has that name."""

    reason = "VERSION_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist: ListDatasetVersions gives those that do")


class ExampleUnknown(NotFound):
    """No artifact holds the example."""

    reason = "EXAMPLE_UNKNOWN"

    def __init__(self, example: str, project: str) -> None:
        super().__init__(f"no artifact of projects/{project} holds the example {example}")


class UploadBroken(FailedPrecondition):
    """An upload cannot end or begin here."""

    reason = "UPLOAD_BROKEN"


class FileUnusable(FailedPrecondition):
    """A file cannot be imported."""

    reason = "FILE_UNUSABLE"


class SourceUnusable(FailedPrecondition):
    """An artifact cannot be used as a source."""

    reason = "SOURCE_UNUSABLE"


class UploadBusy(Aborted):
    """Another call sends the same file now."""

    reason = "UPLOAD_BUSY"

    def __init__(self) -> None:
        super().__init__("another call is sending this file now: ask GetUpload again in a moment and go on from there")
