"""Signing in and out."""

import secrets
from typing import Annotated

from cultivar_service.errors import Unauthenticated
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from cultivar_console.errors import Refused
from cultivar_console.guard import SEAT_COOKIE, SESSION_COOKIE, OwnPage, cross_site
from cultivar_console.rendering import page

HOME = "/projects/default/queues"
YEAR = 365 * 24 * 3600
router = APIRouter()


@router.get("/")
async def home() -> Response:
    """Leads to the first section."""
    return RedirectResponse(HOME, 303)


@router.get("/signin", name="sign_in_page")
async def sign_in_page(request: Request, code: str = "", next: str = "") -> Response:
    """Shows the form, or signs in who comes by a link with a code that was not used."""
    if principal := request.app.state.console.sessions.use_code(code):
        return signed_in(request, principal, next)
    wrong = "This link has been used or is too old. Sign in with the token." if code else ""
    return page(request, "signin.html", 401 if wrong else 200, next=local_path(next), wrong=wrong)


@router.post("/signin")
async def sign_in(request: Request, token: Annotated[str, Form()], next: Annotated[str, Form()] = "") -> Response:
    """Signs in who shows this machine's token."""
    if cross_site(request):
        raise Refused
    try:
        principal = await request.app.state.console.authenticator.authenticate(token.strip())
    except Unauthenticated as error:
        wrong = error.message[0].upper() + error.message[1:] + "."
        return page(request, "signin.html", 401, next=local_path(next), wrong=wrong)
    return signed_in(request, principal.name, next)


@router.post("/signout")
async def sign_out(request: Request, session: OwnPage) -> Response:
    """Ends the session."""
    request.app.state.console.sessions.close(request.cookies.get(SESSION_COOKIE, ""))
    response = RedirectResponse("/signin", 303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


def signed_in(request: Request, principal: str, next: str) -> Response:
    """Opens a session, and keeps the browser's seat, so that who signs in again gets the task that was theirs."""
    response = RedirectResponse(local_path(next), 303)
    secure = request.url.scheme == "https"
    secret = request.app.state.console.sessions.open(principal)
    response.set_cookie(SESSION_COOKIE, secret, httponly=True, samesite="strict", secure=secure)
    seat = request.cookies.get(SEAT_COOKIE) or secrets.token_urlsafe(12)
    response.set_cookie(SEAT_COOKIE, seat, max_age=YEAR, httponly=True, samesite="strict", secure=secure)
    return response


def local_path(path: str) -> str:
    """Returns a path of this site; anything else becomes the first section."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else HOME
