"""What happens beside the steps: progress, validation, early stopping, checkpoints, and the best adapter."""

import time
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState

from cultivar_training.program.adapter import require_finite
from cultivar_training.program.checkpoints import Checkpoints, Standing
from cultivar_training.program.errors import disk_errors
from cultivar_training.program.trainer import PackTrainer, loss_on

if TYPE_CHECKING:
    from cultivar_training.program.run import Run

TELL_SECONDS = 0.5


class Following(TrainerCallback):  # type: ignore[misc]
    """Follows the steps of one worker; what it decides is the same on all of them."""

    def __init__(
        self,
        run: "Run",
        standing: Standing,
        best: dict[str, Tensor],
        checkpoints: Checkpoints,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._run, self.standing, self._best = run, standing, best
        self._checkpoints, self._optimizer = checkpoints, optimizer
        self._trainer: PackTrainer | None = None
        self._validation = run.packs(list(run.validation.rows[run.rank :: run.workers]))
        self._total = sum(step.tokens for step in run.steps)
        self._told = 0.0
        self._saved = self._since = time.monotonic()
        self._first_step_seconds = 0.0

    @property
    def stops(self) -> bool:
        """Whether the validation loss has not fallen for as long as it may."""
        patience = self._run.spec.run.patience
        return bool(patience) and self.standing.epochs_without_gain >= patience

    @property
    def why_stopped(self) -> str:
        """Says why training ended: patience, tokens or epochs."""
        if self.stops:
            return "patience"
        spec = self._run.spec.run
        return "tokens" if self._total < self._run.rows.tokens * spec.epochs else "epochs"

    def losses_of(self, trainer: PackTrainer) -> None:
        """Takes the losses of steps from a trainer."""
        self._trainer = trainer

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Makes what dropout drops follow from the seed, the step and the worker, whatever came before."""
        seed = hash((self._run.spec.run.random_seed, self.standing.step, self._run.rank))
        torch.manual_seed(seed % 2**63)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Counts a step; at the end of an epoch validates, and stops where that has not helped for long enough."""
        assert self._trainer is not None
        step, standing = self._run.steps[self.standing.step], self.standing
        require_finite(self._trainer.last_loss)
        standing.epoch_steps += 1
        standing.loss += (self._trainer.last_loss - standing.loss) / standing.epoch_steps
        standing.step += 1
        standing.tokens += step.tokens
        self._first_step_seconds = self._first_step_seconds or self._run.first_step_seconds
        if step.ends_epoch:
            self._validate()
            standing.epoch_steps = 0
            control.should_training_stop = control.should_training_stop or self.stops
        self._tell(now=step.ends_epoch)
        self._checkpoint()

    def _validate(self) -> None:
        standing = self.standing
        losses = {"step": float(standing.step), "tokens": float(standing.tokens), "loss": standing.loss}
        if self._run.validation.rows:
            loss = standing.validation_loss = self._validation_loss()
            losses["validation_loss"] = loss
            if standing.best_loss is None or loss < standing.best_loss:
                standing.best_loss, standing.best_step, standing.epochs_without_gain = loss, standing.step, 0
                self._best = {name: value.detach().clone() for name, value in self._run.parameters.items()}
            else:
                standing.epochs_without_gain += 1
        standing.losses.append(losses)

    def _validation_loss(self) -> float:
        sums = torch.tensor(loss_on(self._run.model, self._validation), dtype=torch.float64)
        sums = sums.to("cpu" if dist.get_backend() == "gloo" else self._run.device)
        dist.all_reduce(sums)
        return float(sums[0] / sums[1])

    def take_best(self) -> None:
        """Puts the best adapter in the place of the last one."""
        with torch.no_grad():
            for name, value in self._best.items():
                self._run.parameters[name].copy_(value)

    def measures(self) -> dict[str, float]:
        """Returns what is measured so far."""
        standing = self.standing
        found = {
            "loss": standing.loss,
            "tokens": float(standing.tokens),
            "steps": float(standing.step),
            "epochs": standing.tokens / max(1, self._run.rows.tokens),
            "trained_share": self._run.rows.trained_share,
            "tokens_per_second": standing.tokens / max(1e-9, self._seconds()),
            "training_seconds": self._seconds(),
            "first_step_seconds": self._first_step_seconds,
        }
        if standing.validation_loss is not None and standing.best_loss is not None:
            found |= {"validation_loss": standing.validation_loss, "best_validation_loss": standing.best_loss}
        return found

    def _seconds(self) -> float:
        return self.standing.seconds + time.monotonic() - self._since

    def _tell(self, *, now: bool) -> None:
        if not now and time.monotonic() - self._told < TELL_SECONDS:
            return
        self._told = time.monotonic()
        left = self._total - self.standing.tokens
        self._run.events.tell(
            "progress",
            stage="training",
            done=self.standing.tokens,
            total=self._total,
            counts={
                "steps": self.standing.step,
                "too_long": self._run.rows.too_long,
                "validation": len(self._run.validation.rows),
            },
            measures=self.measures(),
            seconds_left=left * self._seconds() / max(1, self.standing.tokens),
        )

    def _checkpoint(self) -> None:
        if self._run.rank != 0 or time.monotonic() - self._saved < self._run.spec.checkpoint_seconds:
            return
        self.standing.seconds, self._since = self._seconds(), time.monotonic()
        with disk_errors():
            self._checkpoints.save(self.standing, self._run.parameters, self._best, self._optimizer)
        self._saved = time.monotonic()
        self._run.events.tell("checkpoint", step=self.standing.step, tokens=self.standing.tokens)
