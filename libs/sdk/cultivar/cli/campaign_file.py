"""A campaign file: read, its data files found beside it, and these sent to the server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.struct_pb2 import Struct

from cultivar.client import Client
from cultivar.files import Progress, upload

STORED = "projects/"
"""A file whose name begins so is on the server already."""


class FileWrong(Exception):
    """A campaign file, or a file that it names, cannot be used; the message says what to do."""


def read_campaign(path: Path) -> dict[str, Any]:
    """Reads a campaign file as plain data; raises FileWrong."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise FileWrong(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileWrong(f"{path} is not text in UTF-8: save it as such") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise FileWrong(f"{path} is not YAML{where}: {getattr(error, 'problem', None) or 'check its form'}") from error
    if not isinstance(data, dict):
        raise FileWrong(f"{path} is no campaign file: it needs keys such as name, goal, task and data")
    return with_guidelines(data, path.parent)


def with_guidelines(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Puts the text of the guidelines in place of the name of their file; raises FileWrong where it is not there."""
    review = data.get("review")
    if not isinstance(review, dict) or not str(review.get("guidelines", "")).endswith(".md"):
        return data
    path = folder / str(review["guidelines"])
    try:
        return {**data, "review": {**review, "guidelines": path.read_text()}}
    except (OSError, UnicodeDecodeError) as error:
        raise FileWrong(f"review.guidelines: {path} cannot be read as text: check the path") from error


def as_struct(data: dict[str, Any]) -> Struct:
    """Returns plain data as a message; dates and the like become text."""
    struct = Struct()
    struct.update(json.loads(json.dumps(data, default=str)))
    return struct


def local_files(data: dict[str, Any], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields what each data file is and where it lies; raises FileWrong for one that is not there or empty."""
    files = data.get("data")
    for source, given in (files if isinstance(files, dict) else {}).items():
        name = given.get("file") if isinstance(given, dict) else given
        if not isinstance(name, str) or name.startswith(STORED):
            continue
        path = folder / name
        if not path.is_file():
            raise FileWrong(f"data.{source}: {path} does not exist: check the path, or give the folder with --data")
        if not path.stat().st_size:
            raise FileWrong(f"data.{source}: {path} is empty: bring one with at least one row")
        yield source, path


def send_files(
    client: Client, data: dict[str, Any], folder: Path, progress: Callable[[Path], Progress | None]
) -> dict[str, Any]:
    """Sends the data files and returns the campaign with their names on the server."""
    sent = dict(data["data"])
    uploaded: dict[Path, str] = {}
    for source, path in list(local_files(data, folder)):
        if path not in uploaded:
            uploaded[path] = upload(client, path, progress(path))
        given = sent[source]
        sent[source] = {**given, "file": uploaded[path]} if isinstance(given, dict) else uploaded[path]
    return {**data, "data": sent}
