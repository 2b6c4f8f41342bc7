import random

import pytest
import torch
from cultivar_generation.teachers.sampling import Sampler, choose, sampler_for
from cultivar_generation.teachers.work import SamplingRules
from hypothesis import given, settings
from hypothesis import strategies as st

COUNT = 2_000
LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -5.0])


def draws(logits: torch.Tensor, count: int, **rules: float) -> list[int]:
    sampler = sampler_for(SamplingRules(seed=1, **rules))  # type: ignore[arg-type]
    return [choose(logits[None], [sampler])[0].token for _ in range(count)]


def test_temperature_zero_takes_the_likeliest_token() -> None:
    assert set(draws(LOGITS, 20, temperature=0.0)) == {0}


def test_a_tiny_temperature_takes_the_likeliest_token_too() -> None:
    assert set(draws(LOGITS * 100, 20, temperature=1e-6)) == {0}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_probability_says(temperature: float) -> None:
    found = torch.bincount(torch.tensor(draws(LOGITS, COUNT, temperature=temperature)), minlength=5) / COUNT
    torch.testing.assert_close(found, (LOGITS / temperature).softmax(-1), atol=0.04, rtol=0)


def test_top_p_draws_only_from_the_fewest_tokens_that_reach_it() -> None:
    # Probabilities 0.64, 0.24, 0.09, …: two tokens reach 0.7.
    found = draws(LOGITS, 2_000, top_p=0.7)
    assert set(found) == {0, 1}
    assert found.count(0) / 2_000 == pytest.approx(0.64 / 0.88, abs=0.04)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.05, 1.0), st.floats(0.05, 2.0))
def test_no_token_outside_the_nucleus_is_ever_drawn(seed: int, top_p: float, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, generator=generator) * 3
    sampler = Sampler(temperature, top_p, None, random.Random(seed))
    token = choose(logits[None], [sampler])[0].token
    weights = (logits / temperature).softmax(-1)
    heavier = weights[weights > weights[token]].sum()
    assert heavier < top_p + 1e-4


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 50), st.floats(0.05, 1.0), st.floats(0.05, 2.0))
def test_no_token_beyond_the_k_likeliest_or_outside_their_nucleus_is_ever_drawn(
    seed: int, top_k: int, top_p: float, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, generator=generator) * 3
    free, held = Sampler(draws=random.Random(seed)), Sampler(temperature, top_p, draws=random.Random(seed), top_k=top_k)
    alone = choose(logits[None], [Sampler(draws=random.Random(seed))])[0].token
    tokens = [choice.token for choice in choose(logits.repeat(2, 1), [free, held])]
    assert tokens[0] == alone
    assert int((logits > logits[tokens[1]]).sum()) < top_k
    kept = (logits.sort(descending=True).values[:top_k] / temperature).softmax(-1)
    place = int((logits > logits[tokens[1]]).sum())
    assert kept[:place].sum() < top_p + 1e-4


def test_the_k_likeliest_keep_their_proportions_and_one_of_them_is_no_choice() -> None:
    found = torch.bincount(torch.tensor(draws(LOGITS, COUNT, top_k=3)), minlength=5) / COUNT
    assert found[3:].sum() == 0
    torch.testing.assert_close(found[:3], LOGITS[:3].softmax(-1), atol=0.04, rtol=0)
    assert set(draws(LOGITS, 50, top_k=1, temperature=2.0)) == {0}


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9])
def test_draws_from_a_nucleus_keep_the_proportions_of_its_tokens(top_p: float) -> None:
    logits = torch.linspace(0, -3, 30)
    weights = logits.softmax(-1)
    nucleus = int((weights.cumsum(-1) - weights < top_p).sum())
    found = torch.bincount(torch.tensor(draws(logits, COUNT, top_p=top_p)), minlength=30) / COUNT
    assert found[nucleus:].sum() == 0
    torch.testing.assert_close(found[:nucleus], weights[:nucleus] / weights[:nucleus].sum(), atol=0.04, rtol=0)


def test_a_flat_distribution_is_drawn_from_whole() -> None:
    assert max(draws(torch.zeros(1_000), 300, top_p=1.0)) > 950


def test_a_seed_gives_the_same_tokens_whoever_shares_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    alone = sampler_for(SamplingRules(seed=5, top_p=0.9))
    shared = sampler_for(SamplingRules(seed=5, top_p=0.9))
    others = [sampler_for(SamplingRules(seed=index, temperature=index % 3)) for index in range(6)]
    for _ in range(30):
        logits = torch.randn(7, 50, generator=generator)
        expected = choose(logits[:1], [alone])[0].token
        assert choose(logits, [shared, *others])[0].token == expected


def test_the_choices_of_one_seed_differ() -> None:
    flat = torch.zeros(1, 1_000)
    tokens = {choose(flat, [sampler_for(SamplingRules(seed=3, choice=choice))])[0].token for choice in range(8)}
    assert len(tokens) > 1


def test_log_probabilities_are_the_models_own_before_temperature() -> None:
    sampler = sampler_for(SamplingRules(seed=1, temperature=0.3, top=2))
    (choice,) = choose(LOGITS[None], [sampler])
    expected = LOGITS.log_softmax(-1)
    assert choice.logprob == pytest.approx(float(expected[choice.token]))
    assert [token for token, _ in choice.top] == [0, 1]
    assert [logprob for _, logprob in choice.top] == pytest.approx(expected[:2].tolist())


def test_only_rows_that_ask_get_log_probabilities() -> None:
    choices = choose(LOGITS.repeat(3, 1), [Sampler(top=None), Sampler(top=0), Sampler(top=3)])
    assert [len(choice.top) for choice in choices] == [0, 0, 3]
    assert choices[0].logprob == 0.0
    assert choices[1].logprob < 0.0
