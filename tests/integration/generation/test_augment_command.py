"""`cultivar augment` and `cultivar prompt preview` with a budget, a kind of task and what they tell at their end."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cultivar.cli.augment import follow_run
from cultivar.example.v1 import example_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.generation.v1 import generation_pb2_grpc
from cultivar.run.v1 import run_pb2
from cultivar_models.fake import FakeSettings, FakeTeacher
from cultivar_service.serving import Host
from rich.console import Console

from tests.conftest import Start
from tests.integration.campaigns.loop import PARENT, rows
from tests.integration.campaigns.test_commands import open_host
from tests.terminal import Terminal

EXAMPLES = Path(__file__).parents[3] / "examples" / "prompts"


def stub_of(host: Host) -> Any:
    """The generation service of a host."""
    assert host.parts is not None
    return generation_pb2_grpc.GenerationServiceStub(host.parts.channel)


async def priced(host: Host, teacher: FakeTeacher) -> None:
    """Gives the teacher a price."""
    registered = pb.Teacher(url=teacher.url, model="smollm2-135m-instruct", concurrency=8, completion_price=1.0)
    await stub_of(host).RegisterTeacher(
        pb.RegisterTeacherRequest(parent=PARENT, teacher_id="fake", teacher=registered, skip_probe=True)
    )


async def newest(host: Host) -> pb.GenerationRun:
    """The run that was made last."""
    found: pb.ListGenerationRunsResponse = await stub_of(host).ListGenerationRuns(
        pb.ListGenerationRunsRequest(parent=PARENT)
    )
    return found.generation_runs[0]


async def test_a_run_stops_at_its_budget_and_a_retry_raises_it(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_bytes(rows("seeds"))
    words = ("--strategy", "rewrite", "-n", "300", "--teacher", "fake", "-o", str(out), "--random-seed", "7")
    told = await terminal("augment", str(seeds), *words, "--budget", "2000", "--recipe", "default")
    run = await newest(host)
    again = f"augment --retry {run.name.rpartition('/')[2]}"
    assert told.exit_code == 0 and "it stopped early: " in told.output and again in told.output, told.output
    assert (run.spec.random_seed, run.spec.budget.tokens, bool(run.stopped)) == (7, 2000, True)
    refused = await terminal(*again.split(), "-o", str(out))
    assert refused.exit_code == 1 and "give a larger budget" in refused.output
    told = await terminal(*again.split(), "-o", str(out), "--budget", "1000000")
    assert told.exit_code == 0 and "of 300 are in" in told.output and "stopped early" not in told.output, told.output
    unknown = await terminal("augment", str(seeds), *words, "--recipe", "nothing", "--refill")
    assert unknown.exit_code == 1 and "nothing" in unknown.output


async def test_ctrl_c_cancels_the_run_so_that_nothing_more_is_paid_for_and_a_retry_goes_on(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = await open_host(start, teacher, terminal)
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_bytes(rows("seeds"))
    teacher.settings = FakeSettings(latency_s=0.2)

    def interrupted(console: Console, label: str, changes: Iterator[Any]) -> Any:
        if label != "generate":
            return follow_run(console, label, changes)
        next(changes)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cultivar.cli.augment.follow_run", interrupted)
        told = await terminal("augment", str(seeds), "--strategy", "rewrite", "-n", "300", "-o", str(out))
    run = await newest(host)
    again = f"augment --retry {run.name.rpartition('/')[2]}"
    assert told.exit_code == 130 and again in told.output, told.output
    watch = pb.WatchGenerationRunRequest(name=run.name)
    ended = [each async for each in stub_of(host).WatchGenerationRun(watch)][-1]
    assert ended.run.state == run_pb2.RUN_STATE_CANCELLED and not out.exists()
    teacher.settings = FakeSettings()
    told = await terminal(*again.split(), "-o", str(out))
    assert told.exit_code == 0 and "of 300 are in" in told.output, told.output


async def test_the_end_tells_what_failed_what_is_short_what_was_rejected_and_the_cost(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    await priced(host, teacher)
    teacher.settings = FakeSettings(empty_rate=0.4)
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(rows("seeds"))
    params = ("--params", "{axes: {tone: [calm, angry]}, quotas: {tone: {calm: 3}}}")
    words = ("--strategy", "rewrite", "-n", "60", "--teacher", "fake", "-o", str(tmp_path / "out.jsonl"))
    told = (await terminal("augment", str(seeds), *words, *params)).output
    counts = (await newest(host)).run.progress.counts
    head = f"{counts['malformed']} pieces of answers could not be read, {counts['failed']} calls failed:"
    assert head in told and re.search(r"^  \d+ × ", told.split(head)[1], re.MULTILINE), told
    assert "made of what was asked for:" in told and re.search(r"axis tone calm: \d+ of 45", told), told
    assert re.search(r"\d+ tokens sent and [\d,]+ written, cost [\d.]+", told), told


async def test_the_kind_of_task_is_that_of_the_rows_or_of_the_option(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    words = ("-n", "2", "--teacher", "fake", "-o", str(tmp_path / "out.jsonl"))
    await terminal("augment", str(EXAMPLES / "entities.jsonl"), "--prompt", "entities-paraphrase", *words)
    task = (await newest(host)).spec.task
    assert task.kind == example_pb2.TASK_KIND_ENTITIES and list(task.labels) == ["person", "place"]
    await terminal("augment", str(EXAMPLES / "code.jsonl"), "--strategy", "preference", *words)
    assert (await newest(host)).spec.task.kind == example_pb2.TASK_KIND_CODE
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text(json.dumps({"text": "where is my parcel"}) + "\n")
    given = ("--strategy", "answer", "--task", "classification", "--labels", "refund,delivery")
    await terminal("augment", str(inputs), *given, *words)
    task = (await newest(host)).spec.task
    assert task.kind == example_pb2.TASK_KIND_CLASSIFICATION and list(task.labels) == ["refund", "delivery"]


async def test_a_preview_shows_calls_and_what_a_run_would_cost_and_makes_none(
    start: Start, teacher: FakeTeacher, tmp_path: Path, terminal: Terminal
) -> None:
    host = await open_host(start, teacher, terminal)
    await priced(host, teacher)
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(rows("seeds"))
    words = ("prompt", "preview", "by-label", "--seeds", str(seeds), "--teacher", "fake")
    told = await terminal(*words, "-n", "2", "--candidates", "400")
    assert told.exit_code == 0 and teacher.stats.calls == 2, told.output
    assert told.output.count("Write 4 different messages") == 2 and "user: " in told.output
    preview = re.search(r"this preview: 2 requests, .* written, cost ([\d.]+)", told.output)
    whole = re.search(r"a run for 400 candidates: 100 calls, .* cost about ([\d.]+)", told.output)
    assert preview and whole and float(whole[1]) == pytest.approx(50 * float(preview[1]), rel=0.01), told.output
    assert not (await stub_of(host).ListGenerationRuns(pb.ListGenerationRunsRequest(parent=PARENT))).generation_runs
    wrong = await terminal(*words, "--params", "{quotas: {label: {refnd: 3}}}")
    assert wrong.exit_code == 1 and "did you mean 'refund'" in wrong.output
