"""How requests, answers and recorded answers are written as JSON and read."""

import json
from typing import Any

import orjson


def to_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """Writes a JSON value as UTF-8 without blanks; half a character, which UTF-8 has not, as an escape."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except orjson.JSONEncodeError:
        return json.dumps(value, sort_keys=sort_keys, separators=(",", ":")).encode()


def from_json(data: bytes) -> Any:
    """Reads JSON; raises ValueError or RecursionError where it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Servers write halves of characters and NaN, which orjson takes for errors.
        return json.loads(data)
