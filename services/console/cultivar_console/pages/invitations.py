"""Accepting an invitation to review."""

from typing import Annotated

from cultivar.identity.v1 import identity_pb2 as pb
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from cultivar_console.guard import OwnPage, SignedIn
from cultivar_console.rendering import page

INVITATION = "/projects/{project}/invitations/{invitation}"
router = APIRouter()


@router.get(INVITATION)
async def invitation_page(
    request: Request, project: str, invitation: str, session: SignedIn, secret: str = ""
) -> Response:
    """Asks who signed in whether to accept; following a link alone changes nothing."""
    return page(request, "invitation.html", secret=secret)


@router.post(INVITATION)
async def accept(
    request: Request, project: str, invitation: str, session: OwnPage, secret: Annotated[str, Form()] = ""
) -> Response:
    """Accepts the invitation and leads to the queues."""
    name = f"projects/{project}/invitations/{invitation}"
    await request.app.state.console.identity.AcceptInvitation(pb.AcceptInvitationRequest(name=name, secret=secret))
    return RedirectResponse(f"/projects/{project}/queues", 303)
