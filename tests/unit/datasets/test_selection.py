"""How limits, the budget and the share of replay meet."""

from cultivar_datasets.selection import Pool, amounts, select
from cultivar_datasets.selectors import Choice
from cultivar_datasets.selectors.protocol import Role
from cultivar_datasets.specs import Source, VersionSpec
from hypothesis import given
from hypothesis import strategies as st


def choices(start: int, count: int, role: Role) -> list[Choice]:
    return [Choice(f"{start + number:032x}", "ab"[number % 2], role, "f") for number in range(count)]


def spec(*sources: Source, **more: object) -> VersionSpec:
    return VersionSpec.model_validate(
        {"dataset": "d", "sources": sources, "selector": "balanced", "params": {}, **more}
    )


def source(number: int, role: Role, limit: int = 0) -> Source:
    return Source(artifact=f"{number:064x}", role=role, limit=limit)


@given(budget=st.integers(0, 500), share=st.floats(0, 0.95), offered=st.integers(1, 400), replay=st.integers(0, 400))
def test_a_version_keeps_to_its_budget_and_replay_to_its_share(
    budget: int, share: float, offered: int, replay: int
) -> None:
    most, most_replay = amounts(budget, share, offered, replay)
    assert 0 <= most <= offered
    assert 0 <= most_replay <= replay
    # Replay is rounded to a whole example, so that it may pass its share by half of one.
    assert most_replay <= share * (most + most_replay) + 0.5 / (1 - share) + 1e-6
    if budget and replay >= budget and offered >= budget:
        assert abs(most + most_replay - budget) <= 0.5 / (1 - share) + 1


def test_each_source_gives_at_most_its_limit() -> None:
    both = spec(source(1, "real", 3), source(2, "synthetic", 5))
    selection = select(both, Pool([choices(0, 10, "real"), choices(100, 10, "synthetic")]))
    assert selection.by_source == {0: 3, 1: 5}
    assert selection.by_role == {"real": 3, "synthetic": 5}


def test_replay_is_a_share_of_the_whole_and_the_rest_is_selected() -> None:
    mixed = spec(source(1, "real"), source(2, "replay"), budget=40, replay_share=0.25)
    selection = select(mixed, Pool([choices(0, 100, "real"), choices(1000, 100, "replay")]))
    assert selection.by_role == {"real": 30, "replay": 10}


def test_the_same_pool_and_spec_give_the_same_and_another_seed_another() -> None:
    pool = Pool([choices(0, 50, "real")])
    drawn = [
        select(spec(source(1, "real"), selector="random", budget=10, random_seed=seed), pool).chosen
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
