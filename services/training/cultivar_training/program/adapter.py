"""The trained adapter: saved in PEFT's layout, then loaded again onto a fresh base model and compared."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from cultivar_models.weights import load_causal_model
from torch import Tensor

from cultivar_training.plan import ADAPTER_FILES
from cultivar_training.program.errors import Refused
from cultivar_training.program.packs import Pack, forward

CONFIG_FILE, TENSOR_FILE, REPORT_FILE = ADAPTER_FILES
TOLERANCE = 1e-3
"""The largest difference of logits between the trained and the loaded adapter, relative to the largest logit."""


class AdapterUnequal(RuntimeError):
    """Says that the saved adapter does not compute what the trained one does."""


def save_adapter(model: Any, folder: Path, base_model: str) -> None:
    """Writes the adapter as PEFT does, with the base model's name in place of a path of this machine."""
    model.peft_config["default"].base_model_name_or_path = base_model
    # Left to itself, PEFT asks the hub whether the base model's vocabulary was changed.
    model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    config = json.loads((folder / CONFIG_FILE).read_bytes())
    # PEFT keeps the modules as a set, whose order changes from process to process.
    config["target_modules"] = sorted(config["target_modules"])
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def check_adapter(model: Any, folder: Path, weights: Path, packs: Sequence[Pack]) -> dict[str, float]:
    """Loads the saved adapter onto a fresh base model and compares logits with the trained one's.

    Returns the largest difference from the trained model and from the base, both relative to the largest logit.
    Raises AdapterUnequal where it differs from the trained model, or does not from the base.
    """
    from peft import PeftModel

    trained = _logits(model, packs)
    fresh: Any = load_causal_model(weights, str(model.dtype).removeprefix("torch.")).to(model.device)
    base = _logits(fresh, packs)
    loaded = _logits(PeftModel.from_pretrained(fresh, str(folder)).eval(), packs)
    scale = float(trained.abs().max())
    from_trained = float((loaded - trained).abs().max()) / scale
    from_base = float((loaded - base).abs().max()) / scale
    if not from_trained <= TOLERANCE:
        raise AdapterUnequal(f"the saved adapter's logits differ from the trained one's by {from_trained:.2g}")
    if not from_base > 2 * from_trained:
        raise AdapterUnequal("the saved adapter computes what the base model does: nothing was learnt")
    return {"difference_from_trained": from_trained, "difference_from_base": from_base}


def require_finite(loss: float) -> None:
    """Raises Refused for a loss that is no number: training has diverged."""
    if not loss < float("inf"):
        raise Refused("the loss is no finite number any more: training diverged, lower the learning rate")


def _logits(model: Any, packs: Sequence[Pack]) -> Tensor:
    model.eval()
    with torch.inference_mode():
        return torch.cat([forward(model, pack.to(model.device)).float().cpu() for pack in packs])
