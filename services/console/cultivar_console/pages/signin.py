"""Signing in and out: at the identity provider, or with this machine's token."""

import hmac
import secrets
from typing import Annotated, Literal

from cultivar_service.errors import Unauthenticated
from cultivar_service.principal import ANY_PROJECT, Principal
from cultivar_service.tokens import current_token
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from cultivar_console import cookies
from cultivar_console.errors import Refused, SignInFailed
from cultivar_console.guard import (
    CALLBACK,
    SIGNED_OUT,
    OwnPage,
    SignedIn,
    cross_site,
)
from cultivar_console.rendering import page
from cultivar_console.sessions import SIGN_IN, Grant

HOME = "/projects/default/queues"
MOST_PATH = 2048
YEAR = 365 * 24 * 3600
router = APIRouter()


@router.get("/")
async def home(request: Request, session: SignedIn) -> Response:
    """Leads to the first section, and tells who has no role yet what to do."""
    if session.grant is None:
        return RedirectResponse(HOME, 303)
    authenticator, token = request.app.state.console.authenticator, current_token.get("")
    principal = await authenticator.authenticate(token)
    if not principal.roles:
        # Who was given a role a moment ago has it.
        principal = await authenticator.authenticate(token, fresh=True)
    return RedirectResponse(home_of(principal), 303) if principal.roles else page(request, "no_role.html")


@router.get("/signin")
async def sign_in_page(request: Request, code: str = "", next: str = "") -> Response:
    """Leads to the identity provider, or shows the form, or signs in who comes by a link that was not used."""
    console = request.app.state.console
    if console.flow is not None:
        return await to_issuer(request, next) if next else page(request, "signin.html", next="", wrong="", issuer=True)
    if principal := console.codes.use(code):
        return await signed_in(request, Principal(principal), next)
    wrong = "This link has been used or is too old. Sign in with the token." if code else ""
    return form(request, next, wrong)


@router.post("/signin")
async def sign_in(request: Request, token: Annotated[str, Form()], next: Annotated[str, Form()] = "") -> Response:
    """Signs in who shows this machine's token."""
    console = request.app.state.console
    if cross_site(request) or console.flow is not None:
        raise Refused
    try:
        principal = await console.authenticator.authenticate(token.strip())
    except Unauthenticated as error:
        return form(request, next, sentence(error.message))
    return await signed_in(request, principal, next)


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Signs in whom the identity provider sends back."""
    console = request.app.state.console
    if console.flow is None:
        raise Refused
    secret = cookies.read(request, cookies.SIGN_IN)
    under_way = await console.sessions.take(secret) if secret else None
    try:
        principal, grant = await console.flow.finish(under_way, request.query_params)
    except SignInFailed as error:
        return page(request, "signin.html", error.status, next="", wrong=sentence(str(error)), issuer=True)
    response = await signed_in(request, principal, under_way.next if under_way else "", grant)
    cookies.forget(request, response, cookies.SIGN_IN)
    return response


@router.post("/signout")
async def sign_out(request: Request, session: OwnPage) -> Response:
    """Ends the session here, then leads to where that of the identity provider ends, if it has such a place."""
    console = request.app.state.console
    await console.sessions.close(cookies.read(request, cookies.SESSION))
    leaving = await console.flow.end(session.grant) if console.flow and session.grant else None
    if leaving is not None:
        response: Response = leave(request, *leaving)
    else:
        response = RedirectResponse(SIGNED_OUT if console.flow else "/signin", 303)
    cookies.forget(request, response, cookies.SESSION)
    return response


def leave(request: Request, url: str, state: str) -> Response:
    """Shows a page that leads on: a browser does not follow a form to another site, which the policy forbids."""
    request.state.session = None
    response = page(request, "signed_out.html", leaving=url, everywhere=False)
    cookies.write(request, response, cookies.SIGN_OUT, state, int(SIGN_IN.total_seconds()))
    return response


@router.get(SIGNED_OUT)
async def signed_out(request: Request, state: str = "") -> Response:
    """Says where the person is signed out: at the identity provider too, if that brought our own state back."""
    everywhere = bool(state) and hmac.compare_digest(state.encode(), cookies.read(request, cookies.SIGN_OUT).encode())
    response = page(request, "signed_out.html", leaving="", everywhere=everywhere)
    cookies.forget(request, response, cookies.SIGN_OUT)
    return response


async def to_issuer(request: Request, next: str) -> Response:
    """Sends the browser to the identity provider; what it must bring back is kept here, under a cookie of its own."""
    console = request.app.state.console
    url, under_way = await console.flow.begin(local_path(next))
    secret = await console.sessions.begin(under_way)
    response = RedirectResponse(url, 303)
    cookies.write(request, response, cookies.SIGN_IN, secret, int(SIGN_IN.total_seconds()))
    return response


async def signed_in(request: Request, principal: Principal, next: str, grant: Grant | None = None) -> Response:
    """Opens a session, and keeps the browser's seat, so that who signs in again gets the task that was theirs."""
    response = RedirectResponse(local_path(next), 303)
    sessions = request.app.state.console.sessions
    # Whatever session the browser came with, be it planted by somebody, is over.
    await sessions.close(cookies.read(request, cookies.SESSION))
    secret = await sessions.open(principal.name, grant)
    # Who comes from the identity provider or by a link in a letter comes from another site.
    site: Literal["lax", "strict"] = "lax" if grant else "strict"
    cookies.write(request, response, cookies.SESSION, secret, site=site)
    seat = cookies.read(request, cookies.SEAT) or secrets.token_urlsafe(12)
    cookies.write(request, response, cookies.SEAT, seat, YEAR, site)
    return response


def form(request: Request, next: str, wrong: str) -> Response:
    """Shows the form for this machine's token."""
    return page(request, "signin.html", 401 if wrong else 200, next=local_path(next), wrong=wrong, issuer=False)


def home_of(principal: Principal) -> str:
    """Returns the first section of a project in which somebody may do something."""
    projects = sorted(project for project in principal.roles if project != ANY_PROJECT)
    return f"/projects/{projects[0]}/queues" if projects and ANY_PROJECT not in principal.roles else HOME


def local_path(path: str) -> str:
    """Returns a path of this site; anything else becomes the first page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and len(path) <= MOST_PATH else "/"


def sentence(text: str) -> str:
    """Returns a message as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."
