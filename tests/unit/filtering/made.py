"""Examples and judges that the tests of filtering share."""

from collections.abc import Sequence
from typing import Any

from cultivar_filtering.filters import FILTERS, Given, Judge, Opinion
from cultivar_records import Example, Message, Origin, Provenance, TaskKind, TaskSpec, example_id

TASK = TaskSpec(
    kind=TaskKind.CLASSIFICATION,
    instruction="Read the message and say which of our desks should answer it.",
    labels=("delivery", "refund"),
)
INSTRUCTION = TaskSpec(kind=TaskKind.INSTRUCTION, instruction="")
CODE = TaskSpec(kind=TaskKind.CODE, instruction="Write a Python function.")
ENTITIES = TaskSpec(kind=TaskKind.ENTITIES, instruction="Mark the names.", labels=("place",))


def made(
    text: str,
    answer: str = "delivery",
    *,
    number: int = 0,
    task: TaskSpec = TASK,
    origin: Origin = "candidate",
    shown: Sequence[str] = (),
    **fields: Any,
) -> Example:
    """An example of a task; its id follows from origin, number and text."""
    return Example(
        id=example_id(origin, text, number),
        task=task.kind,
        messages=(Message(role="user", content=text), Message(role="assistant", content=answer)),
        label=answer if task.kind is TaskKind.CLASSIFICATION else None,
        provenance=Provenance(origin=origin, family="a" * 32, seeds=tuple(shown)),
        **fields,
    )


def seed(text: str, answer: str = "delivery") -> Example:
    """A seed."""
    return made(text, answer, origin="seed")


def judge(name: str, given: Given | None = None, **params: Any) -> Judge:
    """The judge of a filter."""
    found = FILTERS[name]
    return found.judge(found.Config.model_validate(params), given or Given(TASK))


def opinion(name: str, example: Example, given: Given | None = None, **params: Any) -> Opinion:
    """What a filter says of one example, before anything was kept."""
    found = judge(name, given, **params)
    found.begin([example])
    said = found.judge(example)
    assert said.keep or said.reason in FILTERS[name].reasons
    return said


def reason(name: str, example: Example, given: Given | None = None, **params: Any) -> str:
    """Why a filter rejects an example; empty where it keeps it."""
    return opinion(name, example, given, **params).reason
