"""What a training run does: it starts the program, follows its events, keeps its files, and commits the adapter."""

import asyncio
import os
import shutil
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

from cultivar_artifacts import ArtifactStore, File, Manifest, load_manifest
from cultivar_artifacts.tables import commit_manifest
from cultivar_launchers import Event, InvalidProgram, LauncherError, Outcome, Program, StaleAttempt
from cultivar_service.errors import CultivarError, FailedPrecondition, StaleLease, Unavailable
from cultivar_service.holds import Hold, Settled
from cultivar_service.runs import Run
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_training.errors import RayMissing, TrainingFailed
from cultivar_training.plan import ADAPTER_FILES, RunSpec
from cultivar_training.programs import Programs, Running
from cultivar_training.settings import TrainingSettings
from cultivar_training.store import ADAPTER

PROGRESS = ("stage", "done", "total", "counts", "measures", "seconds_left")
MODULE = "cultivar_training.program"
LOST_STATUS = 75
LOG_LINES = 60
PASSED = ("CULTIVAR_CACHE",)
"""Variables of the service that the program needs too; a program inherits no other of ours."""


class TrainingWork:
    """The work of a training run."""

    def __init__(self, store: ArtifactStore, programs: Programs | None, settings: TrainingSettings) -> None:
        self._store = store
        self._programs = programs
        self._settings = settings

    async def advance(self, hold: Hold) -> None:
        """Trains, from the last checkpoint on, until the adapter's files are stored."""
        if "files" in hold.cursor:
            return
        if self._programs is None:
            raise RayMissing("there is no Ray to train on: set CULTIVAR_RAY_ADDRESS, or run `cultivar up`")
        await hold.report(stage="fetching the rows", unit="tokens", now=True)
        program = await self._program(hold.run, RunSpec.model_validate(hold.run.spec))
        await hold.report(stage="waiting for Ray", now=True)
        running = await begin(self._programs, program)
        try:
            result = await self._follow(hold, running)
        except BaseException as error:
            await self._programs.end(running)
            if isinstance(error, TrainingFailed):
                await asyncio.to_thread(shutil.rmtree, self.folder(hold.run), ignore_errors=True)
            raise
        self._programs.keep(running)
        await self._keep(hold, result)

    async def _follow(self, hold: Hold, running: Running) -> Mapping[str, Any]:
        """Shows what a program tells until it gives its result; a checkpoint is committed."""
        async for event in running.events:
            if event.kind == "result":
                return event.fields
            await self._note(hold, event)
        raise failure(hold, await running.wait())

    async def _program(self, run: Run, spec: RunSpec) -> Program:
        folder = self.folder(run)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        files = {
            "dataset": await self._fetch(run.project, spec.dataset, folder),
            "validation": await self._fetch(run.project, spec.validation, folder) if spec.validation else [],
        }
        return Program(
            name=f"projects/{run.project}/trainingRuns/{run.id}",
            module=MODULE,
            spec={
                "folder": str(folder),
                "attempt": run.attempt,
                **files,
                "threads": self._settings.threads(spec.workers),
                "checkpoint_seconds": self._settings.training_checkpoint_seconds,
                "run": spec.model_dump(mode="json"),
            },
            env={name: os.environ[name] for name in PASSED if name in os.environ},
            cpus=spec.workers,
            attempt=run.attempt,
        )

    def folder(self, run: Run) -> Path:
        """Returns where a run works until it ends."""
        return runs_folder(self._settings) / run.project / run.id

    async def _fetch(self, project: str, digest: str, folder: Path) -> list[str]:
        manifest = await load_manifest(self._store, project, digest)
        shards = [file for file in manifest.files if file.rows_digest]
        return [str(await self._store.local(project, file.sha256, folder)) for file in shards]

    async def _note(self, hold: Hold, event: Event) -> None:
        """Shows progress; a checkpoint is committed, so that crashes count from the last one on."""
        if event.kind == "checkpoint":
            async with hold.commit(step=int(event.fields["step"])):
                pass
        elif event.kind == "progress":
            fields = {name: event.fields[name] for name in PROGRESS if name in event.fields}
            changed = fields.get("stage") != hold.progress.get("stage")
            await hold.report(now=changed, **fields)

    async def _keep(self, hold: Hold, result: Mapping[str, Any]) -> None:
        await hold.report(stage="storing the adapter", now=True)
        folder, files = Path(result["folder"]), []
        for name in ADAPTER_FILES:
            blob = await self._store.put(hold.run.project, folder / name)
            files.append(File(name=name, sha256=blob.sha256, size=blob.size).model_dump(mode="json"))
        rows = {"trained": result["trained"], "too_long": result["too_long"]}
        counts = {**hold.progress.get("counts", {}), **rows}
        hold.progress |= {"counts": counts, "measures": result["measures"], "seconds_left": 0.0}
        async with hold.commit(files=files, rows=rows, measures=result["measures"]):
            pass

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the manifest of the adapter; each row was trained on or too long. A cancelled run has none."""
        await asyncio.to_thread(shutil.rmtree, self.folder(hold.run), ignore_errors=True)
        if "files" not in hold.cursor:
            return Settled({})
        files = tuple(File.model_validate(file) for file in hold.cursor["files"])
        manifest = Manifest(
            project=hold.run.project,
            kind=ADAPTER,
            run=hold.run.id,
            files=files,
            config=hold.run.spec,
            parents=(hold.run.spec["dataset"],),
        )
        await commit_manifest(connection, self._store, manifest)
        rows = hold.cursor["rows"]
        size = sum(file.size for file in files)
        return Settled(
            result={ADAPTER: manifest.digest, "measures": hold.cursor["measures"], "size": size},
            inputs=sum(rows.values()),
            outputs=rows,
        )


async def begin(programs: Programs, program: Program) -> Running:
    """Begins a run; raises what lets the engine fail it, wait, or leave it to a later attempt."""
    try:
        return await programs.begin(program)
    except StaleAttempt as error:
        raise StaleLease("a later attempt of the run was started; this one has nothing left to do") from error
    except InvalidProgram as error:
        raise FailedPrecondition(str(error)) from error
    except LauncherError as error:
        raise Unavailable(f"the training program could not be started: {error}") from error


def failure(hold: Hold, outcome: Outcome) -> CultivarError:
    """Returns what lets the engine fail the run, or try it again from its checkpoint."""
    hold.progress["log_tail"] = list(outcome.log_tail[-LOG_LINES:])
    sentence = outcome.error or "the program ended without a result"
    # A signal, or a worker that was lost, says nothing about the rows: the next attempt goes on from the checkpoint.
    if outcome.exit_code == LOST_STATUS or outcome.exit_code >= 128:
        return CultivarError(f"training was interrupted: {sentence}")
    return TrainingFailed(sentence)


def runs_folder(settings: TrainingSettings) -> Path:
    """Returns the folder of the work of all runs."""
    return settings.folder.absolute() / "runs"


def left_folders(folder: Path) -> list[Path]:
    """Returns the folders of runs, of which some may have ended."""
    return list(folder.glob("*/*"))


def remove_folders(folders: Iterable[Path], open_runs: Set[str]) -> None:
    """Removes the folders of runs that have ended; take the folders first and then see which runs are open."""
    for folder in folders:
        if folder.name not in open_runs:
            shutil.rmtree(folder, ignore_errors=True)
