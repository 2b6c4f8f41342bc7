"""What an evaluation run is to do, resolved, and how a row becomes texts to score."""

from collections.abc import Sequence
from random import Random

from cultivar_records import Example, TaskKind, TaskSpec, answer_text, prompt_text
from pydantic import BaseModel, ConfigDict, Field

BASE_MODEL = "smollm2-135m-instruct"


class EvaluationSpec(BaseModel):
    """What an evaluation run is to do: digests of artifacts, and the model by the name that it is served under."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples: str
    task: TaskSpec
    base_model: str = BASE_MODEL
    adapter: str = ""
    shots: str = ""
    most_shots: int = Field(0, ge=0, le=256)
    random_seed: int = 0

    @property
    def by_label(self) -> bool:
        """Whether the labels of the task are scored; otherwise the row's own answer is."""
        return self.task.kind is TaskKind.CLASSIFICATION

    def model(self, project: str) -> str:
        """Returns the name under which the teachers application serves the model."""
        return f"{self.base_model}:{project}/{self.adapter}" if self.adapter else self.base_model


def choose_shots(examples: Sequence[Example], spec: EvaluationSpec) -> list[Example]:
    """Chooses the examples in the prompt: labels in turn, within a label at random, then all shuffled.

    Without labels they are drawn from all.
    """
    random = Random(spec.random_seed)
    if not spec.by_label:
        return random.sample(list(examples), min(spec.most_shots, len(examples)))
    by_label = {label: [each for each in examples if each.label == label] for label in spec.task.labels}
    pools = [random.sample(pool, len(pool)) for pool in by_label.values()]
    turns = [pool[place] for place in range(spec.most_shots) for pool in pools if place < len(pool)]
    chosen = turns[: spec.most_shots]
    random.shuffle(chosen)
    return chosen


def texts_to_score(spec: EvaluationSpec, example: Example, shots: Sequence[Example]) -> list[tuple[str, str]]:
    """Returns prompt and continuation for each label, or for the answer; the prompt is the one that training uses."""
    prompt = prompt_text(spec.task, example, shots)
    if not spec.by_label:
        return [(prompt, answer_text(example))]
    return [(prompt, f" {label}") for label in spec.task.labels]
