"""The Ray Serve application: one deployment, each replica with its own engine."""

import os
from pathlib import Path
from typing import Any

from cultivar_models.weights import cache_folder
from ray import serve
from ray.serve import Application
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

from cultivar_generation.teachers import vllm_engine
from cultivar_generation.teachers.api import Api, key_digest
from cultivar_generation.teachers.loopback import close_replica_port
from cultivar_generation.teachers.scaling import scaling
from cultivar_generation.teachers.settings import TeacherSettings, required_key

MOST_REQUESTS = 4_096
"""Requests in one replica at once; the engine's own queue refuses sooner, with a time to come back."""


class Teachers:
    """Serves the models of one replica over HTTP."""

    def __init__(self, settings: dict[str, Any], digest: str) -> None:
        known = TeacherSettings.model_validate(settings)
        # Torch makes this folder while it is imported, in the temporary folder and for ever unless it is told where.
        cache = Path(known.cache) if known.cache else cache_folder()
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "inductor"))
        from cultivar_generation.teachers.loading import load

        close_replica_port()
        self._loaded = load(known)
        self._api = Api(self._loaded.backend, digest, lambda: self._loaded.engine.alive)

    async def __call__(self, request: Request) -> Response:
        """Answers one HTTP request."""
        return await self._api.answer(request)

    def check_health(self) -> None:
        """Tells Serve to replace this replica when its engine has ended."""
        if not self._loaded.engine.alive:
            raise RuntimeError("the engine's thread has ended")

    def __del__(self) -> None:
        if hasattr(self, "_loaded"):
            self._loaded.engine.stop()


def build(settings: TeacherSettings) -> Application:
    """Builds the application; raises `SettingsInvalid` when there is no key to guard it, or no such engine."""
    if settings.engine == "vllm":
        served: Application = vllm_engine.build(settings)
        return served
    deployment = serve.deployment(
        Teachers,
        name="teachers",
        ray_actor_options={"num_cpus": settings.replica_cpus, "num_gpus": settings.replica_gpus},
        max_ongoing_requests=MOST_REQUESTS,
        max_queued_requests=MOST_REQUESTS,
        graceful_shutdown_timeout_s=5,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=LoggingConfig(enable_access_log=False),
        **scaling(settings),
    )
    application: Application = deployment.bind(settings.model_dump(), key_digest(required_key(settings)))
    return application


def http_options(settings: TeacherSettings) -> HTTPOptions:
    """Says where the proxy listens."""
    return HTTPOptions(host=settings.host, port=settings.port, location="HeadOnly", keep_alive_timeout_s=75)
