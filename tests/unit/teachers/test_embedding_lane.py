from collections.abc import Sequence
from typing import Any

import pytest
from cultivar_generation.teachers.embedding_lane import Embedder as TheEmbedder
from cultivar_generation.teachers.embedding_lane import EmbeddingLane
from cultivar_generation.teachers.errors import BadRequest
from cultivar_generation.teachers.work import EmbedWork


class Embedder:
    """Makes of a text one token a letter, and of its tokens their number and their sum."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, texts: Sequence[str] | Sequence[list[int]]) -> list[list[int]]:
        if "?" in texts:
            raise BadRequest("a token is not one of ours", param="input")
        return [[ord(letter) for letter in text] if isinstance(text, str) else text for text in texts]

    def embed(self, rows: Sequence[list[int]]) -> list[list[float]]:
        self.batches.append(len(rows))
        return [[float(len(row)), float(sum(row))] for row in rows]


def lane_of(embedder: Embedder, batch_tokens: int = 8, job_texts: int = 100) -> EmbeddingLane:
    return EmbeddingLane(lambda: embedder, batch_tokens, job_texts)  # type: ignore[arg-type, return-value]


def finish(lane: EmbeddingLane, works: Sequence[EmbedWork]) -> None:
    for work in works:
        lane.add(work)
    while lane.busy:
        lane.step()


def test_each_request_gets_its_vectors_in_its_order() -> None:
    works = [EmbedWork(["aaa", "b"]), EmbedWork(["cc", "dddd", "e"])]
    finish(lane_of(Embedder()), works)
    for work in works:
        vectors, tokens = work.future.result(0)
        assert vectors == [[len(text), sum(map(ord, text))] for text in map(str, work.texts)]
        assert tokens == sum(map(len, work.texts))


def test_texts_of_several_requests_share_batches_of_bounded_size() -> None:
    embedder = Embedder()
    finish(lane_of(embedder), [EmbedWork(["aaaa", "bb"]), EmbedWork(["cccc", "dd", "e"])])
    # Longest first: two of four letters fill eight tokens, the rest fits in one batch.
    assert embedder.batches == [2, 3]


def test_one_text_longer_than_a_batch_is_embedded_alone() -> None:
    embedder = Embedder()
    finish(lane_of(embedder, batch_tokens=4), [EmbedWork(["a" * 20, "b"])])
    assert embedder.batches == [1, 1]


def test_a_model_that_does_not_load_fails_the_request_and_is_tried_again() -> None:
    tries = []

    def load() -> Embedder:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no weights")
        return Embedder()

    lane = EmbeddingLane(load)  # type: ignore[arg-type]
    first, second = EmbedWork(["a"]), EmbedWork(["b"])
    finish(lane, [first])
    with pytest.raises(RuntimeError, match="no weights"):
        first.future.result(0)
    finish(lane, [second])
    assert second.future.result(0)[1] == 1


def test_tokens_are_embedded_as_they_are_and_a_request_that_is_wrong_fails_alone() -> None:
    given, wrong, text = EmbedWork([[1, 2], [3]]), EmbedWork(["?"]), EmbedWork(["a"])
    finish(lane_of(Embedder()), [given, wrong, text])
    assert given.future.result(0) == ([[2.0, 3.0], [1.0, 3.0]], 3)
    assert text.future.result(0)[1] == 1
    with pytest.raises(BadRequest):
        wrong.future.result(0)


def test_tokens_that_the_model_does_not_have_are_refused_and_too_many_are_cut(tiny_tokenizer: Any) -> None:
    embedder = TheEmbedder(None, tiny_tokenizer, max_tokens=3)  # type: ignore[arg-type]
    size = len(tiny_tokenizer)
    assert embedder.encode([[1, 2, 3, 4], [size - 1]]) == [[1, 2, 3], [size - 1]]
    with pytest.raises(BadRequest, match="own tokens"):
        embedder.encode([[1], [2, size]])


def test_a_request_that_nobody_waits_for_is_not_embedded() -> None:
    embedder = Embedder()
    work = EmbedWork(["a"])
    work.future.cancel()
    finish(lane_of(embedder), [work])
    assert embedder.batches == []
