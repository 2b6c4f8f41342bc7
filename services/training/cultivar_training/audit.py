"""The checks that training makes of its adapters."""

from cultivar_artifacts import ArtifactError, ArtifactStore, load_manifest, verify
from cultivar_artifacts.tables import find_manifest
from cultivar_service.audit import Finding
from cultivar_service.database import Database

from cultivar_training import store
from cultivar_training.plan import ADAPTER_FILES


async def audit_adapters(database: Database, artifacts: ArtifactStore, project: str) -> list[Finding]:
    """Checks that each run that succeeded has its adapter, whole, and that the adapter names what it was trained on."""
    async with database.begin() as connection:
        runs = await store.succeeded_runs(connection, project)
        rows = {run.id: await find_manifest(connection, project, run.result["adapter"]) for run in runs}
    absent = [run.id for run in runs if rows[run.id] is None]
    strange, damaged = [], []
    for run in runs:
        committed = rows[run.id]
        if committed is None or committed.erased_at is not None:
            continue
        try:
            manifest = await load_manifest(artifacts, project, committed.digest)
            if await verify(artifacts, manifest):
                damaged.append(run.id)
            if {file.name for file in manifest.files} != set(ADAPTER_FILES) or run.spec[
                "dataset"
            ] not in manifest.parents:
                strange.append(run.id)
        except ArtifactError:
            damaged.append(run.id)
    return [
        Finding("every run that succeeded has its adapter, or the adapter's tombstone", len(runs), absent),
        Finding("every adapter has PEFT's files and names the rows it was trained on", len(runs), strange),
        Finding("every digest of an adapter can be computed again", len(runs), damaged),
    ]
