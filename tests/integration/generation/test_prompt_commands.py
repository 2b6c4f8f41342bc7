"""`cultivar prompt …` against the real service: each ends well, or with one sentence and status 1."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cultivar.cli.main import app
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar_models.fake import FakeTeacher
from typer.testing import CliRunner

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, finish, open_generation, spec


async def run(*words: str) -> Any:
    """Runs a command of the program, in a terminal that is wide enough for its tables."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["prompt", *words], env={"COLUMNS": "200"})


async def test_a_prompt_is_made_amended_compared_and_reported_by_commands(
    start: Start, teacher: FakeTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    monkeypatch.setenv("CULTIVAR_ADDRESS", host.listening.address)
    monkeypatch.setenv("CULTIVAR_TOKEN", host.token)
    file = tmp_path / "warm.yaml"
    file.write_text("strategy: rewrite\nform: chat\nparams: {axes: {tone: [warm]}}\ntemplate: 'Warmly: {{ text }}'\n")
    assert (await run("create", "warm", str(file))).output == "warm@1\n"
    file.write_text(file.read_text().replace("Warmly:", "Warmly, keep numbers:"))
    found = "numbers were changed"
    told = await run("create", "warm", str(file), "--parent", "warm@1", "--finding", found)
    assert told.output == "warm@2\n"
    shown = await run("show", "warm")
    assert "parent: warm@1" in shown.output and found in shown.output and "keep numbers: {{ text }}" in shown.output
    assert "-Warmly: {{ text }}\n+Warmly, keep numbers: {{ text }}" in (await run("diff", "warm@1", "warm@2")).output
    use = pb.StrategyUse(strategy="rewrite", prompt=f"{PARENT}/prompts/warm", count=6)
    await finish(
        stub,
        await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use))),
    )
    report = (await run("report", "warm")).output
    assert "warm@2" in report and "6" in report
    listed = (await run("list")).output
    assert "translate@1" in listed and "warm@2" in listed


async def test_a_wrong_prompt_is_said_in_one_sentence(
    start: Start, teacher: FakeTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, _ = await open_generation(start, teacher)
    monkeypatch.setenv("CULTIVAR_ADDRESS", host.listening.address)
    monkeypatch.setenv("CULTIVAR_TOKEN", host.token)
    file = tmp_path / "wrong.yaml"
    for text, says in (
        ("strategy: rewrite\ntemplate: '{{ txt }}'\n", "did you mean 'text'"),
        ("tmplate: x\n", "its keys are form, template"),
        ("form: poem\ntemplate: x\n", "form is chat or continuation"),
        ("[", "cannot be read as YAML"),
    ):
        file.write_text(text)
        told = await run("create", "wrong", str(file))
        assert told.exit_code == 1 and says in told.output, told.output
    assert "ListPrompts" in (await run("show", "absent")).output
