"""The queues of a project, with how far each is."""

from cultivar.review.v1 import review_pb2 as pb
from fastapi import APIRouter, Request
from fastapi.responses import Response

from cultivar_console.guard import SignedIn
from cultivar_console.rendering import page

PAGE_SIZE = 20
router = APIRouter()


@router.get("/projects/{project}/queues")
async def queues_page(request: Request, project: str, session: SignedIn, after: str = "") -> Response:
    """Lists queues, the newest first."""
    asked = pb.ListQueuesRequest(parent=f"projects/{project}", page_size=PAGE_SIZE, page_token=after)
    found = await request.app.state.console.review.ListQueues(asked)
    open_state = pb.QUEUE_STATE_OPEN
    return page(request, "queues.html", queues=found.queues, older=found.next_page_token, open_state=open_state)
