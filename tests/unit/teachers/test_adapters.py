import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cultivar_generation.teachers.adapters import AdapterInvalid, AdapterSwitch, linear_shapes, read_adapter
from safetensors.torch import load_file, save_file

TOKENS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture
def model(tiny_model: Any) -> Any:
    """A model of this test's own: adapters change it."""
    from copy import deepcopy

    return deepcopy(tiny_model)


def save_adapter(model: Any, folder: Path, seed: int = 1, **config: Any) -> Path:
    """Saves an adapter as training does, with peft."""
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model

    settings = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], **config}
    trained = get_peft_model(deepcopy(model), LoraConfig(task_type="CAUSAL_LM", **settings))
    torch.manual_seed(seed)
    for name, parameter in trained.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    trained.save_pretrained(str(folder))
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(TOKENS).logits
    return found


def test_a_loaded_adapter_computes_what_peft_computes(model: Any, tmp_path: Path) -> None:
    from copy import deepcopy

    from peft import PeftModel

    folder = save_adapter(model, tmp_path)
    expected = logits(PeftModel.from_pretrained(deepcopy(model), str(folder)))
    base = logits(model)
    switch = AdapterSwitch(model)
    switch.load("p/one", read_adapter(folder, switch.shapes))
    torch.testing.assert_close(logits(model), base)
    switch.activate("p/one")
    torch.testing.assert_close(logits(model), expected)
    assert not torch.allclose(expected, base)


def test_adapters_stand_side_by_side_and_leave_the_base_as_it_was(model: Any, tmp_path: Path) -> None:
    base = logits(model)
    switch = AdapterSwitch(model)
    found = {}
    for seed, rank in ((1, 4), (2, 8)):
        folder = save_adapter(tiny_without_adapters(model), tmp_path / str(seed), seed, r=rank, use_rslora=True)
        switch.load(f"p/{seed}", read_adapter(folder, switch.shapes))
        switch.activate(f"p/{seed}")
        found[seed] = logits(model)
    switch.activate("p/1")
    torch.testing.assert_close(logits(model), found[1])
    assert not torch.allclose(found[1], found[2])
    switch.unload("p/1")
    torch.testing.assert_close(logits(model), base)
    switch.activate("p/2")
    torch.testing.assert_close(logits(model), found[2])
    switch.unload("p/2")
    torch.testing.assert_close(logits(model), base)


def tiny_without_adapters(model: Any) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM(model.config)


def test_an_unloaded_adapter_can_be_loaded_again(model: Any, tmp_path: Path) -> None:
    folder = save_adapter(model, tmp_path)
    switch = AdapterSwitch(model)
    adapter = read_adapter(folder, switch.shapes)
    found = []
    for _ in range(2):
        switch.load("p/one", adapter)
        switch.activate("p/one")
        found.append(logits(model))
        switch.unload("p/one")
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[1], logits(model))


def changed_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = {name: value.clone() for name, value in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


def first(tensors: dict[str, torch.Tensor], side: str = "A") -> str:
    return sorted(name for name in tensors if f".lora_{side}." in name)[0]


CHANGES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "it is empty": (lambda tensors: tensors.clear(), "empty or all zero"),
    "it is all zero": (lambda tensors: [value.zero_() for value in tensors.values()], "empty or all zero"),
    "it was never trained": (
        lambda tensors: [value.zero_() for name, value in tensors.items() if "lora_B" in name],
        "empty or all zero",
    ),
    "a value is no number": (lambda tensors: tensors[first(tensors)].fill_(float("nan")), "no finite numbers"),
    "a shape is of another model": (
        lambda tensors: tensors.update({first(tensors): torch.ones(4, 64)}),
        r"shape \(4, 64\)",
    ),
    "the rank is another": (lambda tensors: tensors.update({first(tensors): torch.ones(8, 32)}), r"shape \(8, 32\)"),
    "a matrix is missing": (lambda tensors: tensors.pop(first(tensors, "B")), "only one of its two matrices"),
    "a tensor has no layer": (
        lambda tensors: tensors.update(
            {"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": torch.ones(1)}
        ),
        "belongs to no linear layer",
    ),
    "a tensor is no LoRA": (
        lambda tensors: tensors.update({"base_model.model.lm_head.weight": torch.ones(1)}),
        "no linear",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_adapter_is_refused_when(name: str, model: Any, tmp_path: Path) -> None:
    folder = save_adapter(model, tmp_path)
    change, reason = CHANGES[name]
    changed_tensors(folder, change)
    with pytest.raises(AdapterInvalid, match=reason):
        read_adapter(folder, linear_shapes(model))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("peft_type", "IA3"),
        ("r", 0),
        ("r", "4"),
        ("lora_alpha", -1),
        ("use_dora", True),
        ("modules_to_save", ["lm_head"]),
        ("bias", "all"),
        ("init_lora_weights", "pissa"),
        ("rank_pattern", {"q_proj": 2}),
        ("layer_replication", [[0, 1]]),
        ("some_future_switch", True),
    ],
)
def test_a_configuration_that_asks_for_more_than_a_lora_is_refused(
    key: str, value: object, model: Any, tmp_path: Path
) -> None:
    path = save_adapter(model, tmp_path) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), key: value}))
    with pytest.raises(AdapterInvalid):
        read_adapter(tmp_path, linear_shapes(model))


def test_a_pickled_adapter_is_never_opened(model: Any, tmp_path: Path) -> None:
    folder = save_adapter(model, tmp_path)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(AdapterInvalid, match="safetensors"):
        read_adapter(folder, linear_shapes(model))


def test_a_damaged_file_is_refused(model: Any, tmp_path: Path) -> None:
    folder = save_adapter(model, tmp_path)
    (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(AdapterInvalid, match="cannot be read as safetensors"):
        read_adapter(folder, linear_shapes(model))
