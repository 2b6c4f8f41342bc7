"""A task is in one hand at a time, and comes back from whoever falls silent."""

import asyncio

import grpc
from cultivar.review.v1 import review_pb2 as pb

from tests.integration.review.desk import Desk, reason, refused
from tests.seeds import commit_examples, seeds


async def test_asking_again_gives_the_same_task_and_token_for_longer(desk: Desk) -> None:
    await desk.create()
    first, other = await desk.lease("a"), await desk.lease("b")
    again = await desk.lease("a")
    assert (again.name, again.lease.token) == (first.name, first.lease.token)
    assert again.lease.expire_time.ToNanoseconds() > first.lease.expire_time.ToNanoseconds()
    assert other.name != first.name


async def test_two_windows_of_one_seat_that_ask_at_once_get_one_task(desk: Desk) -> None:
    await desk.create()
    await asyncio.gather(*(desk.get() for _ in range(8)))
    for seat in "abcdef":
        leased = await asyncio.gather(*(desk.lease(seat) for _ in range(8)))
        assert len({(task.name, task.lease.token) for task in leased}) == 1


async def test_a_lapsed_lease_is_offered_to_others_and_its_token_changes_nothing(desk: Desk) -> None:
    await desk.create(sample_size=1, lease_seconds=1)
    lost = await desk.lease("a")
    busy = await desk.ask("b")
    assert busy.no_task == pb.NO_TASK_ALL_LEASED
    assert busy.free_time == lost.lease.expire_time
    await asyncio.sleep(1.1)
    found = await desk.lease("b")
    assert (found.name, found.lease.token) == (lost.name, lost.lease.token + 1)
    for call in (
        desk.submit(lost),
        desk.stub.ExtendLease(pb.ExtendLeaseRequest(name=lost.name, lease_token=lost.lease.token)),
        desk.stub.ReleaseTask(pb.ReleaseTaskRequest(name=lost.name, lease_token=lost.lease.token)),
    ):
        error = await refused(call)
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "STALE_LEASE" in reason(error)
        assert "take a new one" in str(error.details())
    assert (await desk.get()).counts.reviewed == 0
    await desk.submit(found)
    assert "STALE_LEASE" in reason(await refused(desk.submit(lost)))
    assert (await desk.ask("a")).no_task == pb.NO_TASK_ALL_REVIEWED
    await desk.audit()


async def test_whoever_lets_a_lease_lapse_gets_the_task_back_first(desk: Desk) -> None:
    await desk.create(lease_seconds=1)
    lost = await desk.lease("a")
    await asyncio.sleep(1.1)
    back = await desk.lease("a")
    assert back.name == lost.name
    assert back.lease.token == lost.lease.token + 1


async def test_an_extended_lease_outlives_its_first_time(desk: Desk) -> None:
    await desk.create(sample_size=1, lease_seconds=1)
    task = await desk.lease("a")
    for _ in range(3):
        await asyncio.sleep(0.5)
        await desk.stub.ExtendLease(pb.ExtendLeaseRequest(name=task.name, lease_token=task.lease.token))
    assert (await desk.ask("b")).no_task == pb.NO_TASK_ALL_LEASED
    await desk.submit(task)


async def test_a_task_given_back_is_offered_to_others_first_and_to_its_giver_last(desk: Desk) -> None:
    await desk.create(sample_size=2)
    given = await desk.lease("a")
    await desk.stub.ReleaseTask(pb.ReleaseTaskRequest(name=given.name, lease_token=given.lease.token))
    second = await desk.lease("a")
    assert second.name != given.name
    await desk.submit(second)
    assert (await desk.lease("a")).name == given.name


async def test_twenty_who_lease_submit_release_and_fall_silent_never_hold_one_task_together(desk: Desk) -> None:
    assert desk.host.parts is not None
    name = await commit_examples(desk.host.settings.database_url, desk.host.parts.store, seeds(20), "kept")
    await desk.create(examples=name, lease_seconds=1)
    leases: dict[tuple[str, int], tuple[str, int]] = {}
    given_back: set[tuple[str, int]] = set()
    reviewed: list[str] = []

    async def work(seat: str) -> None:
        for turn in range(1000):
            answer = await desk.ask(seat)
            if answer.no_task == pb.NO_TASK_ALL_REVIEWED:
                return
            if not answer.HasField("task"):
                await asyncio.sleep(0.05)
                continue
            task = answer.task
            key = (task.name, task.lease.token)
            assert leases.get(key, (seat, 0))[0] == seat
            leases[key] = (seat, task.lease.expire_time.ToNanoseconds())
            try:
                if turn == 5:
                    await asyncio.sleep(1.2)
                elif turn % 7 == 3:
                    await desk.stub.ReleaseTask(pb.ReleaseTaskRequest(name=task.name, lease_token=task.lease.token))
                    given_back.add(key)
                else:
                    await desk.submit(task)
                    reviewed.append(task.name)
            except grpc.aio.AioRpcError as error:
                # Who is slow loses the task, as who is silent does.
                assert "STALE_LEASE" in reason(error)

    await asyncio.gather(*(work(f"seat-{number}") for number in range(20)))
    assert len(given_back) > 0 and len(leases) > len(reviewed) + len(given_back)
    for (task, token), (_, until) in leases.items():
        before = leases.get((task, token - 1))
        if before is not None and (task, token - 1) not in given_back:
            assert until - 1_000_000_000 >= before[1]
    assert len(reviewed) == len(set(reviewed)) == 120
    assert (await desk.get()).counts.reviewed == 120
    await desk.audit()
