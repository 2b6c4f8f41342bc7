"""How the trace of an example is shown."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cultivar.datasets.v1 import datasets_pb2
from cultivar.example.v1 import example_pb2


def show_trace(console: Console, trace: datasets_pb2.Trace) -> None:
    """Prints an example, what made it, its seed with file and line, and what holds it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_row("example", trace.example.id)
    for name, value in facts_of(trace):
        if value:
            table.add_row(name, Text(value))
    console.print(table)
    for holding in trace.holdings:
        made = holding.commit_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        console.print(f"  held by {holding.kind} {holding.artifact}, {made}", highlight=False, soft_wrap=True)
    for version in trace.dataset_versions:
        console.print(f"  in {version}", highlight=False, soft_wrap=True)


def facts_of(trace: datasets_pb2.Trace) -> list[tuple[str, str]]:
    """Returns what a trace says, line by line."""
    origin = trace.example.provenance
    file = f"{trace.file.file_name} (SHA-256 {trace.file.sha256[:12]}…)" if trace.HasField("file") else ""
    return [
        ("text", text_of(trace.example)),
        ("label", trace.example.label),
        ("origin", origin.origin),
        ("strategy", " with ".join(part for part in (origin.strategy, origin.prompt) if part)),
        ("teacher", ", ".join(part for part in (origin.teacher, origin.model) if part)),
        ("licences", ", ".join(origin.licences)),
        ("run", origin.run),
        ("edited by", origin.edited_by),
        ("seed", text_of(trace.seed) if trace.HasField("seed") and trace.seed.id != trace.example.id else ""),
        ("file", f"{file}, line {trace.line}" if file else ""),
    ]


def text_of(example: example_pb2.Example) -> str:
    """Returns the last text of the user."""
    texts = [message.content for message in example.messages if message.role == "user"]
    return texts[-1] if texts else ""
