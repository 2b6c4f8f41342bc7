"""Local Ray: one, on 127.0.0.1, behind its token, gone when it is told to go."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest
from cultivar_launchers import (
    InvalidProgram,
    LocalRay,
    LocalRayLauncher,
    Phase,
    Program,
    RayUnavailable,
    StandingRayLauncher,
)

from tests.integration.launchers.conftest import marked

PROGRAMS = Path(__file__).with_name("programs")
ECHO = "cultivar_launchers.echo"
# The second makes Ray try twice to be let in, and not twenty times.
ENVIRONMENT = {"ECHO_VARIABLE": "handed on", "RAY_NUM_REDIS_GET_RETRIES": "2"}


def phase(ray: LocalRay) -> Phase:
    return ray.state.phase


def echo(name: str = "echo", attempt: int = 1, **spec: object) -> Program:
    return Program(name, ECHO, {"text": "hello", **spec}, ENVIRONMENT, attempt=attempt)


async def test_a_task_runs_on_a_ray_that_listens_on_this_machine_only(ray: LocalRay, tmp_path: Path) -> None:
    assert phase(ray) is Phase.ABSENT
    job = await LocalRayLauncher(ray).start(echo(steps=2))
    outcome = await job.wait()
    assert outcome.error is None, outcome
    assert outcome.result and outcome.result["text"] == "hello" and outcome.result["variable"] == "handed on"
    assert [event.kind async for event in job.events()] == ["ready", "progress", "progress", "result"]
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in marked(tmp_path)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    assert (tmp_path / "ray" / "token").stat().st_mode & 0o777 == 0o600
    assert phase(ray) is Phase.READY and ray.address in ray.state.words


async def test_first_uses_at_once_start_one(ray: LocalRay, tmp_path: Path) -> None:
    heads = await asyncio.gather(*(ray.use() for _ in range(5)))
    assert {head.address for head in heads} == {ray.address}
    assert len([process for process in marked(tmp_path) if process.name() == "gcs_server"]) == 1


async def test_a_ray_that_died_is_told_and_replaced_at_the_next_use(ray: LocalRay, tmp_path: Path) -> None:
    before = await ray.use()
    next(process for process in marked(tmp_path) if process.name() == "raylet").kill()
    await before.job.wait()
    await asyncio.sleep(0)
    assert phase(ray) is Phase.FAILED and "raylet" in ray.state.words
    with pytest.raises(RayUnavailable):
        ray.env()
    after = await ray.use()
    assert after.address != before.address
    outcome = await (await LocalRayLauncher(ray).start(echo())).wait()
    assert outcome.error is None, outcome


async def test_a_program_ends_when_its_ray_dies(ray: LocalRay, tmp_path: Path) -> None:
    job = await LocalRayLauncher(ray).start(echo(steps=1, pause=60))
    async for event in job.events():
        if event.kind == "progress":
            break
    next(process for process in marked(tmp_path) if process.name() == "gcs_server").kill()
    outcome = await asyncio.wait_for(job.wait(), 10)
    assert outcome.error and "Ray ended" in outcome.error


async def test_stopping_waits_for_no_actor_and_leaves_no_process(ray: LocalRay, tmp_path: Path) -> None:
    program = Program("lingering", "lingering", env={"PYTHONPATH": str(PROGRAMS)})
    outcome = await (await LocalRayLauncher(ray).start(program)).wait()
    assert outcome.result and outcome.result["pid"] in {process.pid for process in marked(tmp_path)}
    began = time.monotonic()
    await ray.stop()
    assert time.monotonic() - began < 3
    assert marked(tmp_path) == []
    assert [path.name for path in (tmp_path / "processes").iterdir()] == ["owner"]


async def test_a_start_that_is_cancelled_leaves_nothing_and_can_be_repeated(ray: LocalRay, tmp_path: Path) -> None:
    starting = asyncio.create_task(ray.use())
    await asyncio.sleep(1)
    assert phase(ray) is Phase.STARTING
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert phase(ray) is Phase.ABSENT
    await ray.use()
    assert phase(ray) is Phase.READY


async def test_a_ray_that_cannot_start_says_why(tmp_path: Path) -> None:
    ray = LocalRay(tmp_path, cpus=2, object_store_bytes=1)
    with pytest.raises(RayUnavailable, match="object store"):
        await ray.use()
    assert phase(ray) is Phase.FAILED
    assert marked(tmp_path) == []


async def test_a_program_that_could_never_run_is_refused_before_ray_starts(ray: LocalRay) -> None:
    with pytest.raises(InvalidProgram, match="2"):
        await LocalRayLauncher(ray).start(Program("big", ECHO, cpus=3))
    assert phase(ray) is Phase.ABSENT


async def test_whoever_lacks_the_token_is_turned_away(ray: LocalRay, tmp_path: Path) -> None:
    await ray.use()
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    stranger = StandingRayLauncher(ray.address, tmp_path, token_file=wrong)
    outcome = await (await stranger.start(echo())).wait()
    assert outcome.exit_code != 0 and outcome.result is None
    assert any("token" in line.lower() for line in outcome.log_tail)
    friend = StandingRayLauncher(ray.address, tmp_path, token_file=tmp_path / "ray" / "token")
    outcome = await (await friend.start(echo())).wait()
    assert outcome.result and outcome.result["text"] == "hello"
