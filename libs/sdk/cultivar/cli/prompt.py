"""`cultivar prompt …`: templates of strategies, their versions, how these differ and what each gave."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
import yaml
from rich.console import Console
from rich.table import Table

from cultivar.cli.calling import Project, connected, failed
from cultivar.cli.prompt_report import short, show_report
from cultivar.generation.v1 import generation_pb2 as pb

FORMS = {"chat": pb.PROMPT_FORM_CHAT, "continuation": pb.PROMPT_FORM_CONTINUATION}
KEYS = ("form", "template", "description", "strategy", "params", "parent", "finding")
app = typer.Typer(help="Prompts: what strategies ask a teacher, each version with what it gave.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The prompt, with @VERSION for one version.")]


@app.command("list")
def list_prompts(project: Project = "default") -> None:
    """Lists the newest version of each prompt."""
    table = Table("prompt", "strategy", "what it is for", box=None)
    with connected(project) as client:
        for prompt in client.generation.ListPrompts(pb.ListPromptsRequest(parent=client.parent)).prompts:
            table.add_row(short(prompt.name), prompt.strategy or "any", prompt.description)
    Console().print(table)


@app.command()
def show(name: Name, project: Project = "default") -> None:
    """Prints a version: its template, and what is known of it."""
    with connected(project) as client:
        prompt = client.generation.GetPrompt(pb.GetPromptRequest(name=client.name("prompts", name)))
    told = {"digest": prompt.digest, "strategy": prompt.strategy, "parent": short(prompt.parent)}
    for key, value in {"prompt": short(prompt.name), **told, "finding": prompt.finding}.items():
        if value:
            typer.echo(f"{key}: {value}", err=True)
    typer.echo(prompt.template)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The name: lower-case letters, digits and hyphens.")],
    file: Annotated[Path, typer.Argument(help="A YAML file with form, template, description, strategy and params.")],
    parent: Annotated[str, typer.Option(help="The version that it amends, such as translate@1.")] = "",
    finding: Annotated[str, typer.Option(help="What the reviews of that version showed.")] = "",
    project: Project = "default",
) -> None:
    """Makes a version of a prompt out of a file; the newest version again stays as it is."""
    fields = read_file(file)
    form = FORMS.get(str(fields.pop("form", "chat")))
    if form is None:
        raise failed(f"{file}: form is chat or continuation")
    with connected(project) as client:
        amended = {"parent": client.name("prompts", parent), "finding": finding} if parent else {"finding": finding}
        made = client.generation.CreatePrompt(
            pb.CreatePromptRequest(
                parent=client.parent,
                prompt_id=name,
                prompt=pb.Prompt(form=form, **{**fields, **amended}),
                request_id=uuid4().hex,
            )
        )
    typer.echo(short(made.name))


@app.command()
def diff(name: Name, other: Name, project: Project = "default") -> None:
    """Shows how two versions differ."""
    with connected(project) as client:
        names = {"name": client.name("prompts", name), "other": client.name("prompts", other)}
        found = client.generation.DiffPrompts(pb.DiffPromptsRequest(**names))
    typer.echo(found.template_diff or "the templates are the same")
    for field in found.changed_fields:
        typer.echo(f"{field} differs")


@app.command()
def report(name: Name, project: Project = "default") -> None:
    """Says what became of each version: what it gave, what filters kept and reviewers accepted, and when."""
    with connected(project) as client:
        request = pb.GetPromptReportRequest(name=client.name("prompts", name))
        show_report(Console(), client.generation.GetPromptReport(request))


def read_file(path: Path) -> dict[str, Any]:
    """Reads the file of a prompt; what is wrong with it ends the program with one sentence."""
    try:
        fields = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise failed(f"{path} cannot be read as YAML: check the path and its form") from error
    if not isinstance(fields, dict) or not fields.keys() <= set(KEYS):
        raise failed(f"{path} is no prompt: its keys are {', '.join(KEYS)}")
    return fields
