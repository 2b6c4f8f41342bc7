"""One release of both charts for all tests, and the figures that they measured, printed at the end."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import NAMESPACE, Release, install

NO_CLUSTER = "no cluster: `make cluster-test` starts one, as root, with Go and ../shared/cluster"
_figures: dict[str, str] = {}


@pytest.fixture(scope="session")
def images() -> Path:
    """The folder of the images' archives; the test is skipped where there is no cluster to run them."""
    folder = os.environ.get("CULTIVAR_IMAGES", "")
    if not folder or not os.environ.get("KUBECONFIG"):
        pytest.skip(NO_CLUSTER)
    return Path(folder)


@pytest.fixture(scope="session")
def release(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Both charts, installed and ready."""
    try:
        installed = install(tmp_path_factory.mktemp("release"))
        installed.figures = _figures
        yield installed
    finally:
        if not os.environ.get("KEEP"):
            subprocess.run(["kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found"], check=False)


@pytest.fixture
def figures() -> dict[str, str]:
    """What a test measured, by what it is."""
    return _figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the figures."""
    for name, value in _figures.items():
        terminalreporter.write_line(f"{name}: {value}")
