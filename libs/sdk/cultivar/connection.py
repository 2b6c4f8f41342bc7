"""Where a server is: given outright, by the environment, or by the file that `cultivar up` writes."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

ENDPOINT_FILE = "endpoint.json"


class NotConnected(Exception):
    """No server is known; the message says what to do."""


@dataclass(frozen=True)
class Connection:
    """The address of a server, the token for it, and the address of its console."""

    address: str
    token: str = field(repr=False)
    console: str = ""


def default_data_dir() -> Path:
    """Returns the folder in which `cultivar up` keeps its data unless told otherwise."""
    return Path(os.environ.get("CULTIVAR_DATA_DIR") or Path.home() / ".local" / "share" / "cultivar")


def find_connection(data_dir: Path | None = None) -> Connection:
    """Finds the server: CULTIVAR_ADDRESS with CULTIVAR_TOKEN, or the file in the data folder; raises NotConnected."""
    address, token = os.environ.get("CULTIVAR_ADDRESS", ""), os.environ.get("CULTIVAR_TOKEN", "")
    if address and data_dir is None:
        return Connection(address, token)
    path = (data_dir or default_data_dir()) / ENDPOINT_FILE
    try:
        written = json.loads(path.read_text())
        return Connection(written["address"], Path(written["token_file"]).read_text().strip(), written["console"])
    except FileNotFoundError as error:
        raise NotConnected(
            "no server is running here: start one with `cultivar up`, or set CULTIVAR_ADDRESS and CULTIVAR_TOKEN"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise NotConnected(f"{path} cannot be read: start the server again with `cultivar up`") from error
