"""The options of the commands that let teachers write candidates out of a file of seeds."""

from pathlib import Path
from typing import Annotated

import typer

Seeds = Annotated[Path | None, typer.Argument(help="The seeds: JSONL, CSV, Parquet; a text for documents.")]
Number = Annotated[int, typer.Option("-n", min=1, help="Candidates to ask for; fewer are kept.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write what was kept, as chat JSONL.")]
Strategy = Annotated[str, typer.Option(help="The strategy, such as expand, rewrite, answer or documents.")]
Prompt = Annotated[str, typer.Option(help="A prompt, such as translate or by-label; it brings its strategy.")]
Params = Annotated[str, typer.Option(help="Parameters of the strategy, as YAML: '{per_call: 2}'.")]
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        help="The teacher, as it was registered; several with their shares of the calls: --teacher a=3 --teacher b=1.",
        show_default="local",
    ),
]
Instruction = Annotated[str, typer.Option(help="What the examples are for, in a sentence.")]
Labelled = Annotated[bool | None, typer.Option(help="Whether rows have labels; found out if not given.")]
Refill = Annotated[
    bool, typer.Option("--refill", help="Ask again, up to as often, for what the filters do not keep of -n.")
]
Tokens = Annotated[
    int, typer.Option("--budget", min=0, help="The tokens at which it stops, with --retry those spent before too.")
]
Cost = Annotated[float, typer.Option("--budget-cost", min=0, help="The money at which it stops, by teachers' prices.")]
Recipe = Annotated[str, typer.Option(help="The recipe of filters.", show_default="default")]
RandomSeed = Annotated[int, typer.Option(help="What every random choice follows from.")]
Retry = Annotated[str, typer.Option(help="A generation run that ended early, to go on with instead of seeds.")]
