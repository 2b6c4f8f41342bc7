"""`cultivar prompt preview NAME`: a few calls with a prompt, and what a whole run would cost, before it is paid for."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cultivar.cli import augment_options as options
from cultivar.cli.augment import generation_spec, import_seeds, labels_of, program_of, use_of
from cultivar.cli.augment_end import spent
from cultivar.cli.calling import Project, connected
from cultivar.cli.seed_task import LabelsOption, TaskOption, task_of
from cultivar.example.v1 import example_pb2
from cultivar.generation.v1 import generation_pb2 as pb

MOST_CALLS = 8


def preview(
    name: Annotated[str, typer.Argument(help="The prompt, with @VERSION for one version.")],
    seeds: Annotated[Path, typer.Option(help="The seeds: JSONL, CSV, Parquet; a text for documents.")],
    number: Annotated[int, typer.Option("-n", min=1, max=MOST_CALLS, help="Calls to make and show.")] = 3,
    candidates: Annotated[int, typer.Option(min=1, help="Candidates of the run whose cost is estimated.")] = 1000,
    strategy: options.Strategy = "",
    params: options.Params = "",
    teacher: options.Teachers = None,
    instruction: options.Instruction = "",
    task: TaskOption = None,
    labels: LabelsOption = "",
    random_seed: options.RandomSeed = 0,
    project: Project = "default",
) -> None:
    """Shows a few calls of a run: prompt, answer, candidates, what could not be read, and what all of it would cost."""
    console = Console(stderr=True)
    with connected(project) as client:
        use = use_of(client, strategy, name, params, candidates)
        program = program_of(client, use)
        said = task_of(seeds, program, task, labels, instruction)
        imported = import_seeds(client, console, seeds, said, program.takes_inputs)
        labels_of(said, imported)
        spec = generation_spec(client, imported.artifacts["seeds"], said, use, teacher or ["local"])
        spec.random_seed = random_seed
        shown = client.generation.Preview(pb.PreviewRequest(parent=client.parent, spec=spec, calls=number))
    for place, call in enumerate(shown.calls, 1):
        typer.echo("\n".join(told(place, len(shown.calls), call)))
    typer.echo(estimate(shown, candidates))


def told(place: int, calls: int, call: pb.PreviewCall) -> list[str]:
    """Returns what is shown of a call."""
    lines = [f"━━ call {place} of {calls}, asked for {call.asked}: the prompt", call.prompt]
    lines += ["── the answer", call.answer or "(none)", f"── {len(call.candidates)} candidates"]
    lines += [line for example in call.candidates for line in shown_example(example)]
    lines += [f"── could not be read: {reason}" for reason in call.malformed]
    return [*lines, f"── {spent(call.usage)}", ""]


def shown_example(example: example_pb2.Example) -> list[str]:
    """Returns what is shown of a candidate."""
    lines = [f"{message.role}: {message.content}" for message in example.messages]
    return [*lines, f"rejected: {example.rejected}"] if example.rejected else lines


def estimate(shown: pb.PreviewResponse, candidates: int) -> str:
    """Returns what the previewed calls spent, and what a run would by their mean, in two lines."""
    usage, calls = shown.usage, len(shown.calls)
    each = shown.planned / calls
    whole = (f"{usage.prompt_tokens * each:,.0f}", f"{usage.completion_tokens * each:,.0f}")
    cost = f", cost about {usage.cost * each:,.4g}" if usage.cost else "; the teacher has no price"
    made = sum(len(call.candidates) for call in shown.calls) * each
    return (
        f"this preview: {spent(usage)}\n"
        f"a run for {candidates:,} candidates: {shown.planned:,} calls, about {whole[0]} tokens sent and {whole[1]} "
        f"written{cost}; about {made:,.0f} candidates before filters"
    )
