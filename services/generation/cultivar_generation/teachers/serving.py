"""Brings the application up on Ray, waits for SIGTERM, and takes everything down again."""

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from cultivar_launchers import LocalRay, RayUnavailable

from cultivar_generation.teachers.settings import TeacherSettings, required_key

_CONNECT_SECONDS = 10.0


class Tell(Protocol):
    """Tells whoever started the program of an event."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """Tells one event with its fields."""


_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Serve looks after its replicas ten times a second, which on two cores is felt; each second is enough.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "1",
}


class ServeFailed(RuntimeError):
    """Says why the application did not come up."""


async def run(settings: TeacherSettings, tell: Tell) -> None:
    """Serves until SIGTERM or SIGINT; raises `ServeFailed`, and `SettingsInvalid` when there is no key."""
    required_key(settings)
    os.environ.update(_QUIET)
    stop = asyncio.Event()
    _end_on_signals(stop)
    async with _ray(settings) as address:
        if not settings.port:
            settings = settings.model_copy(update={"port": _free_port(settings.host)})
        try:
            # What comes up cannot be interrupted; a signal meanwhile ends it afterwards.
            url = await asyncio.to_thread(_come_up, settings, address)
            # Joining Ray has put its own handlers in place, which print a stack.
            _end_on_signals(stop)
            if not stop.is_set():
                tell("ready", url=url, models=_served(settings))
            await stop.wait()
        finally:
            await asyncio.to_thread(_go_down, settings.application)


def _end_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


@asynccontextmanager
async def _ray(settings: TeacherSettings) -> AsyncIterator[str]:
    """Gives the address of the running Ray of the settings, or of one of our own, which ends with this block."""
    if settings.ray_address:
        yield settings.ray_address
        return
    folder = Path(tempfile.mkdtemp(prefix="cultivar-teachers-"))
    local = LocalRay(folder, settings.ray_cpus, settings.object_store_mb << 20)
    try:
        head = await local.use()
        # Ray reads its settings from the environment while it is imported, so this comes before.
        os.environ.update(head.environment)
        yield head.address
    except RayUnavailable as error:
        raise ServeFailed(str(error)) from error
    finally:
        await local.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _come_up(settings: TeacherSettings, address: str) -> str:
    """Deploys the application and gives its URL, which ends in /v1, once it answers."""
    import ray
    from ray import serve

    from cultivar_generation.teachers.app import build, http_options

    application = build(settings)
    _require_listener(address)
    try:
        ray.init(address=address, namespace="cultivar", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise ServeFailed(f"the Ray at {address} cannot be joined ({type(error).__name__}): is it running?") from error
    _end_left_over(settings.application)
    serve.start(http_options=http_options(settings), logging_config={"enable_access_log": False})
    try:
        serve.run(application, name=settings.application, route_prefix="/")
    except Exception as error:
        raise ServeFailed(_why(settings.application, error)) from error
    url = f"http://{settings.host}:{settings.port}"
    # Ray's own ingress, which serves vLLM, knows no /healthz.
    _require_answer(f"{url}/v1/models" if settings.engine == "vllm" else f"{url}/healthz")
    return f"{url}/v1"


def _require_listener(address: str) -> None:
    """Looks whether anything listens where Ray shall be: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ServeFailed(f"nothing listens at {address}, where Ray should be: is it running?") from error


def _go_down(application: str) -> None:
    """Removes the application, and Serve with it unless others use it, and leaves Ray."""
    import ray
    from ray import serve

    if not ray.is_initialized():
        return
    try:
        serve.delete(application)
        if not serve.status().applications:
            serve.shutdown()
    finally:
        ray.shutdown()


def _end_left_over(application: str) -> None:
    """Ends a Serve in which a killed program left this application: it would keep its old port."""
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        alone = not set(serve.status().applications) - {application}
    except (RayServeException, ValueError):
        return
    if alone:
        serve.shutdown()


def _why(application: str, error: Exception) -> str:
    """Finds the replica's own last words: Serve's message only says that it did not become healthy."""
    from ray import serve

    found = serve.status().applications.get(application)
    said = [deployment.message for deployment in found.deployments.values()] if found else []
    lines = [line.strip() for message in (*said, str(error)) for line in message.splitlines()]
    told = [line for line in lines if line.startswith(("cultivar_", "ray.exceptions", "MemoryError", "RuntimeError"))]
    return str((told or lines or [type(error).__name__])[-1])[:500]


def _require_answer(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            json.load(response)
    except (OSError, ValueError) as error:
        raise ServeFailed(
            f"the application is up, but {url} does not answer: another Serve on this Ray listens elsewhere, "
            "or something else has the port"
        ) from error


def _served(settings: TeacherSettings) -> list[str]:
    return [settings.served_name, *([settings.embedding_model] if settings.embedding_model else [])]


def _free_port(host: str) -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
