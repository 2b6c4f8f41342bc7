"""A run that several teachers share by weights: who made what, at which price, and what happens when one is away."""

from collections import Counter
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_models.fake import FakeSettings, FakeTeacher

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, open_generation, spec

ASKED = 200


def shared(seeds_name: str, **weights: float) -> pb.GenerationSpec:
    """What a run of many calls is to do with several teachers."""
    asked = spec(seeds_name, pb.StrategyUse(strategy="rewrite", count=ASKED))
    asked.teacher = ""
    for name, weight in weights.items():
        asked.teachers.add(teacher=f"{PARENT}/teachers/{name}", weight=weight)
    return asked


async def register(stub: Any, name: str, teacher: FakeTeacher, **given: Any) -> None:
    """Registers a fake teacher."""
    fields = {"url": teacher.url, "model": "fake-teacher", "concurrency": 8, **given}
    request = pb.RegisterTeacherRequest(parent=PARENT, teacher_id=name, teacher=pb.Teacher(**fields), skip_probe=True)
    await stub.RegisterTeacher(request)


async def make(stub: Any, asked: pb.GenerationSpec) -> pb.GenerationRun:
    """Makes a run and follows it to its end."""
    request = pb.CreateGenerationRunRequest(parent=PARENT, spec=asked)
    return await finish(stub, await stub.CreateGenerationRun(request))


async def test_teachers_make_calls_by_their_weights_and_each_candidate_says_which_made_it(
    start: Start, teacher: FakeTeacher
) -> None:
    async with FakeTeacher() as other:
        host, stub, seeds_name = await open_generation(start, teacher)
        await register(stub, "dear", teacher, prompt_price=2.0)
        await register(stub, "cheap", other, model="smollm2-135m-instruct", completion_price=1.0)
        run = await make(stub, shared(seeds_name, dear=1, cheap=3))
        assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
        again = await make(stub, shared(seeds_name, dear=1, cheap=3))
        made, repeated = await candidates(host, run), await candidates(host, again)
    asked = {"dear": teacher.stats.calls / 2, "cheap": other.stats.calls / 2}
    assert asked["dear"] + asked["cheap"] == ASKED and 30 <= asked["dear"] <= 70
    by_teacher = Counter((example.provenance.teacher, example.provenance.model) for example in made)
    assert by_teacher == {
        ("dear", "fake-teacher"): asked["dear"],
        ("cheap", "smollm2-135m-instruct"): asked["cheap"],
    }
    who = {example.provenance.call: example.provenance.teacher for example in made}
    assert {example.provenance.call: example.provenance.teacher for example in repeated} == who
    # Money for the words that one was sent and the other wrote, so less than either price for all of them.
    usage = run.run.usage
    assert 0 < usage.cost < (2 * usage.prompt_tokens + usage.completion_tokens) / 1000
    assert [(each.teacher.rpartition("/")[2], each.weight) for each in run.spec.teachers] == [("dear", 1), ("cheap", 3)]
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings)


async def test_a_preview_asks_them_too(start: Start, teacher: FakeTeacher) -> None:
    async with FakeTeacher() as other:
        _, stub, seeds_name = await open_generation(start, teacher)
        await register(stub, "other", other)
        preview = await stub.Preview(pb.PreviewRequest(parent=PARENT, spec=shared(seeds_name, fake=1, other=1)))
    assert len(preview.calls) == teacher.stats.calls + other.stats.calls == 8
    assert teacher.stats.calls and other.stats.calls


async def test_the_calls_of_one_that_goes_away_fail_with_their_cause_and_the_others_go_on(
    start: Start, teacher: FakeTeacher
) -> None:
    async with FakeTeacher(FakeSettings(latency_s=0.01)) as other:
        host, stub, seeds_name = await open_generation(start, teacher)
        other.settings = FakeSettings(error_rate=1)
        await register(stub, "gone", other, timeout_seconds=0.5)
        run = await make(stub, shared(seeds_name, fake=3, gone=1))
    counts = run.run.progress.counts
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert counts["answered"] + counts["failed"] == ASKED
    assert 30 <= counts["failed"] <= 70 and counts["candidates"] == counts["answered"]
    assert {example.provenance.teacher for example in await candidates(host, run)} == {"fake"}


@pytest.mark.parametrize(
    ("weights", "both", "said"),
    [
        ({"fake": 0.0}, False, "spec.teachers[0].weight"),
        ({"fake": 1.0, "absent": 1.0}, False, "absent"),
        ({"fake": 1.0}, True, "not both"),
    ],
)
async def test_a_weight_of_nothing_an_unknown_teacher_and_two_ways_at_once_are_refused(
    start: Start, teacher: FakeTeacher, weights: dict[str, float], both: bool, said: str
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    asked = shared(seeds_name, **weights)
    if both:
        asked.teacher = f"{PARENT}/teachers/fake"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=asked))
    assert said in str(refused.value.details()) + str(refused.value.trailing_metadata())
