"""What runs are to do, resolved: stored whole with the run, with every default filled in."""

from typing import Annotated, Any, Self

from cultivar_records import TaskKind, TaskSpec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cultivar_datasets.selectors.protocol import Role

OWN_KINDS = ("bad_rows", "file", "dataset")
Licence = Annotated[str, Field(min_length=1, max_length=1000)]
Seed = Annotated[int, Field(ge=-(2**53) + 1, lt=2**53)]


class Spec(BaseModel):
    """Refuses unknown keys and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(Spec):
    """One part of an import."""

    kind: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    share: float = Field(gt=0, allow_inf_nan=False)


class ImportSpec(Spec):
    """What an import run is to do."""

    source: str = Field(description="The SHA-256 of the file.")
    artifact: str = Field(description="The digest of the file's manifest.")
    task: TaskSpec
    splits: tuple[Split, ...] = Field(min_length=1, max_length=16)
    all_or_nothing: bool = False
    apart_from: tuple[str, ...] = ()
    random_seed: Seed = 0
    only_labels: bool = False
    per_label: int = Field(0, ge=0, le=1_000_000)
    unanswered: bool = False

    @model_validator(mode="after")
    def _unanswered_are_of_no_label(self) -> Self:
        if self.unanswered and self.task.kind not in (TaskKind.INSTRUCTION, TaskKind.CODE):
            raise ValueError("unanswered is for tasks without labels: import the inputs as a task of instructions")
        return self

    @model_validator(mode="after")
    def _other_labels_are_known(self) -> Self:
        if self.only_labels and not self.task.labels:
            raise ValueError("only_labels is set and the task has no labels: name those to keep")
        return self

    @model_validator(mode="after")
    def _splits_are_distinct(self) -> Self:
        kinds = [split.kind for split in self.splits]
        if len(set(kinds)) < len(kinds):
            raise ValueError("two splits have the same kind: give each its own")
        if taken := set(kinds) & set(OWN_KINDS):
            raise ValueError(f"a split cannot have the kind {min(taken)!r}, which is kept for other artifacts")
        return self


class Source(Spec):
    """One artifact that a version takes examples from."""

    artifact: str
    role: Role
    limit: int = Field(0, ge=0, lt=2**53)
    scores: str = ""


class VersionSpec(Spec):
    """What a dataset version is to be made of."""

    dataset: str
    sources: tuple[Source, ...] = Field(min_length=1, max_length=100)
    selector: str
    params: dict[str, Any]
    budget: int = Field(0, ge=0, lt=2**53)
    replay_share: float = Field(0.0, ge=0, lt=1, allow_inf_nan=False)
    held_out: tuple[str, ...] = ()
    random_seed: Seed = 0
    description: str = Field("", max_length=2000)
    licences: tuple[Licence, ...] = Field((), max_length=100)

    @model_validator(mode="after")
    def _replay_has_a_share(self) -> Self:
        given = any(source.role == "replay" for source in self.sources)
        if self.replay_share and not given:
            raise ValueError("replay_share is set and no source has the role REPLAY: add one, or set it to 0")
        if given and not self.replay_share:
            raise ValueError("a source has the role REPLAY and replay_share is 0, which takes nothing: set a share")
        if all(source.role == "replay" for source in self.sources):
            raise ValueError("every source has the role REPLAY: name at least one of another role")
        digests = [source.artifact for source in self.sources]
        if len(set(digests)) < len(digests):
            raise ValueError("two sources are the same artifact: name each once")
        return self

    @property
    def parents(self) -> tuple[str, ...]:
        """The digests of all artifacts that the version is made from."""
        scores = (source.scores for source in self.sources if source.scores)
        return (*(source.artifact for source in self.sources), *scores, *self.held_out)
