"""Teachers as generation knows them: where a model is served and how it is sampled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cultivar_models import Endpoint, ModelClient, Recorder, TokenUsage
from cultivar_service.errors import FailedPrecondition
from cultivar_service.parts import Models
from pydantic import BaseModel, ConfigDict, Field

LOCAL = "local"
LOCAL_MODEL = "smollm2-135m-instruct"
TIMES = 5
"""All tries of a call together may take so many times what one may."""


class Probe(BaseModel):
    """What a teacher was found to be when it was registered; `problems` say what to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["none", "fine", "poor", "wrong"] = "none"
    problems: tuple[str, ...] = ()
    latency_seconds: float = 0.0
    tokens_per_second: float = 0.0
    structured_output: bool = False


class TeacherSpec(BaseModel):
    """What a teacher's row holds; the key of its API is not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = ""
    model: str = Field(LOCAL_MODEL, min_length=1, max_length=200)
    credential: str = Field("", pattern=r"^$|^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$")
    temperature: float = Field(0.8, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(128, ge=1, le=32768)
    concurrency: int = Field(64, ge=1, le=1024)
    timeout_seconds: float = Field(120.0, gt=0, le=3600)
    prompt_price: float = Field(0.0, ge=0)
    completion_price: float = Field(0.0, ge=0)
    proxy: str = Field("", pattern=r"^$|^http://[^@\s]+$")
    ca_file: str = Field("", pattern=r"^$|^/")
    licence: str = Field("", max_length=1000)
    structured_output: Literal["auto", "never", "always"] = "auto"
    probe: Probe = Probe()

    @property
    def takes_schemas(self) -> bool:
        """Whether it is asked for answers in the JSON of a schema."""
        found = self.structured_output == "auto" and self.probe.structured_output
        return found or self.structured_output == "always"

    def cost(self, usage: TokenUsage) -> float:
        """Returns what tokens cost, by the price of 1,000."""
        return (usage.prompt_tokens * self.prompt_price + usage.completion_tokens * self.completion_price) / 1000

    async def client(
        self,
        models: Models,
        recorder: Recorder | None = None,
        guard: Callable[[], None] | None = None,
        *,
        retries: int = 8,
        times: int = TIMES,
    ) -> ModelClient:
        """Returns a client of the model; raises FailedPrecondition where its key or its CA cannot be read.

        times: how many times the seconds of one try all tries of a call together may take.
        """
        try:
            return ModelClient(
                await self.endpoint(models),
                concurrency=self.concurrency,
                timeout_s=self.timeout_seconds,
                deadline_s=times * self.timeout_seconds,
                retries=retries,
                recorder=recorder,
                guard=guard,
            )
        except OSError as error:
            raise FailedPrecondition(
                f"the teacher's ca_file {self.ca_file} cannot be read ({error.strerror or 'no certificate'}): give a "
                "file in PEM of the generation service's machine"
            ) from error

    async def endpoint(self, models: Models) -> Endpoint:
        """Returns where the model is served; a teacher without a URL is one of Cultivar's own application."""
        if not self.url:
            return await models.endpoint(self.model)
        return Endpoint(self.url, self.model, self.key(), proxy=self.proxy, ca_file=self.ca_file)

    def key(self) -> str | None:
        """Reads the key that `credential` points to; raises FailedPrecondition where there is none."""
        kind, _, place = self.credential.partition(":")
        if not kind:
            return None
        try:
            key = os.environ[place] if kind == "env" else Path(place).read_text().strip()
        except (KeyError, OSError) as error:
            raise FailedPrecondition(
                f"the teacher's key is not there: set {self.credential} for the generation service"
            ) from error
        return key


def local_teacher() -> TeacherSpec:
    """Returns the teacher that every project has: the small model of Cultivar's own application.

    So small a model wanders when it is sampled as a large one is: of what it wrote on the support example, the stand-in
    accepted 18 in 100 at temperature 0.8 and top_p 0.95, and 30 in 100 at these, with one new example a call.
    """
    # Its licence is that which its weights' own file names.
    return TeacherSpec.model_validate({"temperature": 0.6, "top_p": 0.9, "licence": "Apache-2.0"})
