"""The review stage: a queue, and a gate at which the campaign waits for people; or the stand-in, which reviews it."""

import dataclasses

from cultivar_artifacts import ArtifactStore
from cultivar_service.artifacts import open_artifact, read_examples
from cultivar_service.parts import Models

from cultivar_campaigns.funnel import counts_of
from cultivar_campaigns.peers import Child, Peers
from cultivar_campaigns.peers.review import QueueOrder
from cultivar_campaigns.plan import judged
from cultivar_campaigns.round import Round
from cultivar_campaigns.stand_in import Known, StandIn
from cultivar_campaigns.store import Stage

AT_ONCE = 32


class Review:
    """Lets people, or the stand-in, review what was kept."""

    def __init__(self, peers: Peers, store: ArtifactStore, models: Models) -> None:
        self._queues = peers.queues
        self._generation = peers.generation
        self._store = store
        self._models = models
        self._stand_ins: dict[str, StandIn] = {}

    async def begin(self, round_: Round, stage: Stage, request_id: str) -> Child:
        """Creates the queue."""
        review, kept = round_.config.review, round_.kept
        if not counts_of(round_.stages[judged(round_.config)]).get("kept"):
            return Child(kept, "SUCCEEDED", artifacts={"accepted": kept}, result={"tasks": 0, "reviewed": 0})
        order = QueueOrder(
            queue_id=f"{round_.campaign}-{round_.number}" + (f"-{stage.attempt}" if stage.attempt > 1 else ""),
            examples=kept,
            seeds=round_.artifact("import/seeds", "seeds"),
            task=round_.task,
            guidelines=review.guidelines,
            tags=review.tags,
            sample_size=review.sample,
            lease_seconds=review.lease_seconds,
            random_seed=round_.config.random_seed + round_.number,
        )
        return seen(round_, await self._queues.create(round_.parent, order, request_id))

    async def look(self, round_: Round, stage: Stage) -> Child:
        """Returns the queue, closed once all of it is reviewed or somebody decided to go on with what there is."""
        child = await self._queues.get(stage.child)
        if child.state == "SUCCEEDED":
            return await self._ended(round_, stage, child)
        if round_.config.review.by == "stand-in" and child.result["reviewed"] < child.result["tasks"]:
            await self._stand_in_reviews(round_, stage)
            child = await self._queues.get(stage.child)
        gate = round_.gates.get(round_.gate)
        decided = gate is not None and gate.decision == "GO_ON"
        if decided or child.result["reviewed"] == child.result["tasks"]:
            return await self._ended(round_, stage, await self._queues.close(stage.child))
        return seen(round_, child)

    async def _ended(self, round_: Round, stage: Stage, child: Child) -> Child:
        """Returns the closed queue with what its reviews say, once generation has taken it down for its prompts."""
        self._stand_ins.pop(stage.child, None)
        if "reviews" in child.artifacts:
            await self._generation.record(round_.parent, child.artifacts["reviews"])
        report = await self._queues.report(stage.child)
        return dataclasses.replace(child, result={**child.result, **report})

    async def _stand_in_reviews(self, round_: Round, stage: Stage) -> None:
        if stage.child not in self._stand_ins:
            review = round_.config.review
            known = await self._known(round_)
            self._stand_ins[stage.child] = await StandIn.learn(self._models, known, review.similarity, review.tags)
        await self._stand_ins[stage.child].review(self._queues, stage.child, AT_ONCE)

    async def _known(self, round_: Round) -> list[Known]:
        name = round_.artifact("import/stand_in", "stand_in")
        manifest = await open_artifact(self._store, round_.project, name, "data.stand_in")
        return [Known(one.text, one.label or "") async for one in read_examples(self._store, manifest)]

    async def cancel(self, stage: Stage) -> None:
        """Closes the queue, so that nobody reviews for nothing."""
        self._stand_ins.pop(stage.child, None)
        await self._queues.cancel(stage.child)


def seen(round_: Round, queue: Child) -> Child:
    """Returns a queue as the campaign sees it: it waits for people, and while the stand-in reviews it goes on."""
    if queue.state != "WAITING" or round_.config.review.by == "person":
        return queue
    return dataclasses.replace(queue, state="RUNNING", waiting_for="")
