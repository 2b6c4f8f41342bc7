"""Checkpoints: one safetensors file with the adapter, the best one so far, the optimizer's moments, and where we are.

Each attempt writes its own, by a rename, so that there is a whole one or none, and so that an attempt which has lost
its claim to the run cannot spoil that of a later one.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from cultivar_training.program.spec import CHECKPOINT, attempt_folder

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Standing:
    """Where a run stands: what is the same for all workers after a step. `loss` is the mean over the epoch's steps."""

    plan: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    epoch_steps: int = 0
    validation_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    epochs_without_gain: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)


Parameters = Mapping[str, Tensor]


class Checkpoints:
    """Writes the checkpoint of this attempt, and finds the newest that an earlier one left."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self._folder = folder
        self._attempt = attempt

    def save(self, standing: Standing, parameters: Parameters, best: Parameters, optimizer: Optimizer) -> None:
        """Writes a checkpoint in the place of the one before."""
        tensors = {f"now/{name}": value.detach() for name, value in parameters.items()}
        tensors |= {f"best/{name}": value for name, value in best.items()}
        for name, value in parameters.items():
            state = optimizer.state[value]
            tensors |= {f"{moment}/{name}": state[moment] for moment in _MOMENTS if moment in state}
        tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
        target = attempt_folder(self._folder, self._attempt) / CHECKPOINT
        draft = target.with_suffix(".draft")
        save_file(tensors, draft, {"standing": json.dumps(asdict(standing))})
        os.replace(draft, target)

    def find(self, plan: str) -> tuple[Standing, Path] | None:
        """Finds the checkpoint of this plan that got furthest; a damaged one is passed over."""
        found = [
            (standing, path) for path in self._earlier() if (standing := _standing(path)) and standing.plan == plan
        ]
        return max(found, key=lambda each: each[0].step, default=None)

    def _earlier(self) -> Iterator[Path]:
        for attempt in range(1, self._attempt):
            path = attempt_folder(self._folder, attempt) / CHECKPOINT
            if path.is_file():
                yield path


def restore(path: Path, step: int, parameters: Parameters, optimizer: Optimizer) -> dict[str, Tensor]:
    """Puts a checkpoint into the parameters and the optimizer; returns the best adapter so far, empty for none."""
    best: dict[str, Tensor] = {}
    with safe_open(path, "pt") as file, torch.no_grad():
        names = set(file.keys())
        for name, value in parameters.items():
            value.copy_(file.get_tensor(f"now/{name}"))
            if f"{_MOMENTS[0]}/{name}" in names:
                moments = {moment: file.get_tensor(f"{moment}/{name}").to(value.device) for moment in _MOMENTS}
                optimizer.state[value] = {"step": torch.tensor(float(step)), **moments}
            if f"best/{name}" in names:
                best[name] = file.get_tensor(f"best/{name}")
    return best


def _standing(path: Path) -> Standing | None:
    try:
        with safe_open(path, "pt") as file:
            return Standing(**json.loads(file.metadata()["standing"]))
    except (SafetensorError, OSError, ValueError, TypeError, KeyError):
        return None
