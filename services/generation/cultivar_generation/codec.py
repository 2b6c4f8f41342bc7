"""Messages of generation to and from its own objects."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from difflib import unified_diff
from typing import Any

from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar_records import TaskKind, TaskSpec
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_example, encode_task, encode_task_kind
from cultivar_service.names import resource_name, split_name
from cultivar_service.run_codec import encode_run, encode_time, encode_usage
from cultivar_service.runs import Run
from cultivar_service.struct_codec import decode_struct, encode_struct
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_generation.budget import Budget
from cultivar_generation.checking import check_prompt, check_use, config_of
from cultivar_generation.coverage import report
from cultivar_generation.errors import StrategyUnknown
from cultivar_generation.outcomes import PromptOutcome
from cultivar_generation.plan import MOST_TEACHERS, FilterPlan, FilterUse, RunSpec, Use, WeightedTeacher
from cultivar_generation.prompts import Form, Prompt
from cultivar_generation.quotas import check_quotas
from cultivar_generation.strategies import OTHER_DEFAULTS, STRATEGIES, Strategy
from cultivar_generation.teacher import LOCAL, TeacherSpec
from cultivar_generation.teaching import Outcome, usage_of
from cultivar_generation.yields import Yield

STATES = {
    "none": pb.TEACHER_STATE_UNSPECIFIED,
    "fine": pb.TEACHER_STATE_FINE,
    "poor": pb.TEACHER_STATE_POOR,
    "wrong": pb.TEACHER_STATE_WRONG,
}
STRUCTURED = {
    "auto": pb.STRUCTURED_OUTPUT_UNSPECIFIED,
    "never": pb.STRUCTURED_OUTPUT_NEVER,
    "always": pb.STRUCTURED_OUTPUT_ALWAYS,
}
APART = ("probe", "structured_output", "headers", "request_fields")
"""Fields of a teacher that are not the same on the wire."""
FORMS: Mapping[int, Form] = {pb.PROMPT_FORM_CHAT: "chat", pb.PROMPT_FORM_CONTINUATION: "continuation"}


def decode_spec(project: str, spec: pb.GenerationSpec, prompts: Mapping[int, Prompt]) -> RunSpec:
    """Resolves what a run is to do, with every default filled in; `prompts` are those of its uses, by place."""
    if not spec.strategies:
        raise InvalidArgument("spec.strategies is empty: name at least one strategy", field="spec.strategies")
    task = decode_task(spec.task, "spec.task")
    if task.kind is TaskKind.CLASSIFICATION and not task.labels:
        field = "spec.task.labels"
        raise InvalidArgument(f"{field} is empty: name the labels that the seeds have", field=field)
    return RunSpec(
        seeds=artifact_digest(project, spec.seeds, "spec.seeds"),
        task=task,
        uses=tuple(decode_use(use, place, prompts[place], task) for place, use in enumerate(spec.strategies)),
        teacher=decode_teacher_of(spec),
        random_seed=spec.random_seed,
        round=spec.round,
        budget=decode_budget(spec.budget),
        teachers=decode_weights(spec.teachers) if len(spec.teachers) > 1 else (),
        filter=decode_filter(project, spec),
    )


def decode_filter(project: str, spec: pb.GenerationSpec) -> FilterPlan | None:
    """Reads what candidates must pass to count; raises InvalidArgument where it would never be asked."""
    if not spec.HasField("filter"):
        return None
    if not any(use.refill for use in spec.strategies):
        raise InvalidArgument(
            "spec.filter says what counts where strategies refill, and none does: set refill, or filter after the run",
            field="spec.filter",
        )
    given = spec.filter
    if given.examples or given.seeds or given.HasField("task"):
        raise InvalidArgument(
            "leave examples, task and seeds of spec.filter empty: they are the run's own", field="spec.filter"
        )
    return FilterPlan(
        recipe=given.recipe,
        filters=tuple(FilterUse(filter=use.filter, params=decode_struct(use.params)) for use in given.filters),
        held_out=tuple(
            artifact_digest(project, name, f"spec.filter.held_out[{place}]")
            for place, name in enumerate(given.held_out)
        ),
    )


def encode_filter(project: str, plan: FilterPlan) -> filtering_pb2.FilterSpec:
    """Returns what candidates must pass to count."""
    return filtering_pb2.FilterSpec(
        recipe=plan.recipe,
        filters=[filtering_pb2.FilterUse(filter=use.filter, params=encode_struct(use.params)) for use in plan.filters],
        held_out=[artifact_name(project, digest) for digest in plan.held_out],
    )


def decode_teacher_of(spec: pb.GenerationSpec) -> str:
    """Returns the name of the one teacher, empty where there are several; raises InvalidArgument for both ways."""
    if spec.teacher and spec.teachers:
        raise InvalidArgument("name spec.teacher or spec.teachers, not both", field="spec.teachers")
    if len(spec.teachers) > 1:
        return ""
    if spec.teachers:
        return decode_weights(spec.teachers)[0].teacher
    return split_name(spec.teacher, "teachers", "spec.teacher")[1] if spec.teacher else LOCAL


def decode_weights(teachers: Sequence[pb.WeightedTeacher]) -> tuple[WeightedTeacher, ...]:
    """Reads several teachers with their weights; raises InvalidArgument for one named twice or without a weight."""
    read: list[WeightedTeacher] = []
    for place, each in enumerate(teachers):
        field = f"spec.teachers[{place}]"
        name = split_name(each.teacher, "teachers", f"{field}.teacher")[1]
        if any(other.teacher == name for other in read):
            raise InvalidArgument(f"{field}.teacher names {name} again: name each teacher once", field=field)
        try:
            read.append(WeightedTeacher(teacher=name, weight=each.weight))
        except ValidationError as error:
            raise invalid(error, field) from error
    if len(read) > MOST_TEACHERS:
        raise InvalidArgument(f"spec.teachers names {len(read)}: {MOST_TEACHERS} at most", field="spec.teachers")
    return tuple(read)


def decode_budget(budget: pb.Budget) -> Budget:
    """Reads what a run may spend; raises InvalidArgument for less than nothing."""
    try:
        return Budget(tokens=budget.tokens, cost=budget.cost)
    except ValidationError as error:
        raise invalid(error, "spec.budget") from error


def decode_use(use: pb.StrategyUse, place: int, prompt: Prompt, task: TaskSpec) -> Use:
    """Resolves one use of a strategy: the parameters of its prompt, those given over them, and the defaults."""
    field = f"spec.strategies[{place}]"
    name = use.strategy or prompt.strategy
    if prompt.strategy not in ("", name):
        raise InvalidArgument(
            f"{field}.prompt {prompt.name!r} is for the strategy {prompt.strategy}: use that one, or another prompt",
            field=f"{field}.prompt",
        )
    strategy = known_strategy(name, f"{field}.strategy")
    if task.kind not in strategy.tasks:
        kinds = ", ".join(strategy.tasks)
        raise InvalidArgument(f"{field}: {name} is for tasks of the kind {kinds}, not {task.kind}", field=field)
    if not 1 <= use.count <= 10_000_000:
        raise InvalidArgument(f"{field}.count must be 1 to 10,000,000, got {use.count}", field=f"{field}.count")
    config = config_of(strategy, with_params(prompt.params, decode_struct(use.params)), f"{field}.params")
    if why := strategy.check(config, task):
        raise InvalidArgument(f"{field}.params: {why}", field=f"{field}.params")
    check_use(prompt, strategy, config, task, field)
    check_quotas(config, strategy, task, use.count, f"{field}.params")
    return Use(
        strategy=name,
        params=config.model_dump(mode="json"),
        prompt=prompt.versioned_name,
        prompt_digest=prompt.digest,
        count=use.count,
        refill=use.refill,
    )


def with_params(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a prompt with those given over them; axes by name, and one that is null goes."""
    both = {**own, **given}
    if isinstance(own.get("axes"), Mapping) and isinstance(given.get("axes"), Mapping):
        axes = {**own["axes"], **given["axes"]}
        both["axes"] = {axis: values for axis, values in axes.items() if values is not None}
    return both


def known_strategy(name: str, field: str) -> Strategy:
    """Returns the strategy of a name; raises StrategyUnknown."""
    if name not in STRATEGIES:
        raise StrategyUnknown(name, STRATEGIES, field)
    return STRATEGIES[name]


def prompt_of_use(use: pb.StrategyUse, place: int, kind: TaskKind) -> str:
    """Returns the name of the prompt, with or without its version, that a use of a strategy takes."""
    if use.prompt:
        return split_name(use.prompt, "prompts", f"spec.strategies[{place}].prompt")[1]
    strategy = known_strategy(use.strategy, f"spec.strategies[{place}].strategy")
    return OTHER_DEFAULTS.get((use.strategy, kind), strategy.default_prompt)


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
                refill=use.refill,
            )
            for use in spec.uses
        ],
        teacher=resource_name(project, "teachers", spec.teacher),
        teachers=[
            pb.WeightedTeacher(teacher=resource_name(project, "teachers", each.teacher), weight=each.weight)
            for each in spec.teachers
        ],
        random_seed=spec.random_seed,
        round=spec.round,
        budget=pb.Budget(tokens=spec.budget.tokens, cost=spec.budget.cost),
        filter=encode_filter(project, spec.filter) if spec.filter is not None else None,
    )


def encode_generation_run(run: Run, *, whole: bool = True) -> pb.GenerationRun:
    """Returns the resource of a run; in a list it is not `whole` and has no coverage."""
    spec = RunSpec.model_validate(run.spec)
    lines = report(run.result["coverage"], spec.wanted) if whole and "coverage" in run.result else []
    return pb.GenerationRun(
        name=resource_name(run.project, "generationRuns", run.id),
        run=encode_run(run),
        spec=encode_spec(run.project, spec),
        candidates=artifact_name(run.project, run.result.get("candidates", "")),
        calls=artifact_name(run.project, run.result.get("calls", "")),
        stopped=run.result.get("stopped", ""),
        coverage=[pb.Coverage(**asdict(line)) for line in lines],
        filter_runs=run.result.get("filter_runs", []),
    )


def encode_preview(project: str, outcomes: Sequence[Outcome], planned: int) -> pb.PreviewResponse:
    """Returns what became of a few calls, and what they spent."""
    calls = [
        pb.PreviewCall(
            prompt=outcome.call.text,
            answer=outcome.answer,
            candidates=[encode_example(example) for example in outcome.candidates],
            malformed=[outcome.cause] if outcome.cause else outcome.malformed,
            usage=encode_usage(usage_of([outcome])),
            asked=outcome.call.asked,
            teacher=resource_name(project, "teachers", outcome.call.teacher),
        )
        for outcome in outcomes
    ]
    return pb.PreviewResponse(calls=calls, usage=encode_usage(usage_of(outcomes)), planned=planned)


def decode_prompt(project: str, name: str, prompt: pb.Prompt) -> Prompt:
    """Reads a prompt and checks it; raises InvalidArgument where something is absent or wrong."""
    if prompt.form not in FORMS:
        raise InvalidArgument("prompt.form must be CHAT or CONTINUATION", field="prompt.form")
    if not prompt.template.strip():
        raise InvalidArgument("prompt.template is empty", field="prompt.template")
    owner, parent = split_name(prompt.parent, "prompts", "prompt.parent") if prompt.parent else (project, "")
    if owner != project or (parent and "@" not in parent):
        raise InvalidArgument("prompt.parent must be a version of a prompt of the project", field="prompt.parent")
    if prompt.finding and not parent:
        raise InvalidArgument("prompt.finding needs prompt.parent: the version it was found in", field="prompt.parent")
    params = decode_struct(prompt.params)
    form, template, description = FORMS[prompt.form], prompt.template, prompt.description
    read = Prompt(name, 0, form, template, description, prompt.strategy, params, parent, prompt.finding)
    return check_prompt(read)


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
        strategy=prompt.strategy,
        params=encode_struct(prompt.params),
        parent=resource_name(project, "prompts", prompt.parent),
        finding=prompt.finding,
    )


def decode_diff(request: pb.DiffPromptsRequest) -> tuple[str, str, str]:
    """Reads the project and the two prompts to compare."""
    project, name = split_name(request.name, "prompts")
    owner, other = split_name(request.other, "prompts", "other")
    if owner != project:
        raise InvalidArgument(f"other is of projects/{owner}, and name of projects/{project}", field="other")
    return project, name, other


def encode_diff(project: str, prompt: Prompt, other: Prompt) -> pb.PromptDiff:
    """Returns how two versions differ: their templates line by line, and what else was changed."""
    fields = ("form", "strategy", "params", "description")
    names = prompt.versioned_name, other.versioned_name
    lines = unified_diff(prompt.template.splitlines(), other.template.splitlines(), *names, lineterm="")
    return pb.PromptDiff(
        prompt=encode_prompt(project, prompt),
        other=encode_prompt(project, other),
        template_diff="\n".join(lines),
        changed_fields=[field for field in fields if getattr(prompt, field) != getattr(other, field)],
    )


def encode_yield(project: str, name: str, one: Yield) -> pb.PromptYield:
    """Returns what one version gave in one run."""
    return pb.PromptYield(
        prompt=resource_name(project, "prompts", f"{name}@{one.version}"),
        generation_run=resource_name(project, "generationRuns", one.run),
        counts=one.counts,
        reasons=one.reasons,
        update_time=encode_time(one.update_time),
    )


def encode_prompt_report(
    project: str, name: str, found: Sequence[Yield], said: Sequence[PromptOutcome], versions: Sequence[Prompt]
) -> pb.PromptReport:
    """Returns what the versions of a prompt gave, and what filters and reviewers said of it."""
    return pb.PromptReport(
        yields=[encode_yield(project, name, one) for one in found],
        outcomes=[encode_outcome(project, one) for one in said],
        prompts=[encode_prompt(project, version) for version in versions],
    )


def encode_outcome(project: str, one: PromptOutcome) -> pb.PromptOutcome:
    """Returns what one artifact says of the candidates of one version."""
    scores = [
        pb.MeanScore(criterion=criterion, mean=total / number, reviews=number)
        for criterion, (total, number) in sorted(one.scores.items())
    ]
    return pb.PromptOutcome(
        prompt=resource_name(project, "prompts", f"{one.name}@{one.version}"),
        source=one.source,
        artifact=artifact_name(project, one.artifact),
        counts=one.counts,
        reasons=one.reasons,
        scores=scores,
        time=encode_time(one.time),
    )


def decode_teacher(teacher: pb.Teacher) -> TeacherSpec:
    """Reads a teacher; fields left empty take the defaults."""
    names = [name for name in TeacherSpec.model_fields if name not in (*APART, "temperature")]
    given: dict[str, Any] = {name: getattr(teacher, name) for name in names if getattr(teacher, name)}
    if teacher.HasField("temperature"):
        given["temperature"] = teacher.temperature
    given |= {"headers": dict(teacher.headers), "request_fields": decode_struct(teacher.request_fields)}
    given["structured_output"] = {number: name for name, number in STRUCTURED.items()}.get(
        teacher.structured_output, "auto"
    )
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
        structured_output=spec.probe.structured_output,
        chat_only=spec.probe.chat_only,
    )
    return pb.Teacher(
        name=resource_name(project, "teachers", teacher_id),
        **spec.model_dump(mode="json", exclude=set(APART)),
        structured_output=STRUCTURED[spec.structured_output],
        headers=spec.headers,
        request_fields=encode_struct(spec.request_fields) if spec.request_fields else None,
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
        tasks=[encode_task_kind(kind) for kind in strategy.tasks],
        names=strategy.names,
        takes_inputs=strategy.takes_inputs,
    )
