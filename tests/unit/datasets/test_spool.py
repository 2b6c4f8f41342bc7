"""The spool: resumed, shared, swept, and clean when the disk is full."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cultivar_artifacts import StoreFull
from cultivar_datasets.errors import UploadBroken, UploadBusy
from cultivar_datasets.spool import Spool
from cultivar_service.errors import StartError

SHA = "a" * 64


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool", 3600)
    made.prepare()
    return made


def left(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir())


def test_what_was_received_stays_and_the_next_call_goes_on_from_it(spool: Spool) -> None:
    with spool.open("p", SHA, 0) as draft:
        draft.write(b"first ")
    assert spool.received("p", SHA) == 6
    assert spool.received("other", SHA) == 0
    with spool.open("p", SHA, 6) as draft:
        draft.write(b"second")
        draft.flush()
        assert draft.path.read_bytes() == b"first second"


def test_a_call_that_begins_earlier_forgets_what_came_after(spool: Spool) -> None:
    with spool.open("p", SHA, 0) as draft:
        draft.write(b"wrong bytes")
    with spool.open("p", SHA, 2) as draft:
        draft.write(b"!")
    assert spool.received("p", SHA) == 3


def test_a_call_that_begins_beyond_what_was_received_is_refused(spool: Spool) -> None:
    with pytest.raises(UploadBroken, match="begin at 0"):
        spool.open("p", SHA, 5)


def test_two_calls_of_one_file_write_apart_and_the_later_leaves_nothing(spool: Spool) -> None:
    with spool.open("p", SHA, 0) as first:
        first.write(b"abc")
        with pytest.raises(UploadBusy):
            spool.open("p", SHA, 1)
        with spool.open("p", SHA, 0) as second:
            second.write(b"abc")
            assert second.path != first.path
    assert left(spool) == [first.path.name]


def test_a_file_without_a_digest_is_not_kept_when_its_call_ends(spool: Spool) -> None:
    with spool.open("p", "", 0) as draft:
        draft.write(b"abc")
    assert left(spool) == []


def test_abandoned_drafts_are_removed_and_fresh_or_held_ones_are_not(spool: Spool) -> None:
    for sha in (SHA, "b" * 64, "c" * 64):
        with spool.open("p", sha, 0) as draft:
            draft.write(b"abc")
    held = spool.open("p", "b" * 64, 3)
    for path in spool.folder.iterdir():
        if SHA in path.name or "b" * 64 in path.name:
            os.utime(path, (time.time() - 7200,) * 2)
    assert spool.remove_abandoned() == 1
    assert left(spool) == [f"p-{'b' * 64}.part", f"p-{'c' * 64}.part"]
    with held:
        held.write(b"d")
    assert spool.received("p", "b" * 64) == 4


@pytest.fixture
def tiny_files() -> Iterator[int]:
    """Lets this process write no file over 64 KiB, which is how a full disk or quota looks to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield 65536
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_in_a_sentence_and_the_draft_can_be_removed(spool: Spool, tiny_files: int) -> None:
    with pytest.raises(StoreFull, match="no room left"), spool.open("p", SHA, 0) as draft:
        draft.keep = False
        for _ in range(3):
            draft.write(b"x" * tiny_files)
    assert left(spool) == []


def test_the_folder_is_private_and_another_ones_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "mine", 1)
    spool.prepare()
    assert spool.folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(StartError, match="CULTIVAR_DATASETS_SPOOL"):
        Spool(tmp_path / "link", 1).prepare()


def test_a_draft_is_never_written_through_a_link(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (spool.folder / f"p-{SHA}.part").symlink_to(tmp_path / "target")
    with pytest.raises(Exception, match="cannot be used"):
        spool.open("p", SHA, 0)
    assert (tmp_path / "target").read_bytes() == b"precious"
