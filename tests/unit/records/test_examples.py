"""What an example, a verdict and their tables promise."""

import hashlib
import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rfc8785
from cultivar_records import (
    EXAMPLE_SCHEMA,
    UNSTATED,
    VERDICT_SCHEMA,
    Example,
    Message,
    Provenance,
    Score,
    Span,
    TaskKind,
    Verdict,
    disallowed,
    example_id,
    from_table,
    from_verdict_table,
    holds_examples,
    inherited,
    licences_of,
    to_table,
    to_verdict_table,
    with_all_columns,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


def classified(text: str, label: str, number: int = 0) -> Example:
    """Makes a classification seed."""
    key = example_id("run", text, number)
    messages = (Message(role="user", content=text), Message(role="assistant", content=label))
    return Example(
        id=key,
        task=TaskKind.CLASSIFICATION,
        messages=messages,
        label=label,
        provenance=Provenance(origin="seed", family=key, line=number),
    )


def test_the_same_run_input_and_ordinal_give_the_same_id() -> None:
    assert example_id("r", "a", 1) == example_id("r", "a", 1)
    assert len(example_id("r", "a", 1)) == 32


def test_ids_do_not_collide_when_a_boundary_moves() -> None:
    keys = [("ab", "c", 1), ("a", "bc", 1), ("a", "b", 1), ("a", "b1", 0), ('a","b', "", 0), ("a", 'b",""', 0)]
    assert len({example_id(*key) for key in keys}) == len(keys)


@settings(deadline=None)
@given(text=_TEXT, label=_TEXT.filter(bool), number=st.integers(0, 2**53 - 1))
def test_the_digest_is_that_of_an_independent_rfc_8785_encoder(text: str, label: str, number: int) -> None:
    example = classified(text, label, number)
    value = example.model_dump(mode="json", exclude={"provenance": {"licences", "scores"}})
    assert example.digest() == hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def test_a_digest_is_that_of_before_licences_were_kept_and_a_review_does_not_change_it() -> None:
    example = classified("where is my card", "card_arrival")
    assert example.digest() == "e094023fdc01c183674726529a5f7f10b704d7bebdd67580ba19e30ebabb0c71"
    scored = example.provenance.model_copy(update={"scores": (Score(criterion="tone", score=4),)})
    assert example.model_copy(update={"provenance": scored}).digest() == example.digest()
    licensed = example.provenance.model_copy(update={"licences": ("MIT",)})
    assert example.model_copy(update={"provenance": licensed}).digest() != example.digest()


def test_a_changed_provenance_changes_the_digest() -> None:
    first = classified("where is my card", "card_arrival")
    other = first.model_copy(update={"provenance": Provenance(origin="seed", family=first.id, edited_by="ann")})
    assert first.digest() != other.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"label": "other"},
        {"label": None},
        {"id": "0" * 31},
        {"id": "0" * 32 + "\n"},
        {"messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x"}, {"role": "assistant", "content": "card_arrival"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "card_arrival"}]},
        {"messages": [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "card_arrival"}]},
        {"surprise": 1},
        {"messages": [{"role": "user", "content": "\0"}, {"role": "assistant", "content": "card_arrival"}]},
        {"messages": [{"role": "user", "content": "\ud800"}, {"role": "assistant", "content": "card_arrival"}]},
        {"tests": ["\ud800"]},
        {"spans": [{"start": 0, "end": 100, "label": "a"}]},
        {"spans": [{"start": 3, "end": 3, "label": "a"}]},
        {"rejected": "card_arrival "},
        {"rejected": " "},
    ],
)
def test_an_example_that_breaks_a_rule_is_refused(change: dict[str, object]) -> None:
    good = classified("where is my card", "card_arrival").model_dump()
    Example.model_validate(good)
    with pytest.raises(ValidationError):
        Example.model_validate(good | change)


def test_an_example_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        classified("a", "b").label = "c"  # type: ignore[misc]


def test_examples_come_back_from_a_table_sorted_by_id() -> None:
    examples = [classified(f"text {n}\n\u2028é", "a", n) for n in range(50)]
    spans = Example(
        id="f" * 32,
        task=TaskKind.ENTITIES,
        messages=(Message(role="user", content="Ann met Bob"), Message(role="assistant", content="ok")),
        spans=(Span(start=0, end=3, label="person"), Span(start=8, end=11, label="person")),
        tests=("assert 1", ""),
        provenance=Provenance(origin="candidate", family="x", seeds=("a", "b"), round=2),
    )
    everything = [spans, *examples]
    random.Random(0).shuffle(everything)
    table = to_table(everything)
    assert table.schema == EXAMPLE_SCHEMA
    assert list(from_table(table)) == sorted(everything, key=lambda row: row.id)


def test_an_empty_table_keeps_its_schema() -> None:
    assert to_table([]).schema == EXAMPLE_SCHEMA
    assert list(from_table(to_table([]))) == []
    assert to_verdict_table([]).schema == VERDICT_SCHEMA


def test_a_table_row_that_is_no_example_is_refused() -> None:
    table = to_table([classified("a", "b")])
    broken = table.set_column(3, "label", pa.array(["other"]))
    with pytest.raises(ValidationError):
        list(from_table(broken))


def test_verdicts_come_back_sorted_by_example_and_in_filter_order() -> None:
    verdicts = [
        Verdict(example="b" * 32, filter="length", keep=True, score=0.5),
        Verdict(example="a" * 32, filter="length", keep=True),
        Verdict(example="b" * 32, filter="echo", keep=False, reason="The answer repeats the prompt.", score=1.0),
    ]
    table = to_verdict_table(verdicts)
    assert table.schema == VERDICT_SCHEMA
    assert list(from_verdict_table(table)) == [verdicts[1], verdicts[0], verdicts[2]]


@pytest.mark.parametrize("change", [{"reason": ""}, {"score": float("nan")}, {"filter": ""}, {"example": "x"}])
def test_a_verdict_that_breaks_a_rule_is_refused(change: dict[str, object]) -> None:
    good: dict[str, object] = {"example": "a" * 32, "filter": "f", "keep": False, "reason": "Too short.", "score": 0.1}
    Verdict.model_validate(good)
    with pytest.raises(ValidationError):
        Verdict.model_validate(good | change)


def test_a_pair_of_answers_and_its_evidence_come_back_from_a_table() -> None:
    pair = classified("why is it late", "late").model_copy(update={"evidence": ("The van broke.",), "rejected": "no"})
    assert list(from_table(to_table([pair]))) == [pair]


def test_rows_written_before_a_column_was_added_are_read_and_completed() -> None:
    examples = [classified("one", "a"), classified("two", "a")]
    old = to_table(examples).drop_columns(["evidence", "rejected"])
    assert holds_examples(old.column_names)
    assert with_all_columns(old).schema == EXAMPLE_SCHEMA
    assert list(from_table(with_all_columns(old))) == sorted(examples, key=lambda row: row.id)
    assert not holds_examples(old.drop_columns(["label"]).column_names)


def as_before(table: pa.Table) -> pa.Table:
    """Returns rows as they were written before provenance had licences and scores."""
    provenance, place = table["provenance"].combine_chunks(), table.column_names.index("provenance")
    known = [field for field in provenance.type if field.name not in ("licences", "scores")]
    old = pa.StructArray.from_arrays([provenance.field(field.name) for field in known], fields=known)
    return table.set_column(place, pa.field("provenance", old.type, nullable=False), old)


def test_rows_written_before_licences_and_scores_are_read_and_completed() -> None:
    examples = sorted([classified("one", "a"), classified("two", "a")], key=lambda row: row.id)
    old = as_before(to_table(examples))
    assert holds_examples(old.column_names)
    assert list(from_table(old)) == examples
    assert with_all_columns(old).schema == EXAMPLE_SCHEMA
    assert list(from_table(with_all_columns(old))) == examples
    assert with_all_columns(old.slice(0, 0)).schema == EXAMPLE_SCHEMA


def test_old_and_new_rows_that_were_read_together_are_completed(tmp_path: Path) -> None:
    old, new = classified("one", "a"), classified("two", "a")
    scored = new.provenance.model_copy(update={"licences": ("MIT",), "scores": (Score(criterion="tone", score=4),)})
    new = new.model_copy(update={"provenance": scored, "evidence": ("It says so.",)})
    pq.write_table(as_before(to_table([old])).drop_columns(["evidence"]), tmp_path / "a.parquet")
    pq.write_table(to_table([new]), tmp_path / "b.parquet")
    both = duckdb.sql("SELECT * FROM read_parquet(?, union_by_name => true)", params=[f"{tmp_path}/*.parquet"])
    assert list(from_table(with_all_columns(both.to_arrow_table()))) == [old, new]


def test_what_a_teacher_wrote_has_its_licence_and_those_of_the_examples_in_its_prompt() -> None:
    seed = classified("where is my card", "card_arrival")
    assert (licences_of(seed), inherited("MIT", [seed])) == ((), ("MIT",))
    made = seed.model_copy(update={"provenance": Provenance(origin="candidate", family=seed.id)})
    assert licences_of(made) == (UNSTATED,)
    first = made.model_copy(update={"provenance": made.provenance.model_copy(update={"licences": ("MIT",)})})
    assert inherited(" research only ", [seed, first]) == ("MIT", "research only")
    assert inherited("", [first, made]) == ("MIT", UNSTATED)
    assert disallowed(("MIT", "research only"), ["mit", "Research  Only"]) == []
    assert disallowed(("MIT", UNSTATED), ["MIT"]) == [UNSTATED]
