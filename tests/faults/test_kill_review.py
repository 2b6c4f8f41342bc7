"""kill -9 while many review and while a queue is closed: what was acknowledged stands, once, and in the artifacts."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
from cultivar.review.v1 import review_pb2 as pb
from cultivar.review.v1 import review_pb2_grpc
from cultivar_artifacts import load_manifest, open_store, read_shards
from cultivar_records import from_table
from cultivar_service.migration import make_artifact_schema
from cultivar_service.peers import open_channel

from tests.processes import Server
from tests.seeds import TASK, commit_examples, seeds
from tests.whole import ends_whole

PARENT = "projects/default"
QUEUE = f"{PARENT}/queues/first"
SEATS = 8


async def review(stub: Any, seat: str, acknowledged: set[str]) -> None:
    """Accepts one task after the other until the server is gone or all is reviewed."""
    while True:
        try:
            answer = await stub.LeaseTask(pb.LeaseTaskRequest(name=QUEUE, seat=seat), timeout=2)
            if answer.no_task == pb.NO_TASK_ALL_REVIEWED:
                return
            if not answer.HasField("task"):
                await asyncio.sleep(0.1)
                continue
            said = pb.Review(
                decision=pb.DECISION_ACCEPT,
                scores={"accuracy": 5, "tone": 5},
                edited_text=f"by {seat}",
                reviewer_kind=pb.REVIEWER_KIND_PROGRAM,
                program="test",
            )
            request = pb.SubmitReviewRequest(name=answer.task.name, lease_token=answer.task.lease.token, review=said)
            done = await stub.SubmitReview(request, timeout=2)
            assert done.task not in acknowledged
            acknowledged.add(done.task)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                return


async def test_reviews_that_were_acknowledged_before_a_kill_stand_once_and_reach_the_artifacts(
    database_url: str, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "artifacts"))
    await make_artifact_schema(database_url)
    flags = ("--only", "review", "--database-url", database_url, "--artifacts", str(tmp_path / "artifacts"))
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data", *flags)
    stub = await open_stub(server)
    name = await commit_examples(database_url, store, seeds(60), "kept")
    spec = pb.QueueSpec(examples=name, task=TASK, lease_seconds=1)
    await stub.CreateQueue(pb.CreateQueueRequest(parent=PARENT, queue_id="first", spec=spec))
    acknowledged: set[str] = set()
    for least in (60, 150):
        working = [asyncio.create_task(review(stub, f"seat-{seat}", acknowledged)) for seat in range(SEATS)]
        while len(acknowledged) < least:
            await asyncio.wait(working, timeout=0.01)
        await server.kill()
        await asyncio.gather(*working)
        stub = await open_stub(server)
        stored = await all_reviews(stub)
        assert acknowledged <= stored
        # A review may have been stored without its answer having left the server: one for each seat at most.
        assert len(stored) <= len(acknowledged) + SEATS
        acknowledged |= stored
    closing = asyncio.create_task(close(stub))
    await asyncio.sleep(0.05)
    await server.kill()
    await closing
    stub = await open_stub(server)
    queue = await stub.CloseQueue(pb.CloseQueueRequest(name=QUEUE))
    accepted = await load_manifest(store, "default", queue.accepted.split("/")[-1])
    texts = [one.text async for table in read_shards(store, accepted) for one in from_table(table)]
    assert len(texts) == len(await all_reviews(stub)) == queue.counts.accepted
    assert all(text.startswith("by seat-") for text in texts)
    unreviewed = await load_manifest(store, "default", queue.unreviewed.split("/")[-1])
    assert unreviewed.rows == 360 - len(texts) > 0
    await ends_whole(server)


async def open_stub(server: Server) -> Any:
    """Starts a server and opens its review service."""
    connection = await server.start()
    return review_pb2_grpc.ReviewServiceStub(open_channel(connection.address, connection.token))


async def close(stub: Any) -> None:
    """Closes the queue; the server may be gone before it answers."""
    try:
        await stub.CloseQueue(pb.CloseQueueRequest(name=QUEUE), timeout=3)
    except grpc.aio.AioRpcError:
        return


async def all_reviews(stub: Any) -> set[str]:
    """Returns the tasks with a review."""
    page = await stub.ListReviews(pb.ListReviewsRequest(parent=QUEUE, page_size=1000))
    return {review.task for review in page.reviews}
