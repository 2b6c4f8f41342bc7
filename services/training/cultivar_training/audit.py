"""The checks that training makes of its adapters."""

from cultivar_artifacts import ArtifactError, ArtifactStore, load_alias, load_manifest, verify
from cultivar_artifacts.tables import find_manifest
from cultivar_service.audit import Finding
from cultivar_service.database import Database

from cultivar_training import aliases, store
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


async def audit_aliases(database: Database, artifacts: ArtifactStore, project: str) -> list[Finding]:
    """Checks that each alias names an adapter that is there, and that the artifact store says the same."""
    async with database.begin() as connection:
        found = await aliases.list_aliases(connection, project)
        rows = {move.alias: await find_manifest(connection, project, move.adapter) for move in found}
    gone = [alias for alias, row in rows.items() if row is None or row.erased_at is not None]
    different = []
    for move in found:
        try:
            if await load_alias(artifacts, project, move.alias) != move.stored():
                different.append(move.alias)
        except ArtifactError:
            different.append(move.alias)
    return [
        Finding("every alias names an adapter that was not erased", len(found), gone),
        Finding("the artifact store says what every alias names; set one again where not", len(found), different),
    ]
