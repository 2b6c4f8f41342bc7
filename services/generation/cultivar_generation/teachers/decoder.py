"""Runs a text-generating model over prompt trees and over rows that are being continued."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cultivar_generation.teachers.keys_values import RowMemory, TreeMemory
from cultivar_generation.teachers.prompt_tree import PromptTree, Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEAD_ROWS = 128
"""Positions whose logits (vocabulary size, float32) are held at once."""


class UnsupportedModel(ValueError):
    """Refuses a model whose attention this engine would compute wrongly."""


class Decoder:
    """Reads prompts and continues rows with one model; not thread-safe."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model
        self._body: Any = model.get_decoder()

    @property
    def context(self) -> int:
        """The most tokens of prompt and answer together."""
        return int(self.model.config.max_position_embeddings)

    def read(self, tree: PromptTree, run: Run, trunk: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, TreeMemory]:
        """Reads a run of a tree below its trunk; returns the hidden states (nodes, size) and the keys and values."""
        memory = TreeMemory(trunk)
        visible = torch.from_numpy(tree.visible(run)).to(self.model.device)
        mask = torch.zeros(visible.shape, dtype=self.model.dtype, device=self.model.device)
        mask.masked_fill_(~visible, torch.finfo(mask.dtype).min)
        hidden = self._forward(
            torch.tensor([tree.tokens[run.first : run.last]]),
            torch.tensor([tree.depths[run.first : run.last]]),
            mask[None, None],
            memory,
        )
        return hidden[0], memory

    def step(self, tokens: Sequence[int], rows: RowMemory) -> Tensor:
        """Appends one token to each row; returns the logits (rows, vocabulary) of the next one."""
        mask = rows.begin_step()
        positions = torch.tensor(rows.lengths)[:, None]
        hidden = self._forward(torch.tensor(tokens)[:, None], positions, mask, rows)
        rows.end_step()
        return self.logits(hidden[:, 0])

    def logits(self, hidden: Tensor) -> Tensor:
        """Gives the logits (positions, vocabulary) in float32 of hidden states (positions, size)."""
        # Asked for each time: an adapter may have been put around the head.
        with torch.inference_mode():
            logits: Tensor = self.model.get_output_embeddings()(hidden)
            return logits.float()

    def _forward(self, tokens: Tensor, positions: Tensor, mask: Tensor, memory: TreeMemory | RowMemory) -> Tensor:
        device = self.model.device
        with torch.inference_mode():
            hidden: Tensor = self._body(
                input_ids=tokens.to(device),
                position_ids=positions.to(device),
                attention_mask=mask,
                past_key_values=memory,
                use_cache=True,
            ).last_hidden_state
        return hidden


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt, or the beginning of one, that was read: its tokens, keys and values, and hidden states."""

    tokens: tuple[int, ...] = ()
    pairs: Sequence[tuple[Tensor, Tensor]] = ()
    hidden: Tensor | None = None


NOTHING = ReadPrompt()


class TreeReader:
    """Reads a prompt tree run by run, and keeps of what it read only what the next run needs.

    What the prompts share with `before`, a prompt that was read earlier, is not read again.
    """

    def __init__(
        self, decoder: Decoder, prompts: Sequence[Sequence[int]], budget: int, before: ReadPrompt = NOTHING
    ) -> None:
        self._decoder = decoder
        self.tree = PromptTree(prompts, before.tokens)
        self._runs = deque(self.tree.runs(budget))
        trunk = len(self._runs[0].trunk) if self._runs else 0
        self._trunk = [(keys[:, :, :trunk], values[:, :, :trunk]) for keys, values in before.pairs] if trunk else []
        self._trunk_hidden = before.hidden[:trunk] if before.hidden is not None else None
        self.known_hidden = before.hidden[: self.tree.known] if before.hidden is not None else None
        self._at: tuple[Run, Tensor, TreeMemory] | None = None

    @property
    def done(self) -> bool:
        """Whether all runs are read."""
        return not self._runs

    def next(self) -> tuple[Run, Tensor]:
        """Reads the next run; returns it with the hidden states (nodes, size) of its nodes."""
        run = self._runs.popleft()
        if self._at is not None:
            self._trunk, self._trunk_hidden = self._picked(run.trunk)
        own, memory = self._decoder.read(self.tree, run, self._trunk)
        hidden = own if self._trunk_hidden is None else torch.cat([self._trunk_hidden, own])
        self._at = run, hidden, memory
        return run, own

    def read_to(self, end: int, most: int | None = None) -> ReadPrompt:
        """Gives the prompt that ends in a node of the last run, or its first `most` tokens."""
        path = self.tree.path(end)[:most]
        pairs, hidden = self._picked(path)
        return ReadPrompt(tuple(self.tree.tokens[node] for node in path), pairs, hidden)

    def _picked(self, nodes: Sequence[int]) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        assert self._at is not None
        run, hidden, memory = self._at
        places = self.tree.places(run, nodes)
        return memory.picked(places), hidden[places]


def require_supported(decoder: Decoder) -> None:
    """Compares this engine's logits with the model's own on a few tokens; raises `UnsupportedModel` if they differ.

    Sliding windows, soft caps and the like would otherwise give wrong answers in silence.
    """
    window = getattr(decoder.model.config, "sliding_window", None)
    if window and getattr(decoder.model.config, "use_sliding_window", True):
        raise UnsupportedModel("the model's attention slides over a window: serve it with another engine, such as vLLM")
    tokens = [2 + 7 * i % 50 for i in range(8)]
    with torch.inference_mode():
        expected = decoder.model(torch.tensor([tokens], device=decoder.model.device)).logits[0].float()
    reader = TreeReader(decoder, [tokens[:-1]], len(tokens))
    _, hidden = reader.next()
    rows = RowMemory()
    rows.add(reader.read_to(reader.tree.ends[0]).pairs)
    ours = torch.cat([decoder.logits(hidden), decoder.step(tokens[-1:], rows)])
    if (ours - expected).abs().max() > 0.05 * expected.abs().max():
        raise UnsupportedModel("the model computes attention in a way that this engine does not: serve it with another")
