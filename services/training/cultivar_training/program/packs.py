"""Packs: several rows as one sequence without padding, in which what they begin with is computed once.

    prefix  row 1  row 2  row 3        a token sees the prefix and its own row, up to itself

Rows of a task begin with the same instruction. Computing it once for a pack gives the same loss and the same gradients
as computing it for each row, and is a good part of all tokens where rows are short.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cultivar_training.program.rows import Row


@dataclass(frozen=True, slots=True)
class Pack:
    """One sequence for the model: tokens and positions (1, n), who sees whom (1, 1, n, n), and what is learnt.

    `visible` is None where plain causal attention says the same. The logits at `places` are to predict `targets`.
    """

    tokens: Tensor
    positions: Tensor
    visible: Tensor | None
    places: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Pack":
        """Returns the pack on a device."""
        visible = None if self.visible is None else self.visible.to(device)
        return Pack(
            self.tokens.to(device),
            self.positions.to(device),
            visible,
            self.places.to(device),
            self.targets.to(device),
        )


def pack_rows(rows: Iterable[Row], most_tokens: int) -> list[Pack]:
    """Packs rows, those with the same beginning together; a pack has at most `most_tokens` unless one row has more."""
    return [_pack(group, shared) for group, shared in _groups(sorted(rows, key=lambda row: row.tokens), most_tokens)]


def forward(model: Any, pack: Pack) -> Tensor:
    """Returns the logits (targets, vocabulary) that are to predict the targets of a pack."""
    made = model(
        input_ids=pack.tokens,
        position_ids=pack.positions,
        attention_mask=pack.visible,
        logits_to_keep=pack.places,
        use_cache=False,
    )
    logits: Tensor = made.logits[0]
    return logits


def _groups(rows: Sequence[Row], most_tokens: int) -> Iterator[tuple[list[Row], int]]:
    group: list[Row] = []
    shared = 0
    for row in rows:
        joined = min(shared, _common(group[0], row)) if group else row.first_trained
        size = joined + sum(len(member) - joined for member in (*group, row))
        if group and size > most_tokens:
            yield group, shared
            group, joined = [], row.first_trained
        group.append(row)
        shared = joined
    if group:
        yield group, shared


def _common(first: Row, second: Row) -> int:
    """Counts the tokens that two rows begin with, and that neither is trained on."""
    most = min(first.first_trained, second.first_trained)
    return next((place for place in range(most) if first.tokens[place] != second.tokens[place]), most)


def _pack(group: Sequence[Row], shared: int) -> Pack:
    shared = shared if len(group) > 1 else 0
    tokens, positions = list(group[0].tokens[:shared]), list(range(shared))
    owners = [0] * shared
    places: list[int] = []
    targets: list[int] = []
    for owner, row in enumerate(group, 1):
        start = len(tokens) - shared
        for place in range(shared, len(row)):
            if row.trained[place]:
                # The token before it predicts it: the last one of the prefix, or one of the row's own.
                places.append(start + place - 1 if place > shared else shared - 1)
                targets.append(row.tokens[place])
        tokens += row.tokens[shared:]
        positions += range(shared, len(row))
        owners += [owner] * (len(row) - shared)
    visible = _visible(torch.tensor(owners)) if len(group) > 1 else None
    return Pack(torch.tensor([tokens]), torch.tensor([positions]), visible, torch.tensor(places), torch.tensor(targets))


def _visible(owners: Tensor) -> Tensor:
    before = torch.ones(len(owners), len(owners), dtype=torch.bool).tril()
    mine = (owners[:, None] == owners[None]) | (owners[None] == 0)
    return (before & mine)[None, None]
