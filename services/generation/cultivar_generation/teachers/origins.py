"""Where a model comes from: what `find_weights` knows, and besides it a prefix of an S3 store."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from cultivar_artifacts import ArtifactError, ArtifactMissing, S3Settings
from cultivar_artifacts.plain import PlainFile, PlainFiles
from cultivar_models.weights import WANTED, WeightsUnavailable, WeightsUnsafe, find_weights, require_safe


def find_model(reference: str, cache: Path, s3: Callable[[], S3Settings | None]) -> Path:
    """Gives the folder with a model's weights; `s3://bucket/prefix` is fetched once for each state of the prefix.

    Raises `WeightsUnavailable`, and `WeightsUnsafe` for a folder with code or with pickled weights alone.
    """
    if not reference.startswith("s3://"):
        return find_weights(reference, cache)
    settings = s3()
    if settings is None:
        raise WeightsUnavailable(f"{reference} needs the S3 store's endpoint and keys: set CULTIVAR_S3_… or s3_file")
    try:
        return _fetched(reference, settings, cache)
    except ArtifactMissing as error:
        raise WeightsUnavailable(f"there is no model at {reference}: {error}") from error
    except ArtifactError as error:
        raise WeightsUnavailable(f"{reference} could not be fetched: {error}") from error


def _fetched(reference: str, settings: S3Settings, cache: Path) -> Path:
    files = PlainFiles(reference, settings)
    wanted = files.list(lambda name: any(fnmatch(name, pattern) for pattern in WANTED))
    if not any(file.name.endswith(".safetensors") for file in wanted):
        raise WeightsUnavailable(
            f"{reference} has no *.safetensors: put config.json, tokenizer and safetensors right under the prefix; "
            "pickled weights are never read, convert them"
        )
    target = cache / "weights" / f"s3-{_state(reference, settings, wanted)}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for file in wanted:
            files.fetch(file, made)
            _require_whole(made / file.name, reference)
        _require_safe(made, reference)
        made.chmod(0o755)
        made.rename(target)
    except OSError as error:
        # Another replica of this machine was sooner; both have fetched the same.
        if not target.is_dir():
            raise WeightsUnavailable(f"{reference} cannot be kept in {cache}: {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _state(reference: str, settings: S3Settings, files: list[PlainFile]) -> str:
    listed = "\n".join(f"{file.name} {file.size} {file.version}" for file in files)
    return hashlib.sha256(f"{settings.endpoint} {reference}\n{listed}".encode()).hexdigest()[:32]


def _require_safe(folder: Path, reference: str) -> None:
    try:
        require_safe(folder)
    except (WeightsUnavailable, WeightsUnsafe) as error:
        # The folder is about to go: what the user knows is the address.
        raise type(error)(str(error).replace(str(folder), reference)) from error


def _require_whole(path: Path, reference: str) -> None:
    if path.suffix != ".safetensors":
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise WeightsUnavailable(f"{path.name} of {reference} is damaged ({error}): upload it again") from error
