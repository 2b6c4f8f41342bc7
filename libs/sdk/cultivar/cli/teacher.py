"""`cultivar teacher …`: the models that write candidates."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from cultivar.cli.calling import Project, connected
from cultivar.generation.v1 import generation_pb2 as pb

app = typer.Typer(help="Teachers: the models that write candidates.", no_args_is_help=True)
# Options of the command that a field of the teacher is called like.
OURS = ("name", "probe", "structured_output")
STRUCTURED = {
    "auto": pb.STRUCTURED_OUTPUT_UNSPECIFIED,
    "never": pb.STRUCTURED_OUTPUT_NEVER,
    "always": pb.STRUCTURED_OUTPUT_ALWAYS,
}
WORDS = {
    pb.TEACHER_STATE_UNSPECIFIED: "not asked",
    pb.TEACHER_STATE_FINE: "fine",
    pb.TEACHER_STATE_POOR: "poor",
    pb.TEACHER_STATE_WRONG: "wrong",
}


@app.command("list")
def list_teachers(project: Project = "default") -> None:
    """Lists the teachers of a project, and what they were found to be when they were registered."""
    table = Table("teacher", "model", "served at", "found", "tokens a second", box=None)
    with connected(project) as client:
        for teacher in client.generation.ListTeachers(pb.ListTeachersRequest(parent=client.parent)).teachers:
            speed = f"{teacher.probe.tokens_per_second:,.0f}" if teacher.probe.tokens_per_second else ""
            where = teacher.url or "Cultivar itself"
            name = teacher.name.rpartition("/")[2]
            table.add_row(name, teacher.model, where, WORDS[teacher.probe.state], speed)
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The teacher's name.")],
    project: Project = "default",
) -> None:
    """Shows all of a teacher: where it is served, how it is sampled, prices, licence, and what is wrong with it."""
    with connected(project) as client:
        teacher = client.generation.GetTeacher(pb.GetTeacherRequest(name=client.name("teachers", name)))
    for field, value in MessageToDict(teacher, preserving_proto_field_name=True).items():
        if field not in ("name", "probe"):
            typer.echo(f"{field}: {value if isinstance(value, str | int | float) else json.dumps(value)}")
    tell_probe(name, teacher.probe)


def tell_probe(name: str, found: pb.TeacherProbe) -> None:
    """Says what a teacher was found to be when it was registered."""
    typer.echo(f"{name} is registered: {WORDS[found.state]}")
    for problem in found.problems:
        typer.echo(f"- {problem}")
    if found.tokens_per_second:
        typer.echo(f"{found.latency_seconds:.2f} s for a short answer, {found.tokens_per_second:,.0f} tokens a second")


@app.command()
def register(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The teacher's name: lower-case letters, digits and hyphens.")],
    model: Annotated[str, typer.Option(help="The model, as its API names it.")],
    url: Annotated[str, typer.Option(help="An OpenAI-compatible API, ending in /v1; empty for Cultivar's own.")] = "",
    credential: Annotated[
        str, typer.Option(help="Where the generation service reads the API key: env:NAME or file:/PATH.")
    ] = "",
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Sampling temperature.")] = 0.8,
    top_p: Annotated[float, typer.Option(min=0.01, max=1, help="Nucleus sampling.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(min=1, help="The most tokens of an answer, thoughts among them.")] = 512,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Calls in flight at most.")] = 64,
    timeout_seconds: Annotated[float, typer.Option(min=0.1, help="Seconds for one try of a call.")] = 120.0,
    prompt_price: Annotated[float, typer.Option(min=0, help="Price of 1,000 tokens sent.")] = 0.0,
    completion_price: Annotated[float, typer.Option(min=0, help="Price of 1,000 tokens written.")] = 0.0,
    proxy: Annotated[str, typer.Option(help="The HTTP proxy before it, http://host:port.")] = "",
    ca_file: Annotated[str, typer.Option(help="The CA of its certificate, a file of the service's machine.")] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(help="A header of each request, NAME=VALUE; a key as NAME=env:VARIABLE or NAME=file:/PATH."),
    ] = None,
    request_field: Annotated[
        list[str] | None,
        typer.Option(help="A field of each request, NAME=JSON, such as top_k=40; NAME=null leaves one out."),
    ] = None,
    requests_per_minute: Annotated[float, typer.Option(min=0, help="Requests in a minute at most; 0: any.")] = 0.0,
    licence: Annotated[str, typer.Option(help="What its answers may be used for, such as Apache-2.0.")] = "",
    structured_output: Annotated[
        str, typer.Option(help="Whether to ask for JSON of a schema: auto (if it does so when probed), never, always.")
    ] = "auto",
    probe: Annotated[bool, typer.Option(help="Whether to ask it some ten short questions first.")] = True,
    project: Project = "default",
) -> None:
    """Registers a teacher, or changes the one of that name; asks it a few questions and says what is wrong."""
    given = teacher_of(context.params)
    with connected(project) as client:
        request = pb.RegisterTeacherRequest(parent=client.parent, teacher_id=name, teacher=given, skip_probe=not probe)
        tell_probe(name, client.generation.RegisterTeacher(request).probe)


def teacher_of(options: Mapping[str, Any]) -> pb.Teacher:
    """Returns the teacher that the options of `register` describe."""
    fields = pb.Teacher.DESCRIPTOR.fields_by_name
    given = {option: value for option, value in options.items() if option in fields and option not in OURS}
    given["headers"] = dict(map(named, options["header"] or ()))
    given["request_fields"] = {name: as_json(value) for name, value in map(named, options["request_field"] or ())}
    structured = options["structured_output"]
    if structured not in STRUCTURED:
        raise typer.BadParameter(f"--structured-output is {structured!r}: give auto, never or always")
    return pb.Teacher(**given, structured_output=STRUCTURED[structured])


def named(option: str) -> tuple[str, str]:
    """Reads NAME=VALUE."""
    name, equals, value = option.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{option.partition('=')[0]!r}: give NAME=VALUE")
    return name, value


def as_json(value: str) -> Any:
    """Reads a value as JSON; what is none is a text."""
    try:
        return json.loads(value)
    except ValueError:
        return value
