import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from cultivar_models import processor

CAP = "ONEDNN_MAX_CPU_ISA"


@pytest.fixture(autouse=True)
def no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that what the code under test sets is taken back too.
    monkeypatch.setenv(CAP, "")
    monkeypatch.delenv(CAP)


def with_flags(monkeypatch: pytest.MonkeyPatch, flags: str, status: int = 0) -> list[int]:
    trials: list[int] = []
    monkeypatch.setattr(processor, "_flags", lambda: frozenset(flags.split()))

    def trial(*_: object, **__: object) -> SimpleNamespace:
        trials.append(status)
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(subprocess, "run", trial)
    return trials


def test_without_matrix_instructions_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = with_flags(monkeypatch, "avx512f avx512_bf16")
    assert processor.choose_dtype(tmp_path) == "float32"
    assert trials == []


def test_matrix_instructions_that_work_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_flags(monkeypatch, "amx_bf16 amx_tile")
    assert processor.choose_dtype(tmp_path) == "bfloat16"
    assert CAP not in os.environ


def test_matrix_instructions_that_kill_a_process_are_fenced_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_flags(monkeypatch, "amx_bf16 amx_tile", status=-4)
    assert processor.choose_dtype(tmp_path) == "float32"
    assert "AMX" not in os.environ[CAP]


def test_the_trial_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = with_flags(monkeypatch, "amx_bf16", status=-4)
    for _ in range(3):
        monkeypatch.delenv(CAP, raising=False)
        assert processor.choose_dtype(tmp_path) == "float32"
    assert trials == [-4]


def test_a_fence_that_somebody_set_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = with_flags(monkeypatch, "amx_bf16")
    monkeypatch.setenv(CAP, "AVX2")
    assert processor.choose_dtype(tmp_path) == "float32"
    assert os.environ[CAP] == "AVX2"
    assert trials == []
