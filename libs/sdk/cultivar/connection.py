"""Where a server is: given outright, by the environment, or by the file that `cultivar up` writes."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cultivar.errors import NotConnected

ENDPOINT_FILE = "endpoint.json"
ANY_SERVICE = "*"


@dataclass(frozen=True)
class Connection:
    """Where the services are (see `addresses_of`), the token for them, the address of the console, and TLS.

    `tls_ca` is the file of the CA that signed the services' certificates: the system's when empty, and no TLS on
    loopback. `tls_name` is the name that they are made out to, where it is not the one in the address. `tokens`, where
    given, is asked for the token of each call instead; it raises NotConnected.
    """

    address: str
    token: str = field(repr=False)
    console: str = ""
    tls_ca: str = ""
    tls_name: str = ""
    tokens: Callable[[], str] | None = field(default=None, repr=False)


def addresses_of(text: str) -> dict[str, str]:
    """Reads addresses: one for all services, in which `{service}` stands for the name, or `name=address` for each.

    Several are separated by blanks. The address without a name is under ANY_SERVICE. Each is a gRPC target:
    `host:port`, `dns:///host:port`, `ipv4:host:port,host:port`.
    """
    found = {}
    for one in text.split():
        name, _, address = one.rpartition("=")
        found[name or ANY_SERVICE] = address
    return found


def default_data_dir() -> Path:
    """Returns the folder in which `cultivar up` keeps its data unless told otherwise."""
    return Path(os.environ.get("CULTIVAR_DATA_DIR") or Path.home() / ".local" / "share" / "cultivar")


def find_connection(data_dir: Path | None = None) -> Connection:
    """Finds the server and what opens it: CULTIVAR_TOKEN, this machine's token, or who signed in by `cultivar login`.

    Raises NotConnected.
    """
    found = find_server(data_dir)
    if found.token:
        return found
    # What speaks with an issuer is imported where one is needed.
    from cultivar.signin import SignedIn

    tokens = SignedIn(found.address)
    # Who is not signed in is told so at once, and not by a call that is tried again and again.
    tokens()
    return replace(found, tokens=tokens)


def find_server(data_dir: Path | None = None) -> Connection:
    """Finds the server: CULTIVAR_ADDRESS with CULTIVAR_TOKEN, or the file in the data folder; raises NotConnected.

    The token is empty where none is set, and where the server takes those of an identity provider.
    """
    address, token = os.environ.get("CULTIVAR_ADDRESS", ""), os.environ.get("CULTIVAR_TOKEN", "")
    if address and data_dir is None:
        environment: dict[str, Any] = {
            name: os.environ.get(f"CULTIVAR_{name.upper()}", "") for name in ("tls_ca", "tls_name")
        }
        return Connection(address, token, **environment)
    path = (data_dir or default_data_dir()) / ENDPOINT_FILE
    try:
        written = json.loads(path.read_text())
        local = Path(written["token_file"]).read_text().strip() if written["token_file"] else token
        return Connection(written["address"], local, written["console"])
    except FileNotFoundError as error:
        raise NotConnected(
            "no server is running here: start one with `cultivar up`, or set CULTIVAR_ADDRESS"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise NotConnected(f"{path} cannot be read: start the server again with `cultivar up`") from error
