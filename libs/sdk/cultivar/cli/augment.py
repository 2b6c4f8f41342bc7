"""`cultivar augment seeds.jsonl -n 1000 -o out.jsonl`: the first half of the loop in one line."""

import csv
import json
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
import yaml
from rich.console import Console

from cultivar.cli.calling import Project, connected, failed
from cultivar.cli.dataset import Licences
from cultivar.cli.finding import record_outcomes
from cultivar.cli.watching import follow_run, steadily
from cultivar.client import Client, RunFailed
from cultivar.datasets.v1 import datasets_pb2
from cultivar.example.v1 import example_pb2
from cultivar.files import download, upload
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2
from cultivar.run.v1 import run_pb2

LABELS = ("label", "category", "intent")
DATASET = "augmented"
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        help="The teacher, as it was registered; several with their shares of the calls: --teacher a=3 --teacher b=1.",
        show_default="local",
    ),
]


def augment(
    seeds: Annotated[Path | None, typer.Argument(help="The seeds: JSONL, CSV, Parquet; a text for documents.")] = None,
    number: Annotated[int, typer.Option("-n", min=1, help="Candidates to ask for; fewer are kept.")] = 1000,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write what was kept, as chat JSONL.")] = Path(
        "out.jsonl"
    ),
    strategy: Annotated[str, typer.Option(help="The strategy, such as expand, rewrite, answer or documents.")] = "",
    prompt: Annotated[str, typer.Option(help="A prompt, such as translate or by-label; it brings its strategy.")] = "",
    params: Annotated[str, typer.Option(help="Parameters of the strategy, as YAML: '{per_call: 2}'.")] = "",
    teacher: Teachers = None,
    instruction: Annotated[str, typer.Option(help="What the examples are for, in a sentence.")] = "",
    labelled: Annotated[bool | None, typer.Option(help="Whether rows have labels; found out if not given.")] = None,
    licence: Licences = None,
    refill: Annotated[
        bool, typer.Option("--refill", help="Ask again, up to as often, for what the filters do not keep of -n.")
    ] = False,
    retry: Annotated[str, typer.Option(help="A generation run that ended early, to go on with instead of seeds.")] = "",
    project: Project = "default",
) -> None:
    """Grows a file of seeds: imports it, generates, filters, and writes what was kept as chat JSONL."""
    console = Console(stderr=True)
    with connected(project) as client:
        if retry:
            made = go_on(client, console, retry)
        elif seeds is None:
            raise failed("name the file of seeds, or a run with --retry")
        else:
            use = use_of(client, strategy, prompt, params, number)
            use.refill = refill
            made = grow(client, console, seeds, use, instruction, labelled, teacher or ["local"])
        kept = filter_made(client, console, made)
        record_outcomes(client, kept.verdicts)
        if not kept.run.progress.counts["kept"]:
            raise failed("no candidate was kept: try another strategy, a stronger teacher or more seeds")
        write_chat(client, console, kept.kept, output, licence or [])
    typer.echo(f"{kept.run.progress.counts['kept']:,} of {made.run.progress.counts['candidates']:,} are in {output}")


def grow(
    client: Client,
    console: Console,
    seeds: Path,
    use: generation_pb2.StrategyUse,
    instruction: str,
    labelled: bool | None,
    teachers: list[str],
) -> generation_pb2.GenerationRun:
    """Imports a file of seeds and lets teachers write candidates."""
    program = program_of(client, use)
    has_labels = has_label(seeds, program) if labelled is None else labelled
    task = example_pb2.Task(kind=kind_of(has_labels, program), instruction=instruction)
    imported = import_seeds(client, console, seeds, task, program.takes_inputs)
    task.labels.extend(sorted(label for label in imported.by_label if label) if has_labels else [])
    return generate(client, console, imported.artifacts["seeds"], task, use, *teachers)


def use_of(client: Client, strategy: str, prompt: str, params: str, number: int) -> generation_pb2.StrategyUse:
    """Returns the use of a strategy that the options ask for; a prompt brings its own."""
    named = client.name("prompts", prompt) if prompt else ""
    if named and not strategy:
        strategy = client.generation.GetPrompt(generation_pb2.GetPromptRequest(name=named)).strategy
    use = generation_pb2.StrategyUse(strategy=strategy or "expand", prompt=named, count=number)
    try:
        given = yaml.safe_load(params) if params else {}
        use.params.update(given)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise failed("--params is not YAML of names and values: write it as '{per_call: 2}'") from error
    return use


def program_of(client: Client, use: generation_pb2.StrategyUse) -> generation_pb2.Strategy:
    """Returns what the server says of the strategy of a use."""
    known = client.generation.ListStrategies(generation_pb2.ListStrategiesRequest(parent=client.parent)).strategies
    found = next((one for one in known if one.strategy == use.strategy), None)
    if found is None:
        names = ", ".join(one.strategy for one in known)
        raise failed(f"there is no strategy {use.strategy!r}: the strategies are {names}")
    return found


def kind_of(has_labels: bool, program: generation_pb2.Strategy) -> "example_pb2.TaskKind.ValueType":
    """Returns the kind of task: what the rows say, or the one that the strategy is for."""
    wanted = example_pb2.TASK_KIND_CLASSIFICATION if has_labels else example_pb2.TASK_KIND_INSTRUCTION
    return wanted if wanted in program.tasks else program.tasks[0]


def has_label(path: Path, program: generation_pb2.Strategy) -> bool:
    """Tells whether the first row of a file has a label; a Parquet file, and inputs alone, are taken to have none."""
    if path.suffix == ".parquet" or program.takes_inputs:
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        if path.suffix == ".csv":
            return bool(set(LABELS) & set(next(csv.reader(file), [])))
        try:
            first = json.loads(next((line for line in file if line.strip()), "{}"))
        except ValueError:
            return False
    return isinstance(first, dict) and bool(set(LABELS) & first.keys())


def import_seeds(
    client: Client, console: Console, path: Path, task: example_pb2.Task, unanswered: bool
) -> datasets_pb2.ImportRun:
    """Sends the file and reads its examples."""
    spec = datasets_pb2.ImportSpec(file=upload(client, path), task=task, unanswered=unanswered)
    request = datasets_pb2.ImportExamplesRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    run = client.datasets.ImportExamples(request)
    watch = datasets_pb2.WatchImportRunRequest(name=run.name)
    run = follow_run(console, "import", steadily(lambda: client.datasets.WatchImportRun(watch)))
    for bad in run.first_bad_rows[:5]:
        console.print(f"  line {bad.line} was left out: {bad.reason}", highlight=False)
    done: datasets_pb2.ImportRun = succeeded(run)
    return done


def generate(
    client: Client,
    console: Console,
    seeds: str,
    task: example_pb2.Task,
    use: generation_pb2.StrategyUse,
    *teachers: str,
) -> generation_pb2.GenerationRun:
    """Lets teachers write candidates; a teacher is a name, or `name=share` where there are several."""
    spec = generation_pb2.GenerationSpec(
        seeds=seeds,
        task=task,
        strategies=[use],
        teachers=[weighted(client, teacher) for teacher in teachers],
        filter=filtering_pb2.FilterSpec() if use.refill else None,
    )
    request = generation_pb2.CreateGenerationRunRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    return follow_generation(client, console, client.generation.CreateGenerationRun(request))


def go_on(client: Client, console: Console, run: str) -> generation_pb2.GenerationRun:
    """Lets a run that ended early make the calls that it has not made; one that made them all stays as it is."""
    name = client.name("generationRuns", run)
    ended = client.generation.GetGenerationRun(generation_pb2.GetGenerationRunRequest(name=name))
    if ended.run.state == run_pb2.RUN_STATE_SUCCEEDED and not ended.stopped:
        return ended
    request = generation_pb2.RetryGenerationRunRequest(name=name, request_id=uuid4().hex)
    return follow_generation(client, console, client.generation.RetryGenerationRun(request))


def follow_generation(
    client: Client, console: Console, run: generation_pb2.GenerationRun
) -> generation_pb2.GenerationRun:
    """Follows a generation run to its end; what ends it early says how to go on with it."""
    watch = generation_pb2.WatchGenerationRunRequest(name=run.name)
    changes = steadily(lambda: client.generation.WatchGenerationRun(watch))
    done: generation_pb2.GenerationRun = follow_run(console, "generate", changes)
    if done.run.state != run_pb2.RUN_STATE_SUCCEEDED:
        again = f"`cultivar augment --retry {run.name.rpartition('/')[2]}` goes on with what it has made"
        raise RunFailed(f"{done.run.error.message or 'the run was cancelled'}; {again}")
    return done


def weighted(client: Client, teacher: str) -> generation_pb2.WeightedTeacher:
    """Reads `name` or `name=share`, a share over 0; raises BadParameter."""
    name, _, share = teacher.partition("=")
    try:
        weight = float(share or 1)
    except ValueError:
        weight = 0.0
    if not name or not 0 < weight < float("inf"):
        raise typer.BadParameter(f"--teacher {teacher!r} is no name, nor name=share with a share over 0, as in local=3")
    return generation_pb2.WeightedTeacher(teacher=client.name("teachers", name), weight=weight)


def filter_made(client: Client, console: Console, made: generation_pb2.GenerationRun) -> filtering_pb2.FilterRun:
    """Keeps the candidates that the shipped recipe does not reject."""
    spec = filtering_pb2.FilterSpec(examples=made.candidates, seeds=made.spec.seeds, task=made.spec.task)
    request = filtering_pb2.CreateFilterRunRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    watch = filtering_pb2.WatchFilterRunRequest(name=client.filtering.CreateFilterRun(request).name)
    changes = steadily(lambda: client.filtering.WatchFilterRun(watch))
    done: filtering_pb2.FilterRun = succeeded(follow_run(console, "filter", changes))
    return done


def write_chat(client: Client, console: Console, kept: str, output: Path, licences: list[str]) -> None:
    """Makes a dataset version of what was kept, and fetches its chat file."""
    source = datasets_pb2.Source(artifact=kept, role=datasets_pb2.SOURCE_ROLE_SYNTHETIC)
    spec = datasets_pb2.DatasetSpec(sources=[source], description="Made by cultivar augment.", licences=licences)
    request = datasets_pb2.CreateDatasetVersionRequest(
        parent=client.parent, dataset_id=DATASET, spec=spec, request_id=uuid4().hex
    )
    watch = datasets_pb2.WatchDatasetVersionRequest(name=client.datasets.CreateDatasetVersion(request).name)
    changes = steadily(lambda: client.datasets.WatchDatasetVersion(watch))
    version = succeeded(follow_run(console, "dataset", changes))
    download(client, version.artifact, "chat.jsonl", output)


def succeeded(run: Any) -> Any:
    """Returns a run; raises RunFailed with its own sentence unless it SUCCEEDED."""
    if run.run.state != run_pb2.RUN_STATE_SUCCEEDED:
        raise RunFailed(run.run.error.message or "the run was cancelled")
    return run
