"""The settings of the teachers: from a JSON file, and from the environment as CULTIVAR_TEACHERS_ and the name."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SHORTEST_KEY = 16
KEY_VARIABLE = "CULTIVAR_TEACHERS_KEY"
_PREFIX = "CULTIVAR_TEACHERS_"
_ELSEWHERE = {"artifacts": "CULTIVAR_ARTIFACTS", "cache": "CULTIVAR_CACHE", "ray_address": "RAY_ADDRESS"}
"""Settings that the teachers share with others, under the variable that those read."""


class SettingsInvalid(ValueError):
    """Says which setting is wrong."""


class TeacherSettings(BaseModel):
    """Everything that can be set; secrets are not here but in the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="the address to listen on; loopback unless something guards it")
    port: int = Field(8_000, ge=0, le=65_535, description="the port to listen on; 0 takes a free one")
    ray_address: str = Field("", description="a running Ray to join; empty starts one of our own")
    ray_cpus: int = Field(2, ge=1, description="the logical CPUs of a Ray of our own")
    object_store_mb: int = Field(128, ge=80, description="the object store of a Ray of our own, in MB")
    application: str = Field("teachers", pattern=r"^[a-z][a-z0-9-]{0,62}$", description="its name in Ray Serve")
    model: str = Field(
        "smollm2-135m-instruct",
        description=(
            "the text model: a shipped one, a folder, a .gguf file, s3://bucket/prefix, or owner/name of Hugging Face"
        ),
    )
    model_name: str = Field("", description="the name it is served under; empty: that of `model`")
    embedding_model: str = Field("all-minilm-l6-v2", description="the embedding model; empty serves none")
    artifacts: str = Field("", description="the address of the artifact store with the adapters; empty serves none")
    s3_file: str = Field("", description="a JSON file with endpoint, access_key, secret_key and tls of an S3 store")
    key_file: str = Field("", description="a file with the bearer key; empty: CULTIVAR_TEACHERS_KEY holds it")
    cache: str = Field("", description="the folder for unpacked weights; empty: ~/.cache/cultivar")
    adapters: int = Field(4, ge=1, le=64, description="how many adapters are kept loaded at once")
    alias_seconds: float = Field(
        2.0, ge=0, le=60, description="how long an alias may still answer with what it named before it was moved"
    )
    engine: Literal["transformers", "vllm"] = Field(
        "transformers", description="what computes; vllm is for GPUs, through ray.serve.llm (see vllm_engine.py)"
    )
    tensor_parallel_size: int = Field(1, ge=1, le=64, description="with vllm: the GPUs that share one replica's model")
    accelerator_type: str = Field("", description="with vllm: the kind of GPU, as Ray names it, such as H100")
    lora_path: str = Field("", description="with vllm: s3://bucket/prefix with a PEFT folder for each adapter")
    lora_rank: int = Field(64, ge=1, le=512, description="with vllm: the largest rank of an adapter")
    replicas: int = Field(1, ge=1, le=256, description="how many processes serve, where max_replicas is 0")
    min_replicas: int = Field(1, ge=0, le=256, description="the fewest processes; with 0 the first request waits long")
    max_replicas: int = Field(0, ge=0, le=256, description="the most processes; 0: always as many as replicas")
    target_ongoing_requests: float = Field(
        32.0, gt=0, description="requests at once in each process, above which another is started"
    )
    upscale_delay_s: float = Field(30.0, ge=0, description="seconds of too many requests before a process is started")
    downscale_delay_s: float = Field(600.0, ge=0, description="seconds of too few requests before one is ended")
    replica_cpus: float = Field(1.0, ge=0, description="the logical CPUs that Ray sets aside for each process")
    replica_gpus: float = Field(0.0, ge=0, description="the GPUs that Ray sets aside for each process")
    threads: int = Field(2, ge=1, le=256, description="the threads that compute in each process")
    dtype: str = Field("auto", pattern="^(auto|float32|bfloat16)$", description="the number format of the weights")
    context: int = Field(4_096, ge=16, description="the most tokens of prompt and answer together")
    rows: int = Field(64, ge=1, le=1_024, description="answers under way at once, of the model and of each adapter")
    row_tokens: int = Field(
        32_768, ge=256, description="rows times the widest row, in tokens, of all adapters together: bounds memory"
    )
    run_tokens: int = Field(256, ge=16, description="prompt tokens read in one step")
    queue_pieces: int = Field(2_048, ge=1, description="answers, score batches and embedding batches queued")
    queue_tokens: int = Field(2_000_000, ge=1, description="tokens queued, to read and to make")

    @model_validator(mode="after")
    def _replicas_agree(self) -> "TeacherSettings":
        if self.max_replicas and self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is above max_replicas: give one that is not")
        return self

    @property
    def served_name(self) -> str:
        """The name that the text model is served under."""
        return self.model_name or self.model


def required_key(settings: TeacherSettings, environment: Mapping[str, str] = os.environ) -> str:
    """Gives the bearer key; raises `SettingsInvalid` when there is none, for nobody shall serve without one."""
    try:
        key = Path(settings.key_file).read_text().strip() if settings.key_file else environment.get(KEY_VARIABLE, "")
    except OSError as error:
        raise SettingsInvalid(f"the key file cannot be read: {error.strerror}") from error
    if len(key) < SHORTEST_KEY:
        raise SettingsInvalid(f"there is no key: set {KEY_VARIABLE} to {SHORTEST_KEY} characters or more, or key_file")
    return key


def read_settings(spec: bytes | None, environment: Mapping[str, str] = os.environ) -> TeacherSettings:
    """Reads the settings; what the JSON `spec` says goes before the environment. Raises `SettingsInvalid`."""
    given: dict[str, object] = {
        name: environment[variable]
        for name in TeacherSettings.model_fields
        if (variable := _PREFIX + name.upper()) in environment
    }
    for name, variable in _ELSEWHERE.items():
        if environment.get(variable):
            given.setdefault(name, environment[variable])
    try:
        if spec is not None:
            said = TeacherSettings.model_validate_json(spec)
            given |= {name: getattr(said, name) for name in said.model_fields_set}
        return TeacherSettings.model_validate(given)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, wrong["loc"])) or "the spec"
        raise SettingsInvalid(f"the teachers' setting {field} is wrong: {wrong['msg']}") from None
