"""`cultivar campaign …`: run a campaign file, and watch, list, pause, resume, cancel, report, trace."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.cli.calling import INTERRUPTED, Project, connected, failed
from cultivar.cli.campaign_file import FileWrong, as_struct, local_files, read_campaign, send_files
from cultivar.cli.tracing import show_trace
from cultivar.cli.watching import follow_campaign, state_of, steadily
from cultivar.client import Client, listed
from cultivar.datasets.v1 import datasets_pb2
from cultivar.run.v1 import run_pb2

PAGE = 100
app = typer.Typer(help="Campaigns: the whole loop for one goal, out of one file.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The campaign, such as support-1.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the report.")]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="The campaign file (YAML).")],
    data: Annotated[Path | None, typer.Option(help="The folder of the data files; else that of the file.")] = None,
    campaign_id: Annotated[str, typer.Option("--id", help="The campaign's name; else made of the file's.")] = "",
    watch: Annotated[bool, typer.Option(help="Whether to follow it to its end.")] = True,
    output: Output = None,
    project: Project = "default",
) -> None:
    """Checks a campaign file, sends its data files, runs it and follows it; Ctrl-C leaves it running."""
    with connected(project) as client:
        campaign = start(client, read(file), data or file.parent, campaign_id)
        typer.echo(f"{short_name(campaign.name)} was made")
        if watch:
            end(client, follow(client, campaign.name), output)


def read(file: Path) -> dict[str, Any]:
    """Reads a campaign file; what is wrong ends the program with a sentence."""
    try:
        return read_campaign(file)
    except FileWrong as error:
        raise failed(str(error)) from error


def start(client: Client, config: dict[str, Any], folder: Path, campaign_id: str = "") -> pb.Campaign:
    """Checks a campaign and creates it; nothing is sent where anything is wrong."""
    try:
        client.campaigns.CreateCampaign(
            pb.CreateCampaignRequest(parent=client.parent, config=as_struct(config), validate_only=True)
        )
        list(local_files(config, folder))
        sent = send_files(client, config, folder, lambda path: None)
    except FileWrong as error:
        raise failed(str(error)) from error
    request = pb.CreateCampaignRequest(
        parent=client.parent, campaign_id=campaign_id, config=as_struct(sent), request_id=uuid4().hex
    )
    made: pb.Campaign = client.campaigns.CreateCampaign(request)
    return made


def follow(client: Client, name: str) -> pb.Campaign:
    """Shows a campaign until it ends; Ctrl-C leaves it running and says how to go on."""
    request = pb.WatchCampaignRequest(name=name)
    try:
        return follow_campaign(Console(), steadily(lambda: client.campaigns.WatchCampaign(request)))
    except KeyboardInterrupt as error:
        short = short_name(name)
        typer.echo(
            f"\n{short} goes on without you. Follow it with `cultivar campaign watch {short}`, or end it with "
            f"`cultivar campaign cancel {short}`."
        )
        raise typer.Exit(INTERRUPTED) from error


def end(client: Client, campaign: pb.Campaign, output: Path | None) -> None:
    """Says how a campaign ended; the program's status is 1 unless it succeeded."""
    short = short_name(campaign.name)
    if campaign.run.state != run_pb2.RUN_STATE_SUCCEEDED:
        raise failed(f"{short} {state_of(campaign.run).lower()}: {campaign.run.error.message or 'on request'}")
    typer.echo(f"\n{campaign.verdict}")
    if output is None:
        typer.echo(f"The report: `cultivar campaign report {short} -o report.html`")
    else:
        write_report(client, campaign.name, output)


@app.command()
def watch(name: Name, output: Output = None, project: Project = "default") -> None:
    """Follows a campaign to its end."""
    with connected(project) as client:
        end(client, follow(client, full_name(client, name)), output)


@app.command("list")
def list_campaigns(project: Project = "default") -> None:
    """Lists the campaigns of a project, the newest first."""
    table = Table("campaign", "state", "stages", "made", "verdict or what it waits for", box=None)
    with connected(project) as client:
        request = pb.ListCampaignsRequest(parent=client.parent, page_size=PAGE)
        for campaign in listed(client.campaigns.ListCampaigns, request):
            table.add_row(*row(campaign))
    Console().print(table)


def row(campaign: pb.Campaign) -> tuple[str, ...]:
    """Returns the row of a campaign."""
    progress = campaign.run.progress
    said = campaign.verdict or campaign.run.error.message or campaign.run.waiting_for
    made = campaign.run.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    many = f"{progress.done}/{progress.total or len(campaign.stages)}"
    return short_name(campaign.name), state_of(campaign.run).lower(), many, made, said


@app.command()
def pause(name: Name, project: Project = "default") -> None:
    """Lets a campaign begin nothing new until it is resumed."""
    change(name, project, lambda client, full: client.campaigns.PauseCampaign(pb.PauseCampaignRequest(name=full)))


@app.command()
def resume(name: Name, project: Project = "default") -> None:
    """Lets a paused campaign go on."""
    change(name, project, lambda client, full: client.campaigns.ResumeCampaign(pb.ResumeCampaignRequest(name=full)))


@app.command()
def cancel(name: Name, project: Project = "default") -> None:
    """Cancels a campaign and what it began elsewhere; what was committed stays."""
    change(name, project, lambda client, full: client.campaigns.CancelCampaign(pb.CancelCampaignRequest(name=full)))


@app.command("go-on")
def go_on(name: Name, project: Project = "default") -> None:
    """Lets a campaign that waits for reviewers go on with what is reviewed."""
    change(
        name,
        project,
        lambda client, full: client.campaigns.ResolveGate(
            pb.ResolveGateRequest(name=full, decision=pb.GATE_DECISION_GO_ON, request_id=uuid4().hex)
        ),
    )


def change(name: str, project: str, call: Callable[[Client, str], Any]) -> None:
    """Makes a call on a campaign and prints its state."""
    with connected(project) as client:
        campaign = call(client, full_name(client, name))
        typer.echo(f"{short_name(campaign.name)} is {state_of(campaign.run).lower()}")


@app.command()
def report(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the page.")] = Path("report.html"),
    project: Project = "default",
) -> None:
    """Writes the report of a campaign, one HTML file, and prints its verdict."""
    with connected(project) as client:
        typer.echo(write_report(client, full_name(client, name), output).verdict.sentence)


def write_report(client: Client, name: str, output: Path) -> pb.Report:
    """Writes the report of a campaign to a file and says where it is."""
    found: pb.Report = client.campaigns.GetReport(pb.GetReportRequest(name=name))
    output.write_bytes(found.html)
    typer.echo(f"The report is in {output}")
    return found


@app.command()
def trace(
    example_id: Annotated[str, typer.Argument(help="The id of an example: 32 hexadecimal digits.")],
    project: Project = "default",
) -> None:
    """Follows an example back to its seed and that seed's file, and forward to what holds it."""
    with connected(project) as client:
        request = datasets_pb2.TraceExampleRequest(parent=client.parent, example_id=example_id)
        show_trace(Console(), client.datasets.TraceExample(request))


def short_name(name: str) -> str:
    """Returns the last part of a name."""
    return name.rpartition("/")[2]


def full_name(client: Client, name: str) -> str:
    """Returns the resource name of a campaign that was given with or without its project."""
    return name if name.startswith("projects/") else client.name("campaigns", name)
