"""Runs services on one machine until a signal: folder, database, Ray at first use, services, and all ended again."""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from cultivar.connection import ENDPOINT_FILE
from cultivar_launchers import LocalRay, LocalRayLauncher, StandingRayLauncher, end_orphans
from cultivar_service.parts import Parts
from cultivar_service.serving import Host, until_signal
from cultivar_service.settings import Settings
from pydantic import SecretStr

from cultivar_standalone.folder import held
from cultivar_standalone.mounts import chosen
from cultivar_standalone.postgres import start_postgres
from cultivar_standalone.teachers import LocalTeachers


@dataclass(frozen=True)
class Up:
    """What `cultivar up` was told."""

    data_dir: Path
    only: str = ""
    ray_address: str = ""
    cpus: int = 0


async def run_up(
    up: Up, settings: Settings, ready: Callable[[Host], None], until: Callable[[], Awaitable[None]] = until_signal
) -> None:
    """Serves until SIGTERM or SIGINT, or what else `until` waits for; calls `ready` once everything answers.

    Raises StartError.
    """
    builds = chosen(up.only)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(held(up.data_dir.expanduser().absolute()))
        await asyncio.to_thread(end_orphans, folder)
        settings = await embed(settings, folder, stack)
        host = Host(settings)
        stack.push_async_callback(host.stop)
        teach = await prepare_ray(up, settings, folder, stack)
        await host.start(builds, teach)
        write_endpoint(folder, host)
        stack.callback((folder / ENDPOINT_FILE).unlink, missing_ok=True)
        ready(host)
        await until()


async def embed(settings: Settings, folder: Path, stack: AsyncExitStack) -> Settings:
    """Fills in what the settings leave to this machine: database, artifact folder, token, teachers' key."""
    given: dict[str, object] = {"token_file": folder / "token", "migrate": True}
    if not settings.database_url:
        server = await asyncio.to_thread(start_postgres, folder / "postgres")
        stack.callback(server.stop)
        given["database_url"] = server.url
    if not settings.artifacts:
        (folder / "artifacts").mkdir(exist_ok=True)
        given["artifacts"] = str(folder / "artifacts")
    if not settings.teachers_url:
        given["teachers_key"] = SecretStr(secrets.token_urlsafe(32))
    return settings.model_copy(update=given)


async def prepare_ray(up: Up, settings: Settings, folder: Path, stack: AsyncExitStack) -> Callable[[Parts], None]:
    """Returns what gives the services their launcher and models; nothing is started before its first use."""
    cpus = up.cpus or os.cpu_count() or 1
    ray = LocalRay(folder, cpus=2 * cpus + 1)
    stack.push_async_callback(ray.stop)
    local = LocalRayLauncher(ray)
    launcher = StandingRayLauncher(up.ray_address, folder) if up.ray_address else local
    stack.push_async_callback(launcher.close)

    def prepare(parts: Parts) -> None:
        parts.launcher = launcher
        if not settings.teachers_url:
            key = settings.teachers_key.get_secret_value()
            parts.models = LocalTeachers(local, settings.artifacts, key, threads=cpus)

    return prepare


def write_endpoint(folder: Path, host: Host) -> None:
    """Writes where the server is for the client and the command line."""
    console = next((service.url for service in host.services if service.url), "")
    # With an identity provider this machine's token opens nothing.
    token_file = str(folder / "token") if host.token else ""
    content = {"address": host.listening.address, "token_file": token_file, "console": console}
    draft = folder / f"{ENDPOINT_FILE}.new"
    draft.write_text(json.dumps(content))
    draft.replace(folder / ENDPOINT_FILE)
