"""The cookies of the console: out of reach of scripts, and by https of plain http and of the hosts beside this one.

The prefix `__Host-` lets a browser take a cookie from this very host alone, by https (RFC 6265bis): another host of the
organisation's domain cannot plant one and so let somebody work in its own session.
"""

from typing import Literal

from fastapi import Request
from fastapi.responses import Response

SESSION, SEAT = "cultivar_session", "cultivar_seat"
SIGN_IN, SIGN_OUT = "cultivar_sign_in", "cultivar_sign_out"


def secure(request: Request) -> bool:
    """Tells whether browsers reach the console by https, here or at the proxy before it."""
    return "https" in (request.url.scheme, request.app.state.console.url.partition(":")[0])


def named(request: Request, cookie: str) -> str:
    """Returns the name by which a browser keeps a cookie."""
    return f"__Host-{cookie}" if secure(request) else cookie


def read(request: Request, cookie: str) -> str:
    """Returns what a browser brings; the empty string where it brings nothing."""
    return request.cookies.get(named(request, cookie), "")


def write(
    request: Request,
    response: Response,
    cookie: str,
    value: str,
    seconds: int | None = None,
    site: Literal["lax", "strict"] = "lax",
) -> None:
    """Lets a browser keep a cookie, for some seconds or until it is closed."""
    response.set_cookie(named(request, cookie), value, seconds, httponly=True, samesite=site, secure=secure(request))


def forget(request: Request, response: Response, cookie: str) -> None:
    """Lets a browser forget a cookie."""
    response.delete_cookie(named(request, cookie), httponly=True, samesite="lax", secure=secure(request))
