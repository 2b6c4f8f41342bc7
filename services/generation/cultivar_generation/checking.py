"""What is checked of a prompt before it is made or used: parameters, names, and a trial on made-up seeds."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from random import Random
from typing import Any

from cultivar_records import TaskKind, TaskSpec
from cultivar_service.errors import InvalidArgument
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_generation.errors import StrategyUnknown, TemplateInvalid
from cultivar_generation.made_up import LABELS, MADE_UP, TASKS, made_up_seeds
from cultivar_generation.prompts import Prompt, names_in, parsed, render
from cultivar_generation.prompts.attributes import asked_for, check_attributes, shown_of
from cultivar_generation.prompts.bounds import TooMuch
from cultivar_generation.quotas import check_quotas
from cultivar_generation.strategies import STRATEGIES, Plan, Pool, Strategy

AXES = "axes"
SHOTS = 4
MOST_TRIALS = 1000
TRIAL_SECONDS = 0.1
"""Of a core, since other calls wait meanwhile: what is left untried then fails in the run, as a call with its cause."""

__all__ = ["MADE_UP", "check_prompt", "check_use", "config_of"]


def check_prompt(prompt: Prompt) -> Prompt:
    """Returns a prompt that its strategy can use; raises InvalidArgument with the field and the name that is wrong.

    A prompt of no strategy may name what any strategy gives.
    """
    if not prompt.strategy:
        if prompt.params:
            raise InvalidArgument("prompt.params needs prompt.strategy: name it", field="prompt.params")
        known = {name for strategy in STRATEGIES.values() for name in strategy.names}
        check_names(prompt.template, known, "which no strategy gives")
        configs = [(strategy, strategy.Config()) for strategy in STRATEGIES.values()]
        check_attributes(prompt.template, values_given(configs))
        return prompt
    strategy = STRATEGIES.get(prompt.strategy)
    if strategy is None:
        raise StrategyUnknown(prompt.strategy, STRATEGIES, "prompt.strategy")
    config = config_of(strategy, prompt.params, "prompt.params")
    check_names(prompt.template, set(strategy.names), f"which the strategy {prompt.strategy} does not give")
    check_attributes(prompt.template, values_given([(strategy, config)]))
    check_axes(prompt, config, "prompt.params")
    check_quotas(config, strategy, None, 0, "prompt.params")
    try_kinds(prompt, strategy, config)
    return prompt


def config_of(strategy: Strategy, params: Mapping[str, Any], field: str) -> Any:
    """Reads the parameters of a strategy; raises InvalidArgument with the field that is wrong."""
    try:
        return strategy.Config.model_validate(params)
    except ValidationError as error:
        raise invalid(error, field) from error
    except TemplateInvalid as error:
        raise TemplateInvalid(error.why, f"{field}.check.template") from error


def check_use(prompt: Prompt, strategy: Strategy, config: Any, task: TaskSpec, field: str) -> None:
    """Raises TemplateInvalid, with its field, where a prompt and its check do not suit a task with these parameters."""
    try:
        if not prompt.strategy:
            asked = asked_for(parsed(prompt.template), names=True)
            check_names(prompt.template, {*strategy.names, *asked}, "which the strategy does not give")
        given = {**values_given([(strategy, config)], [task]), AXES: [next(axes_tried(config, 1))]}
        check_attributes(prompt.template, given)
    except TemplateInvalid as error:
        raise TemplateInvalid(error.why, f"{field}.prompt") from error
    check_axes(prompt, config, f"{field}.params")
    try_template(prompt, strategy, config, task, field)


def check_names(template: str, known: set[str], why: str) -> None:
    """Raises TemplateInvalid for a name that is not given, with the nearest of those that are."""
    known = known | {AXES}
    for name in sorted(names_in(template) - known):
        near = get_close_matches(name, sorted(known), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
        raise TemplateInvalid(f"it names {name!r}, {why}: {hint}")


def check_axes(prompt: Prompt, config: Any, field: str) -> None:
    """Raises InvalidArgument for axes that a prompt never shows: what it asks for would vary in name alone."""
    shown = shown_of(prompt.template, AXES)
    unseen = sorted(set(config.axes) - shown) if shown is not None else []
    if unseen:
        named = prompt.versioned_name if prompt.version else "the template"
        raise InvalidArgument(
            f"{field}.axes: {named} never names axes.{unseen[0]}, so it would change nothing: leave it out, or name it "
            "there",
            field=f"{field}.axes",
        )


def values_given(
    configs: Sequence[tuple[Strategy, Any]], tasks: Sequence[TaskSpec] = tuple(TASKS.values())
) -> Mapping[str, Sequence[Any]]:
    """Returns what a template may be given by some strategies for some tasks, by name."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for strategy, config in configs:
        for task in tasks:
            for plan in plans(strategy, config, task, 2) if task.kind in strategy.tasks else ():
                for name, value in plan.variables.items():
                    found[name].append(value)
    return found


def plans(strategy: Strategy, config: Any, task: TaskSpec, number: int) -> Iterator[Plan]:
    """Yields the plans of some calls for made-up seeds of a task, as many shots of each label as a prompt may show."""
    if task.kind is TaskKind.CLASSIFICATION and not task.labels:
        task = task.model_copy(update={"labels": LABELS[task.kind]})
    seeds = Pool(made_up_seeds(task, max(SHOTS, getattr(config, "shots", 0))))
    for each in range(number):
        yield strategy.plan(each, seeds, task, config, Random(each))


def axes_tried(config: Any, number: int) -> Iterator[Mapping[str, str]]:
    """Yields values of the axes, each value once before any comes again, and in another order after that."""
    for each in range(number):
        yield {axis: values[(each + each // len(values)) % len(values)] for axis, values in config.axes.items()}


def try_kinds(prompt: Prompt, strategy: Strategy, config: Any) -> None:
    """Raises TemplateInvalid where a template cannot be rendered for any kind of task: it may be for one of them."""
    wrong: list[TemplateInvalid] = []
    for kind in strategy.tasks:
        try:
            try_template(prompt, strategy, config, TASKS[kind], "")
            return
        except TemplateInvalid as error:
            wrong.append(error)
            if isinstance(error.__cause__, TooMuch):
                break
    raise wrong[0]


def try_template(prompt: Prompt, strategy: Strategy, config: Any, task: TaskSpec, field: str) -> None:
    """Raises TemplateInvalid where a template or its check cannot be rendered for made-up seeds and every axis value.

    field: that of the use; empty for a prompt by itself.
    """
    template, params = (f"{field}.prompt", f"{field}.params") if field else ("prompt.template", "prompt.params")
    most = max((2 * len(values) for values in config.axes.values()), default=0)
    number = min(MOST_TRIALS, max(most, 2 * len(task.labels), SHOTS))
    check, begun = getattr(config, "check", None), time.thread_time()
    for plan, axes in zip(plans(strategy, config, task, number), axes_tried(config, number), strict=True):
        try_rendering(prompt.template, {**plan.variables, AXES: axes}, template)
        if check is not None:
            text = plan.seeds[0].text
            try_rendering(
                check.template, {"draft": text, "text": text, AXES: axes, "task": task}, f"{params}.check.template"
            )
        if time.thread_time() - begun > TRIAL_SECONDS:
            return


def try_rendering(template: str, variables: Mapping[str, Any], field: str) -> None:
    """Raises TemplateInvalid with a field where a template cannot be rendered."""
    try:
        render(template, variables)
    except TemplateInvalid as error:
        raise TemplateInvalid(error.why, field) from error.__cause__
