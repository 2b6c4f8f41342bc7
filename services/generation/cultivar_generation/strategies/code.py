"""code: several seeds in, a new problem with its solution and tests out; nothing is run here.

This program makes sure that there is Python that could be run, with tests that reach an assert; whether a solution is
right, nobody has tried.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar

from cultivar_records import TaskKind, TaskSpec
from pydantic import Field

from cultivar_generation.strategies.choosing import Rule, choose
from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import MORE, fenced, read_fields, record_schema

FIELDS = {
    "problem": ("problem", "task", "instruction"),
    "solution": ("solution", "code", "answer"),
    "tests": ("tests", "test", "test cases", "test_list"),
}
SCHEMA = record_schema(*FIELDS)
TOKENS = 768


class CodeConfig(StrategyConfig):
    """How many seeds a prompt shows."""

    shots: int = Field(2, ge=1, le=8, description="Seeds that a prompt shows.")
    choose: Rule = Field("random", description="Which seeds a prompt shows, by the rules of the strategy expand.")


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

    def check(self, config: CodeConfig, task: TaskSpec) -> str:
        """Refuses nothing."""
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: CodeConfig, random: Random) -> Plan:
        """Plans a problem in the manner of some seeds."""
        shown = choose(config.choose, seeds, config.shots, random)
        shots = [{"problem": seed.text, "solution": seed.answer, "tests": list(seed.tests)} for seed in shown]
        return Plan(shown, {"shots": shots, "task": task}, schema=SCHEMA, tokens=TOKENS)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: CodeConfig, cut: bool) -> Drafts:
        """Reads problem, solution and tests; the tests must check something that the solution defines."""
        records, wrong = read_fields(answer, FIELDS, cut)
        record = records[0] if records else {}
        missing = [name for name in FIELDS if not record.get(name)]
        if missing:
            return Drafts(malformed=wrong or [f"the answer has no whole {' and no '.join(missing)}"])
        solution, written = fenced(record["solution"]), fenced(record["tests"])
        for name, source in (("solution", solution), ("tests", written)):
            if why := wrong_python(source):
                return Drafts(malformed=[f"the {name} of the answer: {why}"])
        if not defined(solution) & used(written):
            return Drafts(malformed=["no test of the answer uses what its solution defines"])
        tests = with_calls(written)
        if not asserts(tests):
            return Drafts(malformed=["the tests of the answer assert nothing when they are run"])
        draft = Draft(record["problem"], solution, tests=tuple(statements(tests)))
        return Drafts([draft], [*wrong, *[MORE] * (len(records) - 1)])


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


def with_calls(source: str) -> str:
    """Returns tests with a call of each function `test…` without parameters that they define and do not call."""
    body = ast.parse(source).body
    called = {node.func.id for node in run(body) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    bare = [
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test")
        and not any(isinstance(part, ast.arg) for part in ast.walk(node.args))
    ]
    return "\n".join([source, *(f"{name}()" for name in dict.fromkeys(bare) if name not in called)])


def asserts(source: str) -> bool:
    """Tells whether running a program comes to an assert of something that is not fixed, also in functions it calls."""
    body = ast.parse(source).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    waiting, seen = [body], set[str]()
    while waiting:
        for node in run(waiting.pop()):
            if isinstance(node, ast.Assert) and any(isinstance(part, ast.Name) for part in ast.walk(node.test)):
                return True
            if isinstance(node, ast.Name) and node.id in functions.keys() - seen:
                seen.add(node.id)
                waiting.append(functions[node.id].body)
    return False


def run(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yields what is run of some statements: no body of a function, a class or `if False`, nothing after an end."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(statement, ast.If) and never(statement.test):
            yield from run(statement.orelse)
            continue
        inner = [part for part in ast.iter_child_nodes(statement) if not isinstance(part, ast.stmt)]
        yield statement
        for part in inner:
            yield from ast.walk(part)
        for name in ("body", "orelse", "finalbody"):
            yield from run(getattr(statement, name, []))
        if isinstance(statement, ast.Raise | ast.Return):
            return


def never(test: ast.expr) -> bool:
    """Tells whether a condition is never true where tests are run from another program."""
    if isinstance(test, ast.Constant):
        return not test.value
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def statements(source: str) -> list[str]:
    """Returns the tests of a program: each assert at its top by itself, or the program where something else stands."""
    body = ast.parse(source).body
    if all(isinstance(node, ast.Assert) for node in body):
        return [ast.unparse(node) for node in body]
    return [source]
