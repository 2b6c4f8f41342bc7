"""A generation run from its creation to its candidates, over real gRPC, Postgres and files."""

import asyncio
from typing import Any

import grpc
import pytest
from cultivar.artifact.v1 import artifact_pb2  # noqa: F401
from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest, read_shards
from cultivar_generation.__main__ import build
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_records import Example, from_table
from cultivar_service.parts import Build
from cultivar_service.serving import Host

from tests.conftest import Start
from tests.seeds import TASK, commit_examples, seeds

PARENT = "projects/default"


async def open_generation(start: Start, teacher: FakeTeacher, *others: Build) -> tuple[Host, Any, str]:
    """Starts the service (and others) with the fake teacher and six seeds; returns host, stub and the seeds' name."""
    host = await start(build, *others)
    assert host.parts is not None
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(
            skip_probe=True,
            parent=PARENT,
            teacher_id="fake",
            teacher=pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=8, licence="research only"),
        )
    )
    name = await commit_examples(host.settings.database_url, host.parts.store, seeds())
    return host, stub, name


def spec(seeds_name: str, *uses: pb.StrategyUse) -> pb.GenerationSpec:
    """What a run is to do with the fake teacher."""
    return pb.GenerationSpec(seeds=seeds_name, task=TASK, strategies=uses, teacher=f"{PARENT}/teachers/fake")


async def finish(stub: Any, run: pb.GenerationRun) -> pb.GenerationRun:
    """Follows a run to its end."""
    async for change in stub.WatchGenerationRun(pb.WatchGenerationRunRequest(name=run.name)):
        run = change
    return run


async def candidates(host: Host, run: pb.GenerationRun) -> list[Example]:
    """Reads the candidates of a run."""
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.candidates.split("/")[-1])
    return [example async for table in read_shards(host.parts.store, manifest) for example in from_table(table)]


async def test_a_run_writes_candidates_whose_provenance_leads_back_to_seed_prompt_and_teacher(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    uses = [pb.StrategyUse(strategy="expand", count=20), pb.StrategyUse(strategy="rewrite", count=6)]
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, *uses)))
    assert run.run.state == run_pb2.RUN_STATE_PENDING
    run = await finish(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    made = await candidates(host, run)
    assert {example.provenance.strategy for example in made} == {"expand", "rewrite"}
    known = {seed.id for seed in seeds()}
    assert all(set(example.provenance.seeds) <= known and example.provenance.family in known for example in made)
    assert {example.provenance.prompt for example in made} == {"continue@2", "paraphrase@2"}
    assert {example.provenance.licences for example in made} == {("research only",)}
    assert {example.label for example in made} == {"refund", "delivery"}
    assert run.run.progress.counts["answered"] == 11
    assert run.run.usage.calls == 11


async def test_a_repeated_request_id_makes_one_run_and_another_body_is_refused(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    request = pb.CreateGenerationRunRequest(
        parent=PARENT, request_id="once", spec=spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=2))
    )
    first, second = await asyncio.gather(stub.CreateGenerationRun(request), stub.CreateGenerationRun(request))
    assert first.name == second.name
    request.spec.strategies[0].count = 3
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateGenerationRun(request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_sent_again_after_its_prompt_and_its_teacher_changed_makes_no_other_run(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    request = pb.CreateGenerationRunRequest(
        parent=PARENT, request_id="once", spec=spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=2))
    )
    first = await stub.CreateGenerationRun(request)
    changed = pb.Prompt(form=pb.PROMPT_FORM_CHAT, template="Say it in other words.\n\n{{ text }}")
    made = await stub.CreatePrompt(pb.CreatePromptRequest(parent=PARENT, prompt_id="paraphrase", prompt=changed))
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(
            parent=PARENT,
            teacher_id="fake",
            teacher=pb.Teacher(url=teacher.url, model="fake-teacher", temperature=0.1),
            skip_probe=True,
        )
    )
    again = await stub.CreateGenerationRun(request)
    assert again.name == first.name and again.spec == first.spec and made.version == 3


async def test_runs_at_the_same_time_together_have_no_more_calls_under_way_than_their_teacher_may(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    teacher.settings = FakeSettings(latency_s=0.02)
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=100))
    runs = [await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked)) for _ in range(3)]
    ended = await asyncio.gather(*(finish(stub, run) for run in runs))
    assert [run.run.progress.counts["answered"] for run in ended] == [100, 100, 100]
    assert teacher.stats.peak_in_flight == 8


async def test_a_cancelled_run_keeps_what_it_committed_and_stops_within_five_seconds(
    start: Start, teacher: FakeTeacher
) -> None:
    teacher.settings = FakeSettings(latency_s=0.05)
    host, stub, seeds_name = await open_generation(start, teacher)
    use = pb.StrategyUse(strategy="rewrite", count=5000)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    async for change in stub.WatchGenerationRun(pb.WatchGenerationRunRequest(name=run.name)):
        if change.run.progress.counts["answered"] > 0:
            break
    await stub.CancelGenerationRun(pb.CancelGenerationRunRequest(name=run.name))
    run = await asyncio.wait_for(finish(stub, run), 5)
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED
    assert len(await candidates(host, run)) == run.run.progress.counts["candidates"] > 0


async def test_a_run_tells_how_fast_it_goes_how_long_that_leaves_and_what_it_has_cost(
    start: Start, teacher: FakeTeacher
) -> None:
    teacher.settings = FakeSettings(latency_s=0.05)
    _, stub, seeds_name = await open_generation(start, teacher)
    priced = pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=8, completion_price=1.0)
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=priced, skip_probe=True)
    )
    use = pb.StrategyUse(strategy="rewrite", count=600)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    paces = []
    async for change in stub.WatchGenerationRun(pb.WatchGenerationRunRequest(name=run.name)):
        run, progress = change, change.run.progress
        if run.run.state == run_pb2.RUN_STATE_RUNNING and progress.rate:
            paces.append((progress.rate, progress.done + progress.rate * progress.seconds_left, run.run.usage.cost))
    # What is committed between two tellings is newer than its rate, by a second at most.
    assert paces and all(0 < rate <= 8 / 0.05 and whole == pytest.approx(600, rel=0.3) for rate, whole, _ in paces)
    assert any(0 < cost < run.run.usage.cost for _, _, cost in paces) and run.run.progress.seconds_left == 0


async def test_a_call_that_the_teacher_refuses_is_counted_as_failed_and_the_rest_goes_on(
    start: Start, teacher: FakeTeacher
) -> None:
    teacher.settings = FakeSettings(empty_rate=0.3)
    host, stub, seeds_name = await open_generation(start, teacher)
    use = pb.StrategyUse(strategy="rewrite", count=30)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    run = await finish(stub, run)
    counts = run.run.progress.counts
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED
    assert counts["answered"] + counts["failed"] == 30
    assert len(await candidates(host, run)) == counts["candidates"]


async def test_an_absent_teacher_lets_the_run_wait_and_says_what_to_do(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    gone = pb.Teacher(url="http://127.0.0.1:9/v1", model="none")
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=gone, skip_probe=True)
    )
    use = pb.StrategyUse(strategy="rewrite", count=2)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    async for change in stub.WatchGenerationRun(pb.WatchGenerationRunRequest(name=run.name)):
        if change.run.state == run_pb2.RUN_STATE_WAITING:
            run = change
            break
    assert run.run.waiting_for.startswith("teacher fake: http://127.0.0.1:9/v1 is not ready")
    assert "could not be reached" in run.run.waiting_for


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"strategy": "rewrit"}, "spec.strategies[0].strategy"),
        ({"count": 0}, "spec.strategies[0].count"),
        ({"params": {"shotz": 3}}, "spec.strategies[0].params.shotz"),
        ({"params": {"shots": 0}}, "spec.strategies[0].params.shots"),
        ({"prompt": "projects/default/prompts/absent"}, "projects/default/prompts/absent does not exist"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_made(
    start: Start, teacher: FakeTeacher, change: dict[str, Any], field: str
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    use = pb.StrategyUse(**{"strategy": "expand", "count": 4, **change})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert field in f"{refused.value.details()} {refused.value.trailing_metadata()}"
    assert not (await stub.ListGenerationRuns(pb.ListGenerationRunsRequest(parent=PARENT))).generation_runs


async def test_another_projects_run_is_not_found(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    use = pb.StrategyUse(strategy="rewrite", count=1)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetGenerationRun(pb.GetGenerationRunRequest(name=run.name.replace("default", "other")))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_preview_shows_prompts_answers_and_candidates_and_stores_nothing(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    use = pb.StrategyUse(strategy="expand", count=400)
    preview = await stub.Preview(pb.PreviewRequest(parent=PARENT, spec=spec(seeds_name, use)))
    assert (len(preview.calls), preview.planned) == (8, 100)
    assert all(call.prompt and call.answer and call.asked == 4 for call in preview.calls)
    assert any(call.candidates for call in preview.calls)
    assert not (await stub.ListGenerationRuns(pb.ListGenerationRunsRequest(parent=PARENT))).generation_runs


async def test_a_preview_says_what_it_spent_and_makes_no_more_calls_than_it_is_asked_for(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    priced = pb.Teacher(url=teacher.url, model="fake-teacher", prompt_price=1.0, completion_price=2.0)
    await stub.RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=priced, skip_probe=True)
    )
    uses = [pb.StrategyUse(strategy="rewrite", count=5), pb.StrategyUse(strategy="expand", count=2)]
    preview = await stub.Preview(pb.PreviewRequest(parent=PARENT, spec=spec(seeds_name, *uses), calls=3))
    assert len(preview.calls) == teacher.stats.calls == preview.usage.calls == 2 and preview.planned == 6
    assert [(call.asked, call.teacher) for call in preview.calls] == [
        (1, f"{PARENT}/teachers/fake"),
        (2, f"{PARENT}/teachers/fake"),
    ]
    for call in preview.calls:
        tokens = call.usage.prompt_tokens + 2 * call.usage.completion_tokens
        assert tokens > 0 and call.usage.cost == pytest.approx(tokens / 1000)
    assert preview.usage.cost == pytest.approx(sum(call.usage.cost for call in preview.calls))
    with pytest.raises(grpc.aio.AioRpcError, match="calls must be 1 to 8"):
        await stub.Preview(pb.PreviewRequest(parent=PARENT, spec=spec(seeds_name, *uses), calls=9))


async def test_every_run_passes_the_audit(start: Start, teacher: FakeTeacher) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    use = pb.StrategyUse(strategy="rewrite", count=3)
    run = await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use)))
    await finish(stub, run)
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert report.findings
    assert all(finding.holds and finding.examined for finding in report.findings if "left" not in finding.check)
