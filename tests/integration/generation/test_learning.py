"""From reviews to the next version of a prompt: generation, filtering and review, over real gRPC and Postgres."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from cultivar.filtering.v1 import filtering_pb2, filtering_pb2_grpc
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.review.v1 import review_pb2, review_pb2_grpc
from cultivar_filtering.__main__ import build as filtering
from cultivar_generation.__main__ import build as generation
from cultivar_models.fake import FakeTeacher
from cultivar_records import Example
from cultivar_review.__main__ import build as review
from cultivar_service.serving import Host
from cultivar_service.struct_codec import encode_struct

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, candidates, finish, spec
from tests.seeds import TASK, commit_examples, seeds
from tests.terminal import Terminal

PROMPT = f"{PARENT}/prompts/mine"
QUEUE = f"{PARENT}/queues/first"


@dataclass
class Loop:
    """The three services, a prompt of our own, and the calls of a round."""

    host: Host
    generation: Any
    filtering: Any
    review: Any
    seeds: str

    async def generate(self, prompt: str = PROMPT, strategy: str = "rewrite", **params: Any) -> pb.GenerationRun:
        """Lets the fake teacher write 60 candidates."""
        use = pb.StrategyUse(strategy=strategy, prompt=prompt, count=60, params=encode_struct(params))
        request = pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(self.seeds, use))
        return await finish(self.generation, await self.generation.CreateGenerationRun(request))

    async def filter(self, run: pb.GenerationRun) -> filtering_pb2.FilterRun:
        """Lets a filter reject candidates of few words."""
        length = filtering_pb2.FilterUse(filter="length", params=encode_struct({"min_words": 5, "max_words": 900}))
        given = filtering_pb2.FilterSpec(examples=run.candidates, task=TASK, filters=[length])
        request = filtering_pb2.CreateFilterRunRequest(parent=PARENT, spec=given)
        made = await self.filtering.CreateFilterRun(request)
        async for change in self.filtering.WatchFilterRun(filtering_pb2.WatchFilterRunRequest(name=made.name)):
            made = change
        return made

    async def review_all(self, examples: str, queue: str = QUEUE) -> review_pb2.Queue:
        """Reviews all of an artifact: declines refunds as stiff with 2 and 1, accepts the others with 3 or 5."""
        given = review_pb2.QueueSpec(examples=examples, task=TASK)
        queue_id = queue.rpartition("/")[2]
        await self.review.CreateQueue(review_pb2.CreateQueueRequest(parent=PARENT, queue_id=queue_id, spec=given))
        while (leased := await self.review.LeaseTask(review_pb2.LeaseTaskRequest(name=queue))).HasField("task"):
            task = leased.task
            stiff = task.example.label == "refund"
            score = 5 if int(task.example.id[-1], 16) % 2 else 3
            said = review_pb2.Review(
                decision=review_pb2.DECISION_DECLINE if stiff else review_pb2.DECISION_ACCEPT,
                scores={"accuracy": 2, "tone": 1} if stiff else {"accuracy": score, "tone": score},
                tags=["stiff"] if stiff else [],
                reviewer_kind=review_pb2.REVIEWER_KIND_PERSON,
            )
            request = review_pb2.SubmitReviewRequest(name=task.name, lease_token=task.lease.token, review=said)
            await self.review.SubmitReview(request)
        return await self.review.CloseQueue(review_pb2.CloseQueueRequest(name=queue))

    async def record(self, artifact: str) -> list[pb.PromptOutcome]:
        """Lets generation take down what an artifact says."""
        request = pb.RecordPromptOutcomesRequest(parent=PARENT, artifact=artifact)
        return list((await self.generation.RecordPromptOutcomes(request)).outcomes)

    async def report(self) -> pb.PromptReport:
        """Returns the report of the prompt."""
        return await self.generation.GetPromptReport(pb.GetPromptReportRequest(name=PROMPT))

    async def read(self, artifact: str) -> list[Example]:
        """Reads the examples of an artifact."""
        return await candidates(self.host, pb.GenerationRun(candidates=artifact))


@pytest.fixture
async def loop(start: Start, teacher: FakeTeacher) -> Loop:
    """The three services with six seeds and one version of a prompt."""
    host = await start(generation, filtering, review)
    assert host.parts is not None
    channel = host.parts.channel
    stubs: list[Any] = [
        generation_pb2_grpc.GenerationServiceStub(channel),
        filtering_pb2_grpc.FilteringServiceStub(channel),
        review_pb2_grpc.ReviewServiceStub(channel),
    ]
    fake = pb.Teacher(url=teacher.url, model="fake-teacher", concurrency=8)
    await stubs[0].RegisterTeacher(
        pb.RegisterTeacherRequest(skip_probe=True, parent=PARENT, teacher_id="fake", teacher=fake)
    )
    prompt = pb.Prompt(form=pb.PROMPT_FORM_CHAT, strategy="rewrite", template="Rewrite: {{ text }}")
    await stubs[0].CreatePrompt(pb.CreatePromptRequest(parent=PARENT, prompt_id="mine", prompt=prompt))
    return Loop(host, *stubs, await commit_examples(host.settings.database_url, host.parts.store, seeds()))


async def test_a_report_tells_for_each_version_what_filters_kept_and_reviewers_said(loop: Loop) -> None:
    run = await loop.generate()
    filtered = await loop.filter(run)
    queue = await loop.review_all(filtered.kept)
    verdicts, reviews = await loop.record(filtered.verdicts), await loop.record(queue.reviews)
    report = await loop.report()
    assert list(report.outcomes) == [*reviews, *verdicts]
    assert [prompt.name for prompt in report.prompts] == [f"{PROMPT}@1"]
    kept, rejected = [len(await loop.read(name)) for name in (filtered.kept, filtered.rejected)]
    assert kept and rejected
    judged = verdicts[0]
    assert (judged.prompt, judged.source) == (f"{PROMPT}@1", filtered.name)
    assert dict(judged.counts) == {"judged": 60, "kept": kept, "rejected": rejected}
    assert sum(judged.reasons.values()) == rejected and all(why.startswith("length: ") for why in judged.reasons)
    declined = sum(example.label == "refund" for example in await loop.read(filtered.kept))
    said = reviews[0]
    assert (said.source, said.artifact) == (QUEUE, queue.reviews)
    assert said.counts["reviewed"] == kept == said.counts["accepted"] + declined == queue.counts.reviewed
    assert dict(said.reasons) == {"stiff": declined}
    told = (await loop.review.GetQueueReport(review_pb2.GetQueueReportRequest(name=QUEUE))).scores
    assert [(one.criterion, round(one.mean, 9)) for one in said.scores] == [
        (one.criterion, round(one.mean, 9)) for one in told
    ]


async def test_the_same_artifact_again_changes_nothing_and_another_kind_is_refused(loop: Loop) -> None:
    run = await loop.generate()
    filtered = await loop.filter(run)
    first = await loop.record(filtered.verdicts)
    assert await loop.record(filtered.verdicts) == first
    assert list((await loop.report()).outcomes) == first
    for artifact, code, says in (
        (filtered.kept, grpc.StatusCode.FAILED_PRECONDITION, "of kind 'kept'"),
        (f"{PARENT}/artifacts/{'0' * 64}", grpc.StatusCode.NOT_FOUND, "0000"),
        (f"projects/other/artifacts/{'0' * 64}", grpc.StatusCode.INVALID_ARGUMENT, "projects/other"),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match=says) as refused:
            await loop.record(artifact)
        assert refused.value.code() == code


async def test_a_finding_becomes_the_next_version_which_the_next_run_takes(loop: Loop) -> None:
    run = await loop.generate()
    queue = await loop.review_all(run.candidates)
    await loop.record(queue.reviews)
    shown = await loop.review.ListFindings(review_pb2.ListFindingsRequest(parent=QUEUE))
    found = {(one.dimension, one.key): one for one in shown.findings}
    assert set(found) == {("tag", "stiff"), ("label", "refund")}
    stiff = found["tag", "stiff"]
    assert (stiff.declined, stiff.others_declined) == (stiff.reviewed, 0) and stiff.low > 0
    assert [share.key for share in stiff.by_prompt] == ["mine@1"]
    assert all(task.startswith(f"{QUEUE}/tasks/") for task in stiff.tasks)
    asked = pb.AmendPromptRequest(name=f"{PROMPT}@1", finding=stiff.sentence, instruction="Be less stiff.")
    planned = await loop.generation.AmendPrompt(pb.AmendPromptRequest(**fields(asked), validate_only=True))
    assert (await loop.generation.GetPrompt(pb.GetPromptRequest(name=PROMPT))).version == 1
    made = await loop.generation.AmendPrompt(asked)
    assert made.other == planned.other and made.template_diff == planned.template_diff
    assert "+Be less stiff." in made.template_diff
    assert (made.other.name, made.other.parent, made.other.finding) == (f"{PROMPT}@2", f"{PROMPT}@1", stiff.sentence)
    second = await loop.generate()
    assert {one.provenance.prompt for one in await loop.read(second.candidates)} == {"mine@2"}
    again = await loop.review_all(second.candidates, f"{PARENT}/queues/second")
    await loop.record(again.reviews)
    report = await loop.report()
    assert [(one.prompt, one.source) for one in report.outcomes] == [
        (f"{PROMPT}@2", f"{PARENT}/queues/second"),
        (f"{PROMPT}@1", QUEUE),
    ]
    assert [prompt.finding for prompt in report.prompts] == [stiff.sentence, ""]


def fields(message: Any) -> dict[str, Any]:
    """The fields of a message that are set."""
    return {field.name: value for field, value in message.ListFields()}


async def test_seeds_with_low_scores_are_not_shown_while_better_ones_suffice(loop: Loop) -> None:
    queue = await loop.review_all((await loop.generate()).candidates)
    accepted = {example.id: example for example in await loop.read(queue.accepted)}
    scores = Counter(example.provenance.mean_score for example in accepted.values())
    assert set(scores) == {3.0, 5.0}
    loop.seeds = queue.accepted
    run = await loop.generate("", "expand", choose="best-reviewed", shots=min(8, scores[5.0]))
    shown = {seed for made in await loop.read(run.candidates) for seed in made.provenance.seeds}
    assert shown and {accepted[seed].provenance.mean_score for seed in shown} == {5.0}


async def test_findings_and_amendments_by_commands(loop: Loop, terminal: Terminal) -> None:
    terminal.at(loop.host)
    filtered = await loop.filter(await loop.generate())
    open_queue = review_pb2.QueueSpec(examples=filtered.kept, task=TASK)
    await loop.review.CreateQueue(review_pb2.CreateQueueRequest(parent=PARENT, queue_id="open", spec=open_queue))
    assert "is not closed" in (await terminal("prompt", "record", "--queue", "open")).output
    await loop.review_all(filtered.kept)
    run = filtered.name.rpartition("/")[2]
    assert "mine@1: 60 judged" in (await terminal("prompt", "record", "--filter-run", run)).output
    assert "mine@1: " in (await terminal("prompt", "record", "--queue", "first")).output
    shown = (await terminal("prompt", "findings", "first")).output
    assert "with the tag stiff are declined" in shown and "mine@1: " in shown and "such as projects/" in shown
    for words, says in (
        (("mine@1",), "say what was found with --finding"),
        (("mine@1", "--queue", "first", "--tag", "odd"), "it shows those of stiff"),
        (("continue@2", "--queue", "first", "--tag", "stiff"), "the finding is of mine@1"),
    ):
        told = await terminal("prompt", "amend", *words)
        assert told.exit_code == 1 and says in told.output, told.output
    asked = await terminal("prompt", "amend", "mine", "--queue", "first", "--tag", "stiff")
    assert asked.exit_code == 1 and "Make mine@2?" in asked.output
    made = await terminal("prompt", "amend", "mine", "--queue", "first", "--tag", "stiff", "--yes")
    assert made.exit_code == 0, made.output
    assert '+Reviewers declined earlier answers as "stiff": write none like that.' in made.output
    assert made.output.endswith("mine@2\n")
    report = (await terminal("prompt", "report", "mine")).output
    assert "filter run" in report and "queue first" in report and "mine@1" in report and "accuracy " in report
