"""What a caller of the model client sees, against the fake teacher."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest
from cultivar_models import (
    Endpoint,
    Line,
    MemoryRecorder,
    ModelAnswerInvalid,
    ModelClient,
    ModelRejected,
    ModelUnavailable,
    RetryPolicy,
    Sampling,
    TokenUsage,
)
from cultivar_models.fake import FakeTeacher

QUICK = RetryPolicy(retries=4, invalid_retries=2, deadline_s=5, first_wait_s=0.005, longest_wait_s=0.02)
SAMPLING = Sampling(temperature=0.7, max_tokens=64)


def client_of(teacher: FakeTeacher, **options: object) -> ModelClient:
    settings = {"policy": QUICK, **options}
    return ModelClient(Endpoint(teacher.url, "fake-teacher"), **settings)  # type: ignore[arg-type]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def until(holds: Callable[[], bool]) -> None:
    """Waits five seconds at most."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("what was waited for did not come to be")


async def test_a_chat_answer_says_its_text_and_what_it_cost() -> None:
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        answer = await client.chat(user("Where is my new card?"), SAMPLING)
    assert "card" in answer.text.lower()
    assert answer.finish_reason == "stop"
    assert answer.usage.calls == 1 and answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert client.usage == answer.usage


async def test_several_choices_come_in_one_call() -> None:
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        answer = await client.chat(user("Where is my new card?"), Sampling(n=3))
    assert len(set(answer.texts)) == 3
    assert client.usage.calls == 1


async def test_a_failed_call_is_tried_again_until_it_is_answered() -> None:
    async with FakeTeacher(fail_first=2) as teacher, client_of(teacher) as client:
        answer = await client.chat(user("hello there"), SAMPLING)
    assert answer.usage.calls == 3 and answer.usage.failed_calls == 2
    assert teacher.stats.outcomes == {"error": 2, "answered": 1}


async def test_a_server_that_stays_broken_is_unavailable_after_the_allowed_tries() -> None:
    async with FakeTeacher(error_rate=1) as teacher, client_of(teacher) as client:
        with pytest.raises(ModelUnavailable, match="in 5 tries; the last time it answered with status 500"):
            await client.chat(user("hello there"), SAMPLING)
        assert teacher.stats.calls == 5
        assert client.usage == TokenUsage(calls=5, failed_calls=5)


async def test_a_dropped_connection_is_tried_again() -> None:
    async with FakeTeacher(fail_first=1, fail_first_as="drop") as teacher, client_of(teacher) as client:
        answer = await client.chat(user("hello there"), SAMPLING)
    assert answer.usage.failed_calls == 1


async def test_a_hanging_call_times_out_and_is_tried_again() -> None:
    async with FakeTeacher(fail_first=1, fail_first_as="hang") as teacher, client_of(teacher, timeout_s=0.1) as client:
        started = time.monotonic()
        answer = await client.chat(user("hello there"), SAMPLING)
    assert answer.text and answer.usage.calls == 2
    assert 0.1 <= time.monotonic() - started < 2


async def test_the_deadline_ends_all_tries_together() -> None:
    policy = RetryPolicy(retries=100, deadline_s=0.3, first_wait_s=0.01, longest_wait_s=0.02)
    async with FakeTeacher(hang_rate=1) as teacher, client_of(teacher, policy=policy, timeout_s=0.1) as client:
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match="did not answer in time"):
            await client.chat(user("hello there"), SAMPLING)
    assert time.monotonic() - started < 1


async def test_a_single_try_does_not_outlast_the_deadline() -> None:
    policy = RetryPolicy(deadline_s=0.2)
    async with FakeTeacher(hang_rate=1) as teacher, client_of(teacher, policy=policy, timeout_s=60) as client:
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match="in 1 try; the last time it did not answer in time"):
            await client.chat(user("hello there"), SAMPLING)
    assert time.monotonic() - started < 1


async def test_retry_after_is_waited_for() -> None:
    slow = FakeTeacher(fail_first=1, fail_first_as="too_many", retry_after_s=0.3)
    async with slow as teacher, client_of(teacher) as client:
        started = time.monotonic()
        await client.chat(user("hello there"), SAMPLING)
        assert time.monotonic() - started >= 0.3


async def test_a_retry_after_beyond_the_deadline_gives_up_at_once() -> None:
    async with FakeTeacher(too_many_rate=1, retry_after_s=60) as teacher, client_of(teacher) as client:
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match="status 429"):
            await client.chat(user("hello there"), SAMPLING)
    assert time.monotonic() - started < 1


async def test_a_waiting_retry_frees_its_slot() -> None:
    slow = FakeTeacher(fail_first=1, fail_first_as="too_many", retry_after_s=0.7)
    async with slow as teacher, client_of(teacher, concurrency=1) as client:
        refused = asyncio.create_task(client.chat(user("first"), SAMPLING))
        await until(lambda: teacher.stats.outcomes["too_many"] == 1)
        teacher.settings = teacher.settings.model_copy(update={"fail_first": 0})
        started = time.monotonic()
        for number in range(5):
            await client.chat(user(f"other {number}"), SAMPLING)
        assert time.monotonic() - started < 0.5 and not refused.done()
        assert (await refused).usage.calls == 2


@pytest.mark.parametrize("fault", ["broken", "empty"])
async def test_an_answer_outside_the_protocol_is_invalid_after_a_bounded_number_of_tries(fault: str) -> None:
    async with FakeTeacher(fail_first=9, fail_first_as=fault) as teacher, client_of(teacher) as client:
        with pytest.raises(ModelAnswerInvalid, match="answered 3 times outside the protocol"):
            await client.chat(user("hello there"), SAMPLING)
        assert teacher.stats.calls == 3


@pytest.mark.parametrize("fault", ["broken", "empty"])
async def test_one_answer_outside_the_protocol_is_made_good_by_the_next(fault: str) -> None:
    async with FakeTeacher(fail_first=1, fail_first_as=fault) as teacher, client_of(teacher) as client:
        assert (await client.complete("hello there", SAMPLING)).text


async def test_a_refused_request_is_not_tried_again_and_says_what_to_do() -> None:
    async with FakeTeacher() as teacher, ModelClient(Endpoint(teacher.url, "no-such-model")) as client:
        with pytest.raises(ModelRejected, match="404 model_not_found: check the endpoint's url and model") as caught:
            await client.chat(user("a secret text"), SAMPLING)
    assert caught.value.status == 404 and caught.value.usage == TokenUsage(calls=1, failed_calls=1)
    assert "secret" not in str(caught.value)


async def test_the_key_is_sent_and_never_shown() -> None:
    async with FakeTeacher(api_key="hush-hush") as teacher:
        endpoint = Endpoint(teacher.url, "fake-teacher", api_key="hush-hush")
        async with ModelClient(endpoint) as client:
            assert (await client.complete("hello there", SAMPLING)).text
        wrong = Endpoint(teacher.url, "fake-teacher", api_key="other-key")
        async with ModelClient(wrong) as client:
            with pytest.raises(ModelRejected) as caught:
                await client.complete("hello there", SAMPLING)
    assert "hush" not in repr(endpoint) and "other-key" not in str(caught.value)


async def test_headers_and_fields_of_the_endpoint_go_with_each_request() -> None:
    async with FakeTeacher(needed_header="api-key: hush-hush", refused_fields=("seed",)) as teacher:
        headers, fields = {"api-key": "hush-hush"}, {"seed": None}
        endpoint = Endpoint(f"{teacher.url}?api-version=2024-06-01", "fake-teacher", headers=headers, fields=fields)
        async with ModelClient(endpoint, policy=QUICK) as client:
            await client.wait_ready(1)
            assert (await client.chat(user("hello there"), Sampling(seed=5))).usage.calls == 1
    assert "hush" not in repr(endpoint)


async def test_a_field_that_the_server_refuses_is_found_out_once() -> None:
    async with FakeTeacher(refused_fields=("max_tokens", "temperature")) as teacher, client_of(teacher) as client:
        first = await client.chat(user("hello there"), SAMPLING)
        second = await client.chat(user("hello again"), SAMPLING)
        assert (first.usage.calls, first.usage.failed_calls, second.usage.calls) == (3, 2, 1)
        assert client.left_out == ("temperature",)


async def test_a_model_that_thinks_aloud_is_read_without_its_thoughts() -> None:
    async with FakeTeacher(thinks="closed") as teacher, client_of(teacher) as client:
        answer = await client.chat(user("Where is my new card?"), Sampling(stop=("\n\n",)))
    assert "card" in answer.text.lower() and "user wants" not in answer.text


async def test_a_model_that_only_thinks_is_paid_once_and_wants_more_tokens() -> None:
    async with FakeTeacher(thinks="endless") as teacher, client_of(teacher) as client:
        with pytest.raises(ModelAnswerInvalid, match="give it more") as caught:
            await client.chat(user("Where is my new card?"), SAMPLING)
        assert caught.value.usage.calls == 1 and caught.value.usage.completion_tokens > 0


async def test_tokens_that_a_server_does_not_count_are_guessed_by_their_characters() -> None:
    async with FakeTeacher(counts_tokens=False) as teacher, client_of(teacher) as client:
        answer = await client.chat(user("x" * 400), SAMPLING)
        assert answer.usage.prompt_tokens == 100
        assert answer.usage.completion_tokens == -(-len(answer.text) // 4)
        assert answer.usage.uncounted_calls == 1
        assert client.usage == answer.usage


async def test_a_quota_of_a_minute_is_waited_for_longer_than_a_failing_server() -> None:
    policy = RetryPolicy(retries=2, deadline_s=10, first_wait_s=0.02, longest_wait_s=0.02)
    fields = {"fail_first": 9, "fail_first_as": "too_many", "retry_after_s": 0}
    async with FakeTeacher(**fields) as teacher, client_of(teacher, policy=policy) as client:
        assert (await client.chat(user("hello there"), SAMPLING)).usage.calls == 10


async def test_no_more_requests_a_minute_are_sent_than_allowed() -> None:
    async with FakeTeacher() as teacher, client_of(teacher, line=Line(64, requests_per_minute=1200)) as client:
        began = time.monotonic()
        await asyncio.gather(*(client.complete(f"hello {number}", SAMPLING) for number in range(11)))
        assert time.monotonic() - began >= 0.5


async def test_an_unreachable_server_is_unavailable_in_words() -> None:
    async with FakeTeacher() as teacher:
        gone = teacher.url
    async with ModelClient(Endpoint(gone, "fake-teacher"), policy=QUICK) as client:
        with pytest.raises(ModelUnavailable, match="could not be reached"):
            await client.chat(user("hello there"), SAMPLING)


async def test_a_recorded_answer_is_never_paid_again() -> None:
    recorder = MemoryRecorder()
    async with FakeTeacher() as teacher:
        async with client_of(teacher, recorder=recorder) as client:
            paid = await client.chat(user("hello there"), SAMPLING, call="row-1/0")
        async with client_of(teacher, recorder=recorder) as client:
            kept = await client.chat(user("hello there"), SAMPLING, call="row-1/0")
        assert teacher.stats.calls == 1
    assert kept.text == paid.text and kept.finish_reason == paid.finish_reason
    assert kept.usage.calls == 0 and kept.usage.cached_calls == 1
    assert kept.usage.completion_tokens == paid.usage.completion_tokens


async def test_another_call_id_is_another_call() -> None:
    async with FakeTeacher() as teacher, client_of(teacher, recorder=MemoryRecorder()) as client:
        await client.chat(user("hello there"), SAMPLING, call="row-1/0")
        await client.chat(user("hello there"), SAMPLING, call="row-1/1")
        assert teacher.stats.calls == 2


async def test_two_calls_alike_at_the_same_time_are_paid_once() -> None:
    async with FakeTeacher(latency_s=0.05) as teacher, client_of(teacher, recorder=MemoryRecorder()) as client:
        answers = await asyncio.gather(*(client.chat(user("hello there"), SAMPLING, call="a") for _ in range(5)))
        assert teacher.stats.calls == 1
    assert len({answer.text for answer in answers}) == 1
    assert client.usage.cached_calls == 4


async def test_when_the_first_of_two_calls_alike_is_cancelled_the_second_goes_on() -> None:
    async with FakeTeacher(latency_s=0.05) as teacher, client_of(teacher, recorder=MemoryRecorder()) as client:
        first = asyncio.create_task(client.chat(user("hello there"), SAMPLING))
        second = asyncio.create_task(client.chat(user("hello there"), SAMPLING))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await second).text


async def test_cancel_is_prompt_and_frees_the_slots() -> None:
    async with FakeTeacher(hang_rate=1) as teacher, client_of(teacher, concurrency=2) as client:
        calls = [asyncio.create_task(client.chat(user(f"text {n}"), SAMPLING)) for n in range(5)]
        await until(lambda: teacher.stats.in_flight == 2)
        started = time.monotonic()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - started < 0.2
        assert all(call.cancelled() for call in calls)
        assert client.usage == TokenUsage(calls=2)
        teacher.settings = teacher.settings.model_copy(update={"hang_rate": 0.0})
        assert (await client.chat(user("afterwards"), SAMPLING)).text


async def test_no_more_requests_are_under_way_than_allowed() -> None:
    async with FakeTeacher(latency_s=0.01) as teacher, client_of(teacher, concurrency=3) as client:
        await asyncio.gather(*(client.chat(user(f"text {n}"), SAMPLING) for n in range(20)))
        assert teacher.stats.peak_in_flight == 3


async def test_a_server_with_less_room_than_asked_for_still_answers_all() -> None:
    async with FakeTeacher(latency_s=0.01, most_in_flight=4, retry_after_s=0) as teacher:
        async with client_of(teacher, concurrency=32, policy=RetryPolicy(first_wait_s=0.02)) as client:
            await asyncio.gather(*(client.chat(user(f"text {n}"), SAMPLING) for n in range(100)))
            assert client.slots.limit < 32
        assert teacher.stats.outcomes["answered"] == 100


async def test_a_ready_server_is_waited_for_until_it_serves_the_model() -> None:
    async with FakeTeacher(models=("other",)) as teacher, client_of(teacher) as client:
        waiting = asyncio.create_task(client.wait_ready(5))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        teacher.settings = teacher.settings.model_copy(update={"models": ("fake-teacher",)})
        await waiting


async def test_a_server_without_the_model_says_what_it_serves() -> None:
    async with FakeTeacher(models=("one", "two")) as teacher, client_of(teacher) as client:
        with pytest.raises(ModelUnavailable, match="serves one, two, but not fake-teacher"):
            await client.wait_ready(0.1)


async def test_an_adapter_is_ready_when_its_base_model_is() -> None:
    async with FakeTeacher() as teacher, ModelClient(Endpoint(teacher.url, "fake-teacher:demo/ab12")) as client:
        await client.wait_ready(1)
        assert (await client.chat(user("hello there"), SAMPLING)).texts


async def test_a_wrong_key_is_told_at_once() -> None:
    async with FakeTeacher(api_key="right") as teacher, client_of(teacher) as client:
        with pytest.raises(ModelRejected, match="check the endpoint's api_key"):
            await client.wait_ready(30)


async def test_scores_come_in_the_order_of_the_pairs() -> None:
    shots = "Message: I lost my card\nIntent: card_lost\n\nMessage: what is the exchange rate\nIntent: rate\n\n"
    pairs = [
        (f"{shots}Message: my card is lost\nIntent:", " card_lost"),
        (f"{shots}Message: which exchange rate is it\nIntent:", " card_lost"),
        (f"{shots}Message: my card is lost\nIntent:", " rate"),
        (f"{shots}Message: which exchange rate is it\nIntent:", " rate"),
    ]
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        scores = await client.score(pairs)
    assert scores[0].logprob > scores[2].logprob and scores[3].logprob > scores[1].logprob
    assert all(score.logprob < 0 and score.tokens > 0 for score in scores)


async def test_two_hundred_pairs_are_scored_in_four_requests_and_alike_in_one() -> None:
    pairs = [(f"A text with number {n % 50}", f" and ending {n}") for n in range(200)]
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        together = await client.score(pairs)
        assert teacher.stats.calls == 4
        assert (await client.score(pairs[7:8]))[0] == together[7]


async def test_recorded_scores_are_not_paid_again() -> None:
    pairs = [("one two", " three"), ("four", " five")]
    async with FakeTeacher() as teacher, client_of(teacher, recorder=MemoryRecorder()) as client:
        assert await client.score(pairs) == await client.score(pairs)
        assert teacher.stats.calls == 1


async def test_one_text_cut_in_two_places_is_two_calls() -> None:
    async with FakeTeacher() as teacher, client_of(teacher, recorder=MemoryRecorder()) as client:
        (longer,) = await client.score([("one", " two three")])
        (shorter,) = await client.score([("one two", " three")])
    assert longer.tokens == 2 and shorter.tokens == 1


async def test_a_text_without_a_prefix_is_scored_without_its_first_token() -> None:
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        scores = await client.score([("", "one two three"), ("", "one")])
    assert [score.tokens for score in scores] == [2, 0]


async def test_an_empty_continuation_is_the_callers_mistake() -> None:
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        with pytest.raises(ValueError, match="pair 1 has an empty continuation"):
            await client.score([("one", " two"), ("three", "")])


async def test_embeddings_of_texts_alike_lie_near() -> None:
    texts = ["I lost my card", "my card is lost", "what is the exchange rate"]
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        one, alike, other = await client.embed(texts)
    assert len(one) == 64 and sum(x * x for x in one) == pytest.approx(1)
    assert sum(a * b for a, b in zip(one, alike, strict=True)) > sum(a * b for a, b in zip(one, other, strict=True))


async def test_many_texts_are_embedded_in_order() -> None:
    texts = [f"text number {n}" for n in range(150)]
    async with FakeTeacher() as teacher, client_of(teacher) as client:
        vectors = await client.embed(texts)
        assert teacher.stats.calls == 3
        assert vectors[149] == (await client.embed(texts[149:]))[0]
        assert await client.embed([]) == [] and await client.score([]) == []


async def test_what_the_recorder_keeps_holds_no_key() -> None:
    recorder = MemoryRecorder()
    async with FakeTeacher(api_key="hush-hush") as teacher:
        endpoint = Endpoint(teacher.url, "fake-teacher", api_key="hush-hush")
        async with ModelClient(endpoint, recorder=recorder) as client:
            await client.complete("hello there", SAMPLING)
    ((key, record),) = recorder.answers.items()
    assert len(key) == 64 and b"hush" not in record and json.loads(record)
