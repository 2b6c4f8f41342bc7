"""What stands before every page: headers, the size of a body, the session, and the origin of a post."""

import hmac
import time
from typing import Annotated, Any

from cultivar_service.tokens import current_token
from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cultivar_console import cookies
from cultivar_console.errors import Refused, SignInNeeded
from cultivar_console.sessions import Grant, Session

CALLBACK, SIGNED_OUT = "/signin/callback", "/signed-out"
MOST_BYTES = 1 << 20
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Sends the headers with each response, and reads no body that is too large or of unknown size."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = refuse_body(Headers(scope=scope))
        if refusal is not None:
            return await refusal(scope, receive, guarded)
        return await self._app(scope, receive, guarded)


def refuse_body(headers: Headers) -> PlainTextResponse | None:
    """Returns the answer to a body that is not read; None where it may be."""
    if "transfer-encoding" in headers:
        return PlainTextResponse("send the length of the body", 411)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        return PlainTextResponse(f"a body is {MOST_BYTES} bytes at most", 413)
    return None


async def signed_in(request: Request) -> Session:
    """Returns the session of a request; raises SignInNeeded."""
    console, secret = request.app.state.console, cookies.read(request, cookies.SESSION)
    session: Session | None = await console.sessions.find(secret) if secret else None
    if session is None or (session.grant is None) != (console.flow is None):
        raise SignInNeeded
    if session.grant is not None:
        current_token.set(await token_of(console, secret, session.grant))
    request.state.session = session
    return session


async def token_of(console: Any, secret: str, grant: Grant) -> str:
    """Returns the token of a session for calls to services, renewed in time; raises SignInNeeded where it has ended."""
    if grant.renew_time > time.time():
        return grant.access_token
    renewed: Grant | None = await console.sessions.renew(secret, console.flow.renew)
    if renewed is None:
        raise SignInNeeded
    return renewed.access_token


async def own_page(request: Request) -> Session:
    """Returns the session of a post whose token, in a header or a form's field, is that of the session's pages."""
    session = await signed_in(request)
    token = request.headers.get("x-csrf-token") or str((await request.form()).get("csrf", ""))
    if cross_site(request) or not hmac.compare_digest(token.encode(), session.csrf.encode()):
        raise Refused
    return session


def cross_site(request: Request) -> bool:
    """Tells whether the browser says that another site made the request."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


SignedIn = Annotated[Session, Depends(signed_in)]
OwnPage = Annotated[Session, Depends(own_page)]
