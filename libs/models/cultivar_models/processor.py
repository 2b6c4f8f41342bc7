"""Chooses the number format in which this machine's processor computes fastest, and keeps it from crashing.

Some virtual machines advertise Intel's matrix instructions (AMX) without the tile sizes they need, and a bfloat16
matrix product then ends the process with SIGILL. So a child process tries one before this process does.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

_TRIAL = """
import torch
torch.nn.functional.linear(torch.ones(64, 576, dtype=torch.bfloat16), torch.ones(1536, 576, dtype=torch.bfloat16))
"""
_CAP = "ONEDNN_MAX_CPU_ISA"
_TRIAL_SECONDS = 120


def choose_dtype(cache: Path) -> str:
    """Gives torch's name of the fastest safe number format on this processor: `bfloat16` or `float32`.

    bfloat16 pays only where matrix instructions work. Where they are advertised and do not work, sets the environment
    so that this process and its children leave them alone; call it before the first matrix product.
    cache: a folder where the result of the trial (some seconds) is kept until the machine or torch changes.
    """
    if "amx_bf16" not in _flags():
        return "float32"
    if _CAP in os.environ:
        return "bfloat16" if "AMX" in os.environ[_CAP] else "float32"
    if _tried(cache / f"processor-{_identity()}.json"):
        return "bfloat16"
    os.environ[_CAP] = "AVX512_CORE_BF16"
    return "float32"


def _flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


def _identity() -> str:
    """Names this start of this machine with this torch: a virtual machine may wake up on another processor."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    parts = [platform.node(), metadata.version("torch"), *sorted(_flags()), boot.read_text() if boot.exists() else ""]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _tried(result: Path) -> bool:
    if result.is_file():
        return json.loads(result.read_bytes()) is True
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRIAL], capture_output=True, timeout=_TRIAL_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return False
    result.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=result.parent, delete=False) as file:
        json.dump(done == 0, file)
    Path(file.name).replace(result)
    return done == 0
