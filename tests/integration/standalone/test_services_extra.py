"""What `pip install cultivar[services]` gives is enough to start every service, without torch and without Ray."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cultivar_standalone.mounts import SCHEMAS

ROOT = Path(__file__).parents[3]
NO_DATABASE = "no database is set: give CULTIVAR_DATABASE_URL"


@pytest.fixture(scope="module")
def python() -> Iterator[str]:
    """The interpreter of an environment with the extra `services` alone."""
    with tempfile.TemporaryDirectory() as folder:
        uv, interpreter = Path(sys.executable).parent / "uv", f"{folder}/bin/python"
        requirements = [str(ROOT / "requirements" / f"{name}.txt") for name in ("base", "services")]
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, folder],
            [uv, "pip", "sync", "--quiet", "--python", interpreter, *requirements],
            [uv, "pip", "install", "--quiet", "--python", interpreter, "--no-deps", "--editable", str(ROOT)],
        ):
            subprocess.run(command, check=True)
        yield interpreter


@pytest.mark.timeout(180)
@pytest.mark.parametrize("service", sorted(SCHEMAS))
def test_a_service_starts_with_the_services_extra_alone(python: str, service: str, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "CULTIVAR_PORT": "0", "CULTIVAR_METRICS_PORT": "0"}
    ended = subprocess.run(
        [python, "-m", f"cultivar_{service}"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert NO_DATABASE in ended.stderr, ended.stderr[-2000:]
    assert ended.returncode == 1


def test_the_services_extra_has_no_torch_and_no_ray(python: str) -> None:
    for module in ("torch", "ray", "transformers"):
        assert subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode != 0
