"""What is checked of a prompt before it is made: its parameters, and that its template names what it will be given."""

from collections.abc import Mapping
from difflib import get_close_matches
from random import Random
from typing import Any

from cultivar_records import Example, Message, Provenance, Span, TaskKind, TaskSpec, example_id
from cultivar_service.errors import InvalidArgument
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_generation.errors import StrategyUnknown, TemplateInvalid
from cultivar_generation.prompts import Prompt, names_in
from cultivar_generation.prompts.bounds import TooMuch
from cultivar_generation.strategies import STRATEGIES, Strategy

AXES = "axes"


def check_prompt(prompt: Prompt) -> Prompt:
    """Returns a prompt that its strategy can use; raises InvalidArgument with the field and the name that is wrong.

    A prompt of no strategy may name what any strategy gives.
    """
    if not prompt.strategy:
        if prompt.params:
            raise InvalidArgument("prompt.params needs prompt.strategy: name it", field="prompt.params")
        known = {name for strategy in STRATEGIES.values() for name in strategy.names}
        check_names(prompt.template, known, "which no strategy gives")
        return prompt
    strategy = STRATEGIES.get(prompt.strategy)
    if strategy is None:
        raise StrategyUnknown(prompt.strategy, STRATEGIES, "prompt.strategy")
    try:
        config = strategy.Config.model_validate(prompt.params)
    except ValidationError as error:
        raise invalid(error, "prompt.params") from error
    check_names(prompt.template, set(strategy.names), f"which the strategy {prompt.strategy} does not give")
    try_template(prompt, strategy, config)
    return prompt


def check_names(template: str, known: set[str], why: str) -> None:
    """Raises TemplateInvalid for a name that is not given, with the nearest of those that are."""
    known = known | {AXES}
    for name in sorted(names_in(template) - known):
        near = get_close_matches(name, sorted(known), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
        raise TemplateInvalid(f"it names {name!r}, {why}: {hint}")


def try_template(prompt: Prompt, strategy: Strategy, config: Any) -> None:
    """Raises TemplateInvalid where the template cannot be rendered for a made-up seed of any kind of task."""
    wrong: list[TemplateInvalid] = []
    for kind in strategy.tasks:
        task, seed = MADE_UP[kind]
        plan = strategy.plan(0, [seed], task, config, Random(0))
        axes: Mapping[str, str] = {axis: values[0] for axis, values in config.axes.items()}
        try:
            prompt.render({**plan.variables, AXES: axes})
        except TemplateInvalid as error:
            if isinstance(error.__cause__, TooMuch):
                raise
            wrong.append(error)
    if len(wrong) == len(strategy.tasks):
        raise wrong[0]


def made_up(kind: TaskKind, labels: tuple[str, ...], text: str, answer: str, **more: Any) -> tuple[TaskSpec, Example]:
    """Returns a task with one seed, to try a template on."""
    key = example_id("made up", kind, 0)
    seed = Example(
        id=key,
        task=kind,
        messages=(Message(role="user", content=text), Message(role="assistant", content=answer)),
        provenance=Provenance(origin="seed", family=key),
        **more,
    )
    return TaskSpec(kind=kind, instruction="Do it.", labels=labels), seed


MADE_UP = {
    TaskKind.INSTRUCTION: made_up(TaskKind.INSTRUCTION, (), "Name a tree.", "An oak."),
    TaskKind.CLASSIFICATION: made_up(TaskKind.CLASSIFICATION, ("yes", "no"), "Is it?", "yes", label="yes"),
    TaskKind.ENTITIES: made_up(
        TaskKind.ENTITIES, ("place",), "I am in Oslo.", "Oslo = place", spans=(Span(start=8, end=12, label="place"),)
    ),
    TaskKind.CODE: made_up(TaskKind.CODE, (), "Add.", "def add(a, b): return a + b", tests=("assert add(1, 2) == 3",)),
}
