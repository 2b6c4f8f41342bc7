"""The commands for campaigns against real services: each ends well, or with one sentence and status 1."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cultivar.datasets.v1 import datasets_pb2, datasets_pb2_grpc
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.artifacts import open_artifact, read_examples
from cultivar_service.serving import Host
from cultivar_training.__main__ import build as training

from tests.conftest import Start
from tests.integration.campaigns.loop import OPENINGS, PARENT, config, register, rows
from tests.integration.campaigns.test_gates_and_ends import BUILDS, UNTRAINED
from tests.terminal import Terminal

HELD = "held_out.jsonl"


async def open_host(start: Start, teacher: FakeTeacher, terminal: Terminal) -> Host:
    """Starts all services but training, with the environment of the program set to them."""
    host = await start(*BUILDS, training, teachers_url=teacher.url)
    assert host.parts is not None
    await register(host.parts.channel, teacher)
    terminal.at(host)
    return host


def write_files(folder: Path, **changed: Any) -> Path:
    """Writes the data files and the campaign file, and returns the latter."""
    for source in OPENINGS:
        (folder / f"{source}.jsonl").write_bytes(rows(source))
    files = {source: f"{source}.jsonl" for source in OPENINGS}
    data = {**config(files, **UNTRAINED), **changed}
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


async def test_a_campaign_runs_from_its_file_to_its_report_and_every_command_knows_it(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    page = tmp_path / "report.html"
    told = await terminal("campaign", "run", str(write_files(tmp_path)), "-o", str(page))
    assert told.exit_code == 0, told.output
    assert "evaluate/base: succeeded" in told.output
    assert "The target of 0.8 accuracy was" in told.output
    assert page.read_text().startswith("<!doctype html>")
    listed = await terminal("campaign", "list")
    assert "small-1" in listed.output and "succeeded" in listed.output
    again = await terminal("campaign", "report", "small-1", "-o", str(tmp_path / "again.html"))
    assert again.exit_code == 0
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    late = await terminal("campaign", "pause", "small-1")
    assert late.exit_code == 1
    assert "small-1 is SUCCEEDED and cannot be paused" in late.output
    audit = await terminal("audit")
    assert audit.exit_code == 0, audit.output
    assert host.parts is not None
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(host.parts.channel)
    found = await stub.ListArtifacts(datasets_pb2.ListArtifactsRequest(parent=PARENT, kind="report"))
    assert {file.name for file in found.artifacts[0].files} == {"report.html", "report.json"}


async def first_kept(host: Host) -> str:
    """Returns the id of the first example that the newest filter run kept."""
    assert host.parts is not None
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(host.parts.channel)
    found = await stub.ListArtifacts(datasets_pb2.ListArtifactsRequest(parent=PARENT, kind="kept"))
    manifest = await open_artifact(host.parts.store, "default", found.artifacts[0].name, "kept")
    return next(iter([example async for example in read_examples(host.parts.store, manifest)])).id


WRONG: list[tuple[str, str]] = [
    ("name: [", "is not YAML in line"),
    ("- a\n- b\n", "is no campaign file"),
    ("name: x\ngaol: {}\n", "gaol: did you mean goal?"),
]


async def test_a_wrong_file_ends_with_one_sentence_and_nothing_is_sent(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    path = write_files(tmp_path)
    good = path.read_text()
    (tmp_path / "empty.jsonl").touch()
    wrong = [
        *WRONG,
        (good.replace("targ", "tarrg"), "goal.tarrget: did you mean target?"),
        (good.replace("strategy: expand", "strategy: expnd"), "did you mean 'expand'?"),
        (good.replace(HELD, "absent.jsonl"), "absent.jsonl does not exist"),
        (good.replace(HELD, "empty.jsonl"), "empty.jsonl is empty"),
    ]
    for content, said in wrong:
        path.write_text(content)
        told = await terminal("campaign", "run", str(path))
        assert told.exit_code == 1
        assert told.output.startswith("cultivar: ") and said in told.output, told.output
        assert told.output.count("\n") == 1
    gone = await terminal("campaign", "run", str(tmp_path / "absent.yaml"))
    assert gone.exit_code == 1 and "cannot be read" in gone.output
    assert host.parts is not None
    stub: Any = datasets_pb2_grpc.DatasetsServiceStub(host.parts.channel)
    assert not (await stub.ListArtifacts(datasets_pb2.ListArtifactsRequest(parent=PARENT))).artifacts


async def test_augment_writes_what_was_kept_as_chat_lines(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    await open_host(start, teacher, terminal)
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_bytes(rows("seeds"))
    told = await terminal("augment", str(seeds), "-n", "24", "-o", str(out), "--teacher", "fake")
    assert told.exit_code == 0, told.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert 0 < len(lines) <= 24
    assert {tuple(message["role"] for message in line["messages"]) for line in lines} == {("user", "assistant")}
    assert {line["messages"][1]["content"] for line in lines} <= {"refund", "delivery", "password"}
    await terminal(
        "teacher", "register", "other", "--model", "smollm2-135m-instruct", "--url", teacher.url, "--no-probe"
    )
    before = teacher.stats.calls
    shared = ("--teacher", "fake=3", "--teacher", "other=1")
    told = await terminal("augment", str(seeds), "-n", "24", "-o", str(out), "--refill", *shared)
    assert len(out.read_text().splitlines()) >= len(lines)
    assert told.exit_code == 0 and teacher.stats.calls > before, told.output
    nothing = await terminal("augment", str(seeds), "-o", str(out), "--teacher", "fake=0")
    assert nothing.exit_code != 0 and "share over 0" in nothing.output
    unknown = await terminal(
        "augment", str(seeds), "-n", "4", "-o", str(out), "--teacher", "fake", "--strategy", "expnd"
    )
    assert unknown.exit_code == 1
    assert "there is no strategy 'expnd'" in unknown.output and "expand, preference" in unknown.output


async def test_augment_whose_run_was_cancelled_says_how_to_go_on_with_it(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    teacher.settings = FakeSettings(latency_s=0.2)
    host = await open_host(start, teacher, terminal)
    assert host.parts is not None
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_bytes(rows("seeds"))
    words = ("--strategy", "rewrite", "-n", "400", "--teacher", "fake", "-o", str(out))
    augment = asyncio.create_task(terminal("augment", str(seeds), *words))
    while not teacher.stats.calls:
        await asyncio.sleep(0.05)
    stub: Any = generation_pb2_grpc.GenerationServiceStub(host.parts.channel)
    (run,) = (await stub.ListGenerationRuns(pb.ListGenerationRunsRequest(parent=PARENT))).generation_runs
    await stub.CancelGenerationRun(pb.CancelGenerationRunRequest(name=run.name))
    told = await augment
    again = f"augment --retry {run.name.rpartition('/')[2]}"
    assert told.exit_code == 1 and again in " ".join(told.output.split())
    teacher.settings = FakeSettings()
    told = await terminal(*again.split(), "-o", str(out))
    assert told.exit_code == 0 and "of 400 are in" in " ".join(told.output.split()), told.output
    assert (await terminal("augment", "--retry", "unknown")).exit_code == 1
    assert "name the file of seeds" in (await terminal("augment")).output


async def test_augment_asks_and_answers_what_a_text_says(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    await open_host(start, teacher, terminal)
    text, out = tmp_path / "mill.md", tmp_path / "out.jsonl"
    text.write_text("# The mill\n\nThe mill was built in 1820 by Ann Hall, who ground oats until the river fell dry.\n")
    params = ("--strategy", "documents", "--params", "{grounded: 0}", "-n", "12", "--teacher", "fake")
    told = await terminal("augment", str(text), *params, "-o", str(out))
    assert told.exit_code == 0, told.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines and all("Ann Hall" in line["evidence"][0] for line in lines)


async def test_augment_answers_inputs_and_a_prompt_brings_its_strategy(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    await open_host(start, teacher, terminal)
    seeds, out = tmp_path / "inputs.jsonl", tmp_path / "out.jsonl"
    asked = ["Name three trees that stay green in winter.", "Say why the sky looks blue at noon."]
    seeds.write_text("".join(json.dumps({"instruction": text}) + "\n" for text in asked))
    told = await terminal("augment", str(seeds), "--strategy", "answer", "-n", "2", "--teacher", "fake", "-o", str(out))
    assert told.exit_code == 0, told.output
    answered = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["messages"][0]["content"] for line in answered} == set(asked)
    more = tmp_path / "pairs.jsonl"
    told = await terminal(
        "augment", str(out), "--prompt", "preference-pair", "-n", "4", "--teacher", "fake", "-o", str(more)
    )
    assert told.exit_code == 0, told.output
    assert all(json.loads(line)["rejected"] for line in more.read_text().splitlines())
    wrong = await terminal("augment", str(out), "--params", "[1", "--teacher", "fake")
    assert wrong.exit_code == 1 and "--params is not YAML" in wrong.output


async def test_an_example_is_traced_to_its_seed_and_an_unknown_one_is_said_to_be(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_bytes(rows("seeds"))
    await terminal("augment", str(seeds), "-n", "8", "-o", str(out), "--teacher", "fake")
    told = await terminal("campaign", "trace", await first_kept(host))
    assert told.exit_code == 0, told.output
    assert "seeds.jsonl" in told.output and "expand" in told.output and "augmented" in told.output
    unknown = await terminal("campaign", "trace", "0" * 32)
    assert unknown.exit_code == 1 and unknown.output.startswith("cultivar: ")


async def test_without_a_server_every_command_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    monkeypatch.delenv("CULTIVAR_ADDRESS", raising=False)
    monkeypatch.setenv("CULTIVAR_DATA_DIR", str(tmp_path))
    for words in (["campaign", "list"], ["campaign", "watch", "x"], ["audit"], ["adapter", "list"]):
        told = await terminal(*words)
        assert told.exit_code == 1
        assert "start one with `cultivar up`" in told.output
