"""One worker's part of a run: load, plan, go on from a checkpoint, train; the first one also saves and compares."""

import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from cultivar_models.processor import choose_dtype
from cultivar_models.weights import (
    WeightsUnavailable,
    WeightsUnsafe,
    cache_folder,
    find_weights,
    load_causal_model,
    load_tokenizer,
)
from peft import LoraConfig, get_peft_model
from torch import Tensor

from cultivar_training.program.adapter import REPORT_FILE, check_adapter, save_adapter
from cultivar_training.program.checkpoints import Checkpoints, Standing, restore
from cultivar_training.program.errors import Refused, disk_errors
from cultivar_training.program.events import EventFile
from cultivar_training.program.following import Following
from cultivar_training.program.packs import Pack, pack_rows
from cultivar_training.program.rows import Renderer, Row, Rows, read_examples, render
from cultivar_training.program.spec import ADAPTER, ProgramSpec
from cultivar_training.program.steps import Step, plan_digest, plan_steps
from cultivar_training.program.trainer import Batch, Batches, make_trainer, rate_of, targets_of

PACK_TOKENS = {"cpu": 512, "cuda": 4096}
"""The most tokens of a pack: attention grows with the square, and a pack's activations are held at once."""
COMPARED_PACKS = 2
VERSIONS = ("torch", "transformers", "peft", "trl", "ray")


def join_workers() -> None:
    """Opens the process group, where Ray Train has not done so."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))


def leave_workers() -> None:
    """Closes the process group when all are there."""
    dist.barrier()
    dist.destroy_process_group()


class Run:
    """A run as one of its workers has it."""

    def __init__(self, spec: ProgramSpec, events: EventFile, began: float) -> None:
        torch.set_num_threads(spec.threads)
        self.rank, self.workers = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.spec, self.events, self.began = spec, events, began
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.weights = _weights(spec.run.base_model)
        self.tokenizer: Any = load_tokenizer(self.weights)
        self.rows, self.validation = self._render()
        self.steps = plan_steps(
            [len(row) for row in self.rows.rows],
            epochs=spec.run.epochs,
            batch_size=spec.run.batch_size,
            workers=self.workers,
            seed=spec.run.random_seed,
            budget=spec.run.max_trained_tokens,
        )
        self.model = self._model()
        self.parameters = {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def _render(self) -> tuple[Rows, Rows]:
        renderer = Renderer(self.tokenizer, self.spec.run.task)
        longest = self.spec.run.max_length
        rows = render(read_examples(self.spec.dataset), renderer, longest, "dataset")
        if not self.spec.validation:
            return rows, Rows((), 0)
        return rows, render(read_examples(self.spec.validation), renderer, longest, "validation")

    def _model(self) -> Any:
        """Loads the base model and puts the adapter around it, whose first weights follow from the seed."""
        dtype = choose_dtype(cache_folder()) if self.device.type == "cpu" else "bfloat16"
        base: Any = load_causal_model(self.weights, dtype).to(self.device)
        lora = self.spec.run.lora
        head = base.get_output_embeddings()
        parts = ((name, part) for name, part in base.named_modules() if part is not head)
        linear = {name.rpartition(".")[2] for name, part in parts if isinstance(part, torch.nn.Linear)}
        if unknown := set(lora.target_modules) - linear:
            raise Refused(
                f"the base model has no layers {', '.join(sorted(unknown))}: it has {', '.join(sorted(linear))}"
            )
        torch.manual_seed(self.spec.run.random_seed)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.target_modules) or "all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(base, config)

    def train(self) -> None:
        """Trains from the newest checkpoint, or from the start, to the end of the plan or of what it gains."""
        optimizer = torch.optim.AdamW(self.parameters.values(), lr=self.spec.run.learning_rate, weight_decay=0.0)
        following = self._standing(optimizer)
        first, total = following.standing.step, len(self.steps)
        if first < total and not following.stops:
            trainer = make_trainer(
                self.model,
                self.tokenizer,
                Batches(self.steps[first:], self._batch),
                self.spec.attempt_folder / "trainer",
                optimizer,
                lambda step: rate_of(first + step, total),
                following,
                self.spec.run.random_seed,
            )
            following.losses_of(trainer)
            trainer.train()
        following.take_best()
        if self.rank == 0:
            self._finish(following)

    def _standing(self, optimizer: torch.optim.Optimizer) -> Following:
        checkpoints = Checkpoints(self.spec.folder, self.spec.attempt)
        plan = plan_digest(self.steps)
        found = checkpoints.find(plan)
        best: dict[str, Tensor] = {}
        standing = Standing(plan)
        if found is not None:
            standing = found[0]
            best = restore(found[1], standing.step, self.parameters, optimizer)
        return Following(self, standing, best, checkpoints, optimizer)

    def _batch(self, step: Step) -> Batch:
        share = step.shares[self.rank]
        # A worker without rows computes one all the same, for nothing, since the others wait for its gradients.
        places = share or [place for each in step.shares for place in each][:1]
        targets = targets_of([self.rows.rows[place] for each in step.shares for place in each])
        return Batch(self.packs([self.rows.rows[place] for place in places]), targets, not share)

    def packs(self, rows: list[Row]) -> list[Pack]:
        """Packs rows for this worker's device."""
        return pack_rows(rows, PACK_TOKENS[self.device.type])

    def _finish(self, following: Following) -> None:
        self.events.tell("progress", stage="comparing the saved adapter")
        folder = self.spec.attempt_folder / ADAPTER
        with disk_errors():
            save_adapter(self.model, folder, self.spec.run.base_model)
        few = self.packs(list(self.rows.rows[: 4 * COMPARED_PACKS]))[:COMPARED_PACKS]
        measures = following.measures() | check_adapter(self.model, folder, self.weights, few)
        report = {
            "run": self.spec.run.model_dump(mode="json"),
            "rows": {"trained": len(self.rows.rows), "too_long": self.rows.too_long},
            "measures": measures,
            "losses": following.standing.losses,
            "stopped": following.why_stopped,
            "number_format": str(self.model.dtype).removeprefix("torch."),
            "versions": {name: version(name) for name in VERSIONS},
        }
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
        self.events.tell(
            "trained",
            folder=str(folder),
            trained=len(self.rows.rows),
            too_long=self.rows.too_long,
            measures=measures,
        )

    @property
    def first_step_seconds(self) -> float:
        """Seconds since the program began."""
        return time.time() - self.began


def _weights(base_model: str) -> Path:
    try:
        return find_weights(base_model)
    except (WeightsUnavailable, WeightsUnsafe) as error:
        raise Refused(str(error)) from error
