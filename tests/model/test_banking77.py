"""The whole loop with the real small model on data that nobody here wrote, at a size that ends in minutes."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from tests.processes import Server
from tests.whole import ends_whole

EXAMPLE = Path("examples/banking77.yaml")
DATA = Path("../shared/data/banking77")
MINUTES = 8


def reduced() -> dict[str, object]:
    """The example with three intents, fewer rows and one training seed."""
    config = yaml.safe_load(EXAMPLE.read_text())
    config["task"]["labels"] = config["task"]["labels"][:3]
    for name, rows in (("seeds", 6), ("validation", 2), ("held_out", 8), ("stand_in", 6)):
        config["data"][name]["per_label"] = rows
    for use, count in zip(config["generate"], (24, 6), strict=True):
        use["count"] = count
    config["train"] |= {"seeds": [1], "max_trained_tokens": 2500}
    config["evaluate"] = {"arms": ["base", "real", "real_synthetic", "real_reviewed"]}
    return config


@pytest.mark.timeout(60 * MINUTES)
async def test_the_public_example_in_small_ends_in_a_report_of_every_arm(data_dir: Path, tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip("the shared data is not here: banking77 is looked for in ../shared/data")
    file = tmp_path / "banking77.yaml"
    file.write_text(yaml.safe_dump(reduced()))
    server = Server(data_dir)
    await server.start()
    report = tmp_path / "report.html"
    said = await cultivar(data_dir, "campaign", "run", str(file), "--data", str(DATA.absolute()), "-o", str(report))
    assert "accuracy" in said
    page = report.read_text()
    for arm in ("base model", "real only", "real + synthetic", "real + synthetic, reviewed"):
        assert arm in page
    listed = await cultivar(data_dir, "adapter", "list")
    (name, *others) = re.findall(r"^ *([0-9a-f]{12}) ", listed, re.MULTILINE)
    assert len(others) == 2, listed
    await cultivar(data_dir, "adapter", "pull", name, "-o", str(tmp_path / "adapter"))
    matrices = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(matrix.any() for matrix in matrices.values())
    assert (tmp_path / "adapter" / "adapter_config.json").exists()
    await ends_whole(server)


async def cultivar(data_dir: Path, *words: str) -> str:
    """Runs a command as a person would, and returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from cultivar.cli.main import app; app()", *words),
        env={"CULTIVAR_DATA_DIR": str(data_dir), "PATH": "/usr/bin:/bin", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return out.decode()
