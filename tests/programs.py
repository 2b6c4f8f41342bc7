"""Programs of others that some tests need, and how to get them."""

import os
import shutil
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Returns the path of a program; skips the test, saying how to get it, where there is none."""
    built = Path.home() / ".cache" / "cluster" / "bin" / name
    found = os.environ.get(f"{name.upper()}_BIN") or shutil.which(name) or (str(built) if built.is_file() else None)
    if found is None:
        pytest.skip(f"no {name}: run ../shared/cluster/build {name}, or name the program in {name.upper()}_BIN")
    return found


def peer(name: str) -> str:
    """Returns the Python of a peer's own environment; skips the test, saying how to make it, where there is none."""
    folder = Path(os.environ.get("PEERS") or Path.home() / ".cache" / "peers")
    found = folder / name / "bin" / "python"
    if not found.is_file():
        pytest.skip(f"no {name}: run ../shared/bench/setup.sh {folder} {name}, or name its folder's parent in PEERS")
    return str(found)
