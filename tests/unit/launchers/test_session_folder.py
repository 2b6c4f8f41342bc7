"""Ray's sockets get names that the kernel can hold, and nothing of ours is left in the temporary folder."""

import tempfile
from pathlib import Path

import pytest
from cultivar_launchers.session_folder import fits, forget_session_folder, session_folder


@pytest.fixture
def short() -> Path:
    return Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))


def test_a_short_data_folder_holds_the_session(short: Path) -> None:
    folder = session_folder(short)
    assert folder == short.resolve() / "ray" / "s" and not (short / "ray" / "session-folder").exists()


def test_a_long_data_folder_gets_a_short_session_folder_on_record(tmp_path: Path) -> None:
    data = tmp_path / ("d" * 60)
    folder = session_folder(data)
    assert fits(folder) and not folder.is_relative_to(data)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (data / "ray" / "session-folder").read_text() == str(folder)
    forget_session_folder(data)
    assert not folder.exists() and not (data / "ray" / "session-folder").exists()


def test_a_new_session_removes_the_one_before(tmp_path: Path) -> None:
    data = tmp_path / ("d" * 60)
    first = session_folder(data)
    (first / "left").write_text("by a killed Ray")
    second = session_folder(data)
    assert not first.exists() and second.is_dir()
    forget_session_folder(data)


def test_a_record_that_names_another_folder_removes_nothing(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "session-folder").write_text(str(precious))
    forget_session_folder(tmp_path)
    assert precious.is_dir()


def test_the_longest_folder_that_fits_leaves_room_for_the_socket() -> None:
    session = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
    longest = next(Path("/" + "d" * n) for n in range(100, 0, -1) if fits(Path("/" + "d" * n)))
    assert len(str(longest / session)) <= 107
