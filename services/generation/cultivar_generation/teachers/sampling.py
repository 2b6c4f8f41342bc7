"""Chooses the next token of each row out of the logits, each row by its own rules and its own random numbers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cultivar_generation.teachers.forms import Form, limited
from cultivar_generation.teachers.work import SamplingRules, TokenChoice


@dataclass(slots=True)
class Sampler:
    """Says how one row chooses its tokens.

    temperature: 0 takes the likeliest token. top_k: how many likeliest tokens are drawn from, with those as likely as
    the last of them; 0 for all. top_p: above 0, to 1, of what top_k leaves. top: how many likeliest tokens to report;
    None reports no log-probabilities. draws: the row's own random numbers, so that an answer depends on its seed and
    not on who shares the batch (but for the last bits of a matrix product, which do depend on the batch's shape).
    form: what the answer is held to, if it is; log-probabilities are the model's own all the same.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top: int | None = None
    draws: random.Random = field(default_factory=random.Random)
    form: Form | None = None
    top_k: int = 0


def sampler_for(rules: SamplingRules, form: Form | None = None) -> Sampler:
    """Makes the sampler of one choice of a request; without a seed its random numbers never repeat."""
    draws = random.Random() if rules.seed is None else random.Random(f"{rules.seed}/{rules.choice}")
    return Sampler(rules.temperature, rules.top_p, rules.top, draws, form, rules.top_k)


def choose(logits: Tensor, samplers: Sequence[Sampler]) -> list[TokenChoice]:
    """Chooses one token for each row of logits (rows, vocabulary, float32)."""
    allowed = limited(logits, [sampler.form for sampler in samplers])
    tokens: Tensor = allowed.argmax(-1)
    drawing = [row for row, sampler in enumerate(samplers) if sampler.temperature > 0]
    if len(drawing) == len(samplers):
        tokens = _drawn(_weights(allowed, tokens, samplers), samplers)
    elif drawing:
        some = [samplers[row] for row in drawing]
        tokens[drawing] = _drawn(_weights(allowed[drawing], tokens[drawing], some), some)
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


def _weights(logits: Tensor, likeliest: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Gives each token's probability at the rows' temperatures."""
    temperatures = torch.tensor([sampler.temperature for sampler in samplers], device=logits.device)
    # Taking the maximum away first keeps a tiny temperature from dividing into infinity.
    scaled = logits - logits.gather(-1, likeliest[:, None])
    return _topmost(scaled.div_(temperatures[:, None]), [sampler.top_k for sampler in samplers]).softmax(-1)


def _topmost(logits: Tensor, counts: Sequence[int]) -> Tensor:
    """Leaves each row its `counts` largest logits and those as large as the last of them; all where it is 0."""
    size = logits.shape[-1]
    rows = [row for row, count in enumerate(counts) if 0 < count < size]
    if not rows:
        return logits
    kept = torch.tensor([counts[row] for row in rows], device=logits.device)
    some = logits[rows]
    least = some.topk(int(kept.max()), -1).values.gather(-1, kept[:, None] - 1)
    logits[rows] = some.masked_fill(some < least, float("-inf"))
    return logits


def _drawn(weights: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Draws one token a row from the fewest likeliest tokens whose weights reach its `top_p`, without sorting.

    A token is one of them if all that weigh more weigh less than `top_p` together. One that is not is drawn again, out
    of those that weigh more than it, which hold all that are meant.
    """
    tokens = torch.empty(len(samplers), dtype=torch.long, device=weights.device)
    rows = list(range(len(samplers)))
    while rows:
        draws = torch.tensor([samplers[row].draws.random() for row in rows], device=weights.device)
        shares = torch.tensor([_share(samplers[row]) for row in rows], device=weights.device)
        picked = _at_height(weights, draws)
        heavier = weights > weights.gather(-1, picked[:, None])
        outside = (weights * heavier).sum(-1) >= shares
        inside = ~outside
        tokens[torch.tensor(rows, device=weights.device)[inside]] = picked[inside]
        rows = [row for row, again in zip(rows, outside.tolist(), strict=True) if again]
        if rows:
            weights = weights[outside] * heavier[outside]
    return tokens


def _share(sampler: Sampler) -> float:
    # Weights sum up to 1 only roughly: without a bound no token may fall outside.
    return sampler.top_p if sampler.top_p < 1 else float("inf")


def _at_height(weights: Tensor, draws: Tensor) -> Tensor:
    """Picks the entry where the running sum of weights passes the drawn part of their total."""
    sums = weights.cumsum(-1)
    totals = sums[:, -1:].contiguous()
    picked = torch.searchsorted(sums, draws[:, None].to(sums.dtype) * totals, right=True)
    # A draw next to 1 can be rounded up to the total: the first entry that reaches it is meant.
    last = torch.searchsorted(sums, totals)
    return torch.minimum(picked, last)[:, 0]
