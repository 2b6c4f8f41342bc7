"""The application: what every page is given, its routes, and how errors are shown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import grpc
from cultivar.identity.v1 import identity_pb2_grpc
from cultivar.review.v1 import review_pb2_grpc
from cultivar_service.errors import CultivarError
from cultivar_service.logs import log
from cultivar_service.names import new_id
from cultivar_service.principal import Authenticator
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from cultivar_console.errors import ConsoleError, Shown, SignInNeeded, shown
from cultivar_console.guard import Guard
from cultivar_console.pages import ROUTERS, SECTIONS, Section
from cultivar_console.rendering import FOLDER, page
from cultivar_console.sessions import Codes, Sessions

if TYPE_CHECKING:
    from cultivar_console.codeflow import CodeFlow


@dataclass
class Console:
    """What pages are given: the services, reached over one channel, who is signed in, and the sections.

    `url` is where browsers reach it; `flow` signs in at the issuer, and is None with the local token.
    """

    review: Any
    identity: Any
    authenticator: Authenticator
    sessions: Sessions
    codes: Codes = field(default_factory=Codes)
    sections: Sequence[Section] = SECTIONS
    url: str = ""
    flow: "CodeFlow | None" = None


def open_console(channel: grpc.aio.Channel, authenticator: Authenticator, sessions: Sessions) -> Console:
    """Returns a console whose calls go over a channel.

    The channel carries the token of whoever is signed in. With the local token that is one for all: only who shows it
    is signed in, so the services know each caller by the right name.
    """
    review = review_pb2_grpc.ReviewServiceStub(channel)
    return Console(review, identity_pb2_grpc.IdentityServiceStub(channel), authenticator, sessions)


def make_app(console: Console) -> ASGIApp:
    """Makes the application of a console."""
    app = FastAPI(title="Cultivar", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.console = console
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    app.add_api_route("/healthz", healthy, include_in_schema=False)
    for kind in (ConsoleError, CultivarError, grpc.aio.AioRpcError, Exception):
        app.add_exception_handler(kind, show_error)
    app.add_exception_handler(RequestValidationError, show_wrong_field)
    app.add_exception_handler(HTTPException, show_http_error)
    # Around everything, so that the answer to a crash has the headers too.
    return Guard(app)


async def healthy() -> Response:
    """Says that the process answers."""
    return PlainTextResponse("ok")


async def show_error(request: Request, error: Exception) -> Response:
    """Shows an error as a page, or as JSON to a script; a page for which nobody is signed in leads to the sign-in."""
    told = shown(error)
    if told.status == 500:
        log.error("page_crashed", call=new_id(), exc_info=error)
    if isinstance(error, SignInNeeded) and request.method == "GET" and not wants_json(request):
        asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        return RedirectResponse(f"/signin?{urlencode({'next': asked})}", 303)
    return answer(request, told)


async def show_wrong_field(request: Request, error: Exception) -> Response:
    """Shows the first field of a body that is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"][1:])
    return answer(request, Shown(400, "INVALID_ARGUMENT", f"{path}: {first['msg']}"))


async def show_http_error(request: Request, error: Exception) -> Response:
    """Shows a path or method that does not exist."""
    assert isinstance(error, HTTPException)
    return answer(request, Shown(error.status_code, "NOT_FOUND", "there is no such page"))


def answer(request: Request, told: Shown) -> Response:
    """Returns an error in the form that its reader wants."""
    if wants_json(request):
        return JSONResponse({"reason": told.reason, "message": told.message}, told.status)
    return page(request, "error.html", told.status, error=told)


def wants_json(request: Request) -> bool:
    """Tells whether a script made the request."""
    return "application/json" in request.headers.get("accept", "")
