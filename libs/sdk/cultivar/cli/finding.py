"""`cultivar prompt findings`, `amend` and `record`: from what reviewers found to the next version of a prompt."""

from typing import Annotated
from uuid import uuid4

import typer

from cultivar.cli.calling import Project, connected, failed
from cultivar.cli.prompt import Name
from cultivar.cli.prompt_report import short
from cultivar.client import Client
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.review.v1 import review_pb2

QueueName = Annotated[str, typer.Argument(help="The queue, by the last part of its name.")]


def findings(queue: QueueName, project: Project = "default") -> None:
    """Lists what the reviews of a queue show: what is declined more often than the rest, by which prompts."""
    with connected(project) as client:
        shown = findings_of(client, queue)
    for one in shown.findings:
        typer.echo(f"- {one.sentence}.")
        for share in one.by_prompt:
            typer.echo(f"    {share.key}: {share.reviewed - share.accepted} of {share.reviewed} declined")
        typer.echo(f"    such as {one.tasks[0]}")
    typer.echo(
        f"{len(shown.findings)} of {shown.compared} tags, labels, strategies and prompts stand out in {shown.reviewed} "
        f"reviews" + (f"; {shown.too_few} have too few to be compared" if shown.too_few else "")
    )


def amend(
    name: Name,
    finding: Annotated[str, typer.Option(help="What the reviews of that version showed.")] = "",
    queue: Annotated[str, typer.Option(help="A queue to take the finding from, with --tag.")] = "",
    tag: Annotated[str, typer.Option(help="The tag of the finding to take.")] = "",
    instruction: Annotated[str, typer.Option(help="The line to add; made of the finding if not given.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Does not ask first.")] = False,
    project: Project = "default",
) -> None:
    """Makes the next version of a prompt, with one more line for what reviewers found; shows the difference first."""
    if bool(finding) == bool(queue and tag):
        raise failed("say what was found with --finding, or where it is with --queue and --tag")
    with connected(project) as client:
        version = client.generation.GetPrompt(pb.GetPromptRequest(name=client.name("prompts", name))).name
        if tag:
            finding = finding_of(client, queue, tag, short(version))
            instruction = instruction or f'Reviewers declined earlier answers as "{tag}": write none like that.'
        request = pb.AmendPromptRequest(name=version, finding=finding, instruction=instruction, validate_only=True)
        planned = client.generation.AmendPrompt(request)
        typer.echo(f"finding: {finding}\n{planned.template_diff}")
        if not yes:
            typer.confirm(f"Make {short(planned.other.name)}?", abort=True)
        request.validate_only, request.request_id = False, uuid4().hex
        made = client.generation.AmendPrompt(request).other
    typer.echo(short(made.name))


def record(
    queue: Annotated[str, typer.Option(help="A closed queue, whose reviews are to be taken down.")] = "",
    filter_run: Annotated[str, typer.Option(help="A filter run, whose verdicts are to be taken down.")] = "",
    project: Project = "default",
) -> None:
    """Takes down what filters or reviewers said of each prompt, for its report; campaigns do so by themselves."""
    if bool(queue) == bool(filter_run):
        raise failed("name a closed queue with --queue, or a filter run with --filter-run")
    with connected(project) as client:
        artifact = reviews_of(client, queue) if queue else verdicts_of(client, filter_run)
        found = record_outcomes(client, artifact)
    for one in found:
        typer.echo(f"{short(one.prompt)}: {', '.join(f'{count} {name}' for name, count in sorted(one.counts.items()))}")
    if not found:
        typer.echo("it speaks of no candidate that a prompt made")


def record_outcomes(client: Client, artifact: str) -> list[pb.PromptOutcome]:
    """Takes down what an artifact says of prompts, and returns it."""
    request = pb.RecordPromptOutcomesRequest(parent=client.parent, artifact=artifact)
    return list(client.generation.RecordPromptOutcomes(request).outcomes)


def findings_of(client: Client, queue: str) -> review_pb2.ListFindingsResponse:
    """Returns what the reviews of a queue show."""
    request = review_pb2.ListFindingsRequest(parent=client.name("queues", queue))
    shown: review_pb2.ListFindingsResponse = client.review.ListFindings(request)
    return shown


def finding_of(client: Client, queue: str, tag: str, version: str) -> str:
    """Returns the finding of a tag in a sentence; ends the program where there is none, or it is of other versions."""
    known = {one.key: one for one in findings_of(client, queue).findings if one.dimension == "tag"}
    if tag not in known:
        others = f"it shows those of {', '.join(known)}" if known else "it shows none of a tag"
        raise failed(f"the queue {queue} shows no finding of the tag {tag!r}: {others}; or say it with --finding")
    versions = [share.key for share in known[tag].by_prompt if share.accepted < share.reviewed]
    if version not in versions:
        raise failed(f"the finding is of {', '.join(versions) or 'no prompt'} and not of {version}: amend that one")
    return known[tag].sentence


def reviews_of(client: Client, queue: str) -> str:
    """Returns the reviews of a closed queue; ends the program for one that is open."""
    found = client.review.GetQueue(review_pb2.GetQueueRequest(name=client.name("queues", queue)))
    if not found.reviews:
        raise failed(f"the queue {queue} is not closed: its reviews are taken down once it is")
    return found.reviews


def verdicts_of(client: Client, run: str) -> str:
    """Returns the verdicts of a filter run; ends the program for one that has not ended."""
    request = filtering_pb2.GetFilterRunRequest(name=client.name("filterRuns", run))
    found = client.filtering.GetFilterRun(request)
    if not found.verdicts:
        raise failed(f"the filter run {run} has not ended: its verdicts are taken down once it has")
    return found.verdicts
