"""What reviews may say, what accepted examples become, and how shares are reported."""

from datetime import UTC, datetime

import pytest
from cultivar_records import Example, Message, Provenance, Score, TaskKind, TaskSpec
from cultivar_review.drawing import place_of
from cultivar_review.queues import QueueSpec
from cultivar_review.report import report
from cultivar_review.reviews import Review, Reviewed, check, edited
from cultivar_service.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text("ab \n", min_size=1, max_size=8).filter(str.strip)
LABELS = ("refund", "delivery")
SPEC = QueueSpec(examples="0" * 64, task=TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort.", labels=LABELS))


def classified(text: str = "my lamp", label: str = "refund") -> Example:
    """A classification example after a system message."""
    turns = (("system", "sort"), ("user", text), ("assistant", label))
    return Example(
        id="0" * 32,
        task=TaskKind.CLASSIFICATION,
        messages=tuple(Message(role=role, content=content) for role, content in turns),
        label=label,
        provenance=Provenance(origin="candidate", family="f" * 32, strategy="expand"),
    )


def accept(**said: str) -> Review:
    """A review that accepts."""
    return Review(decision="accept", scores={"accuracy": 5, "tone": 5}, **said)


@given(WORDS, st.sampled_from(["", *LABELS]), WORDS, st.sampled_from(LABELS))
def test_an_edit_changes_text_and_label_and_nothing_else_but_whose_it_is_and_its_scores(
    new: str, right: str, text: str, label: str
) -> None:
    example = classified(text, label)
    review = check(accept(edited_text=new, label=right), SPEC, example)
    changed = edited(example, review, "ada")
    assert changed.text == new
    assert changed.label == changed.answer == (right or label)
    assert (changed.id, changed.messages[0]) == (example.id, example.messages[0])
    touched = new != text or right not in ("", label)
    scores = (Score(criterion="accuracy", score=5), Score(criterion="tone", score=5))
    reviewed = {"edited_by": "ada" if touched else "", "scores": scores}
    assert changed.provenance == example.provenance.model_copy(update=reviewed)
    assert (changed.digest() == example.digest()) is not touched


def test_the_answer_of_a_task_without_labels_is_edited() -> None:
    turns = (Message(role="user", content="say hi"), Message(role="assistant", content="hello"))
    fields = {"task": TaskKind.INSTRUCTION, "messages": turns, "label": None}
    example = Example(**{**{name: getattr(classified(), name) for name in Example.model_fields}, **fields})
    spec = SPEC.model_copy(update={"task": TaskSpec(kind=TaskKind.INSTRUCTION, instruction="")})
    changed = edited(example, check(accept(edited_answer="hi"), spec, example), "ada")
    assert (changed.text, changed.answer) == ("say hi", "hi")
    with pytest.raises(InvalidArgument, match="labels of the task"):
        check(accept(label="refund"), spec, example)
    pair = example.model_copy(update={"rejected": "go away"})
    assert edited(pair, check(accept(edited_answer="hi"), spec, pair), "ada").rejected == "go away"
    with pytest.raises(InvalidArgument, match="the rejected answer itself"):
        check(accept(edited_answer=" go away"), spec, pair)


def test_the_median_counts_persons_and_shares_add_up() -> None:
    def told(seconds: float, decision: str, label: str, kind: str = "person") -> Reviewed:
        review = Review(decision=decision, kind=kind, program="judge" if kind == "program" else "")  # type: ignore[arg-type]
        return Reviewed("t", "e", review, "ada", label, "expand", "continue@2", seconds, datetime.now(UTC))

    found = [
        told(3, "accept", "a"),
        told(9, "decline", "a"),
        told(5, "accept", "b"),
        told(0.1, "accept", "b", "program"),
    ]
    made = report(SPEC, found)
    assert made.median_seconds == 5
    assert [(share.key, share.accepted, share.reviewed) for share in made.by_label] == [("a", 1, 2), ("b", 2, 2)]
    assert (made.acceptance.accepted, made.acceptance.reviewed) == (3, 4)
    assert 0.3 < made.acceptance.low < made.acceptance.rate < made.acceptance.high < 1
    nothing = report(SPEC, []).acceptance
    assert (nothing.rate, nothing.low, nothing.high) == (0, 0, 1)
    assert [(one.kind, one.reviewed) for one in made.reviewers] == [("person", 3), ("program", 1)]


def test_an_examples_place_follows_from_seed_and_id_alone_and_spreads_evenly() -> None:
    ids = [f"{number:032x}" for number in range(2000)]
    assert [place_of(7, one) for one in ids] == [place_of(7, one) for one in ids]
    first = sorted(ids, key=lambda one: place_of(7, one))[:1000]
    assert 430 < sum(int(one, 16) < 1000 for one in first) < 570
