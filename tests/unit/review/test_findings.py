"""What the reviews of a queue show, and what they do not."""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from cultivar_review.findings import find
from cultivar_review.reviews import Review, Reviewed
from hypothesis import given
from hypothesis import strategies as st


def told(
    number: int, accepts: bool, tags: Sequence[str] = (), label: str = "a", prompt: str = "continue@1"
) -> Reviewed:
    """One review of a queue."""
    review = Review(decision="accept" if accepts else "decline", tags=tuple(tags))
    return Reviewed(f"t{number}", f"e{number}", review, "ada", label, "expand", prompt, 1.0, datetime.now(UTC))


def test_a_tag_that_is_declined_more_often_is_found_with_its_prompt_and_tasks() -> None:
    brochure = [told(n, n % 10 == 0, ["brochure"], prompt="continue@2") for n in range(40)]
    rest = [told(n, n % 10 != 0, prompt="continue@1") for n in range(100, 160)]
    found = find([*brochure, *rest]).found
    assert {(one.dimension, one.key) for one in found} == {("tag", "brochure"), ("prompt", "continue@2")}
    one = next(one for one in found if one.dimension == "tag")
    assert (one.reviewed, one.declined, one.others_reviewed, one.others_declined) == (40, 36, 60, 6)
    assert 0.5 < one.low < one.difference == 0.8 < one.high
    assert [(share.key, share.accepted, share.reviewed) for share in one.by_prompt] == [("continue@2", 4, 40)]
    assert len(one.tasks) == 10 and set(one.tasks) <= {f"t{n}" for n in range(40) if n % 10}
    assert one.sentence.startswith(
        "36 of 40 examples with the tag brochure are declined, and 6 of the 60 others: 80 in"
    )
    assert not one.few


def test_few_reviews_are_said_to_be_a_hint_and_fewer_are_not_compared() -> None:
    reviews = [*(told(n, False, ["odd"]) for n in range(8)), *(told(n, True) for n in range(20, 60))]
    odd = find([*reviews, *(told(n, False, ["rare"]) for n in range(70, 74))])
    assert [one.key for one in odd.found] == ["odd"]
    assert odd.found[0].few and odd.found[0].sentence.endswith("so few reviews are a hint")
    assert (odd.reviewed, odd.too_few) == (52, 1)


def test_what_all_reviews_have_in_common_and_what_declines_less_often_is_no_finding() -> None:
    reviews = [told(n, n % 2 == 0) for n in range(40)]
    assert (find(reviews).found, find(reviews).compared, find([]).found) == ([], 0, [])
    good = [*(told(n, True, ["vivid"]) for n in range(30)), *(told(n, False) for n in range(40, 80))]
    assert [one.key for one in find(good).found] == []


def test_by_chance_alone_hardly_ever_anything_is_found_however_many_labels_there_are() -> None:
    # 20 labels by 20 reviews: at 95% each, of 200 queues three in four would show one; together it is under 5 in 100.
    random, wrong = Random(5), 0
    for _ in range(200):
        reviews = [told(n, random.random() < 0.6, label=f"label {n % 20}") for n in range(400)]
        wrong += bool(find(reviews).found)
    assert wrong <= 16


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from(["", "x", "y"])), max_size=60))
def test_no_order_of_reviews_changes_what_is_found_and_intervals_hold_the_difference(
    said: list[tuple[bool, str, str]],
) -> None:
    reviews = [told(n, accepts, [tag] if tag else [], label) for n, (accepts, label, tag) in enumerate(said)]
    found = find(reviews)
    assert [(one.dimension, one.key) for one in find(reviews[::-1]).found] == [
        (one.dimension, one.key) for one in found.found
    ]
    for one in found.found:
        assert 0 < one.low <= one.difference <= one.high <= 1
        assert one.declined / one.reviewed > one.others_declined / one.others_reviewed
