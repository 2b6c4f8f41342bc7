"""The review servicer."""

import asyncio
from typing import Any

import grpc
from cultivar.audit.v1 import audit_pb2
from cultivar.review.v1 import review_pb2 as pb
from cultivar.review.v1 import review_pb2_grpc as pb_grpc
from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_records import Example
from cultivar_service.audit import audit_runs
from cultivar_service.audit_codec import encode_report
from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.idempotency import once
from cultivar_service.names import check_id, project_of, resource_name
from cultivar_service.paging import page_size
from cultivar_service.principal import current_principal
from cultivar_service.run_codec import encode_time
from cultivar_service.runs import FAILED, Runs, digest_of
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_review import checks, codec, drawing, store
from cultivar_review.errors import CloseFailed
from cultivar_review.findings import find
from cultivar_review.queues import QueueSpec
from cultivar_review.report import report
from cultivar_review.reviews import check

Context = grpc.aio.ServicerContext[Any, Any]


class ReviewServicer(pb_grpc.ReviewServiceServicer):
    """Decodes a request, calls, and encodes the answer."""

    def __init__(self, database: Database, artifacts: ArtifactStore, closings: Runs, engine: Engine) -> None:
        self._database = database
        self._artifacts = artifacts
        self._closings = closings
        self._engine = engine

    async def CreateQueue(self, request: pb.CreateQueueRequest, context: Context) -> pb.Queue:
        """Creates a queue with its tasks."""
        project = project_of(request.parent, "parent")
        name = resource_name(project, codec.QUEUES, check_id(request.queue_id, "queue_id"))
        spec = codec.decode_spec(project, request.spec)
        request_id = codec.short(request.request_id, codec.MOST_REQUEST_ID, "request_id")
        digest = digest_of({"name": name, "spec": spec.model_dump(mode="json")})
        async with self._database.begin() as connection:
            made = await store.repeated(connection, name, (request_id, digest))
        if not made:
            await self._add(project, name, (request_id, digest), spec)
        return await self._queue(name)

    async def _add(self, project: str, name: str, request: tuple[str, str], spec: QueueSpec) -> None:
        manifest = await load_manifest(self._artifacts, project, spec.examples)
        drawn = await drawing.draw(self._artifacts, manifest, spec)
        seeds = await drawing.seeds_of(self._artifacts, project, spec, drawn)
        principal = current_principal.get()
        async with self._database.begin() as connection:
            await store.add_queue(connection, principal, name, request, spec, manifest.rows, drawn, seeds)

    async def _queue(self, name: str) -> pb.Queue:
        async with self._database.begin() as connection:
            queue = await store.get_queue(connection, name)
            return codec.encode_queue(queue, (await store.count(connection, [queue]))[name])

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> pb.Queue:
        """Returns a queue with its counts."""
        return await self._queue(codec.queue_name(request.name))

    async def ListQueues(self, request: pb.ListQueuesRequest, context: Context) -> pb.ListQueuesResponse:
        """Lists the queues of a project."""
        project, size = project_of(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            page = await store.list_queues(connection, project, size, request.page_token)
            counts = await store.count(connection, page.items)
        queues = [codec.encode_queue(queue, counts[queue.name]) for queue in page.items]
        return pb.ListQueuesResponse(queues=queues, next_page_token=page.next_page_token)

    async def LeaseTask(self, request: pb.LeaseTaskRequest, context: Context) -> pb.LeaseTaskResponse:
        """Leases a task, or says why there is none."""
        name, seat = codec.queue_name(request.name), codec.short(request.seat, codec.MOST_SEAT, "seat")
        async with self._database.begin() as connection:
            queue = await store.get_open_queue(connection, name)
            task = await store.lease(connection, queue, current_principal.get(), seat)
            counts = codec.encode_counts((await store.count(connection, [queue]))[name])
            if task is not None:
                return pb.LeaseTaskResponse(task=codec.encode_task_row(task), counts=counts)
            free = encode_time(await store.free_time(connection, name))
        why = pb.NO_TASK_ALL_REVIEWED if free is None else pb.NO_TASK_ALL_LEASED
        return pb.LeaseTaskResponse(no_task=why, free_time=free, counts=counts)

    async def ExtendLease(self, request: pb.ExtendLeaseRequest, context: Context) -> pb.Lease:
        """Holds a task for longer."""
        principal, queue_name = current_principal.get(), codec.queue_of_task(request.name)
        async with self._database.begin() as connection:
            queue = await store.get_open_queue(connection, queue_name)
            held = await store.extend(connection, queue, request.name, principal, request.lease_token)
        return codec.encode_lease(held)

    async def ReleaseTask(self, request: pb.ReleaseTaskRequest, context: Context) -> pb.ReleaseTaskResponse:
        """Gives a task back."""
        principal, queue_name = current_principal.get(), codec.queue_of_task(request.name)
        async with self._database.begin() as connection:
            await store.get_open_queue(connection, queue_name)
            await store.release(connection, request.name, principal, request.lease_token)
        return pb.ReleaseTaskResponse()

    async def SubmitReview(self, request: pb.SubmitReviewRequest, context: Context) -> pb.Review:
        """Reviews a leased task."""
        queue_name, said = codec.queue_of_task(request.name), codec.decode_review(request.review)
        codec.short(request.request_id, codec.MOST_REQUEST_ID, "request_id")
        principal = current_principal.get()

        async def effect(connection: AsyncConnection) -> pb.Review:
            queue = await store.get_queue(connection, queue_name, keep=True)
            task = await store.get_task(connection, request.name)
            review = check(said, queue.spec, Example.model_validate(task["example"]))
            stored = await store.submit(connection, queue, task, principal, request.lease_token, review)
            return codec.encode_review(stored)

        return await once(self._database, request, pb.Review, effect)

    async def GetQueueReport(self, request: pb.GetQueueReportRequest, context: Context) -> pb.QueueReport:
        """Returns what the reviews of a queue say."""
        name = codec.queue_name(request.name)
        async with self._database.begin() as connection:
            queue = await store.get_queue(connection, name)
            counts = (await store.count(connection, [queue]))[name]
            reviews = [reviewed async for reviewed in store.all_reviews(connection, name)]
        return codec.encode_report(queue, counts, await asyncio.to_thread(report, queue.spec, reviews))

    async def ListFindings(self, request: pb.ListFindingsRequest, context: Context) -> pb.ListFindingsResponse:
        """Lists what the reviews of a queue show."""
        name = codec.queue_name(request.parent, "parent")
        async with self._database.begin() as connection:
            await store.get_queue(connection, name)
            reviews = [reviewed async for reviewed in store.all_reviews(connection, name)]
        return codec.encode_findings(await asyncio.to_thread(find, reviews))

    async def ListReviews(self, request: pb.ListReviewsRequest, context: Context) -> pb.ListReviewsResponse:
        """Lists the reviews of a queue."""
        name, size = codec.queue_name(request.parent, "parent"), page_size(request.page_size)
        async with self._database.begin() as connection:
            await store.get_queue(connection, name)
            page = await store.list_reviews(connection, name, size, request.page_token)
        reviews = [codec.encode_review(reviewed) for reviewed in page.items]
        return pb.ListReviewsResponse(reviews=reviews, next_page_token=page.next_page_token)

    async def CloseQueue(self, request: pb.CloseQueueRequest, context: Context) -> pb.Queue:
        """Closes a queue: the run that makes its artifacts is made once, and followed to its end."""
        name = codec.queue_name(request.name)
        async with self._database.begin() as connection:
            queue = await store.get_queue(connection, name)
        once_only = f"{name}#{queue.failed_closes}"
        run = await self._closings.create(current_principal.get(), queue.project, once_only, {"queue": name})
        self._engine.nudge()
        async for change in self._closings.watch(queue.project, run.id):
            run = change
        if run.state == FAILED:
            async with self._database.begin() as connection:
                await store.count_failed_close(connection, queue)
            raise CloseFailed(name, (run.error or {}).get("message", ""))
        return await self._queue(name)

    async def Audit(self, request: audit_pb2.AuditRequest, context: Context) -> audit_pb2.AuditReport:
        """Checks what the service holds of a project."""
        project = project_of(request.parent, "parent")
        async with self._database.begin() as connection:
            findings, counts = await checks.audit(connection, project)
        return encode_report("review", [*await audit_runs(self._database, project), *findings], counts)
