"""What an evaluation run does: the labels of each row scored by log-probability, range after range."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_models import ModelClient, ModelRejected, Score
from cultivar_records import Example
from cultivar_service import tables
from cultivar_service.answers import Answers
from cultivar_service.artifacts import Output, read_examples
from cultivar_service.database import Database
from cultivar_service.holds import Hold, Settled
from cultivar_service.parts import Models
from cultivar_service.runs import SUCCEEDED
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_evaluation.errors import RowsUnusable
from cultivar_evaluation.metrics import METRICS
from cultivar_evaluation.plan import EvaluationSpec, choose_shots, texts_to_score
from cultivar_evaluation.predictions import PREDICTIONS, read_predictions

RANGE_ROWS = 64
CONCURRENCY = 8
TIMEOUT_SECONDS = 300.0
READY_SECONDS = 60.0

PREDICTION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("truth", pa.string(), nullable=False),
        pa.field("predicted", pa.string(), nullable=False),
        pa.field("logprobs", pa.list_(pa.float64()), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)


class EvaluationWork:
    """The work of an evaluation run."""

    def __init__(self, database: Database, store: ArtifactStore, models: Models) -> None:
        self._database = database
        self._store = store
        self._models = models

    async def advance(self, hold: Hold) -> None:
        """Scores every row that the cursor has not passed."""
        spec = EvaluationSpec.model_validate(hold.run.spec)
        rows = usable(await self._examples(hold.run.project, spec.examples), spec)
        pool = await self._examples(hold.run.project, spec.shots) if spec.shots else []
        shots = choose_shots(pool, spec)
        answers = Answers(self._database, hold.run.id)
        await answers.load()
        await hold.report(stage="waking the model", total=len(rows), unit="rows", now=True)
        endpoint = await self._models.endpoint(spec.model(hold.run.project))
        async with ModelClient(
            endpoint, concurrency=CONCURRENCY, timeout_s=TIMEOUT_SECONDS, recorder=answers
        ) as client:
            await client.wait_ready(READY_SECONDS)
            for start in range(hold.cursor.get("next", 0), len(rows), RANGE_ROWS):
                answers.of_part(start // RANGE_ROWS)
                part = rows[start : start + RANGE_ROWS]
                predictions = await predict(client, spec, part, shots)
                await self._commit(hold, answers, start, predictions)
                await hold.report(stage="scoring", done=start + len(predictions))
            hold.spend(**client.usage.counts())

    async def _examples(self, project: str, digest: str) -> list[Example]:
        manifest = await load_manifest(self._store, project, digest)
        return sorted([row async for row in read_examples(self._store, manifest)], key=lambda row: row.id)

    async def _commit(self, hold: Hold, answers: Answers, start: int, predictions: list[dict[str, Any]]) -> None:
        number, output = start // RANGE_ROWS, Output(self._store, hold)
        files = await output.put(PREDICTIONS, number, pa.Table.from_pylist(predictions, PREDICTION_SCHEMA))
        counts = Counter("failed" if row["cause"] else "scored" for row in predictions)
        done = start + len(predictions)
        await answers.close_part(number)
        async with hold.commit(add=counts, next=done) as connection:
            await output.add(connection, number, files)
            await answers.prune(connection, number)

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the predictions and the metrics with their intervals."""
        spec = EvaluationSpec.model_validate(hold.run.spec)
        parents = tuple(digest for digest in (spec.examples, spec.adapter, spec.shots) if digest)
        manifest = await Output(self._store, hold).commit(connection, PREDICTIONS, hold.run.spec, parents)
        rows = await read_predictions(self._store, manifest)
        counts = hold.progress.get("counts", {})
        return Settled(
            result={
                PREDICTIONS: manifest.digest,
                "metrics": estimates(spec, rows) if rows else [],
                "times_scored": await times_scored(connection, hold.run.project, spec.examples) + 1,
            },
            inputs=hold.cursor.get("next", 0),
            outputs={state: counts.get(state, 0) for state in ("scored", "failed")},
        )


async def predict(
    client: ModelClient, spec: EvaluationSpec, rows: Sequence[Example], shots: Sequence[Example]
) -> list[dict[str, Any]]:
    """Scores some rows at once; where the model refuses them, each alone, so that one row costs no other."""
    pairs = [pair for row in rows for pair in texts_to_score(spec, row, shots)]
    try:
        scores = await client.score(pairs)
    except ModelRejected as error:
        if len(rows) == 1:
            return [prediction(spec, rows[0], [], str(error))]
        return [made for row in rows for made in await predict(client, spec, [row], shots)]
    many = len(spec.task.labels) if spec.by_label else 1
    return [prediction(spec, row, scores[place * many : (place + 1) * many]) for place, row in enumerate(rows)]


def prediction(spec: EvaluationSpec, row: Example, scores: Sequence[Score], cause: str = "") -> dict[str, Any]:
    """Returns the row of an example: the likeliest label, the first of equals; none where scoring failed.

    Of an answer without a label there are its log-probability and its tokens alone.
    """
    logprobs = [score.logprob for score in scores]
    predicted = spec.task.labels[logprobs.index(max(logprobs))] if logprobs and spec.by_label else ""
    tokens = 0 if spec.by_label else sum(score.tokens for score in scores)
    truth = row.label if spec.by_label else ""
    made = {"id": row.id, "truth": truth, "predicted": predicted, "logprobs": logprobs, "cause": cause}
    return {**made, "tokens": tokens}


def usable(rows: list[Example], spec: EvaluationSpec) -> list[Example]:
    """Returns the rows; raises RowsUnusable where there are none, or one has a label outside the task's."""
    if not rows:
        raise RowsUnusable("there are no rows to score: import some with ImportExamples")
    if not spec.by_label:
        return rows
    strange = sorted({str(row.label) for row in rows} - set(spec.task.labels))
    if strange:
        raise RowsUnusable(f"{len(strange)} labels of the rows are not the task's, such as {strange[0][:60]!r}")
    return rows


def estimates(spec: EvaluationSpec, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns each metric of the kind of task with its bootstrap interval over other samples of rows."""
    made = []
    for name, metric in METRICS.items():
        if spec.task.kind in metric.tasks:
            found = metric.estimate(rows, spec.random_seed)
            made.append({"metric": name, **asdict(found)})
    return made


async def times_scored(connection: AsyncConnection, project: str, examples: str) -> int:
    """Counts the runs of a project that scored some rows and ended well."""
    run = tables.run.c
    mine = run.project == project, run.state == SUCCEEDED, run.spec["examples"].astext == examples
    return (await connection.execute(sa.select(sa.func.count()).select_from(tables.run).where(*mine))).scalar_one()
