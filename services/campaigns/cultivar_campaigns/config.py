"""The campaign file: what each field means, its defaults, and what is checked before anything is made."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from cultivar_records import TaskKind, TaskSpec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Arm = Literal["base", "base_with_shots", "real", "real_stand_in", "real_synthetic", "real_reviewed"]
ARMS: tuple[Arm, ...] = ("base", "base_with_shots", "real", "real_stand_in", "real_synthetic", "real_reviewed")
UNTRAINED = ("base", "base_with_shots")
WITH_CANDIDATES = ("real_synthetic", "real_reviewed")
HYPERPARAMETERS = ("base_model", "learning_rate", "epochs", "batch_size", "max_length", "max_trained_tokens", "workers")
Seed = Annotated[int, Field(ge=0, lt=2**53)]


class Section(BaseModel):
    """A part of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Goal(Section):
    """What the campaign is for; the report's verdict answers it."""

    metric: Literal["accuracy", "macro_f1", "perplexity"] = Field(
        description="The metric that counts, taken on the held-out rows; perplexity, less being better, without labels."
    )
    target: float = Field(
        gt=0, description="The value that an arm has to reach: over 0 to 1, of perplexity 1 or more and reached below."
    )
    margin: float = Field(
        ge=0,
        description="The gain over real examples alone that is worth having; the interval must lie above it.",
    )

    @model_validator(mode="after")
    def _target_can_be_reached(self) -> Self:
        if self.metric == "perplexity":
            if self.target < 1:
                raise ValueError("target must be 1 or more: no perplexity is below 1")
        elif self.target > 1 or self.margin >= 1:
            raise ValueError(f"target must be 1 at most, and margin below 1: {self.metric} is a share")
        return self


class Task(Section):
    """What the model is to learn."""

    kind: TaskKind = Field(
        TaskKind.CLASSIFICATION,
        description="The kind of task: classification, entities, code, or instruction, which is any other text.",
    )
    instruction: str = Field(
        "", max_length=4000, description="The instruction that stands before each input, in a sentence or two."
    )
    labels: tuple[str, ...] = Field((), description="The labels; empty for those that the seeds have.")
    input_name: str = Field("Message", min_length=1, description="The word before an input.")
    output_name: str = Field("Intent", min_length=1, description="The word before an output.")

    def spec(self, labels: tuple[str, ...]) -> TaskSpec:
        """Returns the task as records have it, with some labels."""
        return TaskSpec(
            kind=self.kind,
            instruction=self.instruction,
            labels=labels,
            input_name=self.input_name,
            output_name=self.output_name,
        )


class DataFile(Section):
    """A file of examples, whole or as a sample."""

    file: str = Field(
        min_length=1, description="The file: a path beside the campaign file, or an artifact of examples."
    )
    only_labels: bool = Field(False, description="Whether rows of other labels than the task's are passed over.")
    per_label: int = Field(0, ge=0, le=1_000_000, description="How many rows to draw of each label; 0 for all.")
    random_seed: Seed = Field(0, description="The number that the drawing follows from.")


def as_file(value: Any) -> Any:
    """Reads a bare text as the name of a file."""
    return {"file": value} if isinstance(value, str) else value


File = Annotated[DataFile, BeforeValidator(as_file)]


class Data(Section):
    """The files; no example of one may be a near-duplicate of one in the held-out file."""

    seeds: File = Field(description="The examples that a person wrote, from which candidates are made.")
    validation: File | None = Field(None, description="Examples that decide when training stops; never reported on.")
    held_out: File | None = Field(
        None, description="Examples that every arm is scored on, and that nothing else ever sees."
    )
    stand_in: File | None = Field(
        None, description="Examples that the stand-in reviewer knows, and that the arm real_stand_in is trained on."
    )
    replay: File | None = Field(None, description="General examples that keep the model from forgetting.")


class Use(Section):
    """One use of a strategy."""

    strategy: str = Field(description="The strategy, such as expand or rewrite.")
    params: dict[str, Any] = Field({}, description="Its parameters.")
    prompt: str = Field("", description="The prompt, with @VERSION for one version; empty for the strategy's own.")
    count: int = Field(ge=1, le=10_000_000, description="The most candidates to ask for.")
    refill: bool = Field(
        False,
        description="Whether labels, seeds and values of axes of which the filters keep too few are asked again.",
    )


class FilterUse(Section):
    """One use of a filter."""

    filter: str = Field(description="The filter.")
    params: dict[str, Any] = Field({}, description="Its parameters.")


class Filtering(Section):
    """Which candidates are kept."""

    recipe: str = Field("", description="A recipe that ships with Cultivar; empty for its default.")
    filters: tuple[FilterUse, ...] = Field((), description="Filters in their order, instead of a recipe.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.recipe and self.filters:
            raise ValueError("give recipe or filters, not both")
        return self


class Answering(Section):
    """How the inputs that were kept are answered, where the strategies write inputs alone."""

    prompt: str = Field("", description="The prompt, with @VERSION for one version; empty for the shipped one.")
    params: dict[str, Any] = Field({}, description="Parameters of the strategy answer.")
    filter: Filtering = Field(Filtering(), description="Which of the answered candidates are kept.")


class Review(Section):
    """Who looks at what was kept."""

    by: Literal["person", "stand-in", "nobody"] = Field(
        "person", description="Who reviews: a person, the stand-in (a program that the report names), or nobody."
    )
    sample: int = Field(0, ge=0, le=100_000, description="How many candidates are drawn to be reviewed; 0 for all.")
    guidelines: str = Field("", max_length=200_000, description="What reviewers go by, in Markdown.")
    tags: tuple[str, ...] = Field((), description="The tags that reviewers may use; empty for any.")
    lease_seconds: int = Field(0, ge=0, le=86_400, description="How long a task stays with a reviewer; 0 for 900.")
    similarity: float = Field(
        0.45, ge=0, le=1, description="The least cosine similarity to a known message at which the stand-in accepts."
    )


class Select(Section):
    """Which generated examples join the seeds."""

    selector: str = Field("", description="The selector; empty for balanced.")
    params: dict[str, Any] = Field({}, description="Its parameters.")
    budget: int = Field(0, ge=0, description="The most generated examples in a dataset; 0 for all.")
    replay_share: float = Field(0.0, ge=0, lt=1, description="The share of a dataset that is taken from data.replay.")
    licences: tuple[str, ...] = Field((), description="The teachers' licences that examples may have; empty for any.")


class Lora(Section):
    """The shape of an adapter; 0 takes the default of training."""

    rank: int = Field(0, ge=0, le=256, description="The rank of the matrices.")
    alpha: float = Field(0.0, ge=0, description="What the product of the matrices is multiplied by, times the rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="The share of inputs that is dropped while training.")
    target_modules: tuple[str, ...] = Field((), description="The linear layers to adapt; empty for all but the head.")

    @property
    def given(self) -> dict[str, Any]:
        """What the file sets; the rest is left to training."""
        return {name: value for name, value in self.model_dump().items() if value}


class Train(Section):
    """How each trained arm is trained; 0 takes the default of training."""

    seeds: tuple[Seed, ...] = Field(
        (1, 2), min_length=1, max_length=20, description="The training seeds; each arm is trained once with each."
    )
    base_model: str = Field("", description="The model to start from; empty for the one that ships with Cultivar.")
    lora: Lora = Field(Lora(), description="The shape of the adapter.")
    learning_rate: float = Field(0.0, ge=0, lt=1, description="The highest learning rate.")
    epochs: int = Field(0, ge=0, le=1000, description="How often each row is seen at most.")
    batch_size: int = Field(0, ge=0, le=1024, description="Rows in a step.")
    max_length: int = Field(0, ge=0, le=8192, description="The most tokens of a row.")
    max_trained_tokens: int = Field(0, ge=0, description="The most tokens to feed in one training; 0 for no bound.")
    patience: int | None = Field(None, ge=0, description="Epochs without a better validation loss before it stops.")
    workers: int = Field(0, ge=0, le=64, description="Processes that train together; 0 for what is fastest here.")

    @model_validator(mode="after")
    def _seeds_are_distinct(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two training seeds are the same: give each its own")
        return self

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the file sets; the rest is left to training."""
        given = {name: getattr(self, name) for name in HYPERPARAMETERS if getattr(self, name)}
        return given if self.patience is None else {**given, "patience": self.patience}


def as_training(value: Any) -> Any:
    """Reads `train: no`, which YAML gives as false."""
    return None if value is False else value


class Evaluate(Section):
    """What is compared."""

    arms: tuple[Arm, ...] = Field((), description="The arms; empty for all that the data allows.")
    most_shots: int = Field(16, ge=1, le=256, description="The most seeds in the prompt of the arm base_with_shots.")


class Budget(Section):
    """Where the campaign stops by itself; 0 is no bound."""

    minutes: float = Field(0.0, ge=0, description="Minutes of work, waiting for people not counted.")
    tokens: int = Field(0, ge=0, description="Tokens sent to models and written by them.")
    cost: float = Field(0.0, ge=0, description="Money, by the prices of the teachers.")


class CampaignConfig(Section):
    """The whole file."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}$", description="The name: lower-case letters, digits and hyphens, 40 at most."
    )
    goal: Goal | None = Field(None, description="What the campaign is for: metric, target and margin.")
    task: Task = Field(description="What the model is to learn.")
    data: Data = Field(description="The files.")
    teacher: str = Field("local", min_length=1, max_length=63, description="The teacher, as it was registered.")
    teachers: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        {},
        max_length=16,
        description="Several in place of `teacher`: the share of each in the calls, as in {local: 3, other: 1}.",
    )
    generate: tuple[Use, ...] = Field(
        (Use(strategy="expand", count=300),), min_length=1, description="The strategies, each with its count."
    )
    filter: Filtering = Field(Filtering(), description="Which candidates are kept.")
    answer: Answering | None = Field(
        None, description="How what was kept is answered, where it has no answers yet: then it is filtered again."
    )
    review: Review = Field(Review(), description="Who looks at what was kept.")
    select: Select = Field(Select(), description="Which generated examples join the seeds.")
    train: Annotated[Train | None, BeforeValidator(as_training)] = Field(
        Train(), description="How each trained arm is trained; no where the campaign ends with its dataset."
    )
    evaluate: Evaluate = Field(Evaluate(), description="What is compared.")
    budget: Budget = Field(Budget(), description="Where the campaign stops by itself.")
    random_seed: Seed = Field(0, description="The number that every random choice follows from.")

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        for reason in misfits(self):
            raise ValueError(reason)
        return self

    @property
    def trains(self) -> bool:
        """Whether models are trained and compared; otherwise the campaign ends with its dataset."""
        return self.train is not None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms to compare, in the order in which they are shown; the one whose dataset is made, where none is."""
        reviewed = self.review.by != "nobody"
        if not self.trains:
            return ("real_reviewed",) if reviewed else ("real_synthetic",)
        allowed = [arm for arm in ARMS if arm != "real_stand_in" or self.data.stand_in is not None]
        allowed = [arm for arm in allowed if arm != "real_reviewed" or reviewed]
        return tuple(arm for arm in ARMS if arm in (self.evaluate.arms or allowed))

    @property
    def files(self) -> dict[str, DataFile | None]:
        """The files by what they are."""
        return {name: getattr(self.data, name) for name in Data.model_fields}


def misfits(config: CampaignConfig) -> Iterator[str]:
    """Yields what in a file does not fit together, each as a sentence with what to do."""
    arms, data = config.evaluate.arms, config.data
    if config.teachers and config.teacher != "local":
        yield "teacher and teachers are both set: name one teacher, or several with their shares"
    if len(set(arms)) < len(arms):
        yield "evaluate.arms names an arm twice: name each once"
    if "real_stand_in" in arms and data.stand_in is None:
        yield "evaluate.arms has real_stand_in, which needs data.stand_in"
    if "real_reviewed" in arms and config.review.by == "nobody":
        yield "evaluate.arms has real_reviewed, and review.by is nobody: let a person or the stand-in review"
    if config.review.by == "stand-in" and data.stand_in is None:
        yield "review.by is stand-in, which needs data.stand_in: the messages that it knows"
    if config.select.replay_share and data.replay is None:
        yield "select.replay_share is set, which needs data.replay"
    if not config.task.labels and any(file is not None and file.only_labels for file in config.files.values()):
        yield "only_labels needs task.labels: the labels to keep"
    yield from misfits_of_training(config)
    yield from misfits_of_kind(config)


def misfits_of_training(config: CampaignConfig) -> Iterator[str]:
    """Yields what a campaign that trains lacks, and what one that does not has too much."""
    if config.trains:
        if config.goal is None:
            yield "goal is required: what the campaign is for; or say `train: no` for one that ends with its dataset"
        if config.data.held_out is None:
            yield "data.held_out is required: the examples that every arm is scored on; or say `train: no`"
    elif config.goal is not None or config.evaluate.arms:
        name = "goal" if config.goal is not None else "evaluate.arms"
        yield f"train is no, so nothing is measured: leave {name} out, or let it train"


def misfits_of_kind(config: CampaignConfig) -> Iterator[str]:
    """Yields what the kind of task cannot do."""
    kind, by_label = config.task.kind, config.task.kind is TaskKind.CLASSIFICATION
    if not by_label and config.review.by == "stand-in":
        yield f"review.by is stand-in, which knows labels alone: of a task of kind {kind} let a person or nobody"
    if config.goal is not None and by_label == (config.goal.metric == "perplexity"):
        fit = "accuracy or macro_f1" if by_label else "perplexity"
        yield f"goal.metric is {config.goal.metric}, which does not measure a task of kind {kind}: take {fit}"
    if not by_label and (config.data.stand_in is not None or "real_stand_in" in config.evaluate.arms):
        yield f"data.stand_in is for tasks with labels, and task.kind is {kind}: leave it out"
    if config.answer is not None and kind is not TaskKind.INSTRUCTION:
        yield f"answer is for tasks of kind instruction, and task.kind is {kind}: leave it out"
