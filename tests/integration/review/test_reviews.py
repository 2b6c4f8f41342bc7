"""Queues, leases and reviews over real gRPC, Postgres and files."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from cultivar.review.v1 import review_pb2 as pb
from cultivar_artifacts import load_manifest
from cultivar_review import store
from cultivar_service.principal import SYSTEM

from tests.integration.review.desk import PARENT, QUEUE, SCORES, Desk, reason, refused
from tests.seeds import commit_examples, seeds


async def test_a_queue_has_a_task_for_each_example_and_the_default_rubric(desk: Desk) -> None:
    queue = await desk.create()
    assert queue.counts == pb.QueueCounts(examples=6, tasks=6)
    assert queue.state == pb.QUEUE_STATE_OPEN
    assert [criterion.criterion for criterion in queue.spec.rubric] == ["accuracy", "tone"]
    assert queue.spec.lease_seconds == 900
    assert await desk.get() == queue


async def test_a_sample_is_drawn_the_same_for_the_same_seed_and_another_for_another(desk: Desk) -> None:
    drawn = []
    for queue_id, random_seed in (("a", 1), ("b", 1), ("c", 2)):
        queue = await desk.create(queue_id, sample_size=3, random_seed=random_seed)
        assert (queue.counts.examples, queue.counts.tasks) == (6, 3)
        leases = [await desk.stub.LeaseTask(pb.LeaseTaskRequest(name=queue.name, seat=str(seat))) for seat in range(3)]
        drawn.append([lease.task.example.id for lease in leases])
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


async def test_a_task_shows_the_seeds_of_its_example(desk: Desk) -> None:
    assert desk.host.parts is not None
    first, *others = seeds()
    origin = first.provenance.model_copy(update={"origin": "candidate", "seeds": (others[0].id, "0" * 32)})
    name = await commit_examples(
        desk.host.settings.database_url, desk.host.parts.store, [first.model_copy(update={"provenance": origin})]
    )
    await desk.create(examples=name, seeds=desk.examples)
    assert [seed.id for seed in (await desk.lease()).seeds] == [others[0].id]


async def test_the_same_submit_twice_or_at_once_is_one_review(desk: Desk) -> None:
    await desk.create()
    task = await desk.lease()
    first, second = await asyncio.gather(desk.submit(task), desk.submit(task))
    assert first == second == await desk.submit(task)
    other = await desk.lease()
    named = await asyncio.gather(*(desk.submit(other, request_id="once") for _ in range(3)))
    assert named[0] == named[1] == named[2]
    assert (await desk.get()).counts.reviewed == 2
    assert len((await desk.stub.ListReviews(pb.ListReviewsRequest(parent=QUEUE))).reviews) == 2
    await desk.audit()


async def test_another_review_under_the_same_lease_is_refused_and_the_first_stands(desk: Desk) -> None:
    await desk.create()
    task = await desk.lease()
    first = await desk.submit(task, comment="good")
    error = await refused(desk.submit(task, comment="bad"))
    assert "ALREADY_REVIEWED" in reason(error)
    assert list((await desk.stub.ListReviews(pb.ListReviewsRequest(parent=QUEUE))).reviews) == [first]


WRONG_REVIEWS: list[tuple[dict[str, Any], str]] = [
    ({"decision": pb.DECISION_UNSPECIFIED}, "review.decision"),
    ({"reviewer_kind": pb.REVIEWER_KIND_UNSPECIFIED}, "review.reviewer_kind"),
    ({"scores": {"accuracy": 6, "tone": 1}}, "review.scores.accuracy"),
    ({"scores": {"accuracy": 0, "tone": 1}}, "review.scores.accuracy"),
    ({"scores": {"accuracy": 3}}, "review.scores.tone"),
    ({"scores": {**SCORES, "wit": 3}}, "review.scores.wit"),
    ({"edited_text": " \n "}, "review.edited_text"),
    ({"edited_answer": "delivery"}, "review.edited_answer"),
    ({"label": "postage"}, "review.label"),
    ({"tags": ["nice"]}, "review.tags"),
    ({"comment": "x" * 10_001}, "review.comment"),
    ({"comment": "a\x00b"}, "review.comment"),
    ({"program": "judge"}, "program"),
    ({"reviewer_kind": pb.REVIEWER_KIND_PROGRAM}, "program"),
]


async def test_a_wrong_review_is_refused_by_field_and_the_task_stays_leased(desk: Desk) -> None:
    await desk.create(tags=["off-topic", "copy"])
    task = await desk.lease()
    for said, field in WRONG_REVIEWS:
        error = await refused(desk.submit(task, **said))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, said
        assert field in reason(error) or field in str(error.details()), said
    assert (await desk.get()).counts.reviewed == 0
    await desk.submit(task, tags=["copy"])


async def test_to_decline_needs_no_scores_and_no_text(desk: Desk) -> None:
    await desk.create()
    review = await desk.submit(await desk.lease(), decision=pb.DECISION_DECLINE, scores={}, tags=["my-own"])
    assert review.decision == pb.DECISION_DECLINE
    assert review.reviewer == "local"
    assert list(review.tags) == ["my-own"]


INVALID = grpc.StatusCode.INVALID_ARGUMENT
WRONG_QUEUES: list[tuple[dict[str, Any], grpc.StatusCode, str]] = [
    ({"examples": "projects/other/artifacts/" + "0" * 64}, INVALID, "spec.examples"),
    ({"examples": f"{PARENT}/artifacts/" + "0" * 64}, grpc.StatusCode.NOT_FOUND, ""),
    ({"sample_size": -1}, INVALID, "spec.sample_size"),
    ({"lease_seconds": 100_000}, INVALID, "spec.lease_seconds"),
    ({"tags": ["a", "a"]}, INVALID, "spec"),
    ({"guidelines": "a\x00"}, INVALID, "spec.guidelines"),
    ({"rubric": [pb.Criterion(criterion="No Name")]}, INVALID, "spec.rubric.0.criterion"),
    ({"rubric": [pb.Criterion(criterion="a", anchors=["1"])]}, INVALID, "spec.rubric.0"),
]


async def test_a_wrong_queue_is_refused_by_field_and_nothing_is_made(desk: Desk) -> None:
    for change, code, field in WRONG_QUEUES:
        error = await refused(desk.create(**change))
        assert error.code() == code, change
        assert field in reason(error), change
    assert not (await desk.stub.ListQueues(pb.ListQueuesRequest(parent=PARENT))).queues


async def test_a_repeated_create_is_one_queue_and_a_taken_name_is_refused(desk: Desk) -> None:
    first, second = await asyncio.gather(*(desk.create(request_id="once") for _ in range(2)))
    assert first == second
    assert (await refused(desk.create(request_id="once", lease_seconds=5))).code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await refused(desk.create("second", request_id="once"))).code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await refused(desk.create())).code() == grpc.StatusCode.ALREADY_EXISTS
    assert len((await desk.stub.ListQueues(pb.ListQueuesRequest(parent=PARENT))).queues) == 1


async def test_a_closed_queue_parts_every_example_and_applies_the_edits(desk: Desk) -> None:
    assert desk.host.parts is not None
    sources = {example.id: example for example in seeds()}
    await desk.create(sample_size=5)
    text, label, plain, declined, left = [await desk.lease(str(seat)) for seat in range(5)]
    await desk.submit(text, edited_text="my money, please")
    corrected = "delivery" if label.example.label == "refund" else "refund"
    await desk.submit(label, label=corrected)
    await desk.submit(plain, edited_text=plain.example.messages[0].content)
    await desk.submit(declined, decision=pb.DECISION_DECLINE, edited_text="not to be used")
    queue = await desk.close()
    assert queue.state == pb.QUEUE_STATE_CLOSED
    assert queue.counts == pb.QueueCounts(examples=6, tasks=5, reviewed=4, accepted=3, declined=1, edited=2, leased=1)
    accepted = {example.id: example for example in await desk.read(queue.accepted)}
    assert set(accepted) == {text.example.id, label.example.id, plain.example.id}
    assert accepted[text.example.id].text == "my money, please"
    assert accepted[text.example.id].label == text.example.label
    assert accepted[label.example.id].label == accepted[label.example.id].answer == corrected
    assert [accepted[task.example.id].provenance.edited_by for task in (text, label, plain)] == ["local", "local", ""]
    unedited = accepted[plain.example.id]
    assert unedited.digest() == sources[plain.example.id].digest() and unedited.provenance.mean_score == 4.5
    assert await desk.read(queue.declined) == [sources[declined.example.id]]
    rest = await desk.read(queue.unreviewed)
    assert len(rest) == 2 and left.example.id in {example.id for example in rest}
    assert all(example == sources[example.id] for example in rest)
    reviews = await load_manifest(desk.host.parts.store, "default", queue.reviews.split("/")[-1])
    assert reviews.rows == 4
    await desk.audit()


async def test_to_close_again_or_at_once_gives_the_same_artifacts(desk: Desk) -> None:
    await desk.create()
    task = await desk.lease()
    review = await desk.submit(task)
    first, second = await asyncio.gather(desk.close(), desk.close())
    assert first == second == await desk.close()
    assert "QUEUE_CLOSED" in reason(await refused(desk.ask()))
    assert await desk.submit(task) == review
    await desk.audit()


async def test_a_review_races_a_close_and_is_in_the_artifacts_or_refused(desk: Desk) -> None:
    await desk.create()
    tasks = [await desk.lease(str(seat)) for seat in range(6)]

    async def attempt(task: pb.ReviewTask) -> bool:
        try:
            await desk.submit(task)
        except grpc.aio.AioRpcError as error:
            assert "QUEUE_CLOSED" in reason(error)
            return False
        return True

    done, queue = await asyncio.gather(asyncio.gather(*map(attempt, tasks)), desk.close())
    accepted = {example.id for example in await desk.read(queue.accepted)}
    assert accepted == {task.example.id for task, taken in zip(tasks, done, strict=True) if taken}
    await desk.audit()


async def test_a_close_waits_for_the_review_that_is_being_stored(desk: Desk) -> None:
    await desk.create()
    database = desk.host.services[0].database
    assert database is not None

    async def close() -> None:
        async with database.begin() as connection:
            await store.begin_close(connection, SYSTEM, QUEUE)

    async with database.begin() as storing:
        await store.get_open_queue(storing, QUEUE)
        closing = asyncio.create_task(close())
        done, _ = await asyncio.wait({closing}, timeout=0.3)
        assert not done
    await asyncio.wait_for(closing, 5)
    assert (await desk.get()).state == pb.QUEUE_STATE_CLOSING


async def test_the_report_counts_shares_scores_tags_and_reviewers(desk: Desk) -> None:
    await desk.create()
    tasks = [await desk.lease(str(seat)) for seat in range(6)]
    await desk.submit(tasks[0], tags=["copy"])
    await desk.submit(tasks[1], decision=pb.DECISION_DECLINE, scores={"accuracy": 1}, tags=["copy", "off-topic"])
    judge = {"reviewer_kind": pb.REVIEWER_KIND_PROGRAM, "program": "judge"}
    await desk.submit(tasks[2], **judge)
    report = await desk.stub.GetQueueReport(pb.GetQueueReportRequest(name=QUEUE))
    assert (report.counts.reviewed, report.acceptance.reviewed, report.acceptance.accepted) == (3, 3, 2)
    assert 0 < report.acceptance.low < report.acceptance.rate < report.acceptance.high < 1
    assert sum(share.reviewed for share in report.by_label) == 3
    assert {share.key for share in report.by_label} <= {"refund", "delivery"}
    assert dict(report.tags) == {"copy": 2, "off-topic": 1}
    assert list(report.scores[0].counts) == [1, 0, 0, 0, 2]
    assert report.scores[0].mean == pytest.approx(11 / 3)
    assert [(one.kind, one.program, one.reviewed) for one in report.reviewers] == [
        (pb.REVIEWER_KIND_PERSON, "", 2),
        (pb.REVIEWER_KIND_PROGRAM, "judge", 1),
    ]
    assert report.median_seconds > 0


async def test_lists_come_page_by_page(desk: Desk) -> None:
    names = [(await desk.create(queue_id)).name for queue_id in ("first", "second", "third")]
    seen = await pages(desk.stub.ListQueues, pb.ListQueuesRequest(parent=PARENT, page_size=2), "queues")
    assert [queue.name for queue in seen] == names[::-1]
    made = [await desk.submit(await desk.lease()) for _ in range(5)]
    found = await pages(desk.stub.ListReviews, pb.ListReviewsRequest(parent=QUEUE, page_size=2), "reviews")
    assert [review.task for review in found] == sorted(review.task for review in made)


async def pages(call: Any, request: Any, field: str) -> Sequence[Any]:
    """Reads a list to its end."""
    found: list[Any] = []
    while True:
        page = await call(request)
        assert len(getattr(page, field)) <= request.page_size
        found += getattr(page, field)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_another_projects_queue_and_task_are_not_found(desk: Desk) -> None:
    await desk.create()
    task = await desk.lease()
    other = QUEUE.replace("default", "other")
    assert (await refused(desk.stub.GetQueue(pb.GetQueueRequest(name=other)))).code() == grpc.StatusCode.NOT_FOUND
    task.name = task.name.replace("default", "other")
    assert (await refused(desk.submit(task))).code() == grpc.StatusCode.NOT_FOUND
    task.name = f"{QUEUE}/tasks/{'0' * 32}"
    assert (await refused(desk.submit(task))).code() == grpc.StatusCode.NOT_FOUND
