"""What a strategy is given and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, Protocol

from cultivar_records import Example, Message, Span, TaskKind, TaskSpec
from pydantic import BaseModel, ConfigDict, Field

from cultivar_generation.prompts import Form
from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.reading import MORE

ANY_TASK = tuple(TaskKind)
AxisName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
AxisValues = Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]


class StrategyConfig(BaseModel):
    """Parameters of a strategy; unknown keys are refused. Every strategy has axes, which a template sees as `axes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    axes: dict[AxisName, AxisValues] = Field(
        {},
        max_length=16,
        description="What else is to vary, such as tone, persona, topic, length or difficulty: the values of each. "
        "Those of a prompt stay beside what is given, by name; one given as null goes.",
    )
    # Left out where it is empty: a run that was asked for before there were quotas is still the same run.
    quotas: dict[str, dict[str, Annotated[int, Field(ge=0, le=10_000_000)]]] = Field(
        {},
        max_length=16,
        exclude_if=lambda given: not given,
        description="How many candidates each label or seed gets, as {label: {refund: 200}} or {seed: {ID: 20}}, the "
        "others sharing the rest equally; and which share each value of an axis gets, as {tone: {formal: 3}}, those "
        "not named having 1.",
    )
    temperature: float | None = Field(
        None, ge=0, le=2, exclude_if=lambda given: given is None, description="In place of the teacher's."
    )
    top_p: float | None = Field(
        None, gt=0, le=1, exclude_if=lambda given: given is None, description="In place of the teacher's."
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=32768,
        exclude_if=lambda given: given is None,
        description="The most tokens of an answer, in place of what the teacher has and the strategy needs.",
    )


@dataclass(frozen=True)
class Plan:
    """One call that a strategy plans: the seeds in its prompt, what the template may name, where the answer ends.

    `stop` ends a continuation, which has no end of its own; a chat model ends its answer itself, and may begin it with
    a sentence of its own. `schema` is the JSON schema of the answer, for chat models that can be held to one; empty
    where the answer is one text. `tokens` is what an answer needs as a rule; 0 where any teacher gives enough. `form`
    and `template` are the prompt's: a continuation begins in the middle of what its prompt ends with, and goes on in
    its words.
    """

    seeds: tuple[Example, ...]
    variables: Mapping[str, Any]
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    form: Form = "chat"
    template: str = ""
    tokens: int = 0


@dataclass(frozen=True)
class Draft:
    """A candidate as it was read from an answer; `answer` is the label of a classification example.

    `messages` are all that come before the answer, where that is more than `text` alone.
    """

    text: str
    answer: str
    messages: tuple[Message, ...] = ()
    spans: tuple[Span, ...] = ()
    tests: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    rejected: str | None = None

    @property
    def conversation(self) -> tuple[Message, ...]:
        """Gives the messages of the candidate, its answer the last."""
        before = self.messages or (Message(role="user", content=self.text),)
        return (*before, Message(role="assistant", content=self.answer))


@dataclass(frozen=True)
class Drafts:
    """What an answer holds: drafts, and the pieces that no draft could be read from, each with its reason."""

    good: list[Draft] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)

    def add(self, found: Draft | str, most: int) -> None:
        """Adds a piece of the answer: a draft, the `most` first of them, or why it is none."""
        if isinstance(found, str):
            self.malformed.append(found)
        elif len(self.good) < most:
            self.good.append(found)
        else:
            self.malformed.append(MORE)


class Strategy(Protocol):
    """A program that makes candidates out of seeds."""

    @property
    def description(self) -> str:
        """What it does, in a sentence."""
        ...

    @property
    def default_prompt(self) -> str:
        """The prompt that it uses when a run names none."""
        ...

    @property
    def tasks(self) -> Sequence[TaskKind]:
        """The kinds of task that it works for."""
        ...

    @property
    def names(self) -> Mapping[str, str]:
        """What a template may name, each with what it is."""
        ...

    @property
    def takes_inputs(self) -> bool:
        """Whether seeds may be inputs without answers."""
        ...

    @property
    def Config(self) -> type[StrategyConfig]:
        """Its parameters."""
        ...

    def per_call(self, config: Any) -> int:
        """Returns how many candidates one call is asked for."""
        ...

    def check(self, config: Any, task: TaskSpec) -> str:
        """Returns why no call could give a candidate of the task, and what to do; empty where one can."""
        ...

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: Any, random: Random) -> Plan:
        """Plans the call of a number, counted from 0; the same number and generator give the same plan."""
        ...

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: Any, cut: bool) -> Drafts:
        """Reads the drafts of an answer; `cut` says that it was ended by its length, so its end is half a thought."""
        ...
