"""The settings that training has besides those of every service."""

import os
from pathlib import Path
from typing import Literal

from cultivar_service.settings import Settings
from pydantic import Field


class TrainingSettings(Settings):
    """Settings of the training service."""

    training_folder: Path | None = Field(
        None,
        description="Where runs keep checkpoints until they end: a folder that Ray's workers and every replica share; "
        "absent for `training` beside the token's file.",
    )
    training_slots: int = Field(1, ge=1, description="Training runs that one replica works on at once.")
    training_workers: int = Field(
        min(2, os.cpu_count() or 1), ge=1, le=64, description="Processes of a run that does not say how many."
    )
    training_threads: int = Field(
        0, ge=0, description="Threads of each process; 0 shares this machine's cores out among them."
    )
    training_checkpoint_seconds: float = Field(
        20.0, gt=0, description="How often a run writes a checkpoint, and the most that a kill costs it."
    )
    training_idle_seconds: float = Field(
        60.0,
        ge=0,
        description="How long a program whose run has ended waits for the next one: its workers hold memory meanwhile, "
        "and the next run begins in a tenth of the time.",
    )
    training_launcher: Literal["ray", "fake"] = Field(
        "ray", description="What runs training programs; `fake` trains nothing, to try out the loop without Ray."
    )
    ray_address: str = Field(
        "", description="A standing Ray cluster, as host:port or ray://host:port, for a service that runs alone."
    )

    @property
    def folder(self) -> Path:
        """The folder of the runs' work."""
        return self.training_folder or self.token_file.parent / "training"

    def threads(self, workers: int) -> int:
        """Returns the threads of each of some processes: together they take the cores and do not fight for them."""
        return self.training_threads or max(1, (os.cpu_count() or 1) // workers)
