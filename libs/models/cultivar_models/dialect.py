"""How a server takes the fields of a request: what it has besides, and what it turned out to refuse."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Models that think refuse most of these, and servers of others know no seed.
_WITHOUT = ("temperature", "top_p", "seed", "stop")
_RENAMED = {"max_tokens": "max_completion_tokens"}
_REFUSING = re.compile(
    r"(un|not )support|unrecogni|unknown|unexpected|extra|not (permitted|allowed|accepted)|deprecated", re.IGNORECASE
)
_OF_SCHEMA = {"response_format", "json_schema"}
_WORD = re.compile(r"[a-z_]{4,}")
_QUOTED = re.compile(r"['\"`]([a-z_]+)['\"`]")


class Dialect:
    """The fields that one server takes.

    fields: those that each request has besides, in place of the client's own; one that is None is left out.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)
        self._refused: set[str] = set()

    @property
    def left_out(self) -> tuple[str, ...]:
        """The fields that the server refused and now goes without, so that it does there as it likes."""
        return tuple(sorted(self._refused & set(_WITHOUT)))

    def spoken(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns a body as the server takes it."""
        if not self._fields and not self._refused:
            return body
        body = {**body, **self._fields}
        renamed = {_RENAMED.get(name, name) if name in self._refused else name: value for name, value in body.items()}
        return {name: value for name, value in renamed.items() if value is not None and name not in self._refused}

    def learn(self, sent: Iterable[str], refusal: bytes) -> bool:
        """Learns from a refused request with some fields; tells whether it is now another one, to be sent again."""
        known = {*_WITHOUT, *_RENAMED} - set(self._fields)
        names = {name for said, names in _complaints(refusal) if _REFUSING.search(said) for name in names}
        refused = names & known & set(sent)
        self._refused |= refused
        return bool(refused)


def of_schema(refusal: bytes) -> bool:
    """Tells whether a refusal names the JSON schema that was asked for."""
    return any(names & _OF_SCHEMA for _, names in _complaints(refusal))


def _complaints(refusal: bytes) -> Iterator[tuple[str, set[str]]]:
    """Yields what a refusal says, each sentence with the fields in it: OpenAI's `error`, or the `detail` of FastAPI.

    What it repeats of the request stands elsewhere, and is not looked at.
    """
    try:
        body = json.loads(refusal)
    except (ValueError, RecursionError):
        return
    body = body if isinstance(body, dict) else {}
    error, detail = body.get("error", body), body.get("detail")
    if isinstance(error, dict):
        said, param = f"{error.get('code')} {error.get('message')}", error.get("param")
        yield said, {param} if isinstance(param, str) else _fields_in(said)
    elif isinstance(error, str):
        yield error, _fields_in(error)
    for one in detail if isinstance(detail, list) else ():
        if isinstance(one, dict) and isinstance(one.get("loc"), list):
            yield f"{one.get('type')} {one.get('msg')}", {str(part) for part in one["loc"]}
    if isinstance(detail, str):
        yield detail, _fields_in(detail)


def _fields_in(said: str) -> set[str]:
    # "stop" is a word of every day: it must stand in quotation marks.
    return (set(_WORD.findall(said)) - {"stop"}) | set(_QUOTED.findall(said))
