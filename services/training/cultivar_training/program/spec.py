"""What the service hands to the program."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from cultivar_training.plan import RunSpec

EVENTS, CHECKPOINT, ADAPTER = "events.jsonl", "checkpoint.safetensors", "adapter"


class ProgramSpec(BaseModel):
    """One attempt of a training run: where its rows are, where it works, what it is to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="The folder of the run; each attempt writes in one of its own inside.")
    attempt: int = Field(ge=1)
    dataset: tuple[Path, ...] = Field(description="Parquet files of examples.")
    validation: tuple[Path, ...] = ()
    threads: int = Field(1, ge=1)
    checkpoint_seconds: float = Field(20.0, gt=0)
    inbox: Path | None = Field(
        None, description="Where runs to come are put; without it the program ends with this one."
    )
    run: RunSpec

    @property
    def attempt_folder(self) -> Path:
        """The folder that this attempt alone writes in."""
        return attempt_folder(self.folder, self.attempt)


def attempt_folder(folder: Path, attempt: int) -> Path:
    """Returns the folder of an attempt of a run."""
    return folder / f"attempt-{attempt:05d}"
