"""kill -9 in the middle of a generation run: it goes on where it was, and pays again only within the bound."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, open_store, read_shards
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_records import from_table
from cultivar_service.answers import GROUP
from cultivar_service.migration import make_artifact_schema
from cultivar_service.peers import open_channel
from cultivar_service.struct_codec import encode_struct

from tests.processes import Server
from tests.seeds import TASK, commit_examples, seeds
from tests.whole import ends_whole

PARENT = "projects/default"
CALLS = 600
IN_FLIGHT = 16


@pytest.mark.parametrize("answered_before_kill", [40, 300, 560])
async def test_a_run_killed_anywhere_ends_whole_and_repeats_at_most_its_calls_in_flight_and_one_group(
    database_url: str, data_dir: Path, tmp_path: Path, teacher: FakeTeacher, answered_before_kill: int
) -> None:
    teacher.settings = FakeSettings(latency_s=0.02)

    async def answered(_: pb.GenerationRun) -> bool:
        return sum(teacher.stats.answers_per_body.values()) >= answered_before_kill

    run = await run_killed(database_url, data_dir, tmp_path, teacher, answered)
    assert run.run.progress.counts["answered"] == CALLS


async def test_a_run_killed_while_it_refills_plans_the_same_calls_again(
    database_url: str, data_dir: Path, tmp_path: Path, teacher: FakeTeacher
) -> None:
    # An answer without choices is asked for again, and is a failed call after the third.
    teacher.settings = FakeSettings(latency_s=0.02, empty_rate=0.6)

    begun: list[int] = []

    async def refilling(run: pb.GenerationRun) -> bool:
        if run.run.progress.total > CALLS:
            begun.append(teacher.stats.calls)
        return bool(begun) and teacher.stats.calls > begun[0] + 40

    run = await run_killed(database_url, data_dir, tmp_path, teacher, refilling)
    counts = run.run.progress.counts
    assert CALLS < counts["answered"] + counts["failed"] == run.run.progress.total <= 2 * CALLS
    assert counts["candidates"] >= CALLS


async def test_a_run_killed_while_filters_judge_its_candidates_asks_them_again(
    database_url: str, data_dir: Path, tmp_path: Path, teacher: FakeTeacher
) -> None:
    async def judging(run: pb.GenerationRun) -> bool:
        return run.run.progress.stage == "filtering"

    novelty = filtering_pb2.FilterSpec(filters=[filtering_pb2.FilterUse(filter="novelty")])
    run = await run_killed(database_url, data_dir, tmp_path, teacher, judging, novelty)
    counts = run.run.progress.counts
    assert counts["answered"] == run.run.progress.total > CALLS
    assert 0 < counts["kept"] < counts["candidates"]
    assert sum(part.made for part in run.coverage if part.dimension == "label") == counts["kept"]


async def test_a_run_of_two_teachers_killed_between_its_calls_and_their_checks_makes_each_once(
    database_url: str, data_dir: Path, tmp_path: Path, teacher: FakeTeacher
) -> None:
    async with FakeTeacher(FakeSettings(latency_s=0.03)) as second:
        teacher.settings = FakeSettings(latency_s=0.02)

        async def checking(_: pb.GenerationRun) -> bool:
            return sum(teacher.stats.answers_per_body.values()) >= CALLS // 2

        check = {"check": {"least": 0.01, "template": "Put it back: {{ draft }}"}}
        run = await run_killed(database_url, data_dir, tmp_path, teacher, checking, None, check, second)
        counts, usage = run.run.progress.counts, run.run.usage
        assert counts["answered"] == run.run.progress.total >= CALLS and counts["failed"] == 0
        assert counts["candidates"] + counts["malformed"] == counts["answered"]
        assert second.stats.calls > CALLS // 4 and repeats(second) <= IN_FLIGHT + GROUP
        # Each call was checked once, whichever attempt asked what.
        assert usage.calls + usage.cached_calls == 2 * counts["answered"]


def repeats(teacher: FakeTeacher) -> int:
    """Counts the answers that were paid for again."""
    return sum(count - 1 for count in teacher.stats.answers_per_body.values())


async def run_killed(
    database_url: str,
    data_dir: Path,
    tmp_path: Path,
    teacher: FakeTeacher,
    now: Callable[[pb.GenerationRun], Awaitable[bool]],
    filters: filtering_pb2.FilterSpec | None = None,
    params: dict[str, Any] | None = None,
    second: FakeTeacher | None = None,
) -> pb.GenerationRun:
    """Kills the server in the middle of a run and starts it again; returns the run once it has ended, whole."""
    store = open_store(str(tmp_path / "artifacts"))
    await make_artifact_schema(database_url)
    flags = (
        "--only",
        "generation,filtering",
        "--database-url",
        database_url,
        "--artifacts",
        str(tmp_path / "artifacts"),
    )
    server = Server(data_dir, *flags)
    connection = await server.start()
    stub = open_stub(connection.address, connection.token)
    run = await create_run(
        stub, teacher, await commit_examples(database_url, store, seeds()), filters, params or {}, second
    )
    while not await now(await stub.GetGenerationRun(pb.GetGenerationRunRequest(name=run.name))):
        await asyncio.sleep(0.01)
    await server.kill()
    connection = await server.start()
    stub = open_stub(connection.address, connection.token)
    async for change in stub.WatchGenerationRun(pb.WatchGenerationRunRequest(name=run.name)):
        run = change
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert run.run.attempt == 2
    manifest = await load_manifest(store, "default", run.candidates.split("/")[-1])
    made = [example.id async for table in read_shards(store, manifest) for example in from_table(table)]
    assert Counter(made).most_common(1)[0][1] == 1
    assert len(made) == run.run.progress.counts["candidates"]
    assert repeats(teacher) <= IN_FLIGHT + GROUP
    await ends_whole(server)
    return run


def open_stub(address: str, token: str) -> Any:
    """Opens the generation service of a server."""
    return generation_pb2_grpc.GenerationServiceStub(open_channel(address, token))


async def create_run(
    stub: Any,
    teacher: FakeTeacher,
    seeds_name: str,
    filters: filtering_pb2.FilterSpec | None,
    params: dict[str, Any],
    second: FakeTeacher | None,
) -> pb.GenerationRun:
    """Creates a run of 600 calls against the fake teacher, or two of them."""
    use = pb.StrategyUse(strategy="rewrite", count=CALLS, refill=True, params=encode_struct(params))
    spec = pb.GenerationSpec(seeds=seeds_name, task=TASK, strategies=[use], filter=filters)
    for name, each in {"fake": teacher, **({"second": second} if second else {})}.items():
        given = pb.Teacher(url=each.url, model="fake-teacher", concurrency=IN_FLIGHT)
        await stub.RegisterTeacher(
            pb.RegisterTeacherRequest(parent=PARENT, teacher_id=name, teacher=given, skip_probe=True)
        )
        spec.teachers.add(teacher=f"{PARENT}/teachers/{name}", weight=1)
    return await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec))
