"""The keys and values of attention: of one run of a prompt tree, and of the rows that are being continued."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

WIDTH_STEP = 64
"""Rows get room for this many tokens at a time."""


class TreeMemory(Cache):  # type: ignore[misc]
    """Holds, for each layer, the keys and values (1, heads, tokens, size) of a trunk and the run below it."""

    def __init__(self, trunk: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        super().__init__(layers=[])
        self._trunk = trunk
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Appends the keys and values of a run to those of its trunk."""
        if self._trunk:
            keys, values = self._trunk[layer_idx]
            key_states = torch.cat([keys, key_states], dim=2)
            value_states = torch.cat([values, value_states], dim=2)
        self.pairs.append((key_states, value_states))
        return key_states, value_states

    def picked(self, places: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Copies the keys and values at some places: the trunk of the next run, or a whole prompt."""
        if not places:
            return []
        at = torch.tensor(places, device=self.pairs[0][0].device)
        return [(keys.index_select(2, at), values.index_select(2, at)) for keys, values in self.pairs]


class RowMemory(Cache):  # type: ignore[misc]
    """Holds the keys and values of the rows that are being continued, each packed from the left without gaps.

    One block of memory (layers, 2, rows, heads, width, size) grows as rows come and get longer; rows stay dense, for
    the last one moves into the place of one that leaves.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.lengths: list[int] = []
        self._block: Tensor | None = None
        self._at: Tensor = torch.empty(0, dtype=torch.long)
        self._width = 0

    @property
    def bytes(self) -> int:
        """The size of the block of memory, in bytes."""
        return 0 if self._block is None else self._block.nbytes

    def add(self, prompt: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Adds a row: the keys and values of a prompt that was read, as `TreeMemory.picked` gives them."""
        length = prompt[0][0].shape[2]
        self._make_room(len(self.lengths) + 1, length + 1, prompt)
        assert self._block is not None
        for layer, (keys, values) in enumerate(prompt):
            self._block[layer, 0, len(self.lengths), :, :length] = keys[0]
            self._block[layer, 1, len(self.lengths), :, :length] = values[0]
        self.lengths.append(length)

    def remove(self, row: int) -> None:
        """Removes a row; the last row takes its number. The memory is given back when no row is left."""
        last = len(self.lengths) - 1
        if row != last and self._block is not None:
            length = self.lengths[last]
            self._block[:, :, row, :, :length] = self._block[:, :, last, :, :length]
            self.lengths[row] = length
        self.lengths.pop()
        if not self.lengths:
            self._block = None

    def begin_step(self) -> Tensor:
        """Makes room for one more token in each row and gives what each may look at: (rows, 1, 1, width), added."""
        assert self._block is not None
        self._width = max(self.lengths) + 1
        self._make_room(len(self.lengths), self._width, ())
        self._at = torch.tensor(self.lengths, device=self._block.device)
        hidden = torch.arange(self._width, device=self._block.device)[None, :] > self._at[:, None]
        mask = torch.zeros(hidden.shape, dtype=self._block.dtype, device=self._block.device)
        return mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)[:, None, None, :]

    def end_step(self) -> None:
        """Counts the token that the step added to each row."""
        self.lengths = [length + 1 for length in self.lengths]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes the keys and values of one token a row behind the others; returns those of all tokens."""
        assert self._block is not None
        keys, values = self._block[layer_idx, 0], self._block[layer_idx, 1]
        rows = torch.arange(len(self._at), device=self._at.device)
        keys[rows, :, self._at] = key_states[:, :, 0]
        values[rows, :, self._at] = value_states[:, :, 0]
        return keys[: len(rows), :, : self._width], values[: len(rows), :, : self._width]

    def _make_room(self, rows: int, width: int, like: Sequence[tuple[Tensor, Tensor]]) -> None:
        old = self._block
        if old is not None and old.shape[2] >= rows and old.shape[4] >= width:
            return
        width = -(-width // WIDTH_STEP) * WIDTH_STEP
        if old is None:
            sample = like[0][0]
            shape = (len(like), 2, rows, sample.shape[1], width, sample.shape[3])
            self._block = sample.new_zeros(shape)
            return
        # Rows double, so that a batch that fills up one by one is copied a few times only.
        rows = old.shape[2] if old.shape[2] >= rows else max(rows, 2 * old.shape[2])
        grown = old.new_zeros((*old.shape[:2], rows, old.shape[3], max(width, old.shape[4]), old.shape[5]))
        held = len(self.lengths)
        grown[:, :, :held, :, : old.shape[4]] = old[:, :, :held]
        self._block = grown
