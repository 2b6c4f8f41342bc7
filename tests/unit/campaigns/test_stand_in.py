"""The stand-in accepts what lies near messages of the same label, and says why it declines."""

import numpy as np
import pytest
from cultivar_campaigns.peers.review import Judgement, Leased
from cultivar_campaigns.stand_in import Known, StandIn, embed, tone_of
from cultivar_models import Endpoint
from cultivar_models.fake import FakeTeacher
from cultivar_service.errors import FailedPrecondition, StaleLease

KNOWN = [Known("refund one", "refund"), Known("refund two", "refund"), Known("where is it", "delivery")]
VECTORS = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
LABELS = [one.label for one in KNOWN]


def stand_in(bound: float = 0.5, tags: tuple[str, ...] = ()) -> StandIn:
    return StandIn(Endpoint(url="http://127.0.0.1:9/v1", model="none"), LABELS, VECTORS, bound, tags)


def task(label: str, text: str = "I want my money back please") -> Leased:
    return Leased("projects/p/queues/q/tasks/1", 1, text, label)


def test_a_candidate_among_messages_of_its_label_is_accepted() -> None:
    said = stand_in().judge(task("refund"), np.array([1.0, 0.0]))
    assert said.accept
    assert said.scores["accuracy"] == 5
    assert "1.00" in said.comment


def test_a_candidate_among_messages_of_another_label_is_declined_with_that_label() -> None:
    said = stand_in().judge(task("delivery"), np.array([1.0, 0.0]))
    assert not said.accept
    assert said.tags == ("wrong-label",)
    assert "'refund'" in said.comment
    assert said.scores["accuracy"] == 1


def test_a_candidate_far_from_everything_is_declined() -> None:
    said = stand_in(bound=0.9).judge(task("refund"), np.array([0.6, -0.8]))
    assert not said.accept
    assert said.tags == ("off-topic",)


def test_only_tags_of_the_queue_are_used() -> None:
    said = stand_in(tags=("off-topic",)).judge(task("delivery"), np.array([1.0, 0.0]))
    assert said.tags == ()
    assert not said.accept


@pytest.mark.parametrize("text", ["1. I want a refund", "Here is a message:", "- where is it"])
def test_what_does_not_read_like_a_message_has_the_lowest_tone_and_is_declined(text: str) -> None:
    assert tone_of(text) == 1
    assert not stand_in().judge(task("refund", text), np.array([1.0, 0.0])).accept


class Queue:
    """A queue in memory, whose leases may lapse."""

    def __init__(self, tasks: list[Leased], lapsed: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.open = {one.name: one for one in tasks}
        self.lapsed = set(lapsed)
        self.reviews: dict[str, Judgement] = {}
        self.seats: dict[str, str] = {}

    async def lease(self, name: str, seat: str) -> Leased | None:
        held = set(self.seats.values())
        free = [one for one in self.open.values() if one.name not in held]
        if seat not in self.seats and free:
            self.seats[seat] = free[0].name
        return self.open.get(self.seats.get(seat, ""))

    async def submit(self, task: Leased, judgement: Judgement, program: str) -> None:
        if task.name in self.lapsed:
            self.lapsed.discard(task.name)
            raise FailedPrecondition("the lease has lapsed", reason=StaleLease.reason)
        assert program == "nearest-neighbour stand-in"
        del self.open[task.name]
        self.seats = {seat: name for seat, name in self.seats.items() if name != task.name}
        self.reviews[task.name] = judgement


async def test_it_reviews_all_that_it_can_lease_and_a_lapsed_lease_is_tried_again(teacher: FakeTeacher) -> None:
    tasks = [Leased(f"task-{number}", number, f"message {number}", "refund") for number in range(7)]
    queue = Queue(tasks, lapsed={"task-3"})
    endpoint = Endpoint(url=teacher.url, model="all-minilm-l6-v2")
    vectors = await embed(endpoint, [one.text for one in KNOWN])
    worker = StandIn(endpoint, LABELS, vectors, 0.0)
    while await worker.review(queue, "queue", most=4):  # type: ignore[arg-type]
        pass
    assert set(queue.reviews) == {one.name for one in tasks}


async def test_vectors_have_unit_length(teacher: FakeTeacher) -> None:
    vectors = await embed(Endpoint(url=teacher.url, model="all-minilm-l6-v2"), ["one", "two words"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 1.0])
