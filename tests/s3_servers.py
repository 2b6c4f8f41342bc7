"""Real S3 servers, two of them, each on this machine only and ended with what needs it."""

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cultivar_artifacts import S3Settings

from tests.programs import program

SERVERS = ("minio", "versitygw")


def free_port() -> int:
    """Returns a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def s3_server(name: str, folder: Path) -> Iterator[S3Settings]:
    """Runs a server that keeps its data in a folder; skips the test where there is no such program."""
    found = program(name)
    endpoint, console = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    settings = S3Settings(endpoint, secrets.token_hex(8), secrets.token_hex(16), tls=False)
    data, rest = folder / "data", folder / "rest"
    data.mkdir()
    rest.mkdir()
    commands = {
        "minio": [found, "server", "--address", endpoint, "--console-address", console, str(data)],
        # The side car keeps attributes in files of their own: not every file system has extended attributes.
        "versitygw": [found, "--port", endpoint, "posix", "--sidecar", str(rest), str(data)],
    }
    environment = {
        "HOME": str(folder),
        "MINIO_ROOT_USER": settings.access_key,
        "MINIO_ROOT_PASSWORD": settings.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "ROOT_ACCESS_KEY": settings.access_key,
        "ROOT_SECRET_KEY": settings.secret_key,
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(commands[name], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_listens(endpoint, server, folder / "log")
        yield settings
    finally:
        server.terminate()
        server.wait(20)


def _wait_until_it_listens(endpoint: str, server: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = endpoint.partition(":")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with socket.create_connection((host, int(port)), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}")
