"""`cultivar audit`: what every service finds when it checks what it holds, and whether their counts agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cultivar.audit.v1 import audit_pb2
from cultivar.cli.calling import Project, connected, failed
from cultivar.client import Client

SERVICES = ("generation", "filtering", "review", "datasets", "training", "evaluation", "campaigns", "identity")


def audit(project: Project = "default") -> None:
    """Lets every service check what it holds; the status is 1 when something does not hold."""
    with connected(project) as client:
        reports, absent = ask_all(client)
    console = Console()
    console.print(table_of(reports))
    if absent:
        console.print(f"not served here: {', '.join(absent)}", style="dim")
    broken = [finding for report in reports for finding in report.findings if not finding.holds]
    wrong = disagreements(reports)
    for sentence in wrong:
        console.print(sentence, style="red")
    if broken or wrong:
        raise failed(f"{len(broken) + len(wrong)} checks do not hold")
    checks = sum(len(report.findings) for report in reports)
    typer.echo(f"all {checks} checks of {len(reports)} services hold")


def ask_all(client: Client) -> tuple[list[audit_pb2.AuditReport], list[str]]:
    """Returns the report of each service, and the services that are not served."""
    reports: list[audit_pb2.AuditReport] = []
    absent: list[str] = []
    for service in SERVICES:
        stub: Any = getattr(client, service)
        try:
            reports.append(stub.Audit(audit_pb2.AuditRequest(parent=client.parent)))
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            absent.append(service)
    return reports, absent


def disagreements(reports: Sequence[audit_pb2.AuditReport]) -> list[str]:
    """Returns a sentence for each count that two services give differently."""
    said: dict[str, dict[str, int]] = {}
    for report in reports:
        for key, count in report.counts.items():
            said.setdefault(key, {})[report.service] = count
    return [sentence_of(key, counts) for key, counts in sorted(said.items()) if len(set(counts.values())) > 1]


def sentence_of(key: str, counts: Mapping[str, int]) -> str:
    """Says which services disagree on a count."""
    return f"{key}: " + ", ".join(f"{service} counts {count}" for service, count in sorted(counts.items()))


def table_of(reports: Sequence[audit_pb2.AuditReport]) -> Table:
    """Returns all findings as a table."""
    table = Table("", "service", "what should hold", "looked at", "what breaks it", box=None)
    for report in reports:
        for finding in report.findings:
            mark = Text("✓", style="green") if finding.holds else Text("✗", style="red")
            table.add_row(mark, report.service, finding.check, str(finding.examined), ", ".join(finding.offenders[:3]))
    return table
