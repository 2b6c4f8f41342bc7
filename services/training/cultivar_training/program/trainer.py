"""TRL's trainer over packs that were planned in advance, with the loss on what is to be learnt alone."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset
from transformers.trainer_callback import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from cultivar_training.program.packs import Pack, forward
from cultivar_training.program.rows import Row
from cultivar_training.program.steps import Step

WARMUP_SHARE = 0.1
LAST_RATE = 0.1


class Batch:
    """What one worker computes in one step: its packs, and how many targets all workers have together."""

    def __init__(self, packs: Sequence[Pack], targets: int, empty: bool) -> None:
        self.packs = packs
        self.targets = targets
        self.empty = empty


class Batches(Dataset[Batch]):  # type: ignore[misc]
    """The batches of some steps, each made when it is its turn."""

    def __init__(self, steps: Sequence[Step], make: Callable[[Step], Batch]) -> None:
        self._steps = steps
        self._make = make

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, place: int) -> Batch:
        return self._make(self._steps[place])


class PackTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains on batches of packs; the loss of a step is the mean over the targets of all workers."""

    def __init__(self, batches: Batches, **arguments: Any) -> None:
        self._batches = batches
        self.last_loss = 0.0
        # The trainer wants a dataset of its own kind; what it is fed are the batches.
        super().__init__(train_dataset=datasets.Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]}), **arguments)
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Returns the batches as they were planned."""
        return DataLoader(self._batches, batch_size=None, shuffle=False, collate_fn=_as_it_is)

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], *others: Any) -> tuple[list[Batch], None]:
        """Takes the next batch, which knows its number of targets itself."""
        return [next(epoch_iterator)], None

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Any = None) -> Tensor:
        """Computes one step, pack by pack; gradients are exchanged with the last one."""
        model.train()
        loss = torch.zeros((), device=self.args.device)
        for place, pack in enumerate(inputs.packs, 1):
            with nullcontext() if place == len(inputs.packs) else self.accelerator.no_sync(model):
                loss += self._backward(model, inputs, pack.to(self.args.device))
        self.last_loss = self._mean(loss)
        return loss

    def _backward(self, model: Any, batch: Batch, pack: Pack) -> Tensor:
        with self.compute_loss_context_manager():
            logits = forward(model, pack)
        # The exchange takes the mean over workers, where the sum is wanted.
        share = 0.0 if batch.empty else self.accelerator.num_processes / batch.targets
        loss = torch.nn.functional.cross_entropy(logits.float(), pack.targets, reduction="sum") * share
        self.accelerator.backward(loss)
        return loss.detach()

    def _mean(self, loss: Tensor) -> float:
        return float(self.accelerator.reduce(loss.clone(), "mean"))

    def floating_point_ops(self, inputs: Any) -> int:
        """Counts nothing: batches are not what the count is made for."""
        return 0


def make_trainer(
    model: Any,
    tokenizer: Any,
    batches: Batches,
    folder: Path,
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    callback: TrainerCallback,
    seed: int,
) -> PackTrainer:
    """Makes a trainer that takes one step for each batch and writes, logs and reports nothing by itself."""
    cuda = torch.cuda.is_available()
    arguments = SFTConfig(
        output_dir=str(folder),
        max_steps=len(batches),
        max_length=None,
        seed=seed % 2**32,
        bf16=model.dtype is torch.bfloat16,
        use_cpu=not cuda,
        gradient_checkpointing=False,
        max_grad_norm=1.0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
    )
    return PackTrainer(
        batches,
        model=model,
        args=arguments,
        processing_class=tokenizer,
        optimizers=(optimizer, LambdaLR(optimizer, rate)),
        callbacks=[callback],
    )


def rate_of(step: int, steps: int) -> float:
    """Returns the share of the highest learning rate at a step: a straight rise, then half a cosine to a tenth."""
    warmup = max(1, math.ceil(steps * WARMUP_SHARE))
    if step < warmup:
        return (step + 1) / warmup
    way = (step - warmup) / max(1, steps - warmup)
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * min(1.0, way))) / 2


def loss_on(model: Any, packs: Sequence[Pack]) -> tuple[float, int]:
    """Returns the summed loss over the targets of packs, and their number."""
    model.eval()
    total, targets = 0.0, 0
    with torch.inference_mode():
        for pack in packs:
            moved = pack.to(model.device)
            logits = forward(model, moved).float()
            total += float(torch.nn.functional.cross_entropy(logits, moved.targets, reduction="sum"))
            targets += len(pack.targets)
    model.train()
    return total, targets


def _as_it_is(batch: Batch) -> Batch:
    return batch


def targets_of(rows: Sequence[Row]) -> int:
    """Counts the tokens of rows that the loss is taken on."""
    return sum(sum(row.trained) for row in rows)
