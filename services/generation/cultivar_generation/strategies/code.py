"""code: several seeds in, a new problem with its solution and tests out; nothing is run here.

What a solution does is for a filter that runs it: this program makes sure that there is Python to run.
"""

import ast
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from cultivar_records import Example, TaskKind, TaskSpec
from pydantic import Field

from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import fenced, read_fields, record_schema

FIELDS = {
    "problem": ("problem", "task", "instruction"),
    "solution": ("solution", "code", "answer"),
    "tests": ("tests", "test", "test cases", "test_list"),
}
SCHEMA = record_schema(*FIELDS)


class CodeConfig(StrategyConfig):
    """How many seeds a prompt shows."""

    shots: int = Field(2, ge=1, le=8, description="Seeds that a prompt shows.")


class Code:
    """Writes problems with solutions and tests."""

    description = "Writes a new problem in the manner of seeds, with its solution in Python and tests of it."
    default_prompt = "code"
    tasks = (TaskKind.CODE,)
    names: ClassVar[Mapping[str, str]] = {
        "shots": "seeds, each with problem, solution and tests (a list)",
        "task": "the task, with kind and instruction",
    }
    takes_inputs = False
    Config = CodeConfig

    def per_call(self, config: CodeConfig) -> int:
        """Returns 1: an answer is one problem."""
        return 1

    def plan(self, number: int, seeds: Sequence[Example], task: TaskSpec, config: CodeConfig, random: Random) -> Plan:
        """Plans a problem in the manner of seeds drawn at random."""
        shown = tuple(random.sample(list(seeds), min(config.shots, len(seeds))))
        shots = [{"problem": seed.text, "solution": seed.answer, "tests": list(seed.tests)} for seed in shown]
        return Plan(shown, {"shots": shots, "task": task}, schema=SCHEMA)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: CodeConfig, cut: bool) -> Drafts:
        """Reads problem, solution and tests; the tests must use something that the solution defines."""
        record = next(iter(read_fields(answer, FIELDS, cut)), {})
        missing = [name for name in FIELDS if not record.get(name)]
        if missing:
            return Drafts(malformed=[f"the answer has no whole {' and no '.join(missing)}"])
        solution, written = fenced(record["solution"]), fenced(record["tests"])
        for name, source in (("solution", solution), ("tests", written)):
            if why := wrong_python(source):
                return Drafts(malformed=[f"the {name} of the answer: {why}"])
        if not defined(solution) & used(written):
            return Drafts(malformed=["no test of the answer uses what its solution defines"])
        return Drafts(good=[Draft(record["problem"], solution, tests=tuple(statements(written)))])


def wrong_python(source: str) -> str:
    """Returns why a text is not Python, empty where it is."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        return f"not Python, in line {line}" if line else "not Python"
    return ""


def defined(source: str) -> set[str]:
    """Returns the names of the functions and classes that a program defines at its top."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.parse(source).body if isinstance(node, kinds)}


def used(source: str) -> set[str]:
    """Returns the names that a program reads."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def statements(source: str) -> list[str]:
    """Returns the tests of a program: each assert at its top by itself, or the program where something else stands."""
    body = ast.parse(source).body
    if all(isinstance(node, ast.Assert) for node in body):
        return [ast.unparse(node) for node in body]
    return [source]
