"""Manifests: what one piece of work made, out of what, and how, under a digest that anybody can compute again."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cultivar_artifacts.digests import canonical, json_digest
from cultivar_artifacts.errors import ArtifactInvalid, CorruptArtifact
from cultivar_artifacts.store import ArtifactStore, require_digest, require_project

Digest = Annotated[str, AfterValidator(require_digest)]
Count = Annotated[int, Field(ge=0)]


class File(BaseModel):
    """One file of a manifest: a shard of rows when it has a `rows_digest`, else plain bytes.

    `name` is a relative path with `/`. `first_id` and `last_id` are the smallest and largest `id` of a shard's rows.
    """

    # A field that a later version adds is passed over, so that two versions can run side by side during an upgrade.
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=512)]
    sha256: Digest
    size: Count
    rows: Count = 0
    rows_digest: Digest | Annotated[str, Field(max_length=0)] = ""
    first_id: str = ""
    last_id: str = ""

    def identity(self) -> dict[str, JsonValue]:
        """Gives what the manifest's digest is over: a shard's rows however they are packed, else the bytes."""
        if self.rows_digest:
            return {"name": self.name, "rows": self.rows, "rows_digest": self.rows_digest}
        return {"name": self.name, "sha256": self.sha256, "size": self.size, "rows": self.rows}


class Manifest(BaseModel):
    """Names the files of one result, the configuration that made them, and the manifests it was made from.

    `kind` says what it is (`candidates`, `adapter`), `run` is the id of the run that made it, `rows` the sum over
    the files, `config` the resolved configuration, `parents` digests of manifests, a set: order does not matter.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    project: Annotated[str, AfterValidator(require_project)]
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    run: Annotated[str, Field(max_length=512)] = ""
    rows: Count = 0
    files: tuple[File, ...] = ()
    config: dict[str, JsonValue] = Field(default_factory=dict)
    parents: Annotated[tuple[Digest, ...], AfterValidator(lambda parents: tuple(sorted(set(parents))))] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> "Manifest":
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have the same name: give each its own")
        if self.rows != sum(file.rows for file in self.files):
            raise ValueError(f"rows is {self.rows}, the files have {sum(file.rows for file in self.files)}")
        canonical(self.config)
        return self

    @property
    def digest(self) -> str:
        """The SHA-256 (64 hex digits) over canonical JSON of project, kind, run, files, config and parents."""
        own: dict[str, Any] = self.model_dump(mode="json", include={"project", "kind", "run", "config", "parents"})
        return json_digest(own | {"files": [file.identity() for file in self.files]})

    def to_json(self) -> bytes:
        """Writes the manifest's document, in canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, document: bytes) -> "Manifest":
        """Reads a manifest's document; raises `ArtifactInvalid` naming the fields that are wrong, never their text."""
        try:
            return cls.model_validate(json.loads(document, parse_int=_number))
        except ValidationError as error:
            fields = sorted({".".join(map(str, wrong["loc"])) or "document" for wrong in error.errors()})
            raise ArtifactInvalid(f"this is not a manifest: wrong in {', '.join(fields)}") from None
        except (ValueError, RecursionError):
            raise ArtifactInvalid("this is not a manifest: the document is not JSON") from None


def _number(digits: str) -> int | float:
    """Reads a whole number; canonical JSON also writes a float such as 1e16 with its digits alone."""
    number = float(digits)
    return int(digits) if abs(number) < 2**53 else number


async def load_manifest(store: ArtifactStore, project: str, digest: str) -> Manifest:
    """Reads the manifest with this digest; raises `ArtifactMissing`, and `CorruptArtifact` if it is another one."""
    document = await store.read_document(project, digest)
    try:
        manifest = Manifest.from_json(document)
    except ArtifactInvalid as error:
        raise CorruptArtifact(f"the document of manifest {digest} is damaged: {error}; restore it") from error
    if manifest.digest != digest or manifest.project != project:
        raise CorruptArtifact(f"the document of manifest {digest} describes another one: restore it from a backup")
    return manifest
