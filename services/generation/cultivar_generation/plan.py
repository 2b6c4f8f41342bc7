"""What a generation run is to do, resolved: strategies with their defaults, prompts by version, the calls by number."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

from cultivar_models import Sampling
from cultivar_records import Example, Provenance, TaskSpec, example_id, first_wrong, inherited
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cultivar_generation.budget import Budget
from cultivar_generation.coverage import keys_of, picked, shortage
from cultivar_generation.errors import PromptChanged, TemplateInvalid
from cultivar_generation.freezing import FrozenTeacher
from cultivar_generation.prompts import Prompt
from cultivar_generation.quotas import Scope, Turn, drawn, shares_of, told, turns_labels, turns_of, wanted_of
from cultivar_generation.strategies import STRATEGIES, Draft, Plan, Pool
from cultivar_generation.strategies.protocol import StrategyConfig

MOST_TEACHERS = 16


class Use(BaseModel):
    """One use of a strategy, resolved: stored whole with the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str
    params: dict[str, Any]
    prompt: str = Field(description="The prompt with its version.")
    prompt_digest: str
    count: int = Field(ge=1, le=10_000_000)
    refill: bool = False

    @cached_property
    def config(self) -> StrategyConfig:
        """The parameters, read."""
        return STRATEGIES[self.strategy].Config.model_validate(self.params)


class WeightedTeacher(BaseModel):
    """A teacher that makes a share of the calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str
    weight: float = Field(gt=0, allow_inf_nan=False)


class FilterUse(BaseModel):
    """One use of a filter of the filtering service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: str
    params: dict[str, Any] = {}


class FilterPlan(BaseModel):
    """The filters that candidates must pass to count as made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = ""
    filters: tuple[FilterUse, ...] = ()
    held_out: tuple[str, ...] = Field((), description="The digests of the held-out manifests.")


class RunSpec(BaseModel):
    """What a generation run is to do, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: str = Field(description="The digest of the seeds' manifest.")
    task: TaskSpec
    uses: tuple[Use, ...] = Field(min_length=1)
    teacher: str = Field(description="The one teacher; empty where there are several.")
    random_seed: int = 0
    round: int = 0
    budget: Budget = Budget()
    # Left out where they are empty: a run that was asked for before there were these is still the same run.
    teachers: tuple[WeightedTeacher, ...] = Field((), max_length=MOST_TEACHERS, exclude_if=lambda given: not given)
    filter: FilterPlan | None = Field(None, exclude_if=lambda given: given is None)
    frozen: dict[str, FrozenTeacher] = Field(
        {}, exclude_if=lambda given: not given, description="Its teachers by name, as they were when the run was made."
    )

    @property
    def weights(self) -> dict[str, float]:
        """The teachers by name, each with its share of the calls."""
        return {each.teacher: each.weight for each in self.teachers} or {self.teacher: 1.0}

    @property
    def wanted(self) -> list[dict[tuple[str, str], int]]:
        """What the quotas of each use ask for, by dimension and value."""
        return [wanted_of(use.config, use.count) if "quotas" in use.params else {} for use in self.uses]


@dataclass(frozen=True)
class Call:
    """One planned call of a run: what the model is sent, and what its answer is read with.

    `asked` is what it adds to the coverage, `most` how many candidates may be read from its answer. `unusable` says why
    it can be sent nothing, as where a seed is longer than a prompt may be; empty where it can.
    """

    id: str
    use: Use
    prompt: Prompt
    plan: Plan
    text: str
    seed: int
    axes: Mapping[str, str]
    aims: tuple[str, ...] = ()
    asked: int = 0
    teacher: str = ""
    unusable: str = ""
    most: int = 1


Pick = tuple[int, int]
"""Which call: the place of its use in the spec, and its number within the use."""


def identified(place: int, within: int) -> str:
    """Returns the id of a call within its run."""
    return f"{place}-{within}"


def pick_of(identifier: str) -> Pick:
    """Returns the call of an id."""
    place, within = identifier.split("-")
    return int(place), int(within)


class Calls:
    """The calls of a run by number; a call depends on the run and its number alone, so a resumed run plans the same."""

    def __init__(self, spec: RunSpec, seeds: Sequence[Example], prompts: Sequence[Prompt]) -> None:
        self._spec = spec
        self._seeds = Pool(sorted(seeds, key=lambda seed: seed.id))
        self._uses = [
            (use, prompt, STRATEGIES[use.strategy], use.config) for use, prompt in zip(spec.uses, prompts, strict=True)
        ]
        self._rounds: list[tuple[int, list[Pick]]] = []
        self._turns = [
            turns_of(config, use.count, strategy.per_call(config)) for use, _, strategy, config in self._uses
        ]
        self._sizes = [turns.size for turns in self._turns]
        self._scopes = [Scope(spec.task, self._seeds, config) for _, _, _, config in self._uses]
        self._next = list(self._sizes)
        self._repeated = 0
        self._teachers, self._weights = list(spec.weights), list(spec.weights.values())

    def __len__(self) -> int:
        return sum(self._sizes) + sum(len(picks) for _, picks in self._rounds) - self._repeated

    @property
    def end(self) -> int:
        """One past the number of the last call; numbers before a round of refilling may be without a call."""
        return self._rounds[-1][0] + len(self._rounds[-1][1]) if self._rounds else sum(self._sizes)

    def range(self, start: int, end: int) -> Iterator[Call]:
        """Yields the calls from a number up to another."""
        return (self._planned(*pick) for pick in self.picks(start, end))

    def picks(self, start: int, end: int) -> Iterator[Pick]:
        """Yields which calls have the numbers from one up to another."""
        for number in range(start, min(end, sum(self._sizes))):
            yield self._pick(number)
        for first, picks in self._rounds:
            yield from picks[max(0, start - first) : max(0, end - first)]

    def count(self, start: int, end: int) -> int:
        """Returns how many calls there are from a number up to another."""
        parts = [(0, sum(self._sizes)), *((first, len(picks)) for first, picks in self._rounds)]
        return sum(max(0, min(end, first + size) - max(start, first)) for first, size in parts)

    def unseen(self) -> dict[str, list[int]]:
        """Returns the coverage of labels without a seed and without a guideline, of which nothing is asked.

        They stand in it so that whoever reads it sees that they are missing.
        """
        labels = [label for label in self._spec.task.labels if not self._seeds.of(label)]
        return {
            f"{place}\nlabel\n{label}": [0, 0]
            for place, (_, _, strategy, config) in enumerate(self._uses)
            for label in labels
            if "label" in strategy.names and not (strategy.takes_inputs or turns_labels(config) or told(config, label))
        }

    def refill(self, coverage: Mapping[str, Sequence[int]], first: int) -> int:
        """Adds calls, numbered from `first`, for what is short of the uses that refill; returns how many.

        The same coverages in the same order add the same calls. A use is asked for no more calls than were planned.
        """
        picks: list[Pick] = []
        for place, (use, _, strategy, config) in enumerate(self._uses):
            most = 2 * self._sizes[place] - self._next[place] if use.refill else 0
            numbers = range(self._next[place], self._next[place] + most)
            offered = ((number, self.aims((place, number))) for number in numbers)
            chosen = list(picked(shortage(coverage, place), offered, strategy.per_call(config)))
            picks += [(place, number) for number in chosen]
            self._next[place] = chosen[-1] + 1 if chosen else self._next[place]
        if picks:
            self._rounds.append((first, picks))
        return len(picks)

    def repeat(self, picks: Sequence[Pick], first: int) -> None:
        """Adds calls again that an earlier attempt passed over, numbered from `first`; each is the call that it was."""
        self._rounds.append((first, list(picks)))
        self._repeated += len(picks)

    def planned(self, pick: Pick) -> Call:
        """Returns a call."""
        return self._planned(*pick)

    def _pick(self, number: int) -> Pick:
        place, within = 0, number
        while within >= self._sizes[place]:
            within -= self._sizes[place]
            place += 1
        return place, within

    def first(self, most: int) -> Iterator[Call]:
        """Yields the first calls of each use."""
        return (
            self._planned(place, within) for place, size in enumerate(self._sizes) for within in range(min(size, most))
        )

    def aims(self, pick: Pick) -> tuple[str, ...]:
        """Returns the keys of coverage that a call aims at."""
        _, plan, axes, turn = self._laid_out(*pick)
        return self._keys(pick[0], plan, axes, turn)

    def _keys(self, place: int, plan: Plan, axes: Mapping[str, str], turn: Turn) -> tuple[str, ...]:
        # A seed with a quota is told of among however many.
        own = any(seed.id == turn.name for seed in plan.seeds)
        return keys_of(place, plan, axes, 1 if own else len(self._seeds))

    def _laid_out(self, place: int, within: int) -> tuple[Random, Plan, dict[str, str], Turn]:
        _, _, strategy, config = self._uses[place]
        random = Random(f"{self._spec.random_seed}/{identified(place, within)}")
        turn = self._turns[place].at(within)
        number, seeds, task = self._scopes[place].of(turn)
        plan = strategy.plan(number, seeds, task, limited(config, turn.most), random)
        if task is not self._spec.task:
            plan = replace(plan, variables={**plan.variables, "task": self._spec.task})
        return random, plan, axes_of(config, f"{self._spec.random_seed}/{place}", within), turn

    def _planned(self, place: int, within: int) -> Call:
        use, prompt, _, _ = self._uses[place]
        identifier = identified(place, within)
        random, plan, axes, turn = self._laid_out(place, within)
        # A call of refilling makes up for what others were asked for.
        asked = turn.most if within < self._sizes[place] else 0
        text, unusable = rendered(prompt, {**plan.variables, "axes": axes})
        aims = self._keys(place, plan, axes, turn)
        seed, teacher = random.getrandbits(31), self._teachers[0]
        if len(self._teachers) > 1:
            teacher = random.choices(self._teachers, self._weights)[0]
        plan = replace(plan, form=prompt.form, template=prompt.template)
        return Call(identifier, use, prompt, plan, text, seed, axes, aims, asked, teacher, unusable, turn.most)

    def read(self, call: Call, answer: str, cut: bool) -> tuple[list[Draft], list[str]]:
        """Returns the drafts of an answer, no more than were asked for, and why the rest of it is none."""
        strategy = STRATEGIES[call.use.strategy]
        config = limited(call.use.config, call.most)
        drafts = strategy.read(answer, call.plan, self._spec.task, config, cut)
        return drafts.good[: call.most], drafts.malformed


def limited(config: StrategyConfig, most: int) -> StrategyConfig:
    """Returns the parameters of a call that asks for fewer candidates than the others."""
    # Asked of the class: a model takes long to say that it has no such field.
    if "per_call" not in type(config).model_fields or most >= config.per_call:  # type: ignore[attr-defined]
        return config
    return config.model_copy(update={"per_call": most})


def unchanged(prompts: Sequence[Prompt], spec: RunSpec) -> Sequence[Prompt]:
    """Returns the prompts of the uses of a run; raises PromptChanged where one is not what the run was made with."""
    for use, prompt in zip(spec.uses, prompts, strict=True):
        if use.prompt_digest != prompt.digest:
            raise PromptChanged(use.prompt)
    return prompts


def rendered(prompt: Prompt, variables: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the text of a call, or else why there is none: one seed that cannot be shown must not end the run."""
    try:
        return prompt.render(variables), ""
    except TemplateInvalid as error:
        return "", str(error)


def axes_of(config: StrategyConfig, key: str, number: int) -> dict[str, str]:
    """Returns the value of each axis for a call; in as many calls as an axis has values, each comes once, or by quotas.

    The order is drawn anew for each axis and each such block, so that no value always meets the same label or seed.
    """
    chosen = {}
    for axis, values in config.axes.items():
        if shares := shares_of(config, axis):
            chosen[axis] = drawn(values, shares, f"{key}/{axis}", number)
            continue
        block, within = divmod(number, len(values))
        chosen[axis] = Random(f"{key}/{axis}/{block}").sample(values, len(values))[within]
    return chosen


def sampling_of(call: Call, temperature: float, top_p: float, max_tokens: int) -> Sampling:
    """Returns how the model is to be sampled for a call: as its use says, else as its teacher has it with room."""
    stop, own = call.plan.stop if call.plan.form == "continuation" else (), call.use.config
    return Sampling(
        temperature=temperature if own.temperature is None else own.temperature,
        top_p=top_p if own.top_p is None else own.top_p,
        max_tokens=own.max_tokens or max(max_tokens, call.plan.tokens),
        stop=stop,
        seed=call.seed,
    )


def candidate(
    run: str, spec: RunSpec, model: str, call: Call, ordinal: int, draft: Draft, licence: str = ""
) -> Example:
    """Makes a candidate of a draft; raises ValueError where it is no example of the task.

    `licence` is that of the teacher; the candidate has it, and those of the examples in its prompt.
    """
    identifier = example_id(run, call.id, ordinal)
    # What is made from a label's guideline alone descends from no seed, and begins a family.
    family = call.plan.seeds[0].provenance.family if call.plan.seeds else identifier
    label = draft.answer if spec.task.labels and draft.answer in spec.task.labels else None
    try:
        return Example(
            id=identifier,
            task=spec.task.kind,
            messages=draft.conversation,
            label=label,
            spans=draft.spans,
            tests=draft.tests,
            evidence=draft.evidence,
            rejected=draft.rejected,
            provenance=Provenance(
                origin="candidate",
                family=family,
                run=run,
                seeds=tuple(seed.id for seed in call.plan.seeds),
                strategy=call.use.strategy,
                prompt=call.prompt.versioned_name,
                prompt_digest=call.prompt.digest,
                teacher=call.teacher,
                model=model,
                call=call.id,
                ordinal=ordinal,
                round=spec.round,
                licences=inherited(licence, call.plan.seeds),
            ),
        )
    except ValidationError as error:
        raise ValueError(first_wrong(error)[1]) from error
