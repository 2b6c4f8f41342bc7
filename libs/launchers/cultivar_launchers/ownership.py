"""Marks the processes that belong to one data folder, so that they can be told from all others."""

import os
import secrets
from pathlib import Path

OWNER_VARIABLE = "CULTIVAR_OWNER"

_NAMES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHASHSEED"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    )
)
_PREFIXES = ("LC_", "HF_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "OMP_", "MKL_", "TORCH_", "XDG_")


def processes_folder(data_dir: Path) -> Path:
    """Returns `<data>/processes`, where each running process has a record; makes it, for its owner's eyes only."""
    folder = data_dir / "processes"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def owner_id(data_dir: Path) -> str:
    """Returns the data folder's id, 32 hex characters made at the first call and the same ever after."""
    path = processes_folder(data_dir) / "owner"
    draft = path.with_name(f"owner.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        return path.read_text()
    except FileNotFoundError:
        draft.write_text(secrets.token_hex(16))
    try:
        # A link fails where the name exists: of two first calls one wins, and no reader sees half an id.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()


def base_environment(data_dir: Path, extra_prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Returns what a program inherits: where things are and how to speak, never the service's own secrets.

    The mark of the data folder is in it. Variables whose names begin with one of `extra_prefixes` are let through.
    """
    prefixes = _PREFIXES + extra_prefixes
    kept = {name: value for name, value in os.environ.items() if name in _NAMES or name.startswith(prefixes)}
    return kept | {OWNER_VARIABLE: owner_id(data_dir), "PYTHONUNBUFFERED": "1"}
