"""The arguments of the vLLM engine, checked by Ray's own model of them; vLLM itself is not installed here."""

from importlib.util import find_spec
from typing import Any

import pytest
from cultivar_generation.teachers.settings import SettingsInvalid, TeacherSettings
from cultivar_generation.teachers.vllm_engine import arguments, build


def settings(**given: Any) -> TeacherSettings:
    usual = {"engine": "vllm", "model": "Qwen/Qwen3-8B", "embedding_model": ""}
    return TeacherSettings.model_validate(usual | given)


def checked(**given: Any) -> Any:
    """Returns the arguments as Ray reads them."""
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig

    return LLMConfig(**arguments(settings(**given)))


def test_model_and_lengths_reach_the_engine_and_code_of_a_model_is_never_run() -> None:
    config = checked(context=8192, rows=128, tensor_parallel_size=2, accelerator_type="H100", model_name="qwen")
    assert (config.model_loading_config.model_id, config.model_loading_config.model_source) == ("qwen", "Qwen/Qwen3-8B")
    assert config.accelerator_type == "H100"
    assert config.engine_kwargs == {
        "max_model_len": 8192,
        "max_num_seqs": 128,
        "tensor_parallel_size": 2,
        "dtype": "auto",
        "load_format": "safetensors",
        "trust_remote_code": False,
    }


def test_a_revision_and_a_bucket_are_said_as_ray_wants_them() -> None:
    pinned = checked(model="Qwen/Qwen3-8B@abc123")
    assert (pinned.model_loading_config.model_source, pinned.engine_kwargs["revision"]) == ("Qwen/Qwen3-8B", "abc123")
    mirrored = checked(model="s3://models/qwen", model_name="qwen").model_loading_config
    assert mirrored.model_source.bucket_uri == "s3://models/qwen"


def test_adapters_are_loaded_by_name_from_the_path() -> None:
    config = checked(lora_path="s3://models/adapters", adapters=7, lora_rank=32)
    assert config.lora_config.dynamic_lora_loading_path == "s3://models/adapters"
    assert config.lora_config.max_num_adapters_per_replica == 7
    assert [config.engine_kwargs[name] for name in ("enable_lora", "max_loras", "max_lora_rank")] == [True, 7, 32]


def test_replicas_scale_as_those_of_the_other_engine_do() -> None:
    config = checked(min_replicas=1, max_replicas=4, target_ongoing_requests=20)
    assert config.deployment_config["autoscaling_config"]["max_replicas"] == 4
    assert checked(replicas=2).deployment_config["num_replicas"] == 2


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"host": "0.0.0.0"}, "host"),
        ({"embedding_model": "all-minilm-l6-v2"}, "embedding_model"),
        ({"model": "smollm2-135m-instruct"}, "model"),
        ({"model": "/models/x.gguf"}, "model"),
        ({"lora_path": "/adapters"}, "lora_path"),
        ({"artifacts": "/artifacts"}, "artifacts"),
    ],
)
def test_what_this_engine_cannot_do_is_refused_and_named(given: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"setting {name} is wrong: the vllm engine"):
        arguments(settings(**given))


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_where_vllm_is_missing_it_says_what_to_install() -> None:
    with pytest.raises(SettingsInvalid, match=r"install ray\[llm\]"):
        build(settings())
