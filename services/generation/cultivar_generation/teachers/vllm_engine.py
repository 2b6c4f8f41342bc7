"""The vLLM engine, through `ray.serve.llm`: its arguments, and the application where vLLM is installed.

Ray's own ingress answers, not `api.py`: it asks for no key, so it is put on loopback alone, behind what guards it; it
knows no aliases and no artifact store, and takes adapters as PEFT folders `{lora_path}/{NAME}`, named `MODEL:NAME`.
"""

from importlib.util import find_spec
from typing import Any

from cultivar_generation.teachers.scaling import scaling
from cultivar_generation.teachers.settings import SettingsInvalid, TeacherSettings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_REMOTE = ("s3://", "gs://", "abfss://", "azure://")


def arguments(settings: TeacherSettings) -> dict[str, Any]:
    """Gives what `ray.serve.llm.LLMConfig` is made from; raises `SettingsInvalid` for what this engine cannot do."""
    _require_possible(settings)
    source, _, revision = settings.model.partition("@")
    remote = settings.model.startswith(_REMOTE)
    engine: dict[str, Any] = {
        "max_model_len": settings.context,
        "max_num_seqs": settings.rows,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "dtype": settings.dtype,
        "load_format": "safetensors",
        "trust_remote_code": False,
    }
    if revision and not remote:
        engine["revision"] = revision
    made: dict[str, Any] = {
        "llm_engine": "vLLM",
        "model_loading_config": {
            "model_id": settings.served_name,
            "model_source": {"bucket_uri": settings.model} if remote else source,
        },
        "deployment_config": {**scaling(settings), "max_ongoing_requests": settings.queue_pieces},
    }
    if settings.lora_path:
        engine |= {"enable_lora": True, "max_loras": settings.adapters, "max_lora_rank": settings.lora_rank}
        made["lora_config"] = {
            "dynamic_lora_loading_path": settings.lora_path,
            "max_num_adapters_per_replica": settings.adapters,
        }
    if settings.accelerator_type:
        made["accelerator_type"] = settings.accelerator_type
    return {**made, "engine_kwargs": engine}


def build(settings: TeacherSettings) -> Any:
    """Builds the application; raises `SettingsInvalid` where vLLM is not installed."""
    made = arguments(settings)
    if find_spec("vllm") is None:
        raise SettingsInvalid(
            "engine vllm needs vLLM, which is not installed: install ray[llm] on GPU nodes, or set engine transformers"
        )
    from ray.serve.llm import LLMConfig, build_openai_app

    return build_openai_app({"llm_configs": [LLMConfig(**made)]})


def _require_possible(settings: TeacherSettings) -> None:
    wrong = {
        "host": settings.host not in _LOOPBACK
        and "asks for no key: listen on 127.0.0.1 and put a proxy that asks for one before it",
        "embedding_model": settings.embedding_model and "serves no embeddings: set embedding_model to nothing",
        "model": _no_source(settings.model),
        "lora_path": settings.lora_path
        and not settings.lora_path.startswith(_REMOTE)
        and f"reads adapters from {', '.join(_REMOTE)} alone: copy there what `cultivar adapter pull` fetches",
        "artifacts": settings.artifacts
        and not settings.lora_path
        and "does not read the artifact store: set lora_path, or artifacts to nothing",
    }
    for name, why in wrong.items():
        if why:
            raise SettingsInvalid(f"the teachers' setting {name} is wrong: the vllm engine {why}")


def _no_source(model: str) -> str:
    if "/" in model and not model.endswith(".gguf"):
        return ""
    return "takes owner/name, s3://bucket/prefix, or a folder that all its nodes share: give one of these"
