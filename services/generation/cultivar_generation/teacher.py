"""Teachers as generation knows them: where a model is served and how it is sampled."""

import json
import re
from collections.abc import Callable
from typing import Any, Literal

from cultivar_models import Endpoint, Line, Lines, ModelClient, Recorder, TokenUsage
from cultivar_service.errors import FailedPrecondition
from cultivar_service.parts import Models
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cultivar_generation.credentials import REFERENCE, read_credential

LOCAL = "local"
LOCAL_MODEL = "smollm2-135m-instruct"
TIMES = 5
"""All tries of a call together may take so many times what one may."""
OURS = {"model", "messages", "prompt", "input", "stream", "stream_options", "n", "echo", "logprobs", "response_format"}
"""Fields of a request that say what is asked, and cannot be set for a teacher."""
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
NOT_OURS = {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
KEYLIKE = re.compile(r"key|token|auth|secret|cookie|password", re.IGNORECASE)
MOST_FIELDS = 10_000


class Probe(BaseModel):
    """What a teacher was found to be when it was registered; `problems` say what to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["none", "fine", "poor", "wrong"] = "none"
    problems: tuple[str, ...] = ()
    latency_seconds: float = 0.0
    tokens_per_second: float = 0.0
    structured_output: bool = False
    chat_only: bool = False


class TeacherSpec(BaseModel):
    """What a teacher's row holds; the key of its API is not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = ""
    model: str = Field(LOCAL_MODEL, min_length=1, max_length=200)
    credential: str = ""
    temperature: float = Field(0.8, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(512, ge=1, le=32768)
    concurrency: int = Field(64, ge=1, le=1024)
    timeout_seconds: float = Field(120.0, gt=0, le=3600)
    prompt_price: float = Field(0.0, ge=0)
    completion_price: float = Field(0.0, ge=0)
    proxy: str = Field("", pattern=r"^$|^http://[^@\s]+$")
    ca_file: str = Field("", pattern=r"^$|^/")
    licence: str = Field("", max_length=1000)
    structured_output: Literal["auto", "never", "always"] = "auto"
    headers: dict[str, str] = Field({}, max_length=50)
    request_fields: dict[str, Any] = {}
    requests_per_minute: float = Field(0.0, ge=0, le=1_000_000, allow_inf_nan=False)
    probe: Probe = Probe()

    @field_validator("url")
    @classmethod
    def _is_an_endpoints(cls, url: str) -> str:
        if url:
            Endpoint(url, "m")
        return url

    @field_validator("credential")
    @classmethod
    def _is_no_key(cls, credential: str) -> str:
        if credential and not REFERENCE.fullmatch(credential):
            raise ValueError("a key is not stored: say where it is read, as env:NAME or file:/PATH")
        return credential

    @field_validator("headers")
    @classmethod
    def _are_no_keys(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not HEADER.fullmatch(name) or name.lower() in NOT_OURS or not value.isprintable():
                raise ValueError(f"{name[:40]!r} is no header that can be added")
            if KEYLIKE.search(name) and not REFERENCE.fullmatch(value):
                raise ValueError(f"{name} holds a key, and keys are not stored: give env:NAME or file:/PATH")
        return headers

    @field_validator("request_fields")
    @classmethod
    def _are_its_own(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if taken := OURS & fields.keys():
            raise ValueError(f"{min(taken)} is what is asked, and cannot be set for a teacher")
        if len(json.dumps(fields)) > MOST_FIELDS:
            raise ValueError(f"they have over {MOST_FIELDS} characters")
        return fields

    @property
    def credentials(self) -> list[str]:
        """Where its keys are read from."""
        return [one for one in (self.credential, *self.headers.values()) if REFERENCE.fullmatch(one)]

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
        lines: Lines | None = None,
    ) -> ModelClient:
        """Returns a client of the model; raises FailedPrecondition where its key or its CA cannot be read.

        times: how many times the seconds of one try all tries of a call together may take. lines: where it stands in
        line with others who call the model; without them it does not wait for anybody.
        """
        try:
            endpoint = await self.endpoint(models)
            bounds = self.concurrency, self.requests_per_minute
            return ModelClient(
                endpoint,
                line=lines.to(endpoint, *bounds) if lines else Line(*bounds),
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
        return Endpoint(
            self.url,
            self.model,
            read_credential(self.credential) if self.credential else None,
            proxy=self.proxy,
            ca_file=self.ca_file,
            headers={
                name: read_credential(value) if REFERENCE.fullmatch(value) else value
                for name, value in self.headers.items()
            },
            fields=self.request_fields,
        )


def local_teacher() -> TeacherSpec:
    """Returns the teacher that every project has: the small model of Cultivar's own application.

    So small a model wanders when it is sampled as a large one is: of what it wrote on the support example, the stand-in
    accepted 18 in 100 at temperature 0.8 and top_p 0.95, and 30 in 100 at these, with one new example a call.
    """
    # Its licence is that which its weights' own file names.
    sampling = {"temperature": 0.6, "top_p": 0.9, "max_tokens": 128}
    # Our own application holds it to schemas, without which pairs of so small a model can hardly ever be read.
    return TeacherSpec.model_validate({**sampling, "structured_output": "always", "licence": "Apache-2.0"})
