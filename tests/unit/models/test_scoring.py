"""How pairs are put into requests."""

from cultivar_models.scoring import MOST_CHARACTERS, MOST_PROMPTS, batches
from hypothesis import given
from hypothesis import strategies as st

PAIRS = st.lists(
    st.tuples(
        st.text(max_size=3) | st.just("x" * 900),
        st.text(min_size=1, max_size=3) | st.just("y" * 30_000) | st.just("z" * 2 * MOST_CHARACTERS),
    ),
    max_size=200,
)


@given(pairs=PAIRS)
def test_every_pair_is_in_one_batch_and_no_batch_is_too_large(pairs: list[tuple[str, str]]) -> None:
    made = list(batches(pairs))
    assert sorted(place for batch in made for place in batch.places) == list(range(len(pairs)))
    for batch in made:
        assert [pairs[place] for place in batch.places] == list(batch.pairs)
        assert len(batch.pairs) == 1 or sum(map(len, batch.prompts)) <= MOST_CHARACTERS
        assert len(batch.pairs) <= MOST_PROMPTS


@given(pairs=PAIRS)
def test_pairs_of_one_prefix_stand_together(pairs: list[tuple[str, str]]) -> None:
    prefixes = [prefix for batch in batches(pairs) for prefix, _ in batch.pairs]
    assert prefixes == sorted(prefixes)
