"""Made-up tasks and seeds, on which a template is tried before anything is asked of a teacher."""

from collections.abc import Sequence
from typing import Any

from cultivar_records import Example, Message, Provenance, Span, TaskKind, TaskSpec, example_id

MOST_LABELS = 8
EARLIER = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Name a flower."),
    Message(role="assistant", content="A rose."),
)


def made_up_seeds(task: TaskSpec, number: int) -> list[Example]:
    """Returns some seeds of a task, of each of its first labels where it has labels; every second has earlier turns."""
    if task.kind is TaskKind.CLASSIFICATION:
        labels = task.labels[:MOST_LABELS]
        return [made_up(task.kind, f"Is it {n}?", label, label=label) for n in range(number) for label in labels]
    if task.kind is TaskKind.ENTITIES:
        label = (*task.labels, "place")[0]
        spans = (Span(start=8, end=12, label=label),)
        return [made_up(task.kind, f"I am in Oslo, day {n}.", f"Oslo = {label}", spans=spans) for n in range(number)]
    if task.kind is TaskKind.CODE:
        answer, tests = "def add(a, b): return a + b", ("assert add(1, 2) == 3",)
        return [made_up(task.kind, f"Add, way {n}.", answer, tests=tests) for n in range(number)]
    turns: Sequence[tuple[Message, ...]] = ((), EARLIER)
    return [made_up(task.kind, f"Name tree {n}.", "An oak.", turns[n % 2]) for n in range(number)]


def made_up(kind: TaskKind, text: str, answer: str, before: tuple[Message, ...] = (), **more: Any) -> Example:
    """Returns a seed of a text and an answer."""
    key = example_id("made up", f"{kind}/{text}/{answer}", 0)
    messages = (*before, Message(role="user", content=text), Message(role="assistant", content=answer))
    return Example(id=key, task=kind, messages=messages, provenance=Provenance(origin="seed", family=key), **more)


LABELS = {TaskKind.CLASSIFICATION: ("yes", "no"), TaskKind.ENTITIES: ("place",)}
TASKS = {kind: TaskSpec(kind=kind, instruction="Do it.", labels=LABELS.get(kind, ())) for kind in TaskKind}
MADE_UP = {kind: (task, made_up_seeds(task, 1)[0]) for kind, task in TASKS.items()}
