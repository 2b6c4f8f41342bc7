"""Chooses the next token of each row out of the logits, each row by its own rules and its own random numbers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cultivar_generation.teachers.work import SamplingRules, TokenChoice

NUCLEUS = 256
"""Tokens sorted at first for `top_p`; a row whose nucleus is larger is sorted whole."""


@dataclass(slots=True)
class Sampler:
    """Says how one row chooses its tokens.

    temperature: 0 takes the likeliest token. top_p: above 0, to 1. top: how many likeliest tokens to report; None
    reports no log-probabilities. draws: the row's own random numbers, so that an answer depends on its seed and not
    on who shares the batch (but for the last bits of a matrix product, which do depend on the batch's shape).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top: int | None = None
    draws: random.Random = field(default_factory=random.Random)


def sampler_for(rules: SamplingRules) -> Sampler:
    """Makes the sampler of one choice of a request; without a seed its random numbers never repeat."""
    draws = random.Random() if rules.seed is None else random.Random(f"{rules.seed}/{rules.choice}")
    return Sampler(rules.temperature, rules.top_p, rules.top, draws)


def choose(logits: Tensor, samplers: Sequence[Sampler]) -> list[TokenChoice]:
    """Chooses one token for each row of logits (rows, vocabulary, float32)."""
    tokens: Tensor = logits.argmax(-1)
    drawing = [row for row, sampler in enumerate(samplers) if sampler.temperature > 0]
    if drawing:
        tokens[drawing] = _draw(logits[drawing], [samplers[row] for row in drawing])
    return report(logits, tokens, [sampler.top for sampler in samplers])


def report(logits: Tensor, tokens: Tensor, tops: Sequence[int | None]) -> list[TokenChoice]:
    """Gives the tokens with their log-probabilities, for the rows that ask for them."""
    choices = [TokenChoice(token, 0.0) for token in tokens.tolist()]
    asking = [row for row, top in enumerate(tops) if top is not None]
    if not asking:
        return choices
    wanted = logits[asking]
    totals = wanted.logsumexp(-1, keepdim=True)
    own = (wanted.gather(-1, tokens[asking, None]) - totals)[:, 0].tolist()
    likeliest = likeliest_tokens(wanted, totals, max(tops[row] or 0 for row in asking))
    for place, row in enumerate(asking):
        choices[row] = TokenChoice(choices[row].token, own[place], likeliest[place][: tops[row] or 0])
    return choices


def likeliest_tokens(logits: Tensor, totals: Tensor, count: int) -> list[tuple[tuple[int, float], ...]]:
    """Lists the `count` likeliest tokens of each row with their log-probabilities; totals is logsumexp (rows, 1)."""
    if count == 0:
        return [()] * len(logits)
    values, tokens = logits.topk(count, -1) if count > 1 else logits.max(-1, keepdim=True)
    pairs = zip(tokens.tolist(), (values - totals).tolist(), strict=True)
    return [tuple(zip(row, logprobs, strict=True)) for row, logprobs in pairs]


def _draw(logits: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    temperatures = torch.tensor([sampler.temperature for sampler in samplers], device=logits.device)
    # Taking the maximum away first keeps a tiny temperature from dividing into infinity.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperatures[:, None]
    weights = scaled.softmax(-1)
    draws = torch.tensor([sampler.draws.random() for sampler in samplers], device=logits.device)
    tokens = torch.empty(len(samplers), dtype=torch.long, device=logits.device)
    whole = [row for row, sampler in enumerate(samplers) if sampler.top_p >= 1]
    if whole:
        tokens[whole] = _at_height(weights[whole], draws[whole])
    cut = [row for row, sampler in enumerate(samplers) if sampler.top_p < 1]
    if cut:
        shares = torch.tensor([samplers[row].top_p for row in cut], device=logits.device)
        tokens[cut] = _from_nucleus(weights[cut], shares, draws[cut])
    return tokens


def _from_nucleus(weights: Tensor, shares: Tensor, draws: Tensor) -> Tensor:
    """Draws from the fewest likeliest tokens whose weights reach the share."""
    values, order = weights.topk(min(NUCLEUS, weights.shape[1]), -1)
    tokens = _drawn(values, order, shares, draws)
    wide = values.sum(-1) < shares
    if wide.any():
        values, order = weights[wide].sort(-1, descending=True)
        tokens[wide] = _drawn(values, order, shares[wide], draws[wide])
    return tokens


def _drawn(values: Tensor, order: Tensor, shares: Tensor, draws: Tensor) -> Tensor:
    before = values.cumsum(-1) - values
    kept = values * (before < shares[:, None])
    return order.gather(-1, _at_height(kept, draws)[:, None])[:, 0]


def _at_height(weights: Tensor, draws: Tensor) -> Tensor:
    """Picks the entry where the running sum of weights passes the drawn part of their total."""
    sums = weights.cumsum(-1)
    heights = draws[:, None].to(sums.dtype) * sums[:, -1:]
    picked = torch.searchsorted(sums, heights, right=True)[:, 0]
    # A draw next to 1 can be rounded up to the total: the last entry that weighs anything is meant.
    last = weights.shape[1] - 1 - (weights > 0).flip(-1).byte().argmax(-1)
    return torch.minimum(picked, last)
