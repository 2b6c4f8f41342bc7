"""A teacher that can answer in the JSON of a schema is asked to; one that refuses is asked without."""

from typing import Any

import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2
from cultivar_models.fake import FakeSettings, FakeTeacher

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, open_generation
from tests.integration.generation.test_programs import TASKS, example, run_of, use

CALLS = 20


async def register(stub: Any, teacher: FakeTeacher, probe: bool = True, **given: Any) -> pb.Teacher:
    """Registers the fake teacher, with long answers, and forgets what it was asked."""
    fields = {"url": teacher.url, "model": "fake-teacher", "concurrency": 4, "max_tokens": 1000, **given}
    request = pb.RegisterTeacherRequest(
        parent=PARENT, teacher_id="fake", teacher=pb.Teacher(**fields), skip_probe=not probe
    )
    made = await stub.RegisterTeacher(request)
    teacher.stats.clear()
    return made


async def make(host: Any, stub: Any, prompt: str = "pairs") -> tuple[pb.GenerationRun, list[Any]]:
    """Makes a run of lists of pairs and follows it to its end; returns it with its candidates."""
    seeds = [example(text, answer) for text, answer in TASKS.items()]
    return await run_of(host, stub, seeds, [use("expand", 2 * CALLS, prompt, per_call=2)])


@pytest.mark.parametrize(("can", "found"), [("follow", True), ("ignore", False), ("refuse", False)])
async def test_the_probe_finds_out_whether_a_teacher_follows_a_schema(
    start: Start, teacher: FakeTeacher, can: str, found: bool
) -> None:
    _, stub, _ = await open_generation(start, teacher)
    teacher.settings = FakeSettings(structured_output=can)
    made = await register(stub, teacher)
    assert made.probe.structured_output is found
    never = await register(stub, teacher, structured_output=pb.STRUCTURED_OUTPUT_NEVER)
    assert (never.probe.structured_output, never.structured_output) == (False, pb.STRUCTURED_OUTPUT_NEVER)


async def test_a_teacher_that_follows_schemas_is_asked_for_them_and_its_json_becomes_candidates(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    await register(stub, teacher)
    run, made = await make(host, stub)
    counts = run.run.progress.counts
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert counts["answered"] == CALLS == teacher.stats.calls and "schemas_refused" not in counts
    assert made and counts["malformed"] == 0
    assert not any(mark in example.text for example in made for mark in '{}[]"')
    preview = await stub.Preview(pb.PreviewRequest(parent=PARENT, spec=run.spec))
    assert all(call.answer.startswith('{"items": [') for call in preview.calls)


async def test_a_teacher_that_refuses_schemas_in_a_run_is_asked_without_and_no_call_is_lost(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    teacher.settings = FakeSettings(structured_output="refuse")
    await register(stub, teacher, probe=False, structured_output=pb.STRUCTURED_OUTPUT_ALWAYS)
    run, _ = await make(host, stub)
    counts = run.run.progress.counts
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert (counts["answered"], counts["failed"]) == (CALLS, 0)
    # Only those that were under way when the first was refused.
    assert 1 <= counts["schemas_refused"] == teacher.stats.outcomes["refused"] <= 4
    assert run.run.usage.calls == teacher.stats.calls == CALLS + counts["schemas_refused"]


async def test_a_continuation_goes_out_as_a_chat_where_a_server_serves_nothing_else(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    teacher.settings = FakeSettings(completions=False, structured_output="ignore")
    for probed in (True, False):
        await register(stub, teacher, probe=probed)
        teacher.stats.clear()
        run, made = await make(host, stub, "continue")
        assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
        assert run.run.progress.counts["answered"] == CALLS and made
        # Unprobed, it is found out by those calls that were under way when the first was refused.
        assert (teacher.stats.outcomes["refused"] > 0) is not probed
        assert teacher.stats.outcomes["answered"] == CALLS


async def test_a_schema_that_is_refused_without_its_name_is_found_out_by_the_answer_without_it(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, _ = await open_generation(start, teacher)
    teacher.settings = FakeSettings(structured_output="reject")
    await register(stub, teacher, probe=False, structured_output=pb.STRUCTURED_OUTPUT_ALWAYS)
    run, _ = await make(host, stub)
    assert (run.run.progress.counts["answered"], run.run.progress.counts["failed"]) == (CALLS, 0)
    assert run.run.progress.counts["schemas_refused"] >= 1
