"""What each kind of stage asks of another service. To add one, write its class and its row in `stage_kinds`.

`begin` makes the child of a stage, the same for the same request id; `look` says how it is; `cancel` ends it.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from cultivar_campaigns.config import WITH_CANDIDATES, Filtering
from cultivar_campaigns.errors import DataUnusable
from cultivar_campaigns.funnel import cost_of, counts_of, tokens_of
from cultivar_campaigns.peers import Child, Peers
from cultivar_campaigns.peers.datasets import ImportOrder, Origin, VersionOrder
from cultivar_campaigns.peers.evaluation import EvaluationOrder
from cultivar_campaigns.peers.filtering import FilterOrder, Filters
from cultivar_campaigns.peers.generation import GenerationOrder, StrategyOrder
from cultivar_campaigns.peers.training import TrainingOrder
from cultivar_campaigns.plan import ANSWERS, APART_FROM
from cultivar_campaigns.round import DONE, Round
from cultivar_campaigns.store import Stage


class StageKind(Protocol):
    """What a kind of stage asks of another service."""

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Makes the child."""
        ...

    async def look(self, round_: Round, stage: Stage) -> Child:
        """Returns the child as it is."""
        ...

    async def cancel(self, stage: Stage) -> None:
        """Ends the child; has no effect on one that ended."""
        ...


class Following:
    """The two calls that all kinds but review make alike."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer

    async def look(self, round_: Round, stage: Stage) -> Child:
        """Returns the child as it is."""
        child: Child = await self._peer.get(stage.child)
        return child

    async def cancel(self, stage: Stage) -> None:
        """Ends the child."""
        await self._peer.cancel(stage.child)


class Import(Following):
    """Reads a file, kept apart from what was read before it; an artifact is taken as it is."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers.imports)
        self._peers = peers

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the import run."""
        file = round_.config.files[stage.source]
        assert file is not None
        if "/artifacts/" in file.file:
            return await self._whole(stage.source, file.file)
        order = ImportOrder(
            file=file.file,
            kind=stage.source,
            task=round_.task,
            apart_from=round_.imported(*APART_FROM[stage.source]),
            only_labels=file.only_labels,
            per_label=file.per_label,
            random_seed=file.random_seed,
        )
        return await self._peers.imports.create(round_.parent, order, request_id)

    async def _whole(self, source: str, artifact: str) -> Child:
        rows = await self._peers.artifacts.rows(artifact)
        if not rows:
            raise DataUnusable(f"data.{source}: {artifact} has no rows")
        return Child(artifact, "SUCCEEDED", artifacts={source: artifact}, result={"rows": rows})


class Generate(Following):
    """Writes candidates."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers.generation)
        self._generation = peers.generation

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the generation run; a further attempt goes on with the first one's."""
        uses = [
            StrategyOrder(use.strategy, use.params, round_.resource("prompts", use.prompt), use.count, use.refill)
            for use in round_.config.generate
        ]
        order = self._order(round_, round_.artifact("import/seeds", "seeds"), uses)
        return await self._make(round_, stage, order, request_id)

    async def _make(self, round_: Round, stage: Stage, order: GenerationOrder, request_id: str) -> Child:
        child = await self._generation.create(round_.parent, order, round_.request_id(stage, 1))
        return child if stage.attempt == 1 else await self._generation.retry(child.name, request_id)

    def _order(self, round_: Round, seeds: str, uses: Sequence[StrategyOrder]) -> GenerationOrder:
        config, budget = round_.config, round_.config.budget
        # Of stages that have ended, for what they spent changes no more: an order made again must be the same.
        before = [each for each in round_.stages.values() if each.state in DONE]
        return GenerationOrder(
            seeds=seeds,
            task=round_.task,
            strategies=uses,
            teachers={
                round_.resource("teachers", name): share
                for name, share in (config.teachers or {config.teacher: 1.0}).items()
            },
            random_seed=config.random_seed + round_.number,
            round=round_.number,
            tokens=budget.tokens and budget.tokens - tokens_of(before),
            cost=budget.cost and budget.cost - cost_of(before),
            # What the filter stage will reject comes short as much as what was never written.
            filters=filters_of(round_, config.filter) if any(use.refill for use in uses) else None,
        )


class Answer(Generate):
    """Answers what the first filter stage kept, each once: the kept inputs are the seeds of this run."""

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the generation run; raises DataUnusable where no input was kept."""
        answer = round_.config.answer
        assert answer is not None
        count = int(counts_of(round_.stages["filter"]).get("kept", 0))
        if not count:
            raise DataUnusable("no input was kept, so there is nothing to answer: see why the filters rejected them")
        use = StrategyOrder("answer", answer.params, round_.resource("prompts", answer.prompt), count)
        order = self._order(round_, round_.artifact("filter", "kept"), [use])
        return await self._make(round_, stage, order, request_id)


def filters_of(round_: Round, chosen: Filtering) -> Filters:
    """Returns what candidates must pass; validation is apart like held-out, for training refuses what is in both."""
    filters = [(use.filter, use.params) for use in chosen.filters]
    return Filters(chosen.recipe, filters, round_.imported("held_out", "validation"))


class Filter(Following):
    """Keeps some candidates."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers.filtering)
        self._filtering = peers.filtering
        self._generation = peers.generation

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the filter run."""
        answer = round_.config.answer if stage.source == ANSWERS else None
        chosen = answer.filter if answer is not None else round_.config.filter
        order = FilterOrder(
            examples=round_.artifact("answer" if answer is not None else "generate", "candidates"),
            task=round_.task,
            by=filters_of(round_, chosen),
            seeds=round_.artifact("import/seeds", "seeds"),
        )
        return await self._filtering.create(round_.parent, order, request_id)

    async def look(self, round_: Round, stage: Stage) -> Child:
        """Returns the filter run, once generation has taken down what it says of prompts."""
        child = await super().look(round_, stage)
        if child.state == "SUCCEEDED":
            await self._generation.record(round_.parent, child.artifacts["verdicts"])
        return child


class Dataset(Following):
    """Makes the dataset of an arm."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers.versions)
        self._versions = peers.versions

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the dataset version."""
        config, select = round_.config, round_.config.select
        order = VersionOrder(
            dataset=f"{config.name}-{stage.arm.replace('_', '-')}",
            sources=sources(round_, stage.arm),
            held_out=round_.imported("held_out"),
            selector=select.selector,
            params=select.params,
            replay_share=select.replay_share,
            licences=select.licences,
            random_seed=config.random_seed + round_.number,
            description=f"The arm {stage.arm} of the campaign {round_.campaign}, round {round_.number}.",
        )
        return await self._versions.create(round_.parent, order, request_id)


def sources(round_: Round, arm: str) -> list[Origin]:
    """Returns what the dataset of an arm is made of; raises DataUnusable where nothing was kept or accepted."""
    found = [Origin(round_.artifact("import/seeds", "seeds"), "real")]
    if arm == "real_stand_in":
        found.append(Origin(round_.artifact("import/stand_in", "stand_in"), "control"))
    if arm in WITH_CANDIDATES:
        kept = round_.kept if arm == "real_synthetic" else round_.artifact("review", "accepted")
        found.append(Origin(kept, "synthetic", round_.config.select.budget))
    if round_.config.select.replay_share:
        found.append(Origin(round_.artifact("import/replay", "replay"), "replay"))
    return found


class Train(Following):
    """Trains an arm with one training seed."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers.training)
        self._training = peers.training

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the training run; what the file leaves at 0 is left to training."""
        train = round_.config.train
        assert train is not None
        order = TrainingOrder(
            dataset=round_.artifact(f"dataset/{stage.arm}", "dataset"),
            validation=round_.artifact("import/validation", "validation"),
            task=round_.task,
            random_seed=stage.training_seed,
            given=train.hyperparameters,
            lora=train.lora.given,
        )
        return await self._training.create(round_.parent, order, request_id)


class Evaluate(Following):
    """Scores an arm on the held-out rows."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(peers.evaluation)
        self._evaluation = peers.evaluation

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the evaluation run."""
        shots, train = stage.arm == "base_with_shots", round_.config.train
        assert train is not None
        order = EvaluationOrder(
            examples=round_.artifact("import/held_out", "held_out"),
            task=round_.task,
            base_model=train.base_model,
            adapter=round_.artifact(f"train/{stage.arm}/{stage.training_seed}", "adapter"),
            shots=round_.artifact("import/seeds", "seeds") if shots else "",
            most_shots=round_.config.evaluate.most_shots if shots else 0,
            random_seed=round_.config.random_seed,
        )
        return await self._evaluation.create(round_.parent, order, request_id)


def stage_kinds(peers: Peers, review: StageKind) -> dict[str, StageKind]:
    """Returns the kinds of stages that other services do, by name."""
    return {
        "import": Import(peers),
        "generate": Generate(peers),
        "answer": Answer(peers),
        "filter": Filter(peers),
        "review": review,
        "dataset": Dataset(peers),
        "train": Train(peers),
        "evaluate": Evaluate(peers),
    }
