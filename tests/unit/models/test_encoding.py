import json

import pytest
from cultivar_models.encoding import from_json, to_json
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(codec=None))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda held: st.lists(held) | st.dictionaries(TEXTS, held),
    max_leaves=10,
)


@given(VALUES, st.booleans())
def test_what_was_written_is_read_again_whatever_characters_it_has(value: object, sort_keys: bool) -> None:
    assert from_json(to_json(value, sort_keys=sort_keys)) == value


@given(st.dictionaries(TEXTS, TEXTS))
def test_sorted_keys_give_one_form_in_whatever_order_they_came(value: dict[str, str]) -> None:
    assert to_json(value, sort_keys=True) == to_json(dict(reversed(value.items())), sort_keys=True)


@given(VALUES)
def test_what_others_wrote_is_read_as_it_was_meant(value: object) -> None:
    assert from_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_told_so(broken: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        from_json(broken)
