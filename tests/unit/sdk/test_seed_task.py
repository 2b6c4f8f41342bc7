"""What kind of task a file of seeds is for."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from cultivar.cli.seed_task import KINDS, Kind, kind_said, task_of
from cultivar.generation.v1 import generation_pb2 as pb

ANY = pb.Strategy(strategy="rewrite", tasks=KINDS.values())
PAIRS = pb.Strategy(strategy="preference", tasks=[KINDS["instruction"], KINDS["code"]])
TABLES = pb.Strategy(strategy="expand", tasks=[KINDS["classification"], KINDS["entities"], KINDS["instruction"]])
INPUTS = pb.Strategy(strategy="answer", tasks=[KINDS["instruction"], KINDS["classification"]], takes_inputs=True)
CODE: dict[str, Any] = {"prompt": "p", "completion": "c", "tests": ["assert 1"]}
MARKED: dict[str, Any] = {"text": "in Oslo", "spans": [{"start": 3, "end": 7, "label": "place"}]}
LABELLED: dict[str, Any] = {"text": "t", "intent": "refund"}
PAIR: dict[str, Any] = {"prompt": "p", "completion": "c"}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    """A file of rows."""
    path = folder / "seeds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "program", "kind"),
    [
        (MARKED, ANY, "entities"),
        (CODE, ANY, "code"),
        (LABELLED, ANY, "classification"),
        (PAIR, ANY, "instruction"),
        (CODE, PAIRS, "code"),
        (PAIR, PAIRS, "instruction"),
        (MARKED, TABLES, "entities"),
        (CODE, TABLES, "classification"),
        (LABELLED, INPUTS, "instruction"),
    ],
)
def test_the_rows_say_which_kind_of_task_it_is(
    tmp_path: Path, row: dict[str, Any], program: pb.Strategy, kind: Kind
) -> None:
    assert task_of(written(tmp_path, row), program).kind == KINDS[kind]


def test_labels_are_those_given_or_those_of_the_marked_entities(tmp_path: Path) -> None:
    other = {"text": "Ann", "spans": [{"start": 0, "end": 3, "label": "person"}]}
    path = written(tmp_path, MARKED, other, {"text": "none", "spans": []})
    assert list(task_of(path, ANY).labels) == ["person", "place"]
    assert list(task_of(path, ANY, labels="place, time").labels) == ["place", "time"]
    assert list(task_of(written(tmp_path, LABELLED), ANY).labels) == []


def test_an_option_wins_over_the_rows_unless_the_strategy_is_not_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, LABELLED)
    assert task_of(path, INPUTS, "classification", "a,b").kind == KINDS["classification"]
    assert task_of(path, ANY, kind_said(None, False)).kind == KINDS["instruction"]
    assert task_of(path, ANY, kind_said("code", True)).kind == KINDS["code"]
    with pytest.raises(typer.Exit):
        task_of(path, PAIRS, "entities")
    assert "preference is for tasks of the kind instruction, code, not entities" in capsys.readouterr().err
