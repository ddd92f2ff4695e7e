"""Whole answers over one connection, one after the other, each awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from skyhaul_connectors.sources.http.connection import SKIP_CAP, HttpConnection
from skyhaul_connectors.sources.http.network import Network, lost
from skyhaul_connectors.sources.http.response.head import AnswerHead, NotHttp
from skyhaul_connectors.sources.url import Origin
from skyhaul_schemas.errors import ConnectionLost, MalformedAnswer, StalledError

Take = Callable[[memoryview], None]

_BODIES = (200, 206)
"""Answers whose body is what was asked for."""


@dataclass(slots=True)
class Wanted:
    """What is wanted of one answer, and how much of it has come.

    Attributes:
        place: How errors name it.
        bodiless: It is asked for by HEAD.
        cap: Bytes that its body may have.
        take: Gets the body of a 200 or 206; None where only the head is wanted.
        enough: Bytes of a body after which the rest is not waited for.
        head: The answer's, once it is here.
        taken: Bytes of the body that came.
        whole: Whether that is all of it.
    """

    place: str
    bodiless: bool
    cap: int
    take: Take | None
    enough: int | None = None
    head: AnswerHead | None = None
    taken: int = 0
    whole: bool = False


class DocumentConnection(HttpConnection):
    """One question at a time."""

    def __init__(self, network: Network, origin: Origin) -> None:
        # Nothing gathers in the kernel: the first byte of an answer may be all that is wanted of it.
        super().__init__(network, origin, gathers=False)
        self._wanted: Wanted | None = None
        self._done: asyncio.Future[AnswerHead] | None = None
        self._asked_at = 0.0
        self._keep_alive = True

    @property
    def reusable(self) -> bool:
        return not self.over and self._reader.between_answers and self._keep_alive

    async def ask(self, request: bytes, wanted: Wanted) -> AnswerHead:
        """Send `request` and wait for what is `wanted` of its answer.

        A question that fails, or is cancelled, costs the connection.

        Raises:
            CarriageError: No such answer came; MalformedAnswer beyond `wanted.cap` bytes.
            Exception: What `wanted.take` raised.
        """
        self._wanted, self._done = wanted, self._loop.create_future()
        self._asked_at = self._loop.time()
        self._deadlines.begin(self._asked_at)
        self.write(request)
        answered = False
        try:
            head = await self._done
            answered = True
            return head
        finally:
            self._wanted = self._done = None  # what the connection does from here on is nobody's answer
            # The rest of its answer would be taken for the start of the next one's.
            if not answered:
                self.abort()

    # HttpConnection

    def ready(self) -> None:
        """The first question comes when `Network.dial` has returned."""

    def due_since(self) -> float | None:
        return self._asked_at if self._pending else None

    def late(self, passed: str) -> None:
        self._fail(StalledError(f"{self._place()}: {passed}"))

    def not_http(self, error: NotHttp) -> None:
        self._fail(MalformedAnswer(f"{self._place()}: {error}"))

    def gone(self, error: Exception | None, *, between: bool) -> None:
        # Nobody hears of it where nothing is asked: whoever wants a kept connection sees that it is over.
        self._fail(ConnectionLost(f"{self._place()}: {lost(error)}"))

    def answer_head(self, head: AnswerHead) -> bool:
        if self._wanted is None or not self._pending:
            raise NotHttp("an answer that nobody asked for")
        self._wanted.head = head
        self._keep_alive = head.keep_alive
        return self._wanted.bodiless

    def answer_body(self, data: memoryview) -> None:
        wanted = self._wanted
        assert wanted is not None
        assert wanted.head is not None
        wanted.taken += len(data)
        if wanted.take is not None and wanted.head.status in _BODIES:
            self._hand_over(wanted, wanted.head, wanted.take, data)
        # An answer that was asked for without a taker may be as long as it was allowed to be, and is read to
        # its end, which keeps the connection; a refusal has no such claim.
        elif wanted.taken > SKIP_CAP + (wanted.cap if wanted.head.status in _BODIES else 0):
            # Nobody reads an error's long body: the head says all.
            self._answered()
            self.abort()

    def answer_end(self) -> None:
        assert self._wanted is not None
        self._wanted.whole = True
        self._answered()

    def _hand_over(self, wanted: Wanted, head: AnswerHead, take: Take, data: memoryview) -> None:
        if wanted.taken > wanted.cap:
            self._fail(MalformedAnswer(f"{wanted.place}: longer than it may be"))
            return
        # From here an exception would reach asyncio, which drops the connection: the asker would hear of
        # that, and ask again where a full disk is the reason.
        try:
            take(data)
        except Exception as error:  # noqa: BLE001  # what the taker met is the asker's to hear
            self._fail(error)
            return
        # Where this was the last byte, `answer_end` comes next and the connection is kept. A body without a
        # stated length (chunked, or up to the end) may always go on.
        more_comes = head.length is None or self._reader.left
        if wanted.enough is not None and wanted.taken >= wanted.enough and more_comes:
            self._answered()
            self.abort()

    def _place(self) -> str:
        return self._wanted.place if self._wanted is not None else f"{self._network.source}: {self.origin}"

    @property
    def _pending(self) -> bool:
        """Whether a question waits for its answer."""
        # Not `_wanted`: between the answer and the turn of the loop in which `ask` goes on that is still set,
        # and whatever comes then is an answer that nobody asked for.
        return self._done is not None and not self._done.done()

    def _answered(self) -> None:
        if self._done is not None and self._pending:
            assert self._wanted is not None
            assert self._wanted.head is not None
            self._done.set_result(self._wanted.head)

    def _fail(self, error: Exception) -> None:
        if self._done is not None and self._pending:
            self._done.set_exception(error)
        self.abort()
