"""Sifting over files, in this process: any cut into shards and any kill give the same rows in the same artifacts."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from cultivar_artifacts import decode_shard, encode_shard
from cultivar_filtering import sieve, sifting
from cultivar_filtering.filters import nearness
from cultivar_filtering.recipes import RECIPES
from cultivar_filtering.sifting import (
    VERDICTS,
    Opening,
    RowsUnusable,
    SiftingLost,
    close_sifting,
    open_sifting,
    recall,
    sift,
)
from cultivar_records import Example, Verdict, from_table, from_verdict_table, to_table

from tests.unit.filtering.made import TASK, made, seed

RANGE = 16
SEEDS = [seed("where is my parcel"), seed("the courier never rang the bell")]


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ranges, blocks and chunks of a few rows."""
    monkeypatch.setattr(sieve, "BLOCK", RANGE // 2)
    monkeypatch.setattr(sifting, "RANGE_ROWS", RANGE)
    monkeypatch.setattr(nearness, "CHUNK", RANGE // 2)
    yield
    sifting.OPEN.clear()


def rows(number: int) -> list[Example]:
    """Examples of which half differ from another in a word."""
    chance = random.Random(number)
    things = ["lamp", "chair", "table", "vase", "sofa", "mirror", "kettle", "late", "gone", "broken", "wet", "lost"]
    texts = [" ".join(chance.sample(things, k=8)) for _ in range(number // 2)]
    texts += [f"{chance.choice(texts)} {chance.choice(things)}" for _ in range(number - len(texts))]
    return [made(text, number=place) for place, text in enumerate(texts)]


class Folder:
    """Writes shards and opens siftings over them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0

    def shard(self, examples: Sequence[Example]) -> Path:
        """Writes a shard."""
        return self.put(encode_shard(to_table(examples)).data)

    def put(self, data: bytes) -> Path:
        """Writes a file."""
        self.written += 1
        path = self.path / f"{self.written:05d}"
        path.write_bytes(data)
        return path

    def opening(self, shards: Sequence[Path], start: int = 0) -> Opening:
        """What a sifting is opened with."""
        self.written += 1
        work = self.path / f"it's work {self.written}"
        work.mkdir()
        return Opening(
            task=TASK,
            uses=RECIPES["default"].uses,
            examples=tuple(shards),
            seeds=(self.shard(SEEDS),),
            held_out=(),
            start=start,
            folder=work,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder of this test alone."""
    return Folder(tmp_path)


def run(folder: Folder, shards: Sequence[Path], kill_after: int = 0) -> dict[str, list[bytes]]:
    """Sifts everything and returns the shards by kind; a kill after some ranges starts again from what they left."""
    made: dict[str, list[bytes]] = {}
    done = 0
    for attempt in range(2 if kill_after else 1):
        open_sifting(f"run-{attempt}", folder.opening(shards, done))
        for data in made.get("kept", []):
            recall(f"run-{attempt}", folder.put(data), {})
        ranges = 0
        while not (kill_after and attempt == 0 and ranges == kill_after):
            sifted = sift(f"run-{attempt}", {})
            if sifted is None:
                break
            ranges, done = ranges + 1, done + sifted.rows
            for part in sifted.parts:
                for kind, shard in part.items():
                    made.setdefault(kind, []).append(shard.data)
    return made


def examples(made: dict[str, list[bytes]], kind: str) -> list[Example]:
    """The examples of a kind."""
    return [example for data in made.get(kind, []) for example in from_table(decode_shard(data))]


def verdicts(made: dict[str, list[bytes]]) -> list[Verdict]:
    """The verdicts."""
    return [verdict for data in made[VERDICTS] for verdict in from_verdict_table(decode_shard(data))]


@pytest.mark.parametrize("size", [1, 7, 40, 100])
def test_the_result_does_not_depend_on_how_the_input_was_cut(folder: Folder, size: int) -> None:
    given = rows(100)
    whole = run(folder, [folder.shard(given)])
    shuffled = random.Random(2).sample(given, len(given))
    cut = run(folder, [folder.shard(shuffled[start : start + size]) for start in range(0, len(given), size)])
    assert 20 < len(examples(whole, "kept")) < 90
    assert cut == whole


@pytest.mark.parametrize("kill_after", [1, 2, 3, 6, 7])
def test_a_run_killed_after_any_range_writes_what_a_whole_one_writes(folder: Folder, kill_after: int) -> None:
    shards = [folder.shard(rows(100))]
    assert run(folder, shards, kill_after) == run(folder, shards)


def test_every_row_is_written_once_and_unchanged_with_its_verdicts(folder: Folder) -> None:
    given = [*rows(60), made("3. where is it")]
    made_of = run(folder, [folder.shard(given)])
    written = examples(made_of, "kept") + examples(made_of, "rejected")
    assert sorted(written, key=lambda row: row.id) == sorted(given, key=lambda row: row.id)
    last = {verdict.example: verdict.keep for verdict in verdicts(made_of)}
    assert {example.id for example in examples(made_of, "kept")} == {id for id, keep in last.items() if keep}
    assert Counter(verdict.example for verdict in verdicts(made_of))[given[-1].id] == 1


def test_shards_of_verdicts_know_the_examples_that_they_speak_of(folder: Folder) -> None:
    open_sifting("run", folder.opening([folder.shard(rows(40))]))
    first, second = sift("run", {}), sift("run", {})
    assert first is not None and second is not None
    ranges = [part[VERDICTS] for sifted in (first, second) for part in sifted.parts]
    assert [shard.first_id for shard in ranges] == sorted(shard.first_id for shard in ranges)
    assert all(before.last_id < after.first_id for before, after in pairwise(ranges))


def test_a_sifting_that_is_closed_leaves_no_file_and_no_state(folder: Folder) -> None:
    opening = folder.opening([folder.shard(rows(10))])
    assert open_sifting("run", opening) == 10
    close_sifting("run", opening.folder)
    assert not opening.folder.exists()
    with pytest.raises(SiftingLost):
        sift("run", {})
    close_sifting("run", opening.folder)


def test_rows_that_are_no_examples_are_refused(folder: Folder) -> None:
    other = folder.put(encode_shard(pa.table({"id": ["a"], "text": ["b"]})).data)
    with pytest.raises(RowsUnusable, match="columns id, text"):
        open_sifting("run", folder.opening([other]))


def test_repeated_ids_are_refused(folder: Folder) -> None:
    shards = [folder.shard([made("where is it")]), folder.shard([made("where is it")])]
    with pytest.raises(RowsUnusable, match="1 of its rows"):
        open_sifting("run", folder.opening(shards))
