"""`cultivar prompt …` against the real service: each ends well, or with one sentence and status 1."""

from pathlib import Path

from cultivar.generation.v1 import generation_pb2 as pb
from cultivar_models.fake import FakeTeacher

from tests.conftest import Start
from tests.integration.generation.test_generation_runs import PARENT, finish, open_generation, spec
from tests.terminal import Terminal


async def test_a_prompt_is_made_amended_compared_and_reported_by_commands(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host, stub, seeds_name = await open_generation(start, teacher)
    terminal.at(host)
    file = tmp_path / "warm.yaml"
    file.write_text(
        "strategy: rewrite\nform: chat\nparams: {axes: {tone: [warm]}}\n"
        "template: 'Warmly: {{ text }} ({{ axes.tone }})'\n"
    )
    assert (await terminal("prompt", "create", "warm", str(file))).output == "warm@1\n"
    file.write_text(file.read_text().replace("Warmly:", "Warmly, keep numbers:"))
    found = "numbers were changed"
    told = await terminal("prompt", "create", "warm", str(file), "--parent", "warm@1", "--finding", found)
    assert told.output == "warm@2\n"
    shown = await terminal("prompt", "show", "warm")
    assert "parent: warm@1" in shown.output and found in shown.output and "keep numbers: {{ text }} (" in shown.output
    assert (
        "-Warmly: {{ text }} ({{ axes.tone }})\n+Warmly, keep numbers: {{ text }} ({{ axes.tone }})"
        in (await terminal("prompt", "diff", "warm@1", "warm@2")).output
    )
    use = pb.StrategyUse(strategy="rewrite", prompt=f"{PARENT}/prompts/warm", count=6)
    await finish(
        stub,
        await stub.CreateGenerationRun(pb.CreateGenerationRunRequest(parent=PARENT, spec=spec(seeds_name, use))),
    )
    report = (await terminal("prompt", "report", "warm")).output
    assert "warm@2" in report and "6" in report
    listed = (await terminal("prompt", "list")).output
    assert "translate@2" in listed and "warm@2" in listed


async def test_a_wrong_prompt_is_said_in_one_sentence(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host, _, _ = await open_generation(start, teacher)
    terminal.at(host)
    file = tmp_path / "wrong.yaml"
    for text, says in (
        ("strategy: rewrite\ntemplate: '{{ txt }}'\n", "did you mean 'text'"),
        ("tmplate: x\n", "its keys are form, template"),
        ("form: poem\ntemplate: x\n", "form is chat or continuation"),
        ("[", "cannot be read as YAML"),
    ):
        file.write_text(text)
        told = await terminal("prompt", "create", "wrong", str(file))
        assert told.exit_code == 1 and says in told.output, told.output
    assert "ListPrompts" in (await terminal("prompt", "show", "absent")).output
