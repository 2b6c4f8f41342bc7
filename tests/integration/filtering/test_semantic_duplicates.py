"""Filter runs that need the vectors of texts, which the teachers application serves."""

import asyncio
from typing import Any

from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, read_shards
from cultivar_filtering import embedding
from cultivar_filtering.__main__ import build
from cultivar_models.fake import FakeTeacher
from cultivar_records import Example, from_table
from cultivar_service.serving import Host

from tests.conftest import Start
from tests.integration.filtering.crowd import PARENT, crowd, files, finish, until
from tests.seeds import TASK, commit_examples, seeds
from tests.unit.filtering.made import made

SEMANTIC = [pb.FilterUse(filter="semantic_duplicate")]
OF_SEED = "hello, my money for the lamp I wish back again"
FIRST, AGAIN = "can you help me to find a large table", "could you assist me to locate a big table"
ROWS = 5_000
"""Rows of three ranges."""


async def order(host: Host, examples: list[Example], *filters: pb.FilterUse, given: bool = True) -> tuple[Any, Any]:
    """Creates a run over some examples and returns the stub and the run."""
    assert host.parts is not None
    url, store = host.settings.database_url, host.parts.store
    stub: Any = filtering_pb2_grpc.FilteringServiceStub(host.parts.channel)
    spec = pb.FilterSpec(examples=await commit_examples(url, store, examples, "candidates"), task=TASK, filters=filters)
    if given:
        spec.seeds = await commit_examples(url, store, seeds())
    return stub, await stub.CreateFilterRun(pb.CreateFilterRunRequest(parent=PARENT, spec=spec))


async def texts(host: Host, artifact: str) -> set[str]:
    """The texts of an artifact of examples."""
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", artifact.split("/")[-1])
    return {row.text async for table in read_shards(host.parts.store, manifest) for row in from_table(table)}


async def waiting(stub: Any, run: pb.FilterRun) -> str:
    """What a run says that it waits for, once it waits."""
    async for change in stub.WatchFilterRun(pb.WatchFilterRunRequest(name=run.name)):
        run = change
        if run.run.state == run_pb2.RUN_STATE_WAITING:
            break
    return str(run.run.waiting_for)


async def test_texts_that_say_the_same_in_other_words_are_rejected_and_the_tokens_are_counted(
    start: Start, teacher: FakeTeacher
) -> None:
    host = await start(build, teachers_url=teacher.url)
    rows = [made(OF_SEED, "refund"), *(made(text) for text in (FIRST, AGAIN, "the vase has a crack"))]
    stub, run = await order(host, rows, *SEMANTIC)
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    causes = {f"rejected.semantic_duplicate.{reason}": 1 for reason in ("of_seed", "of_earlier")}
    assert dict(run.run.progress.counts) == {"kept": 2, "rejected": 2, **causes}
    assert OF_SEED in await texts(host, run.rejected)
    assert len(await texts(host, run.rejected) & {FIRST, AGAIN}) == 1
    words = sum(len(text.split()) for text in (*(row.text for row in rows), *(seed.text for seed in seeds())))
    assert run.run.usage.calls == 2 == teacher.stats.calls
    assert run.run.usage.prompt_tokens >= words


async def test_a_run_that_needs_no_vectors_asks_nobody(start: Start, teacher: FakeTeacher) -> None:
    host = await start(build, teachers_url=teacher.url)
    stub, run = await order(host, [made(FIRST)], pb.FilterUse(filter="near_duplicate"))
    assert (await finish(stub, run)).run.state == run_pb2.RUN_STATE_SUCCEEDED
    assert teacher.stats.calls == 0


async def test_a_run_that_goes_on_in_another_process_keeps_what_a_whole_one_keeps(
    start: Start, teacher: FakeTeacher
) -> None:
    host = await start(build, teachers_url=teacher.url)
    stub, whole = await order(host, crowd(ROWS), *SEMANTIC)
    whole = await finish(stub, whole)
    # The last range is still being embedded when the first is committed.
    teacher.settings = teacher.settings.model_copy(update={"latency_s": 0.5})
    stub, cut = await order(host, crowd(ROWS), *SEMANTIC)
    await until(stub, cut, 1)
    await host.stop()
    teacher.settings = teacher.settings.model_copy(update={"latency_s": 0.0})
    host = await start(build, teachers_url=teacher.url)
    assert host.parts is not None
    cut = await finish(filtering_pb2_grpc.FilteringServiceStub(host.parts.channel), cut)
    assert [run.run.state for run in (whole, cut)] == [run_pb2.RUN_STATE_SUCCEEDED] * 2
    assert (whole.run.attempt, cut.run.attempt) == (1, 2)
    assert 50 < whole.run.progress.counts["kept"] < ROWS - 50
    for kind in ("kept", "rejected", "verdicts"):
        assert await files(host.parts.store, getattr(whole, kind)) == await files(
            host.parts.store, getattr(cut, kind)
        ), kind


async def test_a_run_waits_for_a_server_without_the_model_in_words_and_goes_on_when_it_has_it(
    start: Start, teacher: FakeTeacher, monkeypatch: Any
) -> None:
    monkeypatch.setattr(embedding, "READY_SECONDS", 0.2)
    teacher.settings = teacher.settings.model_copy(update={"models": ("fake-teacher",)})
    host = await start(build, teachers_url=teacher.url)
    stub, run = await order(host, [made(FIRST)], *SEMANTIC)
    said = await asyncio.wait_for(waiting(stub, run), 20)
    assert "serves fake-teacher, but not all-minilm-l6-v2" in said
    teacher.settings = teacher.settings.model_copy(update={"models": ("all-minilm-l6-v2",)})
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert run.run.progress.counts["kept"] == 1


async def test_a_run_whose_server_does_not_answer_says_where_it_looked(start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr(embedding, "READY_SECONDS", 0.2)
    host = await start(build, teachers_url="http://127.0.0.1:9/v1")
    stub, run = await order(host, [made(FIRST)], *SEMANTIC)
    assert "http://127.0.0.1:9/v1 is not ready" in await asyncio.wait_for(waiting(stub, run), 20)


async def test_a_text_that_the_model_refuses_fails_alone_and_one_that_refuses_all_fails_the_run(
    start: Start, teacher: FakeTeacher
) -> None:
    teacher.settings = teacher.settings.model_copy(update={"longest_embedded": 60})
    host = await start(build, teachers_url=teacher.url)
    rows = [made(f"text {number}", number=number) for number in range(100)]
    stub, run = await order(host, [*rows, made("word " * 20)], pb.FilterUse(filter="semantic_duplicate"), given=False)
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert run.run.progress.counts["failed.semantic_duplicate"] == 1
    assert await texts(host, run.failed) == {"word " * 20}
    teacher.settings = teacher.settings.model_copy(update={"longest_embedded": 1})
    stub, run = await order(host, rows, *SEMANTIC, given=False)
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_FAILED
    assert "400 context_length_exceeded" in run.run.error.message
