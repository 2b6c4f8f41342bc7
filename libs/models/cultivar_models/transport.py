"""Sends requests to one server: a bounded number at once, and again when that may help."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from cultivar_models.circuit import Circuit
from cultivar_models.dialect import Dialect, of_schema
from cultivar_models.encoding import from_json, to_json
from cultivar_models.endpoint import Endpoint, TokenUsage
from cultivar_models.errors import ModelAnswerInvalid, ModelRejected, ModelUnavailable, rejected
from cultivar_models.line import Line
from cultivar_models.reading import BadAnswer, read_usage
from cultivar_models.retry import RetryPolicy, retry_after_of

T = TypeVar("T")
Body = Callable[[], Mapping[str, Any]]

MOST_BYTES = 32 * 1024 * 1024
_TOO_MANY = (429, 503)
_TRY_AGAIN = (408, 425, 429)
_NOT_UNDERSTOOD = (400, 422)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Says why one try failed, and what that means for the next."""

    reason: str
    retry_after: float | None = None
    invalid: bool = False
    asked: bool = False
    too_many: bool = False
    final: bool = False


class _Tries:
    """Counts the tries of one call and says when to give up."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.usage = TokenUsage()
        self.ends = float("inf")
        self.failures = 0
        self.free = 0
        self.invalid = 0

    def start(self, now: float) -> None:
        """Starts the deadline's clock with the first slot: to wait in line for it costs the call nothing."""
        if self.ends == float("inf"):
            self.ends = now + self.policy.deadline_s

    def pause(self, failure: _Failure, now: float, named: str, since: str) -> float:
        """Returns the seconds until the next try, or raises the call's error when there shall be none.

        since: when the server last began to answer nobody, empty where it answers others. A try that was to find out
        whether it is back is not counted against the call, nor one that was refused because there are too many: a quota
        of a minute is waited for as long as the deadline lets it.
        """
        self.failures += 1
        self.free += failure.asked or failure.too_many
        self.invalid += failure.invalid
        self.usage += TokenUsage(failed_calls=1)
        if failure.final:
            raise ModelAnswerInvalid(f"{named} gave no answer that can be used: {failure.reason}", self.usage)
        if failure.invalid and self.invalid > self.policy.invalid_retries:
            raise ModelAnswerInvalid(
                f"{named} answered {self.invalid} times outside the protocol, the last time so: {failure.reason}. "
                "Check that the url is an OpenAI-compatible server's and what stands between",
                self.usage,
            )
        pause = self.policy.wait(self.failures, failure.retry_after)
        tries = "try" if self.failures == 1 else "tries"
        if self.failures - self.free > self.policy.retries or now + pause >= self.ends:
            others = f" and has answered nobody since {since}" if since else ""
            raise ModelUnavailable(
                f"{named} gave no answer in {self.failures} {tries}; the last time it {failure.reason}{others}. "
                "Check that it runs and how much it bears, then ask again; give more time if it is only slow",
                self.usage,
            )
        return pause


class Transport:
    """Holds the one HTTP connection pool of a client; an async context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        line: Line,
        policy: RetryPolicy,
        timeout_s: float,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self.dialect = Dialect(endpoint.fields)
        self._slots = line.slots
        self._pace = line.pace
        self._policy = policy
        self._circuit = Circuit(policy.deadline_s)
        self._last_reason = ""
        self._timeout_s = timeout_s
        self._guard = guard
        self._named = f"{endpoint.url} (model {endpoint.model})"
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._trust = ssl.create_default_context(cafile=endpoint.ca_file) if endpoint.ca_file else True
        self.usage = TokenUsage()
        self.pausing = 0

    @property
    def silent_since(self) -> str:
        """Since when the server has answered nobody, empty where it does answer."""
        return self._circuit.silent_since

    async def __aenter__(self) -> Self:
        # Identity and no decoding: a small compressed answer could otherwise grow without bound in memory.
        headers = CIMultiDict({"Content-Type": "application/json", "Accept-Encoding": "identity"})
        if self._endpoint.api_key:
            headers["Authorization"] = f"Bearer {self._endpoint.api_key}"
        headers.update(self._endpoint.headers)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trust),
            proxy=self._endpoint.proxy or None,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        read: Callable[[dict[str, Any]], T],
        more: Callable[[], Mapping[str, Any]] | None = None,
    ) -> tuple[T, TokenUsage]:
        """Posts a JSON body and returns what `read` makes of the answer, with what all tries cost.

        more: gives further fields of the body; asked for each try when it is sent.
        Raises ModelUnavailable, ModelRejected or ModelAnswerInvalid.
        """
        tries = _Tries(self._policy)
        try:
            while True:
                found = await self._try_once(path, lambda: {**body, **(more() if more else {})}, read, tries)
                if not isinstance(found, _Failure):
                    return found
                pause = tries.pause(found, asyncio.get_running_loop().time(), self._named, self._circuit.silent_since)
                self.pausing += 1
                try:
                    await asyncio.sleep(pause)
                finally:
                    self.pausing -= 1
        finally:
            self.usage += tries.usage

    async def get(self, path: str, timeout_s: float) -> tuple[int, Any]:
        """Gets a path once, outside the slots; returns the status and the JSON, None where it is none.

        Raises aiohttp.ClientError or TimeoutError.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self._open().get(self._url(path), timeout=timeout, allow_redirects=False) as response:
            try:
                return response.status, from_json(await _bounded(response))
            except (ValueError, BadAnswer):
                return response.status, None

    async def _try_once(
        self, path: str, body: Body, read: Callable[[dict[str, Any]], T], tries: _Tries
    ) -> tuple[T, TokenUsage] | _Failure:
        epoch = await self._slots.take(again=tries.failures > 0)
        asks = False
        try:
            await self._pace.turn()
            tries.start(asyncio.get_running_loop().time())
            if self._circuit.open:
                asks = await self._turn(tries)
            if self._guard is not None:
                self._guard()
            return await self._sent(path, body, read, tries, epoch, asks)
        except BaseException:
            if asks:
                self._circuit.abandoned()
            raise
        finally:
            self._slots.give_back()

    async def _turn(self, tries: _Tries) -> bool:
        try:
            return await self._circuit.turn(tries.ends)
        except TimeoutError:
            since = self._circuit.silent_since or "a moment ago"
            raise ModelUnavailable(
                f"{self._named} has answered nobody since {since}; the last time it {self._last_reason}. "
                "Check that it runs, then ask again",
                tries.usage,
            ) from None

    async def _sent(
        self,
        path: str,
        body: Body,
        read: Callable[[dict[str, Any]], T],
        tries: _Tries,
        epoch: int,
        asks: bool,
    ) -> tuple[T, TokenUsage] | _Failure:
        clock = asyncio.get_running_loop().time
        sent = clock()
        try:
            status, retry_after, answer = await self._send(path, body, tries)
        except BadAnswer as error:
            self._answered()
            return _Failure(str(error), invalid=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, TimeoutError):
                self._slots.refused(epoch)
            return self._failed(reason_in_words(error), asks)
        if status in _TOO_MANY:
            self._slots.refused(epoch, retry_after)
        if status >= 500:
            return self._failed(f"answered with status {status}", asks, retry_after)
        self._answered()
        if status in _TRY_AGAIN:
            return _Failure(f"answered with status {status}", retry_after, too_many=status == 429)
        if status >= 300:
            raise self._rejected(status, answer, tries)
        self._slots.served(epoch, clock() - sent)
        return self._read(answer, read, tries)

    def _read(
        self, answer: bytes, read: Callable[[dict[str, Any]], T], tries: _Tries
    ) -> tuple[T, TokenUsage] | _Failure:
        try:
            body = from_json(answer)
            if not isinstance(body, dict):
                raise BadAnswer("its answer is not a JSON object")
            status = _error_within(body)
            if status in _TRY_AGAIN or status >= 500:
                return _Failure(f"answered with the error {status}", too_many=status == 429)
            if status:
                raise self._rejected(status, answer, tries)
            tries.usage += read_usage(body)
            return read(body), tries.usage
        except BadAnswer as bad:
            return _Failure(str(bad), invalid=True, final=bad.final)
        except (ValueError, RecursionError):
            return _Failure("its answer is not JSON", invalid=True)

    def _rejected(self, status: int, answer: bytes, tries: _Tries) -> ModelRejected:
        tries.usage += TokenUsage(failed_calls=1)
        refusal = rejected(self._endpoint.url, self._endpoint.model, status, _error_code(answer), tries.usage)
        refusal.of_schema = of_schema(answer)
        return refusal

    def _failed(self, reason: str, asks: bool, retry_after: float | None = None) -> _Failure:
        self._last_reason = reason
        self._circuit.failed(asks)
        return _Failure(reason, retry_after, asked=asks)

    def _answered(self) -> None:
        if self._circuit.answered():
            self._slots.recovered()

    async def _send(self, path: str, body: Body, tries: _Tries) -> tuple[int, float | None, bytes]:
        """Sends a request, again where it has a field that is refused; returns status, Retry-After and body."""
        while True:
            spoken = self.dialect.spoken(body())
            left = tries.ends - asyncio.get_running_loop().time()
            timeout = aiohttp.ClientTimeout(total=max(0.001, min(self._timeout_s, left)))
            tries.usage += TokenUsage(calls=1)
            status, headers, answer = await self._posted(path, to_json(spoken), timeout)
            if status not in _NOT_UNDERSTOOD or not self.dialect.learn(spoken, answer):
                return status, retry_after_of(headers), answer
            tries.usage += TokenUsage(failed_calls=1)

    async def _posted(
        self, path: str, payload: bytes, timeout: aiohttp.ClientTimeout
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self._open().post(self._url(path), data=payload, timeout=timeout, allow_redirects=False) as response:
            return response.status, response.headers, await _bounded(response)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the model client is closed; use it inside `async with`")
        return self._session

    def _url(self, path: str) -> URL:
        if path not in self._urls:
            self._urls[path] = URL(self._endpoint.at(path))
        return self._urls[path]


def reason_in_words(error: BaseException) -> str:
    """Says in words why a request brought no answer, to follow the word "it"; holds no text of either side."""
    if isinstance(error, BadAnswer):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "could not be found: its host name has no address"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "could not be trusted: its TLS certificate or handshake is wrong"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "could not be reached: the connection was refused or has no route"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "closed the connection before it answered"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "broke off in the middle of its answer"
    return f"failed with {type(error).__name__}"


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    if response.content_length is not None and response.content_length <= MOST_BYTES:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            response.close()
            raise BadAnswer(f"its answer is longer than {MOST_BYTES} bytes")
    return b"".join(parts)


def _error_within(body: Mapping[str, Any]) -> int:
    """Returns the status of an error that came as an answer, as gateways send it; 0 where it is an answer."""
    error = body.get("error")
    if not error or body.get("choices") or body.get("data"):
        return 0
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _error_code(body: bytes) -> str:
    """Returns the short code of an error answer, when it is one word."""
    try:
        error = from_json(body)["error"]
        code = error.get("code") or error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return code if isinstance(code, str) and len(code) <= 64 and code.replace("_", "").isalnum() else ""
