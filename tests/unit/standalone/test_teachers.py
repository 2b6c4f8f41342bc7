"""The teachers application is started once for all who ask, and again after a start that came to nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from cultivar_launchers import Event, FakeLauncher, Program
from cultivar_launchers.fake import Failure
from cultivar_service.errors import Unavailable
from cultivar_standalone import teachers
from cultivar_standalone.teachers import MODULE, LocalTeachers

URL = "http://127.0.0.1:1/v1"


class Application:
    """A script that is ready when it is let, and ends when it is told."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.ready = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self, program: Program) -> AsyncIterator[Event]:
        self.attempts.append(program.attempt)
        await self.ready.wait()
        yield Event("ready", {"url": URL})
        await self.end.wait()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def served(application: Application) -> AsyncIterator[Callable[..., LocalTeachers]]:
    """Makes teachers of a launcher that fails at some attempts."""
    launchers = []

    def make(**failures: Failure) -> LocalTeachers:
        script: Callable[[Program], AsyncIterator[Event]] = application
        by_attempt = {("teachers", int(name[1:])): failure for name, failure in failures.items()}
        launchers.append(FakeLauncher({MODULE: script}, by_attempt))
        return LocalTeachers(launchers[-1], "artifacts", "the-key-of-this-test", threads=1)

    yield make
    for launcher in launchers:
        await launcher.close(0)


Served = Callable[..., LocalTeachers]


async def asked(local: LocalTeachers) -> asyncio.Task[str]:
    """Asks for an endpoint, and comes back when the start is under way."""

    async def url() -> str:
        return (await local.endpoint("m")).url

    task = asyncio.create_task(url())
    for _ in range(10):
        await asyncio.sleep(0)
    return task


async def test_many_first_uses_start_one_application(application: Application, served: Served) -> None:
    local = served()
    tasks = [await asked(local) for _ in range(5)]
    application.ready.set()
    assert await asyncio.gather(*tasks) == [URL] * 5
    assert application.attempts == [1]


async def test_one_who_goes_away_during_the_start_spoils_it_for_nobody(
    application: Application, served: Served
) -> None:
    local = served()
    first, second = await asked(local), await asked(local)
    first.cancel()
    await asyncio.wait({first})
    application.ready.set()
    assert await second == URL
    assert (await local.endpoint("m")).url == URL
    assert application.attempts == [1]


async def test_a_start_that_everybody_left_is_there_for_the_next(application: Application, served: Served) -> None:
    local = served()
    only = await asked(local)
    only.cancel()
    await asyncio.wait({only})
    application.ready.set()
    assert (await local.endpoint("m")).url == URL
    assert application.attempts == [1]


@pytest.mark.parametrize("failure", [Failure(error="no room"), Failure(refused=True)])
async def test_after_a_start_that_failed_the_next_use_starts_again(
    application: Application, served: Served, failure: Failure
) -> None:
    application.ready.set()
    local = served(a1=failure)
    with pytest.raises(Unavailable, match="teachers application"):
        await local.endpoint("m")
    assert (await local.endpoint("m")).url == URL


async def test_a_start_that_takes_too_long_is_ended_and_tried_again(
    application: Application, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "START_SECONDS", 0.05)
    local = served()
    with pytest.raises(Unavailable, match="too long"):
        await local.endpoint("m")
    job = local.launcher.find("teachers")
    assert job is not None
    assert (await asyncio.wait_for(job.wait(), 1)).exit_code != 0
    application.ready.set()
    assert (await local.endpoint("m")).url == URL
    assert application.attempts == [1, 2]


async def test_an_application_that_ended_is_started_again(application: Application, served: Served) -> None:
    application.ready.set()
    local = served()
    await local.endpoint("m")
    application.end.set()
    job = local.launcher.find("teachers")
    assert job is not None
    await job.wait()
    assert (await local.endpoint("m")).url == URL
    assert application.attempts == [1, 2]
