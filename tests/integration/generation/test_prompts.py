"""Prompts as resources: versions, what they amend, how they differ, and what each gave."""

from typing import Any

import grpc
import pytest
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar_models.fake import FakeTeacher
from cultivar_service.struct_codec import decode_struct, encode_struct

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, finish, open_generation, spec


async def made(stub: Any, name: str, **fields: Any) -> pb.Prompt:
    """Creates a version of a prompt for the strategy rewrite."""
    prompt = pb.Prompt(**{"form": pb.PROMPT_FORM_CHAT, "strategy": "rewrite", **fields})
    answer = await stub.CreatePrompt(pb.CreatePromptRequest(parent=PARENT, prompt_id=name, prompt=prompt))
    assert isinstance(answer, pb.Prompt)
    return answer


async def test_an_amended_version_tells_its_parent_and_finding_and_how_it_differs(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, _ = await open_generation(start, teacher)
    first = await made(stub, "polite", template="Say politely:\n{{ text }}")
    finding = "9 of 40 reviews decline for a changed order number"
    second = await made(
        stub,
        "polite",
        template="Say politely, keep numbers, {{ axes.tone }}:\n{{ text }}",
        params=encode_struct({"axes": {"tone": ["warm"]}}),
        parent=first.name,
        finding=finding,
    )
    assert (second.version, second.parent, second.finding) == (2, f"{PARENT}/prompts/polite@1", finding)
    assert (await stub.GetPrompt(pb.GetPromptRequest(name=second.name))) == second
    assert decode_struct(second.params) == {"axes": {"tone": ["warm"]}}
    diff = await stub.DiffPrompts(pb.DiffPromptsRequest(name=first.name, other=second.name))
    assert "-Say politely:\n+Say politely, keep numbers, {{ axes.tone }}:\n {{ text }}" in diff.template_diff
    assert list(diff.changed_fields) == ["params"]
    same = await stub.DiffPrompts(pb.DiffPromptsRequest(name=first.name, other=first.name))
    assert (same.template_diff, list(same.changed_fields)) == ("", [])


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"template": "{{ txt }}"}, grpc.StatusCode.INVALID_ARGUMENT, "did you mean 'text'"),
        ({"template": "x", "parent": f"{PARENT}/prompts/none@4"}, grpc.StatusCode.NOT_FOUND, "ListPrompts"),
        ({"template": "x", "parent": "projects/other/prompts/a@1"}, grpc.StatusCode.INVALID_ARGUMENT, "of the project"),
        ({"template": "x", "finding": "worse"}, grpc.StatusCode.INVALID_ARGUMENT, "needs prompt.parent"),
    ],
)
async def test_a_prompt_that_cannot_be_is_refused(
    start: Start, teacher: FakeTeacher, fields: dict[str, str], code: grpc.StatusCode, says: str
) -> None:
    _, stub, _ = await open_generation(start, teacher)
    with pytest.raises(grpc.aio.AioRpcError, match=says) as refused:
        await made(stub, "mine", **fields)
    assert refused.value.code() == code


async def test_a_version_that_was_shipped_stays_beside_the_newest(start: Start, teacher: FakeTeacher) -> None:
    _, stub, _ = await open_generation(start, teacher)
    names = [f"{PARENT}/prompts/paraphrase{version}" for version in ("", "@1", "@2")]
    newest, first, second = [await stub.GetPrompt(pb.GetPromptRequest(name=name)) for name in names]
    assert newest == second != first
    own = await made(stub, "paraphrase", template="Again: {{ text }}")
    assert own.version == 3
    assert (await stub.GetPrompt(pb.GetPromptRequest(name=names[0]))).version == 3


async def test_a_report_says_what_each_version_gave_in_each_run_and_why_not_more(
    start: Start, teacher: FakeTeacher
) -> None:
    _, stub, seeds_name = await open_generation(start, teacher)
    first = await made(stub, "again", template="Again: {{ text }}")
    second = await made(
        stub, "again", template="Again, as a pair: {{ text }}", params=encode_struct({"changes": "both"})
    )
    runs = []
    for prompt in (first, second):
        use = pb.StrategyUse(strategy="rewrite", prompt=prompt.name, count=300)
        request = pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use))
        runs.append(await finish(stub, await stub.CreateGenerationRun(request)))
    report = await stub.GetPromptReport(pb.GetPromptReportRequest(name=f"{PARENT}/prompts/again"))
    assert [(one.prompt, one.generation_run) for one in report.yields] == [
        (second.name, runs[1].name),
        (first.name, runs[0].name),
    ]
    for one, run in zip(report.yields, reversed(runs), strict=True):
        assert one.counts["answered"] == 300
        assert all(
            one.counts[name] == run.run.progress.counts[name] for name in ("answered", "candidates", "malformed")
        )
        assert sum(one.reasons.values()) == one.counts["malformed"]
    assert dict(report.yields[0].reasons) == {"the answer has no new instruction or no response to it": 300}
