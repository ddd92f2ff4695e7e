"""Ranges over one connection: sends the requests, validates the answers, proves pipelining.

Requests go out one at a time until the origin's trust allows pipelining; the first range over an origin
that nothing is known of is asked for as two halves at once, which is the proof (`pipelining`). A half that is
refused says nothing of the range, which is then asked for in one piece; nor does a refused If-Match.

A body without a stated length is kept until it is whole: one that turns out too long is not what was asked.

What an answer says of its own request is reported by `failed`. A connection that cannot go on after that
ends with `closed(None)`: the requests queued behind it have no blame and may be asked for again at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from skyhaul_connectors.sources.http.body import RangeBody
from skyhaul_connectors.sources.http.connection import SKIP_CAP, HttpConnection
from skyhaul_connectors.sources.http.network import Network, lost
from skyhaul_connectors.sources.http.pipelining import PipelineTrust
from skyhaul_connectors.sources.http.request import RangeExchange, range_request
from skyhaul_connectors.sources.http.response.head import AnswerHead, NotHttp
from skyhaul_connectors.sources.http.response.refusal import RefusalBody
from skyhaul_connectors.sources.http.response.validation import REDIRECTS, validate_answer, validator_of
from skyhaul_connectors.sources.protocol import ChannelEvents
from skyhaul_connectors.sources.url import Origin
from skyhaul_schemas.errors import (
    CarriageError,
    ConnectionLost,
    Disposition,
    MalformedAnswer,
    RangesIgnored,
    StalledError,
)

_TRIAL_PATIENCE = 3.0
"""Seconds for the second half of a trial after the first one came, or four times what that took. A server
that forgets queued requests leaves it out for ever; the idle limit would take ten times as long to see that.
Chosen, not measured."""


class ConnectionOwner(Protocol):
    """The channel, towards its connections."""

    def connected(self, connection: RangeConnection) -> None: ...

    def redirected(self, ask: RangeExchange, head: AnswerHead) -> None:
        """Ask again where `head` leads. Raises CarriageError where that is refused."""

    def retry_fresh(self, ask: RangeExchange) -> bool:
        """Whether a failed answer came from a remembered redirect, and was asked for anew."""

    def ask_over_another(self, connection: RangeConnection, asks: Sequence[RangeExchange]) -> None:
        """The connection has ended, and nobody was told; ask for these over a new one."""

    def disconnected(self, connection: RangeConnection, error: CarriageError | None, unanswered: int) -> None:
        """The connection is over; the last call."""


class RangeConnection(HttpConnection):
    """Ranges asked over one connection; `events` gets their bytes, `owner` the rest."""

    def __init__(
        self, network: Network, origin: Origin, owner: ConnectionOwner, events: ChannelEvents
    ) -> None:
        super().__init__(network, origin, wire=events.wire, gathers=True)
        self._owner = owner
        self._events = events
        self._trust: PipelineTrust = network.trust(origin)
        self._queue: deque[RangeExchange] = deque()
        self._sent: deque[RangeExchange] = deque()
        self._body: RangeBody | None = None  # goes to the events; without one the body is passed over
        self._skipped = 0
        self._refusal: RefusalBody | None = None  # an error that is told once its body is here
        self._keep_alive = True
        self._trial: list[RangeExchange] = []
        self._flush_due = False

    # Towards the channel

    def ask(self, ask: RangeExchange) -> None:
        self._queue.append(ask)
        if not self._flush_due and self.is_open:
            # One write for all that is asked in this turn of the loop.
            self._flush_due = True
            self._loop.call_soon(self._flush)

    @property
    def busy(self) -> bool:
        return bool(self._sent or self._queue)

    def waiting(self) -> list[RangeExchange]:
        """Requests that are not sent yet."""
        return list(self._queue)

    def abort(self) -> None:
        """End without telling the owner."""
        self._trial_unclear()
        super().abort()

    # HttpConnection

    def ready(self) -> None:
        self._owner.connected(self)
        self._flush()

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        # Once for all answers that this read brought, so that what they let out goes in one write: on a
        # satellite link requests ride the thin side.
        if self._queue and not self.over:
            self._flush()

    def gone(self, error: Exception | None, *, between: bool) -> None:
        # An idle server may end a connection whenever it likes (RFC 9112, section 9.5); a request that was
        # never sent is no part of that, and costs no retry.
        asked = self._sent or (self._queue and not between)
        self._end(self._loss(error) if asked else None)

    def due_since(self) -> float | None:
        if not self._sent:
            return None
        # A whole object takes as long as it takes; idle and minimum rate hold for it, too.
        first = self._sent[0]
        return self._loop.time() if first.asked.whole else first.first_in_line

    def late(self, passed: str) -> None:
        self._end(StalledError(f"{self._place()}: {passed}"))

    def not_http(self, error: NotHttp) -> None:
        fault = MalformedAnswer(f"{self._place()}: {error}")
        if not self._sent:
            self._end(fault)
            return
        # Only the first in line is at fault; those behind it were not answered at all.
        ask = self._sent[0]
        if not ask.given_up:
            self._fail(ask, fault)
        self._end(None)

    # AnswerSink

    def answer_head(self, head: AnswerHead) -> bool:
        if not self._sent:
            raise NotHttp("an answer that nobody asked for")
        ask = self._sent[0]
        self._keep_alive = head.keep_alive
        self._body = None
        self._skipped = 0
        # Order matters: a redirect has no validators, and an answer to another request says nothing of this
        # one. A given-up request still has its answer on the wire, which is read past to stay in step.
        if ask.given_up:
            pass
        elif head.status in REDIRECTS:
            self._trial_unclear()
            self._give_up(ask)
            try:
                self._owner.redirected(ask, head)
            except CarriageError as error:
                self._fail(ask, error)
            # Requests behind it would end with `closed` of the whole channel; over another connection they
            # cost neither a retry nor a pause.
            if not head.keep_alive:
                self._go_over()
        else:
            fault = validate_answer(ask.asked, head)
            if fault is None:
                self._body = RangeBody(ask, head)
                # The server had the pinned version and refused its If-Match: it compares otherwise than RFC
                # 9110, section 13.1.1, says, and is sent none from now on.
                if ask.unconditional:
                    self._trust.conditional = False
            elif self._belongs_to_another(ask, head):
                self._out_of_order(ask)
            elif self._owner.retry_fresh(ask):
                self._trial_unclear()
                self._give_up(ask)
            elif not self._asked_otherwise(ask, head, fault):
                self._refusal = RefusalBody.of(fault, head)
                if self._refusal is None:
                    self._fail(ask, fault)
        if self._body is None and not self.over and (head.length or 0) > SKIP_CAP:
            self._end(None)
        return False  # HEAD is never asked here

    def answer_body(self, data: memoryview) -> None:
        body = self._body
        if body is None:
            if self._refusal is not None:
                self._refusal.take(data)
            self._skipped += len(data)
            if self._skipped > SKIP_CAP:
                self._end(None)
            return
        ask = self._sent[0]
        came = body.take(data)
        if came is not None:
            self._events.received(ask.request, *came)
        if self.over:
            return
        # The rest of an object that came whole would cross the link for nothing.
        if body.cut_out:
            self._sent.popleft()
            self._body = None
            self._events.finished(ask.request)
            self._end(None)
        elif body.too_long:
            said = f"{ask.asked.place}: more than the {ask.asked.length} bytes that were asked"
            self._fail(ask, MalformedAnswer(said))
            self._end(None)

    def answer_end(self) -> None:
        self._tell_refusal()
        body = self._body
        # Before the request leaves `_sent`: bytes come before the verdict on their range.
        if body is not None and not body.odd:
            self._hand_over()
        if self.over:
            return
        ask = self._sent.popleft()
        if body is not None:
            if body.complete:
                self._trial_step(ask)
                if ask.last:
                    self._events.finished(ask.request)
            else:
                # Short can only be a body without a length: a stated one was held against the range, and a
                # connection that ends inside it comes to no end of an answer.
                said = f"{ask.asked.place}: the body has {ask.taken} of {ask.asked.length} bytes"
                self._fail(ask, MalformedAnswer(said) if body.odd else ConnectionLost(said))
            self._body = None
        if self.over:
            return
        if self._sent:
            self._sent[0].first_in_line = self._loop.time()
        if not self._keep_alive:
            # Announced (RFC 9112, section 9.6): what is queued behind was never begun, and may be asked for
            # elsewhere.
            self._trial_unclear()
            self._end(None)

    def _hand_over(self) -> None:
        """Tell the owner of the bytes that were kept of a body without a length."""
        kept = self._body.kept() if self._body is not None else None
        if kept is not None and self._body is not None:
            self._events.received(self._body.ask.request, *kept)

    def _asked_otherwise(self, ask: RangeExchange, head: AnswerHead, fault: CarriageError) -> bool:
        """Whether the way of asking may be at fault, and the range is asked for in another way."""
        # A passing fault (busy, 500) has its own budget of retries, and says nothing of the way.
        if fault.disposition is not Disposition.PERMANENT:
            return False
        anew = ask.in_one()
        anew.unconditional = anew.unconditional or head.status == 412
        anew.undivided = True
        # In the same way once more would be a retry, which is the scheduler's to grant.
        if anew.unconditional == ask.unconditional and ask not in self._trial:
            return False
        # Each half that is asked of such a server would set off the whole object.
        if isinstance(fault, RangesIgnored):
            self._trust.broken()
        self._trial_unclear()
        self._give_up(ask)
        self._queue.appendleft(anew)
        if (head.length or 0) > SKIP_CAP or not head.keep_alive:
            self._go_over()
        return True

    def _go_over(self) -> None:
        """End, and have the requests of this connection asked over another one."""
        asks = [*self._queue, *(ask for ask in self._sent if not ask.given_up)]
        if asks and not self.over:
            self.abort()
            self._owner.ask_over_another(self, asks)

    # Sending

    def _flush(self) -> None:
        self._flush_due = False
        if not self.is_open:
            return
        now = self._loop.time()
        if not self._sent and self._queue:
            self._deadlines.begin(now)  # an idle spell is not held against the server
        lines: list[bytes] = []
        while self._queue and self._may_send(self._queue[0]):
            ask = self._queue.popleft()
            # A trial has the connection for itself, so that nothing else can be the reason of its outcome.
            parts = [ask] if self._sent or not self._begins_trial(ask) else ask.halves()
            if len(parts) > 1:
                self._trial = list(parts)
            for part in parts:
                if not self._sent:
                    part.first_in_line = now
                self._sent.append(part)
                conditional = self._trust.conditional and not part.unconditional
                lines.append(range_request(part.asked, part.url, part.headers, conditional=conditional))
        if lines:
            self.write(b"".join(lines))

    def _may_send(self, ask: RangeExchange) -> bool:
        # What is sent after a `Connection: close` is not answered (RFC 9112, section 9.6).
        if not self._keep_alive:
            return False
        if not self._sent:
            return True
        if not self._trust.proven:
            return False
        # Without a validator nothing in an answer tells two objects apart, so order must be beyond doubt.
        ahead = self._sent[-1]
        path = ask.asked.object.path
        return path == ahead.asked.object.path or not (
            validator_of(ask.asked.object) is None or validator_of(ahead.asked.object) is None
        )

    def _begins_trial(self, ask: RangeExchange) -> bool:
        # Where whole objects come in the place of ranges, two halves would bring the object twice.
        divided = ask.asked.length >= 2 and not ask.asked.whole and not ask.undivided
        return divided and self._trust.begin_trial()

    # Trials of pipelining

    def _trial_step(self, ask: RangeExchange) -> None:
        if not self._trial:
            return
        if ask is self._trial[-1]:
            self._trial.clear()
            self._trust.passed()
        else:
            now = self._loop.time()
            patience = max(_TRIAL_PATIENCE, 4 * (now - ask.first_in_line))
            self._loop.call_later(patience, self._trial_late, self._trial[-1])

    def _trial_late(self, ask: RangeExchange) -> None:
        # Once its bytes come, idle and minimum rate are judge enough.
        if self._trial and ask is self._trial[-1] and ask.taken == 0 and not self.over:
            self._end(ConnectionLost(f"{ask.asked.place}: the server left a queued request unanswered"))

    def _trial_unclear(self) -> None:
        if self._trial:
            self._trust.unclear(half_way=self._trial[0] not in self._sent)
            self._trial.clear()

    def _belongs_to_another(self, ask: RangeExchange, head: AnswerHead) -> bool:
        # Nothing in HTTP/1.1 names the request of an answer but its range and validator, so these must fit.
        return head.status == 206 and any(
            validate_answer(other.asked, head) is None for other in self._sent if other is not ask
        )

    def _out_of_order(self, ask: RangeExchange) -> None:
        self._trial.clear()
        self._trust.broken()
        # Not MalformedAnswer: the server may be right about each range once it is asked for one by one.
        self._end(ConnectionLost(f"{ask.asked.place}: the server answers out of order; now one by one"))

    # Ends

    def _fail(self, ask: RangeExchange, error: CarriageError) -> None:
        self._body = None
        self._trial_unclear()
        self._give_up(ask)
        self._events.failed(ask.request, error)

    def _tell_refusal(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            self._fail(self._sent[0], refusal.error())

    def _give_up(self, ask: RangeExchange) -> None:
        """Its outcome is told; what still comes for the same range, in this half or the next, is dropped."""
        for other in self._sent:
            if other.request is ask.request:
                other.given_up = True

    def _loss(self, exc: Exception | None) -> CarriageError:
        return ConnectionLost(f"{self._place()}: {lost(exc)}")

    def _place(self) -> str:
        return self._sent[0].asked.place if self._sent else f"{self._network.source}: {self.origin}"

    def _end(self, error: CarriageError | None) -> None:
        if not self.over:
            self._tell_refusal()
        if self.over:
            return
        # What a cut connection brought lies inside the range that its head stated, and stays. (A body that
        # says it has ended, or overruns, is given up before.)
        self._hand_over()
        if self.over:
            return
        unanswered = len(self._sent) + len(self._queue)
        self.abort()
        self._owner.disconnected(self, error, unanswered)
