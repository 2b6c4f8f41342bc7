"""The two stages that a campaign does itself: it asks for the comparisons, and it writes the report."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import Any

from cultivar_artifacts import ArtifactStore, File
from cultivar_service.errors import CultivarError

from cultivar_campaigns.peers import Peers
from cultivar_campaigns.plan import comparisons
from cultivar_campaigns.report.advice import advise
from cultivar_campaigns.report.facts import Facts
from cultivar_campaigns.report.gathering import gather_facts
from cultivar_campaigns.report.verdict import verdict_sentence
from cultivar_campaigns.round import Round
from cultivar_campaigns.store import Stage

REPORT = "report"
PAGE, DATA = "report.html", "report.json"
Done = tuple[dict[str, Any], list[File]]


class OwnStages:
    """Compares and reports."""

    names = ("compare", "report")

    def __init__(self, store: ArtifactStore, peers: Peers) -> None:
        self._store = store
        self._evaluation = peers.evaluation

    async def do(self, round_: Round, stage: Stage) -> Done:
        """Does a stage; returns its result and the files of the report."""
        return await (self._compare(round_) if stage.stage == "compare" else self._report(round_))

    async def _compare(self, round_: Round) -> Done:
        goal, gains = round_.config.goal, []
        assert goal is not None
        for arm, over in comparisons(round_.config):
            compared = await self._evaluation.compare(
                round_.parent,
                [stage.child for stage in round_.evaluations(over)],
                [stage.child for stage in round_.evaluations(arm)],
                goal.metric,
                round_.config.random_seed,
            )
            known = ("gain", "low", "high", "level", "covers_seeds", "minimum_detectable_gain")
            gains.append({"arm": arm, "over": over, **{name: getattr(compared, name) for name in known}})
        return {"gains": gains}, []

    async def _report(self, round_: Round) -> Done:
        facts = await gather_facts(self._store, round_)
        data = facts.model_dump_json(indent=1).encode()
        files = [await self._file(round_, PAGE, await draw(data)), await self._file(round_, DATA, data)]
        return {"verdict": verdict_sentence(facts), "next": advise(facts)}, files

    async def _file(self, round_: Round, name: str, data: bytes) -> File:
        blob = await self._store.put(round_.project, data)
        return File(name=name, sha256=blob.sha256, size=blob.size)


async def draw(data: bytes) -> bytes:
    """Draws the page of some facts in a process of its own, so that calls are answered meanwhile.

    Raises CultivarError where that process fails; a later attempt draws the same.
    """
    program = (sys.executable, "-m", "cultivar_campaigns.report")
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        page, log = await process.communicate(data)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        last = log.decode(errors="replace").strip().rpartition("\n")[2]
        raise CultivarError(f"the report could not be drawn: {last or f'status {process.returncode}'}")
    return page


def read_facts(data: bytes) -> Facts:
    """Reads report.json."""
    return Facts.model_validate_json(data)
