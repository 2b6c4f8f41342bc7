"""google.protobuf.Struct to and from plain data; whole numbers stay whole."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct


def decode_struct(struct: Struct) -> dict[str, Any]:
    """Returns the plain data of a Struct; a number without a fraction is an int."""
    decoded = _whole(MessageToDict(struct))
    return decoded if isinstance(decoded, dict) else {}


def encode_struct(data: Mapping[str, Any]) -> Struct:
    """Returns a Struct of plain data (JSON values, tuples as lists)."""
    struct = Struct()
    struct.update(_plain(data))
    return struct


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
