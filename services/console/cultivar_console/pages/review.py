"""The review page: one task at a time, and the calls of its script."""

from typing import Any

from cultivar.example.v1 import example_pb2
from cultivar.review.v1 import review_pb2 as pb
from fastapi import APIRouter, Request
from fastapi.responses import Response

from cultivar_console import cookies
from cultivar_console.codec import Held, Said, encode_answer, encode_lease
from cultivar_console.guard import OwnPage, SignedIn
from cultivar_console.rendering import markdown, page

QUEUE = "/projects/{project}/queues/{queue}"
TASK = QUEUE + "/tasks/{task}"
WITHOUT_ANSWER_TEXT = (example_pb2.TASK_KIND_CLASSIFICATION, example_pb2.TASK_KIND_ENTITIES)
router = APIRouter()


@router.get(QUEUE)
async def review_page(request: Request, project: str, queue: str, session: SignedIn) -> Response:
    """Shows guidelines, rubric and form; the script fetches the task."""
    name = f"projects/{project}/queues/{queue}"
    found = await request.app.state.console.review.GetQueue(pb.GetQueueRequest(name=name))
    return page(
        request,
        "review.html",
        queue=found,
        title=queue,
        guidelines=markdown(found.spec.guidelines),
        edits_text=found.spec.task.kind != example_pb2.TASK_KIND_ENTITIES,
        edits_answer=found.spec.task.kind not in WITHOUT_ANSWER_TEXT,
    )


@router.post(QUEUE + "/lease")
async def lease(request: Request, project: str, queue: str, session: OwnPage) -> dict[str, Any]:
    """Leases a task to this browser."""
    name, seat = f"projects/{project}/queues/{queue}", cookies.read(request, cookies.SEAT)[:128]
    asked = pb.LeaseTaskRequest(name=name, seat=seat)
    return encode_answer(await request.app.state.console.review.LeaseTask(asked))


@router.post(TASK + "/extend")
async def extend(request: Request, project: str, queue: str, task: str, held: Held, session: OwnPage) -> dict[str, Any]:
    """Holds the task for longer."""
    name = f"projects/{project}/queues/{queue}/tasks/{task}"
    asked = pb.ExtendLeaseRequest(name=name, lease_token=held.token)
    return encode_lease(await request.app.state.console.review.ExtendLease(asked))


@router.post(TASK + "/release")
async def release(
    request: Request, project: str, queue: str, task: str, held: Held, session: OwnPage
) -> dict[str, Any]:
    """Gives the task back."""
    name = f"projects/{project}/queues/{queue}/tasks/{task}"
    await request.app.state.console.review.ReleaseTask(pb.ReleaseTaskRequest(name=name, lease_token=held.token))
    return {}


@router.post(TASK + "/submit")
async def submit(request: Request, project: str, queue: str, task: str, said: Said, session: OwnPage) -> dict[str, Any]:
    """Submits the review of the task."""
    name = f"projects/{project}/queues/{queue}/tasks/{task}"
    asked = pb.SubmitReviewRequest(name=name, lease_token=said.token, review=said.message())
    stored = await request.app.state.console.review.SubmitReview(asked)
    return {"task": stored.task}
