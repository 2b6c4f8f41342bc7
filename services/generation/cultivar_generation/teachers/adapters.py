"""LoRA adapters of the artifact store: checked against the base model, then put into it side by side.

Their configuration is data: only rank, scale and the way of scaling are taken from it, the modules are those that the
tensors name, and anything else that would change what the model computes is refused.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG_FILE = "adapter_config.json"
TENSOR_FILE = "adapter_model.safetensors"
_TENSOR = re.compile(r"base_model\.model\.(?P<module>[\w.]+)\.lora_(?P<side>[AB])\.weight")
_READ = {"peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "init_lora_weights"}
_WITHOUT_EFFECT = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "lora_dropout",
    "peft_version",
    "revision",
    "task_type",
}
_LARGEST_RANK = 1_024


LinearShapes = Mapping[str, tuple[int, int]]
"""Outputs and inputs of each linear layer, by its name in the model."""


class AdapterInvalid(ValueError):
    """Refuses an adapter that does not fit the base model or asks for more than a LoRA; the message says why."""


@dataclass(frozen=True, slots=True)
class CheckedAdapter:
    """An adapter that fits the base model: the configuration for peft, and the tensors by their saved names."""

    config: dict[str, Any]
    tensors: Mapping[str, Tensor]


def linear_shapes(model: "PreTrainedModel") -> LinearShapes:
    """Gives the shapes of the linear layers of a model that has no adapters yet."""
    linear = ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return {name: (module.out_features, module.in_features) for name, module in linear}


def read_adapter(folder: Path, shapes: LinearShapes) -> CheckedAdapter:
    """Reads an adapter from a folder and checks it against the base model's layers; raises `AdapterInvalid`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = _checked_config(folder / CONFIG_FILE)
    try:
        tensors: dict[str, Tensor] = load_file(folder / TENSOR_FILE)
    except (SafetensorError, OSError) as error:
        raise AdapterInvalid(f"{TENSOR_FILE} cannot be read as safetensors: train the adapter again") from error
    config["target_modules"] = _checked_modules(tensors, config["r"], shapes)
    return CheckedAdapter(config, tensors)


def adapter_key(name: str) -> str:
    """Gives the name an adapter has inside the model, free of characters that module names cannot hold."""
    return "a" + hashlib.sha256(name.encode()).hexdigest()[:24]


class AdapterSwitch:
    """Holds the adapters that are loaded into a model and turns one of them, or none, on; not thread-safe."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model: Any = model
        self.shapes = linear_shapes(model)
        self._active: str | None = None

    def load(self, name: str, adapter: CheckedAdapter) -> None:
        """Puts a checked adapter into the model, turned off."""
        from peft import LoraConfig
        from peft.functional import inject_adapter_in_model, set_peft_model_state_dict

        key = adapter_key(name)
        tensors = {_plain(tensor): value.to(self._model.dtype) for tensor, value in adapter.tensors.items()}
        with warnings.catch_warnings():
            # Several adapters on one model are what is wanted here.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            inject_adapter_in_model(LoraConfig(**adapter.config, inference_mode=True), self._model, key)
        result = set_peft_model_state_dict(self._model, tensors, key)
        self._turn_off()
        if result.unexpected_keys or any(key in missing for missing in result.missing_keys):
            self.unload(name)
            raise AdapterInvalid("some of the adapter's tensors have no place in the model: train it again")

    def unload(self, name: str) -> None:
        """Takes an adapter out of the model and gives its memory back."""
        from peft.functional import delete_adapter

        self._turn_off()
        delete_adapter(self._model, adapter_key(name), "lora_")
        del self._model.peft_config[adapter_key(name)]

    def activate(self, name: str | None) -> None:
        """Makes the model compute with this adapter, or with none."""
        if name == self._active:
            return
        if name is None:
            self._turn_off()
            return
        from peft.functional import set_adapter

        self._enable(True)
        set_adapter(self._model, adapter_key(name), inference_mode=True)
        self._active = name

    def _turn_off(self) -> None:
        from peft.functional import set_adapter

        set_adapter(self._model, [], inference_mode=True)
        self._enable(False)
        self._active = None

    def _enable(self, enabled: bool) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        for module in self._model.modules():
            if isinstance(module, BaseTunerLayer):
                module.enable_adapters(enabled)


def _plain(tensor: str) -> str:
    return tensor.removeprefix("base_model.model.")


def _checked_config(path: Path) -> dict[str, Any]:
    from peft import LoraConfig

    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterInvalid(f"{CONFIG_FILE} cannot be read as JSON: train the adapter again") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise AdapterInvalid("the adapter is not a LoRA: train it with LoRA")
    plain = LoraConfig().to_dict()
    known = _READ | _WITHOUT_EFFECT
    wrong = [key for key in config if key not in known and (config[key] or None) != (plain.get(key) or None)]
    if config.get("init_lora_weights", True) not in (True, False, "gaussian"):
        wrong.append("init_lora_weights")
    if wrong:
        raise AdapterInvalid(f"the adapter sets {', '.join(sorted(wrong))}: leave these at peft's defaults")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or not 1 <= rank <= _LARGEST_RANK:
        raise AdapterInvalid(f"the adapter's rank r must be a whole number from 1 to {_LARGEST_RANK}")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < 1e6:
        raise AdapterInvalid("the adapter's lora_alpha must be a number above 0")
    return {"r": rank, "lora_alpha": alpha, "use_rslora": bool(config.get("use_rslora"))}


def _checked_modules(tensors: Mapping[str, Tensor], rank: int, shapes: LinearShapes) -> list[str]:
    """Lists the modules that the tensors change; each must be a linear layer, and have both of its matrices."""
    sides: dict[str, set[str]] = {}
    for tensor, value in tensors.items():
        found = _TENSOR.fullmatch(tensor)
        if not found or found["module"] not in shapes:
            raise AdapterInvalid(f"the tensor {tensor[:120]!r} belongs to no linear layer of the base model")
        outputs, inputs = shapes[found["module"]]
        expected = (rank, inputs) if found["side"] == "A" else (outputs, rank)
        if tuple(value.shape) != expected:
            raise AdapterInvalid(f"{tensor} has shape {tuple(value.shape)}, the base model and r need {expected}")
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            raise AdapterInvalid(f"{tensor} holds values that are no finite numbers: train the adapter again")
        sides.setdefault(found["module"], set()).add(found["side"])
    _require_effect(tensors, sides)
    return sorted(sides)


def _require_effect(tensors: Mapping[str, Tensor], sides: Mapping[str, set[str]]) -> None:
    if any(found != {"A", "B"} for found in sides.values()):
        raise AdapterInvalid("a layer of the adapter has only one of its two matrices: train the adapter again")
    if not any(bool(value.any()) for tensor, value in tensors.items() if ".lora_B." in tensor):
        raise AdapterInvalid("the adapter changes nothing, it is empty or all zero: train it, or use the base model")
