"""Pages of lists, and the tokens that lead from one to the next."""

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

from cultivar_service.errors import InvalidArgument

MOST = 1000
Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items, and the token of the page after them; empty on the last."""

    items: list[Item]
    next_page_token: str


def page_size(asked: int) -> int:
    """Returns the page size to use: 50 for 0; raises InvalidArgument outside 0 to 1000."""
    if not 0 <= asked <= MOST:
        raise InvalidArgument(f"page_size must be 0 to {MOST}, got {asked}", field="page_size")
    return asked or 50


def encode_token(last: str, collection: str) -> str:
    """Returns the token of the page that begins after an item of a collection."""
    return base64.urlsafe_b64encode(f"{collection}:{last}".encode()).decode()


def decode_token(token: str, collection: str) -> str:
    """Returns the last item before a page; raises InvalidArgument for a token of another list."""
    if not token:
        return ""
    try:
        origin, _, last = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
    except (binascii.Error, UnicodeError):
        origin, last = "", ""
    if origin != collection or not last:
        raise InvalidArgument(
            "page_token is not one that this list returned: begin at the first page", field="page_token"
        )
    return last
