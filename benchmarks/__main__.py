"""Runs the comparisons and writes results.json: `python -m benchmarks [NAME…] [--repeats 3]`."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import generation, peers, table, teachers
from benchmarks.comparison import RESULTS, Comparison, machine, measure, read_results

COMPARISONS: tuple[Comparison, ...] = (*teachers.COMPARISONS, *generation.COMPARISONS, *peers.COMPARISONS)


def main() -> None:
    """Measures what is named, or everything, and keeps the other results as they are."""
    names = [comparison.name for comparison in COMPARISONS]
    parser = argparse.ArgumentParser(description="Compares Cultivar's parts with what a user would have without them.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*names, []], help=f"one of {', '.join(names)}")
    parser.add_argument("--repeats", type=int, default=5, help="how often each side is measured, in turns")
    parser.add_argument("--dry", action="store_true", help="print the figures and keep none")
    options = parser.parse_args()
    results = read_results()
    for comparison in COMPARISONS:
        if options.names and comparison.name not in options.names:
            continue
        if comparison in peers.COMPARISONS and "BENCH_PEERS" not in os.environ:
            say(f"{comparison.name}: left out: run ../shared/bench/setup.sh and name its folder in BENCH_PEERS")
            continue
        taken = {
            "commit": commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "repeats": options.repeats,
        }
        results[comparison.name] = {**taken, **asyncio.run(measure(comparison, options.repeats, say))}
        if not options.dry:
            RESULTS.write_text(json.dumps(results, indent=2) + "\n")
            table.write(results)
    sys.stdout.write(table.render(results))


def commit() -> str:
    """Names the commit that is measured, with a plus where files differ from it."""
    described = ("git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")
    done = subprocess.run(described, capture_output=True, text=True, cwd=Path(__file__).parent)
    return done.stdout.strip() or "unknown"


def say(line: str) -> None:
    """Shows how it goes."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
