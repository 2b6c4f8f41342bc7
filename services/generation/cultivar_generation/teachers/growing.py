"""Answers as they grow: tokens from the engine's thread become pieces of text on the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from cultivar_generation.teachers.errors import EngineFailed, TeacherError
from cultivar_generation.teachers.tokens import Tokens
from cultivar_generation.teachers.work import GenerateWork, Made, TokenChoice

_PART_OF_A_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class Piece:
    """What was added to one choice; `made` is the whole choice, with its last piece alone."""

    choice: int
    text: str
    choices: tuple[TokenChoice, ...] = ()
    made: Made | None = None


class GrowingText:
    """Gives the text of one choice in pieces, which together are the text of the whole.

    What may be the beginning of a stop string is held back until it is known not to be one, and so are the bytes of a
    character that is not whole.
    """

    def __init__(self, tokens: Tokens, stops: Sequence[str]) -> None:
        self._tokens = tokens
        self._stops = tuple(stops)
        self._made: list[int] = []
        self._anchor = 0
        self._read = 0
        self._held = ""
        self._given = 0
        self._choices: list[TokenChoice] = []

    def add(self, choice: TokenChoice) -> tuple[str, tuple[TokenChoice, ...]]:
        """Takes the next token; returns what may be shown now, and the tokens of which all text was shown."""
        self._made.append(choice.token)
        self._choices.append(choice)
        # A token's text depends on those before it: the piece is what the window gains, never the token's own text.
        before = self._tokens.decode(self._made[self._anchor : self._read])
        text = self._tokens.decode(self._made[self._anchor :])
        whole = not text.endswith(_PART_OF_A_CHARACTER)
        if whole and len(text) > len(before):
            self._held += text[len(before) :]
            self._anchor, self._read = self._read, len(self._made)
        piece = self._held[: self._safe()]
        self._held = self._held[len(piece) :]
        self._given += len(piece)
        return piece, self._shown() if whole and not self._held else ()

    def finish(self, made: Made) -> tuple[str, tuple[TokenChoice, ...]]:
        """Returns what is left of the finished choice."""
        told = len(self._made) - len(self._choices)
        return made.text[self._given :], made.choices[told:]

    def _safe(self) -> int:
        """Tells how many characters of what is held can be no part of a stop string."""
        for start in range(len(self._held)):
            rest = self._held[start:]
            if any(stop.startswith(rest) or rest.startswith(stop) for stop in self._stops):
                return start
        return len(self._held)

    def _shown(self) -> tuple[TokenChoice, ...]:
        shown, self._choices = tuple(self._choices), []
        return shown


class Growing:
    """Choices under way, as one stream of their pieces; made on the event loop that reads it."""

    def __init__(self, works: Sequence[GenerateWork], tokens: Tokens) -> None:
        self._works = works
        self._texts = [GrowingText(tokens, work.rules.stop) for work in works]
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[tuple[int, TokenChoice | Future[Made]]] = asyncio.Queue()

    def start(self, submit: Callable[[GenerateWork], "Future[Made]"]) -> None:
        """Queues all choices or none; raises `Overloaded`."""
        try:
            for choice, work in enumerate(self._works):
                work.told = partial(self._tell, choice)
                submit(work).add_done_callback(partial(self._tell, choice))
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Drops what is still under way: its rows in the engine are free at the next step."""
        for work in self._works:
            work.future.cancel()

    async def pieces(self) -> AsyncIterator[Piece]:
        """Yields the pieces as they come; those of one choice that came together are one. Raises `EngineFailed`."""
        under_way = len(self._works)
        while under_way:
            arrived = [await self._arrived.get()]
            while not self._arrived.empty():
                arrived.append(self._arrived.get_nowait())
            for choice in dict.fromkeys(choice for choice, _ in arrived):
                piece = self._piece(choice, [event for other, event in arrived if other == choice])
                under_way -= piece.made is not None
                if piece.text or piece.choices or piece.made:
                    yield piece

    def _piece(self, choice: int, events: Sequence["TokenChoice | Future[Made]"]) -> Piece:
        growing, made = self._texts[choice], None
        text = ""
        choices: tuple[TokenChoice, ...] = ()
        for event in events:
            if isinstance(event, TokenChoice):
                more = growing.add(event)
            else:
                made = _result(event)
                more = growing.finish(made)
            text, choices = text + more[0], (*choices, *more[1])
        return Piece(choice, text, choices, made)

    def _tell(self, choice: int, event: "TokenChoice | Future[Made]") -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, (choice, event))
        except RuntimeError:
            # The loop has ended, and with it whoever read this; the engine's step must not fail for that.
            self._works[choice].future.cancel()


def _result(future: "Future[Made]") -> Made:
    try:
        return future.result(0)
    except TeacherError:
        raise
    except BaseException as error:
        raise EngineFailed() from error
