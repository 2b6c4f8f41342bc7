"""Messages of generation to and from its own objects."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cultivar.generation.v1 import generation_pb2 as pb
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_task
from cultivar_service.names import resource_name, split_name
from cultivar_service.run_codec import encode_run, encode_time
from cultivar_service.runs import Run
from cultivar_service.struct_codec import decode_struct, encode_struct
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_generation.budget import Budget
from cultivar_generation.errors import StrategyUnknown
from cultivar_generation.plan import RunSpec, Use
from cultivar_generation.prompts import Form, Prompt
from cultivar_generation.strategies import STRATEGIES
from cultivar_generation.teacher import LOCAL, TeacherSpec

STATES = {
    "none": pb.TEACHER_STATE_UNSPECIFIED,
    "fine": pb.TEACHER_STATE_FINE,
    "poor": pb.TEACHER_STATE_POOR,
    "wrong": pb.TEACHER_STATE_WRONG,
}
FORMS: Mapping[int, Form] = {pb.PROMPT_FORM_CHAT: "chat", pb.PROMPT_FORM_CONTINUATION: "continuation"}


def decode_spec(project: str, spec: pb.GenerationSpec, prompts: Mapping[int, Prompt]) -> RunSpec:
    """Resolves what a run is to do, with every default filled in; `prompts` are those of its uses, by place."""
    if not spec.strategies:
        raise InvalidArgument("spec.strategies is empty: name at least one strategy", field="spec.strategies")
    return RunSpec(
        seeds=artifact_digest(project, spec.seeds, "spec.seeds"),
        task=decode_task(spec.task, "spec.task"),
        uses=tuple(decode_use(use, place, prompts[place]) for place, use in enumerate(spec.strategies)),
        teacher=split_name(spec.teacher, "teachers", "spec.teacher")[1] if spec.teacher else LOCAL,
        random_seed=spec.random_seed,
        round=spec.round,
        budget=decode_budget(spec.budget),
    )


def decode_budget(budget: pb.Budget) -> Budget:
    """Reads what a run may spend; raises InvalidArgument for less than nothing."""
    try:
        return Budget(tokens=budget.tokens, cost=budget.cost)
    except ValidationError as error:
        raise invalid(error, "spec.budget") from error


def decode_use(use: pb.StrategyUse, place: int, prompt: Prompt) -> Use:
    """Resolves one use of a strategy through its Config."""
    field = f"spec.strategies[{place}]"
    strategy = STRATEGIES.get(use.strategy)
    if strategy is None:
        raise StrategyUnknown(use.strategy, STRATEGIES, f"{field}.strategy")
    try:
        config = strategy.Config.model_validate(decode_struct(use.params))
    except ValidationError as error:
        raise invalid(error, f"{field}.params") from error
    if not 1 <= use.count <= 10_000_000:
        raise InvalidArgument(f"{field}.count must be 1 to 10,000,000, got {use.count}", field=f"{field}.count")
    return Use(
        strategy=use.strategy,
        params=config.model_dump(mode="json"),
        prompt=prompt.versioned_name,
        prompt_digest=prompt.digest,
        count=use.count,
    )


def prompt_of_use(project: str, use: pb.StrategyUse, place: int) -> str:
    """Returns the name of the prompt, with or without its version, that a use of a strategy takes."""
    if use.strategy not in STRATEGIES:
        raise StrategyUnknown(use.strategy, STRATEGIES, f"spec.strategies[{place}].strategy")
    if not use.prompt:
        return STRATEGIES[use.strategy].default_prompt
    return split_name(use.prompt, "prompts", f"spec.strategies[{place}].prompt")[1]


def encode_spec(project: str, spec: RunSpec) -> pb.GenerationSpec:
    """Returns what a run is to do."""
    return pb.GenerationSpec(
        seeds=artifact_name(project, spec.seeds),
        task=encode_task(spec.task),
        strategies=[
            pb.StrategyUse(
                strategy=use.strategy,
                params=encode_struct(use.params),
                prompt=resource_name(project, "prompts", use.prompt),
                count=use.count,
            )
            for use in spec.uses
        ],
        teacher=resource_name(project, "teachers", spec.teacher),
        random_seed=spec.random_seed,
        round=spec.round,
        budget=pb.Budget(tokens=spec.budget.tokens, cost=spec.budget.cost),
    )


def encode_generation_run(run: Run) -> pb.GenerationRun:
    """Returns the resource of a run."""
    return pb.GenerationRun(
        name=resource_name(run.project, "generationRuns", run.id),
        run=encode_run(run),
        spec=encode_spec(run.project, RunSpec.model_validate(run.spec)),
        candidates=artifact_name(run.project, run.result.get("candidates", "")),
        calls=artifact_name(run.project, run.result.get("calls", "")),
        stopped=run.result.get("stopped", ""),
    )


def decode_prompt(name: str, prompt: pb.Prompt) -> Prompt:
    """Reads the form, template and description of a prompt; raises InvalidArgument where one is absent."""
    if prompt.form not in FORMS:
        raise InvalidArgument("prompt.form must be CHAT or CONTINUATION", field="prompt.form")
    if not prompt.template.strip():
        raise InvalidArgument("prompt.template is empty", field="prompt.template")
    return Prompt(name, 0, FORMS[prompt.form], prompt.template, prompt.description)


def encode_prompt(project: str, prompt: Prompt) -> pb.Prompt:
    """Returns the resource of a prompt version."""
    forms = {form: number for number, form in FORMS.items()}
    return pb.Prompt(
        name=resource_name(project, "prompts", prompt.versioned_name),
        version=prompt.version,
        form=pb.PromptForm.ValueType(forms[prompt.form]),
        template=prompt.template,
        description=prompt.description,
        digest=prompt.digest,
    )


def decode_teacher(teacher: pb.Teacher) -> TeacherSpec:
    """Reads a teacher; fields left empty take the defaults."""
    names = [name for name in TeacherSpec.model_fields if name not in ("probe", "temperature")]
    given: dict[str, Any] = {name: getattr(teacher, name) for name in names if getattr(teacher, name)}
    if teacher.HasField("temperature"):
        given["temperature"] = teacher.temperature
    try:
        return TeacherSpec.model_validate(given)
    except ValidationError as error:
        raise invalid(error, "teacher") from error


def encode_teacher(project: str, teacher_id: str, spec: TeacherSpec, changed: datetime | None) -> pb.Teacher:
    """Returns the resource of a teacher."""
    probe = pb.TeacherProbe(
        state=STATES[spec.probe.state],
        problems=spec.probe.problems,
        latency_seconds=spec.probe.latency_seconds,
        tokens_per_second=spec.probe.tokens_per_second,
    )
    return pb.Teacher(
        name=resource_name(project, "teachers", teacher_id),
        **spec.model_dump(mode="json", exclude={"probe"}),
        probe=probe,
        update_time=encode_time(changed),
    )


def encode_strategy(name: str) -> pb.Strategy:
    """Returns a strategy with its sentence and schema."""
    strategy = STRATEGIES[name]
    return pb.Strategy(
        strategy=name,
        description=strategy.description,
        params_schema=encode_struct(strategy.Config.model_json_schema()),
        default_prompt=strategy.default_prompt,
    )
