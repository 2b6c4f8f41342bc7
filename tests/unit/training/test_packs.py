"""A pack gives the loss and the gradients of its rows computed one by one."""

from typing import Any

import pytest
import torch
from cultivar_training.program.packs import Pack, forward, pack_rows
from cultivar_training.program.rows import Row
from cultivar_training.program.trainer import loss_on, rate_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROWS = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.lists(st.integers(50, 90), max_size=8),
        st.lists(st.integers(100, 140), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=7,
)


def rows_of(drawn: list[tuple[int, list[int], list[int]]]) -> list[Row]:
    """Rows that begin alike for some tokens: a prompt, not learnt, and an answer, learnt."""
    made = []
    for shared, own, answer in drawn:
        prompt = [7, *range(10, 10 + shared), *own]
        made.append(Row.of([*prompt, *answer], [False] * len(prompt) + [True] * len(answer)))
    return made


def one_by_one(model: Any, rows: list[Row]) -> torch.Tensor:
    """The summed loss of rows, each computed alone and whole."""
    loss = torch.zeros(())
    for row in rows:
        tokens = torch.tensor([list(row.tokens)])
        labels = torch.tensor([token if said else -100 for token, said in zip(row.tokens, row.trained, strict=True)])
        logits = model(input_ids=tokens, use_cache=False).logits[0]
        loss = loss + torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum")
    return loss


def packed(model: Any, packs: list[Pack]) -> torch.Tensor:
    """The summed loss of packs."""
    losses = [torch.nn.functional.cross_entropy(forward(model, pack), pack.targets, reduction="sum") for pack in packs]
    return torch.stack(losses).sum()


def gradients(model: Any, loss: torch.Tensor) -> torch.Tensor:
    """The gradients of a loss by the trained weights, as one vector."""
    trained = [value for value in model.parameters() if value.requires_grad]
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, trained)])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.sampled_from([8, 24, 512]))
def test_packs_give_the_loss_and_the_gradients_of_their_rows_one_by_one(
    tiny_model: Any, drawn: list[tuple[int, list[int], list[int]]], most: int
) -> None:
    rows = rows_of(drawn)
    packs = pack_rows(rows, most)
    tiny_model.eval()
    expected, found = one_by_one(tiny_model, rows), packed(tiny_model, packs)
    assert torch.allclose(expected, found, rtol=1e-4)
    assert torch.allclose(gradients(tiny_model, expected), gradients(tiny_model, found), rtol=1e-3, atol=1e-4)


@given(ROWS, st.sampled_from([8, 24, 512]))
@settings(deadline=None)
def test_a_pack_keeps_every_target_and_its_bound(drawn: list[tuple[int, list[int], list[int]]], most: int) -> None:
    rows = rows_of(drawn)
    packs = pack_rows(rows, most)
    learnt = sorted(token for row in rows for token, said in zip(row.tokens, row.trained, strict=True) if said)
    assert sorted(target for pack in packs for target in pack.targets.tolist()) == learnt
    assert all(pack.tokens.numel() <= max(most, *map(len, rows)) for pack in packs)


def test_what_rows_begin_with_is_computed_once() -> None:
    rows = rows_of([(6, [50 + place], [100]) for place in range(10)])
    (pack,) = pack_rows(rows, 512)
    assert pack.tokens.numel() == 7 + 10 * 2


def test_the_loss_on_validation_rows_does_not_depend_on_how_they_are_packed(tiny_model: Any) -> None:
    rows = rows_of([(3, [50, 51], [100, 101]), (3, [60], [110]), (0, [70, 71, 72], [120])])
    whole, apart = loss_on(tiny_model, pack_rows(rows, 512)), loss_on(tiny_model, pack_rows(rows, 4))
    assert whole[1] == apart[1] == 4
    assert whole[0] == pytest.approx(apart[0], rel=1e-4)


def test_the_learning_rate_rises_falls_and_never_ends_at_nothing() -> None:
    rates = [rate_of(step, 100) for step in range(100)]
    assert max(rates) == 1 and rates.index(1) in (9, 10)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.1 <= min(rates[10:]) < 0.11
    assert rate_of(0, 1) == 1
