"""`cultivar augment seeds.jsonl -n 1000 -o out.jsonl`: the first half of the loop in one line."""

import csv
import json
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console

from cultivar.cli.calling import Project, connected, failed
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


def augment(
    seeds: Annotated[Path, typer.Argument(help="The seeds: JSONL, CSV or Parquet.")],
    number: Annotated[int, typer.Option("-n", min=1, help="Candidates to ask for; fewer are kept.")] = 1000,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write what was kept, as chat JSONL.")] = Path(
        "out.jsonl"
    ),
    strategy: Annotated[str, typer.Option(help="The strategy, such as expand or rewrite.")] = "expand",
    teacher: Annotated[str, typer.Option(help="The teacher, as it was registered.")] = "local",
    instruction: Annotated[str, typer.Option(help="What the examples are for, in a sentence.")] = "",
    labelled: Annotated[bool | None, typer.Option(help="Whether rows have labels; found out if not given.")] = None,
    project: Project = "default",
) -> None:
    """Grows a file of seeds: imports it, generates, filters, and writes what was kept as chat JSONL."""
    console = Console(stderr=True)
    with connected(project) as client:
        has_labels = has_label(seeds) if labelled is None else labelled
        task = example_pb2.Task(kind=kind_of(has_labels), instruction=instruction)
        imported = import_seeds(client, console, seeds, task)
        task.labels.extend(sorted(label for label in imported.by_label if label) if has_labels else [])
        made = generate(client, console, imported.artifacts["seeds"], task, strategy, number, teacher)
        kept = filter_made(client, console, made.candidates, imported.artifacts["seeds"], task)
        if not kept.run.progress.counts["kept"]:
            raise failed("no candidate was kept: try another strategy, a stronger teacher or more seeds")
        write_chat(client, console, kept.kept, output)
    typer.echo(f"{kept.run.progress.counts['kept']:,} of {made.run.progress.counts['candidates']:,} are in {output}")


def kind_of(has_labels: bool) -> "example_pb2.TaskKind.ValueType":
    """Returns the kind of task."""
    return example_pb2.TASK_KIND_CLASSIFICATION if has_labels else example_pb2.TASK_KIND_INSTRUCTION


def has_label(path: Path) -> bool:
    """Tells whether the first row of a file has a label; a Parquet file is taken to have none."""
    if path.suffix == ".parquet":
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        if path.suffix == ".csv":
            return bool(set(LABELS) & set(next(csv.reader(file), [])))
        try:
            first = json.loads(next((line for line in file if line.strip()), "{}"))
        except ValueError:
            return False
    return isinstance(first, dict) and bool(set(LABELS) & first.keys())


def import_seeds(client: Client, console: Console, path: Path, task: example_pb2.Task) -> datasets_pb2.ImportRun:
    """Sends the file and reads its examples."""
    spec = datasets_pb2.ImportSpec(file=upload(client, path), task=task)
    request = datasets_pb2.ImportExamplesRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    run = client.datasets.ImportExamples(request)
    watch = datasets_pb2.WatchImportRunRequest(name=run.name)
    run = follow_run(console, "import", steadily(lambda: client.datasets.WatchImportRun(watch)))
    for bad in run.first_bad_rows[:5]:
        console.print(f"  line {bad.line} was left out: {bad.reason}", highlight=False)
    done: datasets_pb2.ImportRun = succeeded(run)
    return done


def generate(
    client: Client, console: Console, seeds: str, task: example_pb2.Task, strategy: str, number: int, teacher: str
) -> generation_pb2.GenerationRun:
    """Lets the teacher write candidates."""
    spec = generation_pb2.GenerationSpec(
        seeds=seeds,
        task=task,
        strategies=[generation_pb2.StrategyUse(strategy=strategy, count=number)],
        teacher=client.name("teachers", teacher),
    )
    request = generation_pb2.CreateGenerationRunRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    watch = generation_pb2.WatchGenerationRunRequest(name=client.generation.CreateGenerationRun(request).name)
    changes = steadily(lambda: client.generation.WatchGenerationRun(watch))
    done: generation_pb2.GenerationRun = succeeded(follow_run(console, "generate", changes))
    return done


def filter_made(
    client: Client, console: Console, candidates: str, seeds: str, task: example_pb2.Task
) -> filtering_pb2.FilterRun:
    """Keeps the candidates that the shipped recipe does not reject."""
    spec = filtering_pb2.FilterSpec(examples=candidates, seeds=seeds, task=task)
    request = filtering_pb2.CreateFilterRunRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    watch = filtering_pb2.WatchFilterRunRequest(name=client.filtering.CreateFilterRun(request).name)
    changes = steadily(lambda: client.filtering.WatchFilterRun(watch))
    done: filtering_pb2.FilterRun = succeeded(follow_run(console, "filter", changes))
    return done


def write_chat(client: Client, console: Console, kept: str, output: Path) -> None:
    """Makes a dataset version of what was kept, and fetches its chat file."""
    source = datasets_pb2.Source(artifact=kept, role=datasets_pb2.SOURCE_ROLE_SYNTHETIC)
    spec = datasets_pb2.DatasetSpec(sources=[source], description="Made by cultivar augment.")
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
