"""A data folder has one id for ever, and programs inherit the mark but no secret."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cultivar_launchers import Program, StandingRayLauncher
from cultivar_launchers.ownership import owner_id

PROGRAMS = Path(__file__).with_name("programs")


def test_first_calls_at_once_agree_on_the_id(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: owner_id(tmp_path), range(32)))
    assert len(ids) == 1 and ids == {owner_id(tmp_path)}
    assert [path.name for path in (tmp_path / "processes").iterdir()] == ["owner"]


def test_two_folders_have_two_ids(tmp_path: Path) -> None:
    assert owner_id(tmp_path / "a") != owner_id(tmp_path / "b")


async def test_a_program_inherits_the_mark_and_its_own_variables_but_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULTIVAR_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    launcher = StandingRayLauncher("127.0.0.1:1", tmp_path)
    given = {"PYTHONPATH": str(PROGRAMS), "MINE": "yes"}
    outcome = await (await launcher.start(Program("run", "environment", env=given, cpus=3, attempt=4))).wait()
    assert outcome.result is not None
    environment = outcome.result["environment"]
    assert "secret" not in "".join(environment.values())
    assert environment["CULTIVAR_OWNER"] == owner_id(tmp_path)
    wanted = {"MINE": "yes", "CULTIVAR_ATTEMPT": "4", "OMP_NUM_THREADS": "3", "RAY_ADDRESS": "127.0.0.1:1"}
    assert wanted.items() <= environment.items()


async def test_the_spec_is_for_its_owners_eyes_and_goes_with_the_program(tmp_path: Path) -> None:
    launcher = StandingRayLauncher("127.0.0.1:1", tmp_path)
    job = await launcher.start(Program("projects/p/runs/r", "endless", {"a": 1}, {"PYTHONPATH": str(PROGRAMS)}))
    (spec,) = (tmp_path / "processes").glob("*.spec")
    assert spec.stat().st_mode & 0o777 == 0o600
    await job.stop(grace=1)
    assert [path.name for path in (tmp_path / "processes").iterdir()] == ["owner"]
