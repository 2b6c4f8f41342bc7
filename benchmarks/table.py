"""The table in README.md, made from results.json."""

from pathlib import Path
from typing import Any

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def render(results: dict[str, Any]) -> str:
    """Renders the results as Markdown: what each side did, and how we compare with it in the same run."""
    lines = [
        "| what | side | a second | processor ms each | our rate over it | its processor time over ours |",
        "|---|---|---|---|---|---|",
    ]
    memory = results.get("memory")
    results = {name: result for name, result in results.items() if name != "memory"}
    for name, result in results.items():
        for side, figures in result["sides"].items():
            theirs = side != result["ours"]
            ratios = [figure(figures[kind]) if theirs and kind in figures else "" for kind in ("ratio", "cpu_ratio")]
            cells = [name, side, f"{figure(figures['rate'])} {result['unit']}", figure(figures["cpu_ms"]), *ratios]
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name, result in results.items():
        machine = result["machine"]
        lines.append(
            f"- **{name}**: {result['question']} {result['repeats']} repetitions in turns, {result['date']}, commit "
            f"{result['commit']}, {machine['cores']} cores of {machine['processor']}, load {machine['load_before']}."
        )
    if memory is not None:
        runs = ", ".join(f"{run['peak_rss_mb']:,g} MiB at {run['rows']:,} prompts" for run in memory["runs"])
        lines.append(
            f"- **memory**: the server's process held at most {runs}; {memory['date']}, commit {memory['commit']}."
        )
    return "\n".join(lines) + "\n"


def figure(values: dict[str, float]) -> str:
    """Renders a median with the least and the greatest."""
    return f"{values['median']:,g} ({values['least']:,g} to {values['greatest']:,g})"


def write(results: dict[str, Any]) -> None:
    """Puts the table between its marks."""
    before, rest = README.read_text().split(BEGIN)
    README.write_text(before + BEGIN + render(results) + END + rest.split(END)[1])


def written() -> str:
    """Returns the table that README.md has."""
    return README.read_text().split(BEGIN)[1].split(END)[0]
