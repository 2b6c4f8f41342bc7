"""A disk that fills up: a sentence says so, nothing half-made stays, and with room again it goes on."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from cultivar_models.fake import FakeTeacher

from tests.faults.test_bad_input import Cli
from tests.integration.filtering.crowd import crowd
from tests.processes import Server
from tests.whole import ends_whole

ROOM = "3m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small disk that this test fills")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here, which this test fills")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest_asyncio.fixture
async def server(database_url: str, tmp_path: Path, teacher: FakeTeacher, small_disk: Path) -> AsyncIterator[Server]:
    """A server whose artifacts lie on the small disk."""
    (small_disk / "artifacts").mkdir()
    flags = ("--artifacts", str(small_disk / "artifacts"), "--teachers-url", teacher.url)
    server = Server(tmp_path / "data", "--database-url", database_url, *flags)
    await server.start()
    yield server
    await server.stop()


async def test_a_full_disk_is_said_and_with_room_again_the_same_command_succeeds(
    server: Server, tmp_path: Path, small_disk: Path
) -> None:
    rows = [{"text": example.text, "label": "delivery"} for example in crowd(2000)]
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
    cli = Cli(server.data_dir)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 100_000))
    before = stored(small_disk)
    status, said = await cli("augment", str(seeds), "-n", "40", "-o", str(out))
    assert status == 1
    assert "no room left" in said
    assert "Traceback" not in said
    assert not out.exists()
    assert stored(small_disk) == before
    filler.unlink()
    status, said = await cli("augment", str(seeds), "-n", "40", "-o", str(out))
    assert status == 0, said
    assert out.exists()
    await ends_whole(server)


def stored(disk: Path) -> set[Path]:
    """The files on the disk."""
    return {path for path in disk.rglob("*") if path.is_file()}
