"""What a campaign does: stage after stage, each begun in another service and followed to its end."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from cultivar_artifacts import ArtifactStore, File
from cultivar_service.artifacts import Output, artifact_digest
from cultivar_service.database import Database
from cultivar_service.errors import CultivarError, Unavailable
from cultivar_service.holds import Hold, Settled, Wait
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_campaigns import store as tables
from cultivar_campaigns.config import CampaignConfig
from cultivar_campaigns.errors import BudgetSpent, StageFailed
from cultivar_campaigns.funnel import cost_of, funnel, spent, tokens_of
from cultivar_campaigns.own_stages import REPORT, OwnStages
from cultivar_campaigns.peers import Child
from cultivar_campaigns.round import DONE, Round
from cultivar_campaigns.stages import StageKind
from cultivar_campaigns.store import Stage

FIRST_POLL_SECONDS, POLL_SECONDS = 0.1, 0.5
PEOPLE_SECONDS = 3.0
MOST_ATTEMPTS = 2
SOURCES_WITH_LABELS = ("held_out", "validation", "stand_in")


class CampaignWork:
    """The work of a campaign."""

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        kinds: dict[str, StageKind],
        own: OwnStages,
        console_url: Callable[[], str],
    ) -> None:
        self._database = database
        self._store = store
        self._kinds = kinds
        self._own = own
        self._console_url = console_url

    async def advance(self, hold: Hold) -> None:
        """Does every stage that has not ended."""
        round_ = await self._open(hold)
        for key in list(round_.stages):
            stage = round_.stages[key]
            if stage.state not in DONE:
                check_budget(round_)
                await (self._do_own if stage.stage in self._own.names else self._follow)(hold, round_, stage)

    async def _open(self, hold: Hold) -> Round:
        async with self._database.begin() as connection:
            campaign = await tables.campaign_id_of(connection, hold.run.id)
            stages = await tables.stages_of(connection, hold.run.id)
            gates = await tables.gates_of(connection, hold.run.id)
        config = CampaignConfig.model_validate(hold.run.spec["config"])
        number = max(stage.round for stage in stages)
        of_round = {stage.key: stage for stage in stages if stage.round == number}
        return Round(hold.run.project, campaign, number, config, of_round, {gate.gate: gate for gate in gates})

    async def _change(
        self, hold: Hold, round_: Round, stage: Stage, files: Sequence[File] = (), **values: Any
    ) -> Stage:
        """Changes a stage and the campaign's progress together, under its token; `files` are the report's.

        Raises Wait where a stage would begin and the campaign was paused or cancelled, however lately.
        """
        changed = dataclasses.replace(stage, **values)
        times: dict[str, Any] = {
            name: sa.func.clock_timestamp() for name in ("start_time", "end_time") if name in values
        }
        round_.stages[stage.key] = changed
        hold.usage.update(spent(round_.stages))
        hold.progress.update(overview(round_, changed))
        async with hold.commit() as connection:
            if values.get("state") == "RUNNING" and hold.interrupted:
                raise Wait("resume", 0)
            changed = await tables.change_stage(connection, hold.run.id, stage, {**values, **times})
            for number, file in enumerate(files):
                await Output(self._store, hold).add(connection, number, {REPORT: file})
        round_.stages[stage.key] = changed
        return changed

    async def _do_own(self, hold: Hold, round_: Round, stage: Stage) -> None:
        """Does a stage that needs no other service's run."""
        begun: dict[str, Any] = {"start_time": datetime.now(UTC)} if stage.start_time is None else {}
        stage = await self._change(hold, round_, stage, state="RUNNING", attempt=stage.attempt + 1, **begun)
        result, files = await self._own.do(round_, stage)
        ended: dict[str, Any] = {"state": "SUCCEEDED", "result": result, "end_time": datetime.now(UTC)}
        await self._change(hold, round_, stage, files, **ended)

    async def _follow(self, hold: Hold, round_: Round, stage: Stage) -> None:
        """Begins a stage, unless it was begun, and follows its child to the end; raises Wait while it waits."""
        stage = await self._begin(hold, round_, stage)
        kind, pause = self._kinds[stage.stage], FIRST_POLL_SECONDS
        while stage.state not in DONE:
            child = await kind.look(round_, stage)
            if child.state == "FAILED" and child.error_may_pass and stage.attempt < MOST_ATTEMPTS:
                stage = await self._change(hold, round_, stage, state="PENDING", child="", error=child.error)
                stage = await self._begin(hold, round_, stage)
                continue
            stage = await self._note(hold, round_, stage, child)
            if stage.state == "WAITING":
                raise Wait(self._waiting(round_, stage), PEOPLE_SECONDS)
            if stage.state not in DONE:
                await self._pause(hold, round_, stage, pause)
                pause = POLL_SECONDS
        await self._end_stage(round_, stage)

    async def _pause(self, hold: Hold, round_: Round, stage: Stage, seconds: float) -> None:
        """Waits for the next look; ends the child, and raises BudgetSpent, where the budget is spent meanwhile."""
        await asyncio.sleep(seconds)
        try:
            check_budget(round_)
        except BudgetSpent as error:
            await self._kinds[stage.stage].cancel(stage)
            await self._change(hold, round_, stage, state="FAILED", error=error.message, end_time=datetime.now(UTC))
            raise

    async def _begin(self, hold: Hold, round_: Round, stage: Stage) -> Stage:
        if stage.child:
            return stage
        # The attempt is committed before the child is made, so that its request id is the same after a kill.
        if stage.state == "PENDING":
            begun: dict[str, Any] = {"start_time": datetime.now(UTC)} if stage.start_time is None else {}
            stage = await self._change(hold, round_, stage, state="RUNNING", attempt=stage.attempt + 1, **begun)
        try:
            child = await self._kinds[stage.stage].begin(round_, stage, round_.request_id(stage, stage.attempt))
        except Unavailable:
            raise
        except CultivarError as error:
            await self._change(hold, round_, stage, state="FAILED", error=error.message, end_time=datetime.now(UTC))
            raise StageFailed(f"{stage.key}: {error.message}") from error
        if stage.stage == "review" and round_.config.review.by == "person" and child.state == "WAITING":
            await self._open_gate(hold, round_, child)
        return await self._note(hold, round_, stage, child)

    async def _open_gate(self, hold: Hold, round_: Round, child: Child) -> None:
        console = self._console_url()
        url = f"{console}/{child.name}" if console else ""
        question = f"Review the {child.result['tasks']} candidates of {child.name}, or go on with those reviewed."
        async with hold.commit() as connection:
            await tables.open_gate(connection, hold.run.id, round_.gate, question, child.name, url)
            gates = await tables.gates_of(connection, hold.run.id)
        round_.gates.update({gate.gate: gate for gate in gates})

    async def _note(self, hold: Hold, round_: Round, stage: Stage, child: Child) -> Stage:
        """Writes down what is new of a child."""
        known: dict[str, Any] = {
            "child": child.name,
            "state": child.state if child.state != "PENDING" else "RUNNING",
            "waiting_for": child.waiting_for,
            "progress": child.progress,
            "usage": child.usage,
            "error": child.error,
        }
        if child.state in DONE:
            known |= {"artifacts": child.artifacts, "result": child.result, "end_time": datetime.now(UTC)}
        new = {name: value for name, value in known.items() if getattr(stage, name) != value}
        return await self._change(hold, round_, stage, **new) if new else stage

    async def _end_stage(self, round_: Round, stage: Stage) -> None:
        """Raises StageFailed for a stage that did not succeed, and DataUnusable for imports that do not fit."""
        if stage.state != "SUCCEEDED":
            said = stage.error or f"it was {stage.state.lower()}"
            raise StageFailed(f"{stage.key}: {said} ({stage.child})")
        if stage.stage == "import":
            for source in SOURCES_WITH_LABELS:
                round_.check_labels(source)

    def _waiting(self, round_: Round, stage: Stage) -> str:
        gate = round_.gates.get(round_.gate)
        url = f"; open {gate.url}" if stage.stage == "review" and gate is not None and gate.url else ""
        return f"{stage.key}: {stage.waiting_for}{url}"

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the report; of a campaign that is cancelled, ends what it began."""
        round_ = await self._open(hold)
        open_stages = [stage for stage in round_.stages.values() if stage.state not in DONE]
        for stage in open_stages:
            await self._cancel(round_, stage)
            values = {"state": "CANCELLED", "waiting_for": "", "end_time": sa.func.clock_timestamp()}
            await tables.change_stage(connection, hold.run.id, stage, values)
        gate = round_.gates.get(round_.gate)
        if gate is not None and gate.resolve_time is None:
            await tables.decide_gate(connection, hold.run.id, gate.gate, "", "")
        if open_stages:
            return Settled(result={})
        config = {"campaign": round_.campaign, **hold.run.spec["config"]}
        report = await Output(self._store, hold).commit(connection, REPORT, config, parents(round_))
        verdict = round_.stages["report"].result["verdict"]
        done = len(round_.stages)
        return Settled({REPORT: report.digest, "verdict": verdict}, inputs=done, outputs={"succeeded": done})

    async def _cancel(self, round_: Round, stage: Stage) -> None:
        """Ends the child of a stage; one that was made and not yet noted is found again by its request id."""
        kind = self._kinds.get(stage.stage)
        if kind is None or stage.state == "PENDING":
            return
        if not stage.child:
            child = await kind.begin(round_, stage, round_.request_id(stage, stage.attempt))
            stage = dataclasses.replace(stage, child=child.name)
        await kind.cancel(stage)


def overview(round_: Round, stage: Stage) -> dict[str, Any]:
    """Returns the progress of a campaign: which stage, how many have ended, and the funnel."""
    return {
        "stage": stage.key,
        "done": sum(each.state in DONE for each in round_.stages.values()),
        "total": len(round_.stages),
        "unit": "stages",
        "counts": funnel(round_.stages),
    }


def check_budget(round_: Round) -> None:
    """Raises BudgetSpent where the campaign has spent the minutes, tokens or money that it may."""
    budget, stages = round_.config.budget, round_.stages.values()
    tokens, cost = tokens_of(stages), cost_of(stages)
    if budget.tokens and tokens >= budget.tokens:
        raise BudgetSpent(f"{tokens} of {budget.tokens} tokens are spent: raise budget.tokens and run it again")
    if budget.cost and cost >= budget.cost:
        raise BudgetSpent(f"{cost:g} of {budget.cost:g} is spent: raise budget.cost and run it again")
    people = round_.config.review.by == "person"
    minutes = sum(seconds_of(stage) for stage in stages if not (people and stage.stage == "review")) / 60
    if budget.minutes and minutes >= budget.minutes:
        raise BudgetSpent(
            f"{minutes:.0f} of {budget.minutes:g} minutes are spent: raise budget.minutes and run it again"
        )


def seconds_of(stage: Stage) -> float:
    """Returns how long a stage took or has taken so far."""
    if stage.start_time is None:
        return 0.0
    return ((stage.end_time or datetime.now(UTC)) - stage.start_time).total_seconds()


def parents(round_: Round) -> tuple[str, ...]:
    """Returns the digests of the artifacts that the report speaks of, each once, in the order of the stages."""
    names = [name for stage in round_.stages.values() for name in stage.artifacts.values()]
    return tuple(dict.fromkeys(artifact_digest(round_.project, name, "artifact") for name in names))
