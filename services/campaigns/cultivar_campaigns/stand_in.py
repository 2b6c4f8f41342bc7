"""The stand-in: a program that reviews through the public API, so that a demonstration needs no person.

It knows labelled messages and nothing of the guidelines. It accepts a candidate whose nearest known messages, by cosine
similarity of their embeddings, carry the candidate's label and are near enough. How near was chosen on the validation
messages of the support example: at 0.45 it accepts 21 % of them under the right label and 10 % under some wrong one, at
0.35 it would 44 % and 23 %. It is no judge of language: wherever its reviews are reported, it is named as a program.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cultivar_models import Endpoint, ModelClient
from cultivar_service.errors import FailedPrecondition, StaleLease
from cultivar_service.parts import Models

from cultivar_campaigns.peers.review import Judgement, Leased, Queues

NAME = "nearest-neighbour stand-in"
MODEL = "all-minilm-l6-v2"
NEIGHBOURS = 3
READY_SECONDS = 10.0
LIST_MARK = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s")
TALK = re.compile(r"\b(?:as an ai|here(?:'s| is| are)|example|message \d|dear customer|your order has been)\b", re.I)
Vectors = np.ndarray


@dataclass(frozen=True)
class Known:
    """A message whose label is known."""

    text: str
    label: str


class StandIn:
    """Reviews what it leases; it remembers nothing, so another instance goes on where one was killed."""

    def __init__(
        self, endpoint: Endpoint, labels: Sequence[str], vectors: Vectors, bound: float, tags: Sequence[str] = ()
    ) -> None:
        self._endpoint = endpoint
        self._labels = labels
        self._vectors = vectors
        self._bound = bound
        self._tags = tags

    @classmethod
    async def learn(cls, models: Models, known: Sequence[Known], bound: float, tags: Sequence[str] = ()) -> "StandIn":
        """Embeds what it knows; `tags` are those that the queue allows, any where empty. Raises ModelUnavailable."""
        endpoint = await models.endpoint(MODEL)
        vectors = await embed(endpoint, [one.text for one in known])
        return cls(endpoint, [one.label for one in known], vectors, bound, tags)

    async def review(self, queues: Queues, queue: str, most: int) -> int:
        """Reviews up to `most` tasks of a queue, each leased from a seat of its own, and returns how many."""
        tasks: list[Leased] = []
        for seat in range(most):
            task = await queues.lease(queue, f"{NAME} {seat}")
            if task is None:
                break
            tasks.append(task)
        if not tasks:
            return 0
        vectors = await embed(self._endpoint, [task.text for task in tasks])
        for task, vector in zip(tasks, vectors, strict=True):
            try:
                await queues.submit(task, self.judge(task, vector), NAME)
            except FailedPrecondition as error:
                # The lease lapsed while the model was slow: the task is leased again later.
                if error.reason != StaleLease.reason:
                    raise
        return len(tasks)

    def judge(self, task: Leased, vector: Vectors) -> Judgement:
        """Says what the nearest known messages say of a candidate."""
        similarities = self._vectors @ vector
        nearest = np.argsort(-similarities)[:NEIGHBOURS]
        votes: dict[str, float] = {}
        for place in nearest:
            label = self._labels[int(place)]
            votes[label] = votes.get(label, 0.0) + max(0.0, float(similarities[place]))
        best = max(votes, key=lambda label: votes[label])
        share = votes.get(task.label, 0.0) / (sum(votes.values()) or 1.0)
        judgement = decide(task, best, share, float(similarities[nearest[0]]), self._bound)
        allowed = tuple(tag for tag in judgement.tags if tag in self._tags or not self._tags)
        return dataclasses.replace(judgement, tags=allowed)


def decide(task: Leased, best: str, share: float, similarity: float, bound: float) -> Judgement:
    """Returns the judgement: `share` is that of the candidate's label among the votes, 0 to 1."""
    tone = tone_of(task.text)
    scores = {"accuracy": 1 + round(4 * share), "tone": tone}
    near = f"the nearest known message has similarity {similarity:.2f}"
    if best != task.label:
        return Judgement(False, scores, ("wrong-label",), f"{near}, and its neighbours say {best!r}")
    if similarity < bound:
        return Judgement(False, scores, ("off-topic",), f"{near}, under the bound of {bound:.2f}")
    if tone == 1:
        return Judgement(False, scores, ("not-a-customer",), "it does not read like a message")
    return Judgement(True, scores, comment=near)


def tone_of(text: str) -> int:
    """Returns a score from 1 to 5 by plain signs: list marks and talk about itself are bad, a first person is good."""
    if LIST_MARK.match(text) or TALK.search(text):
        return 1
    words = text.split()
    score = 3 + (len(words) >= 6) + bool(re.search(r"\b(?:i|my|we|our|me)\b", text, re.I))
    return score - (len(words) < 3) - (len(words) > 60)


async def embed(endpoint: Endpoint, texts: Sequence[str]) -> Vectors:
    """Returns unit vectors of texts, one a row."""
    async with ModelClient(endpoint, concurrency=8) as client:
        await client.wait_ready(READY_SECONDS)
        vectors = np.asarray(await client.embed(texts), dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.where(norms == 0, 1.0, norms)
    return unit
