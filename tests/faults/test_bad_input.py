"""What goes wrong at the command line: one clear sentence each that says what to do, and nothing half-made stays."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from cultivar_models.fake import FakeTeacher

from tests.processes import Server

MINUTE = 60.0
LABELS = ["refund", "delivery"]
TEXTS = {
    "refund": ["I want my money back for the lamp", "please refund order twelve", "the refund has not come yet"],
    "delivery": ["where is my parcel today", "it should have come on Monday", "the courier never rang the bell"],
}


@dataclass
class Cli:
    """The command line against one server."""

    data_dir: Path

    async def __call__(self, *words: str) -> tuple[int, str]:
        """Runs a command and returns its status and what it said on standard error."""
        process = await self.start(*words)
        _, said = await asyncio.wait_for(process.communicate(), MINUTE)
        return process.returncode or 0, said.decode()

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Starts a command."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from cultivar.cli.main import app; app()", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "CULTIVAR_DATA_DIR": str(self.data_dir), "COLUMNS": "200", "NO_COLOR": "1"},
        )


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def teacher() -> AsyncIterator[FakeTeacher]:
    """One fake teacher for all."""
    async with FakeTeacher() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cli(teacher: FakeTeacher) -> AsyncIterator[Cli]:
    """One server for all, with the fake teacher."""
    folder = Path(tempfile.mkdtemp(prefix="cultivar-data-"))
    folder.chmod(0o711)
    server = Server(folder, "--teachers-url", teacher.url)
    await server.start()
    yield Cli(folder)
    assert await server.stop() == 0
    shutil.rmtree(folder, ignore_errors=True)


def rows(texts: dict[str, list[str]], ending: str = "") -> str:
    """Rows of a file, JSONL."""
    made = [{"text": text + ending, "label": label} for label, group in texts.items() for text in group]
    return "".join(json.dumps(row) + "\n" for row in made)


def write_campaign(folder: Path, changes: str = "", **files: str) -> Path:
    """Writes a campaign file beside its data; `changes` is YAML that is added at the end."""
    parts = {"seeds": rows(TEXTS), "validation": rows(TEXTS, " now"), "held_out": rows(TEXTS, " thank you"), **files}
    for name, content in parts.items():
        (folder / f"{name}.jsonl").write_text(content)
    (folder / "campaign.yaml").write_text(
        "name: bad\ngoal: {metric: accuracy, target: 0.8, margin: 0.02}\n"
        f"task: {{instruction: Sort it., labels: [{', '.join(LABELS)}]}}\n"
        "data: {seeds: seeds.jsonl, validation: validation.jsonl, held_out: held_out.jsonl}\n" + changes
    )
    return folder / "campaign.yaml"


def one_sentence(said: str) -> str:
    """Returns what was said, having seen that it is short and no traceback."""
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.strip()]
    assert 1 <= len(lines) <= 4, said
    return " ".join(lines)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ("gaol: {}\n", "did you mean goal"),
        ("train: {base_model: smollm2-135-instruct}\n", "did you mean 'smollm2-135m-instruct'"),
        ("train: {learning_rat: 1}\n", "train.learning_rat: did you mean learning_rate"),
        ("generate: [{strategy: expandd, count: 4}]\n", "expand"),
        ("generate: [{strategy: expand, count: 4, params: {shotz: 2}}]\n", "shots"),
    ],
)
async def test_a_campaign_file_that_is_wrong_is_refused_with_the_nearest_right_name(
    cli: Cli, tmp_path: Path, changes: str, sentence: str
) -> None:
    status, said = await cli("campaign", "run", str(write_campaign(tmp_path, changes)))
    assert status == 1
    assert sentence in one_sentence(said)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"seeds": ""}, "empty"),
        ({"seeds": rows({"refnd": TEXTS["refund"]})}, "refund"),
        ({"held_out": rows(TEXTS)}, "held"),
        ({"seeds": '{"text": "cut off'}, "line 1"),
    ],
)
async def test_a_campaign_whose_data_is_wrong_fails_with_the_file_and_the_reason(
    cli: Cli, tmp_path: Path, files: dict[str, str], sentence: str
) -> None:
    status, said = await cli("campaign", "run", str(write_campaign(tmp_path, "", **files)))
    assert status == 1
    assert sentence in said
    assert "Traceback" not in said


async def test_a_file_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    path = write_campaign(tmp_path)
    (tmp_path / "seeds.jsonl").unlink()
    status, said = await cli("campaign", "run", str(path))
    assert status == 1
    assert "seeds.jsonl" in one_sentence(said)


async def test_every_tenth_row_broken_costs_those_rows_alone(cli: Cli, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"message number {n} about my order", "label": LABELS[n % 2]}) for n in range(40)]
    broken = ["{broken" if number % 10 == 9 else line for number, line in enumerate(lines)]
    (tmp_path / "seeds.jsonl").write_text("\n".join(broken) + "\n")
    status, said = await cli("augment", str(tmp_path / "seeds.jsonl"), "-n", "8", "-o", str(tmp_path / "out.jsonl"))
    assert status == 0, said
    assert "4" in said
    assert all(json.loads(line)["messages"] for line in (tmp_path / "out.jsonl").read_text().splitlines())


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00broken\xff", b'{"text": "' + b"x" * (3 << 20) + b'", "label": "a"}\n']
)
async def test_a_file_without_one_good_row_makes_nothing(cli: Cli, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seeds.jsonl").write_bytes(content)
    status, said = await cli("augment", str(tmp_path / "seeds.jsonl"), "-n", "4", "-o", str(tmp_path / "out.jsonl"))
    assert status == 1
    one_sentence(said)
    assert not (tmp_path / "out.jsonl").exists()


async def test_without_a_server_the_sentence_says_how_to_start_one(tmp_path: Path) -> None:
    status, said = await Cli(tmp_path)("campaign", "list")
    assert status == 1
    assert "cultivar up" in one_sentence(said)


async def test_ctrl_c_leaves_a_campaign_running_and_says_how_to_go_on(
    cli: Cli, tmp_path: Path, teacher: FakeTeacher
) -> None:
    teacher.settings = teacher.settings.model_copy(update={"latency_s": 1.0})
    before = teacher.stats.outcomes.total()
    process = await cli.start("campaign", "run", str(write_campaign(tmp_path)))
    while teacher.stats.outcomes.total() == before:
        await asyncio.sleep(0.1)
    process.send_signal(signal.SIGINT)
    shown, said = await asyncio.wait_for(process.communicate(), 20)
    told = (shown + said).decode()
    assert "Traceback" not in told
    name = told.split("cultivar campaign watch ")[1].split()[0].strip(".,;:`")
    status, refused = await cli("campaign", "cancel", name)
    assert status == 0, refused
