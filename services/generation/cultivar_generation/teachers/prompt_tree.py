"""Prompts as one tree, so that what they share is read once.

Nodes are numbered depth first. A run is any stretch of consecutive nodes; all ancestors of its nodes lie in the run or
on the path to its first node (the trunk), so a model can read run after run and keep only that path in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROOT = -1


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of nodes to read together: `first` up to but not with `last`, below the nodes of `trunk`."""

    first: int
    last: int
    trunk: tuple[int, ...]

    def __len__(self) -> int:
        return self.last - self.first


class PromptTree:
    """Holds the distinct beginnings of some prompts, one token a node.

    tokens, parents, depths: of each node; the parent of a first token is `ROOT`. ends: the last node of each prompt.
    known: how many nodes, the first ones, are the beginning of a prompt that was read before; no run holds them, and
    no prompt ends in them. Raises ValueError for an empty prompt.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], read_before: Sequence[int] = ()) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.ends = [ROOT] * len(prompts)
        shared = [common_length(prompt, read_before) for prompt in prompts]
        # Who shares more with what was read before comes first, so that this is where the numbers begin.
        order = sorted(range(len(prompts)), key=lambda index: (-shared[index], tuple(prompts[index])))
        path: list[int] = []
        for index in order:
            self._add(prompts[index], path)
            self.ends[index] = path[-1]
        inside = [len(prompt) - 1 for prompt, length in zip(prompts, shared, strict=True) if length == len(prompt)]
        self.known = min([max(shared, default=0), *inside])

    def __len__(self) -> int:
        return len(self.tokens)

    def _add(self, prompt: Sequence[int], path: list[int]) -> None:
        if not prompt:
            raise ValueError("a prompt has no tokens: give at least one")
        shared = common_length(prompt, [self.tokens[node] for node in path])
        del path[shared:]
        for token in prompt[shared:]:
            self.parents.append(path[-1] if path else ROOT)
            self.depths.append(len(path))
            path.append(len(self.tokens))
            self.tokens.append(token)

    def path(self, node: int) -> list[int]:
        """Lists the nodes from a first token to `node`, both included; nothing for `ROOT`."""
        path = []
        while node != ROOT:
            path.append(node)
            node = self.parents[node]
        return path[::-1]

    def children(self) -> list[list[int]]:
        """Lists the children of each node."""
        children: list[list[int]] = [[] for _ in self.tokens]
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                children[parent].append(node)
        return children

    def runs(self, budget: int) -> Iterator[Run]:
        """Yields all nodes that are not known in runs of at most `budget` nodes."""
        for first in range(self.known, len(self), budget):
            yield Run(first, min(first + budget, len(self)), tuple(self.path(self.parents[first])))

    def visible(self, run: Run) -> NDArray[np.bool_]:
        """Says which keys each node of a run may look at: shape (nodes, trunk + nodes), the trunk's keys first."""
        trunk = len(run.trunk)
        mask = np.zeros((len(run), trunk + len(run)), dtype=np.bool_)
        for row, node in enumerate(range(run.first, run.last)):
            parent = self.parents[node]
            if parent >= run.first:
                mask[row] = mask[parent - run.first]
            else:
                mask[row, : self.depths[node]] = True
            mask[row, trunk + row] = True
        return mask

    def places(self, run: Run, nodes: Sequence[int]) -> list[int]:
        """Says where the keys of `nodes`, which lie in the run or on its trunk, stand among the keys of the run."""
        trunk = len(run.trunk)
        return [trunk + node - run.first if node >= run.first else self.depths[node] for node in nodes]


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Counts the tokens with which both begin."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length
