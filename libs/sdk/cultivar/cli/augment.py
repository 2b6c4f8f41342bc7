"""`cultivar augment seeds.jsonl -n 1000 -o out.jsonl`: the first half of the loop in one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer
import yaml
from rich.console import Console

from cultivar.cli import augment_options as options
from cultivar.cli.augment_end import show_end
from cultivar.cli.calling import INTERRUPTED, Project, connected, failed
from cultivar.cli.dataset import Licences
from cultivar.cli.finding import record_outcomes
from cultivar.cli.seed_task import LabelsOption, TaskOption, kind_said, task_of
from cultivar.cli.watching import follow_run, steadily
from cultivar.client import Client, RunFailed
from cultivar.datasets.v1 import datasets_pb2
from cultivar.example.v1 import example_pb2
from cultivar.files import download, upload
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2
from cultivar.run.v1 import run_pb2

DATASET = "augmented"


@dataclass(frozen=True)
class Limits:
    """What a run may spend, what its random choices follow from, and the recipe that judges its candidates."""

    budget: generation_pb2.Budget | None = None
    random_seed: int = 0
    recipe: str = ""


def augment(
    seeds: options.Seeds = None,
    number: options.Number = 1000,
    output: options.Output = Path("out.jsonl"),
    strategy: options.Strategy = "",
    prompt: options.Prompt = "",
    params: options.Params = "",
    teacher: options.Teachers = None,
    instruction: options.Instruction = "",
    task: TaskOption = None,
    labels: LabelsOption = "",
    labelled: options.Labelled = None,
    licence: Licences = None,
    refill: options.Refill = False,
    budget: options.Tokens = 0,
    budget_cost: options.Cost = 0,
    recipe: options.Recipe = "",
    random_seed: options.RandomSeed = 0,
    retry: options.Retry = "",
    project: Project = "default",
) -> None:
    """Grows a file of seeds: imports it, generates, filters, and writes what was kept as chat JSONL."""
    console = Console(stderr=True)
    spend = generation_pb2.Budget(tokens=budget, cost=budget_cost) if budget or budget_cost else None
    limits = Limits(spend, random_seed, recipe)
    with connected(project) as client:
        if retry:
            made = go_on(client, console, retry, spend)
        elif seeds is None:
            raise failed("name the file of seeds, or a run with --retry")
        else:
            use = use_of(client, strategy, prompt, params, number)
            use.refill = refill
            said = task_of(seeds, program_of(client, use), kind_said(task, labelled), labels, instruction)
            made = grow(client, console, seeds, said, use, teacher or ["local"], limits)
        kept = finish(client, console, made, recipe)
        write_chat(client, console, kept.kept, output, licence or [])
    typer.echo(f"{kept.run.progress.counts['kept']:,} of {made.run.progress.counts['candidates']:,} are in {output}")


def grow(
    client: Client,
    console: Console,
    seeds: Path,
    task: example_pb2.Task,
    use: generation_pb2.StrategyUse,
    teachers: list[str],
    limits: Limits,
) -> generation_pb2.GenerationRun:
    """Imports a file of seeds and lets teachers write candidates."""
    imported = import_seeds(client, console, seeds, task, program_of(client, use).takes_inputs)
    labels_of(task, imported)
    return generate(client, console, imported.artifacts["seeds"], task, use, *teachers, limits=limits)


def labels_of(task: example_pb2.Task, imported: datasets_pb2.ImportRun) -> None:
    """Gives a classification task without labels those of the imported rows."""
    if task.kind == example_pb2.TASK_KIND_CLASSIFICATION and not task.labels:
        task.labels.extend(sorted(label for label in imported.by_label if label))


def finish(
    client: Client, console: Console, made: generation_pb2.GenerationRun, recipe: str
) -> filtering_pb2.FilterRun:
    """Filters what was made and says what became of it; ends the program where nothing was kept."""
    kept = filter_made(client, console, made, recipe)
    record_outcomes(client, kept.verdicts)
    show_end(client, console, made, kept)
    if not kept.run.progress.counts["kept"]:
        raise failed("no candidate was kept: try another strategy, a stronger teacher or more seeds")
    return kept


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


def import_seeds(
    client: Client, console: Console, path: Path, task: example_pb2.Task, unanswered: bool
) -> datasets_pb2.ImportRun:
    """Sends the file and reads its examples; inputs alone have no labels yet, so they are read as instructions."""
    if unanswered:
        task = example_pb2.Task(kind=example_pb2.TASK_KIND_INSTRUCTION, instruction=task.instruction)
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
    limits: Limits | None = None,
) -> generation_pb2.GenerationRun:
    """Lets teachers write candidates; a teacher is a name, or `name=share` where there are several."""
    limits = limits or Limits()
    spec = generation_spec(client, seeds, task, use, teachers)
    spec.random_seed = limits.random_seed
    if limits.budget is not None:
        spec.budget.CopyFrom(limits.budget)
    if use.refill:
        spec.filter.CopyFrom(filtering_pb2.FilterSpec(recipe=limits.recipe))
    request = generation_pb2.CreateGenerationRunRequest(parent=client.parent, spec=spec, request_id=uuid4().hex)
    return follow_generation(client, console, client.generation.CreateGenerationRun(request))


def generation_spec(
    client: Client, seeds: str, task: example_pb2.Task, use: generation_pb2.StrategyUse, teachers: Sequence[str]
) -> generation_pb2.GenerationSpec:
    """Returns what a run is to do with an artifact of seeds."""
    weights = [weighted(client, teacher) for teacher in teachers]
    return generation_pb2.GenerationSpec(seeds=seeds, task=task, strategies=[use], teachers=weights)


def go_on(
    client: Client, console: Console, run: str, budget: generation_pb2.Budget | None = None
) -> generation_pb2.GenerationRun:
    """Lets a run that ended early make the calls that it has not made; one that made them all stays as it is.

    budget: what it may spend in all from now on; None for what it might before.
    """
    name = client.name("generationRuns", run)
    ended = client.generation.GetGenerationRun(generation_pb2.GetGenerationRunRequest(name=name))
    if ended.run.state == run_pb2.RUN_STATE_SUCCEEDED and not ended.stopped:
        return ended
    request = generation_pb2.RetryGenerationRunRequest(name=name, budget=budget, request_id=uuid4().hex)
    return follow_generation(client, console, client.generation.RetryGenerationRun(request))


def follow_generation(
    client: Client, console: Console, run: generation_pb2.GenerationRun
) -> generation_pb2.GenerationRun:
    """Follows a generation run to its end; what ends it early says how to go on with it. Ctrl-C cancels it."""
    watch = generation_pb2.WatchGenerationRunRequest(name=run.name)
    changes = steadily(lambda: client.generation.WatchGenerationRun(watch))
    again = f"`cultivar augment --retry {run.name.rpartition('/')[2]}` goes on with what it has made"
    try:
        done: generation_pb2.GenerationRun = follow_run(console, "generate", changes)
    except KeyboardInterrupt as error:
        # It would go on without anybody, and be paid for.
        client.generation.CancelGenerationRun(generation_pb2.CancelGenerationRunRequest(name=run.name))
        typer.echo(f"\nThe run is cancelled; {again}.", err=True)
        raise typer.Exit(INTERRUPTED) from error
    if done.run.state != run_pb2.RUN_STATE_SUCCEEDED:
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


def filter_made(
    client: Client, console: Console, made: generation_pb2.GenerationRun, recipe: str = ""
) -> filtering_pb2.FilterRun:
    """Keeps the candidates that a recipe does not reject, the shipped one where none is named."""
    spec = filtering_pb2.FilterSpec(examples=made.candidates, seeds=made.spec.seeds, task=made.spec.task, recipe=recipe)
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
