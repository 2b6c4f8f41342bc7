"""One round of a campaign as its stages see it: the configuration, and what earlier stages made."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cultivar_records import TaskSpec
from cultivar_service.names import resource_name

from cultivar_campaigns.config import CampaignConfig
from cultivar_campaigns.errors import DataUnusable
from cultivar_campaigns.plan import judged
from cultivar_campaigns.store import Gate, Stage

DONE = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass
class Round:
    """A round, with its stages by key as they stand."""

    project: str
    campaign: str
    number: int
    config: CampaignConfig
    stages: dict[str, Stage] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    @property
    def parent(self) -> str:
        """The name of the project, as requests want it."""
        return f"projects/{self.project}"

    def resource(self, collection: str, identifier: str) -> str:
        """Returns the name of a resource of the project."""
        return resource_name(self.project, collection, identifier)

    def request_id(self, stage: Stage, attempt: int) -> str:
        """Returns the id by which the child of a stage is found again: `{campaign}/{round}/{stage}/{attempt}`."""
        return f"{self.campaign}/{self.number}/{stage.key}/{attempt}"

    def artifact(self, key: str, kind: str) -> str:
        """Returns what a stage made, by name; empty where there is no such stage or artifact."""
        stage = self.stages.get(key)
        return stage.artifacts.get(kind, "") if stage is not None else ""

    def imported(self, *sources: str) -> tuple[str, ...]:
        """Returns the artifacts of some imports; those that the file does not have are left out."""
        found = (self.artifact(f"import/{source}", source) for source in sources)
        return tuple(name for name in found if name)

    @property
    def kept(self) -> str:
        """What the last filter stage kept, by name."""
        return self.artifact(judged(self.config), "kept")

    @property
    def gate(self) -> str:
        """The name of the gate of this round's review."""
        return f"{self.number}/review"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the task: those of the file, else those that the seeds have; empty before they are read."""
        seeds = self.stages.get("import/seeds")
        found: Iterable[str] = seeds.result.get("by_label", {}) if seeds is not None else ()
        return self.config.task.labels or tuple(sorted(label for label in found if label))

    @property
    def task(self) -> TaskSpec:
        """The task with its labels."""
        return self.config.task.spec(self.labels)

    def evaluations(self, arm: str) -> list[Stage]:
        """Returns the evaluation stages of an arm, one for each training seed."""
        return [stage for stage in self.stages.values() if stage.stage == "evaluate" and stage.arm == arm]

    def check_labels(self, source: str) -> None:
        """Raises DataUnusable where an import has labels that the seeds lack, once both are read."""
        stage = self.stages.get(f"import/{source}")
        if stage is None or not self.labels:
            return
        strange = sorted(set(stage.result.get("by_label", {})) - set(self.labels) - {""})
        if strange:
            raise DataUnusable(
                f"data.{source} has {len(strange)} labels that the seeds lack, such as {strange[0][:60]!r}: "
                "name the task's labels, or add seeds of them"
            )
