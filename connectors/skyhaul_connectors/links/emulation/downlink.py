"""Many streams towards us through one link: each waits in its own queue, the link serves them in turn.

What TCP does about trouble is imitated per stream: a lost packet holds back its own stream for about a
round trip while the others go on; a stream that was sending into an outage tries again after 1, 2, 4, ...
timeouts, so that it is late to notice that the link is back, where a new connection is not. Serving is
reckoned from when bytes could have left, not from when this code got to run, so that a busy process
makes deliveries late but does not make the link slower.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from skyhaul_connectors.links.emulation.congestion_window import CongestionWindow
from skyhaul_connectors.links.emulation.model import LinkModel
from skyhaul_connectors.links.emulation.timeline import SLACK, Timeline
from skyhaul_connectors.links.profile.indexed_random import RandomSequence

LOOKAHEAD = 0.005
"""Seconds of the link that are given away in advance: several loop timers' resolution, so that a late timer
does not leave the link idle. Chosen, not measured."""

PIECE_SECONDS = 0.010
"""Seconds: what is delivered at once takes the link no longer than this, so that a slow link delivers
steadily (tests/links/test_emulated.py: 100 kbit/s without lumps). Chosen, not measured; each piece costs a
call."""

MAX_PIECE = 64 * 1024
"""Bytes delivered at once at most. Chosen, not measured: smaller pieces cost more calls, larger ones come in
lumps."""

TURN = 128 * 1024
"""Bytes that a stream sends before the next one gets its turn: about what one has in a drop-tail queue.
Ranges up to this come out one after the other; much smaller turns would finish them all at once, and
every owner would ask anew at the same moment."""

TIMEOUT_MARGIN = 0.2
"""Seconds on top of the round trip before a sender tries again (Linux's smallest, TCP_RTO_MIN)."""

MAX_TIMEOUT = 120.0
"""Seconds between two tries at most (Linux's TCP_RTO_MAX)."""


class Receiver(Protocol):
    """What a flow's bytes and notes reach."""

    def arrived(self, tag: Any, start: int, data: memoryview) -> None:
        """`data` lies at `start` of what was sent under `tag`. It stays valid: the far end has copied it."""

    def noted(self, tag: Any) -> None:
        """A note arrived, after all that was sent before it."""

    def broken(self) -> None:
        """The link ate the connection; nothing more arrives."""


class _Parcel:
    __slots__ = ("data", "done", "sent_at", "size", "tag")

    def __init__(self, sent_at: float, tag: Any, data: memoryview | None, size: int) -> None:
        self.sent_at = sent_at
        self.tag = tag
        self.data = data
        self.size = size
        self.done = 0


class Flow:
    """One stream of the link towards us.

    Attributes:
        receiver: Who gets its bytes and notes.
        window: What its sender may have on its way; None: it sends at the link's rate.
        queue: What it has still to send.
        ready_at: Before this moment it does not send (it waits for a timeout or an acknowledgement).
        last_at: When the last of what it sent arrives; nothing of it arrives before that any more.
        turn: Bytes until the next stream has its turn.
        open: Until it is dropped or broken.
        dropped: Nobody listens any more; what is on its way arrives nowhere.
        waiting: It stands in the link's queue, or in the timeline, and must not be queued a second time."""

    __slots__ = ("dropped", "last_at", "open", "queue", "ready_at", "receiver", "turn", "waiting", "window")

    def __init__(self, receiver: Receiver, window: CongestionWindow | None) -> None:
        self.receiver = receiver
        self.window = window
        self.queue: deque[_Parcel] = deque()
        self.ready_at = 0.0
        self.last_at = 0.0
        self.turn = TURN
        self.open = True
        self.dropped = False
        self.waiting = False


class Downlink:
    """Serves flows through `model`, and tells their receivers by way of `timeline`."""

    def __init__(
        self, model: LinkModel, timeline: Timeline, now: Callable[[], float], random: RandomSequence
    ) -> None:
        self._model = model
        self._timeline = timeline
        self._now = now
        self._random = random
        self._ready: deque[Flow] = deque()
        self._serving_at: float | None = None

    def open(self, receiver: Receiver) -> Flow:
        profile = self._model.profile
        return Flow(receiver, CongestionWindow(profile.segment) if profile.sender == "cubic" else None)

    def send(self, flow: Flow, tag: Any, data: memoryview | None, size: int) -> None:
        """The far end sends `size` bytes now.

        Args:
            flow: The stream.
            tag: Handed to the receiver with the bytes, or with the note.
            data: The bytes; None: bytes that nobody wants to see, of which a note tells once all are here.
            size: Of the bytes; 0 is a note alone, which comes right behind what was sent before it."""
        if flow.open:
            parcel = _Parcel(self._now(), tag, data, size)
            # A note takes no room on the link. Queued, it would wait for others' bytes to pass.
            if size == 0 and not flow.queue:
                self._send_note(flow, parcel)
            else:
                flow.queue.append(parcel)
                self._enqueue(flow)

    def drop(self, flow: Flow) -> None:
        """Nothing of the flow arrives any more; what it had not sent yet takes no room on the link."""
        # What is in the timeline already is not taken out of the heap; `_hand` and the like look at
        # `dropped`.
        flow.open = False
        flow.dropped = True
        flow.queue.clear()

    def _enqueue(self, flow: Flow) -> None:
        if not flow.waiting and flow.queue:
            flow.waiting = True
            self._ready.append(flow)
            self._plan_serving()

    def _plan_serving(self) -> None:
        # Not all that waits is sent at once, though the model could: a stream that opens later must be able
        # to get its turn, and a dropped one to leave its part to others.
        when = max(self._now(), self._model.free_down - LOOKAHEAD)
        if self._serving_at is None or when < self._serving_at:
            self._serving_at = when
            self._timeline.at(when, self._serve, when)

    def _serve(self, planned: float) -> None:
        if planned != self._serving_at:
            return  # an earlier serving was planned since
        self._serving_at = None
        # From the planned moment on, so that a loop that was busy catches up with what the link had carried.
        horizon = max(self._now(), planned) + LOOKAHEAD + SLACK
        while self._ready and self._model.free_down <= horizon:
            flow = self._ready.popleft()
            flow.waiting = False
            if flow.open and flow.queue:
                self._serve_flow(flow, horizon)
        if self._ready:
            self._plan_serving()

    def _serve_flow(self, flow: Flow, horizon: float) -> None:
        """Send one piece and the notes behind it; then the flow goes on, or waits for its next turn."""
        if flow.ready_at > horizon:
            self._wait(flow, flow.ready_at)
            return
        model = self._model
        parcel = flow.queue[0]
        # Never `now`: when bytes left does not depend on when this code got to run.
        start = max(parcel.sent_at, flow.ready_at, model.free_down)
        up_at = model.next_up(start)
        if up_at > start:
            self._interrupt(flow, start, up_at)
            return
        length = min(parcel.size - parcel.done, self._piece(start))
        if flow.window is not None:
            # Less than a segment is not sent (silly windows: RFC 9293, section 3.8.6.2.1), except for the
            # rest.
            room = flow.window.room(start)
            if room < min(length, model.profile.segment):
                self._wait(flow, flow.window.next_ack())
                return
            length = min(length, room)
        broken_at = model.schedule.next_break(start, start + model.seconds_down(start, length))
        # The whole piece is sent again: it was never acknowledged, and the time that it took is lost.
        if broken_at < float("inf"):
            model.free_down = broken_at
            self._interrupt(flow, broken_at, model.next_up(broken_at))
            return
        self._send_piece(flow, parcel, start, length)
        if flow.open:
            if parcel.done == parcel.size:
                flow.queue.popleft()
            # Notes behind data arrive with its last byte, as `finished` does on a real connection.
            while flow.queue and flow.queue[0].size == 0:
                self._send_note(flow, flow.queue.popleft())
            flow.turn -= length
            # To the front: the turn goes on with the next piece, until it is used up.
            if flow.turn > 0 and flow.queue:
                flow.waiting = True
                self._ready.appendleft(flow)
            else:
                flow.turn = TURN
                self._enqueue(flow)

    def _interrupt(self, flow: Flow, tried: float, up_at: float) -> None:
        """What the flow sent at `tried` is lost with the link: its sender tries again, ever more rarely."""
        if flow.window is not None:
            flow.window.timed_out()
        self._wait(flow, retry_at(tried, up_at, self._model.rtt(tried)))

    def _wait(self, flow: Flow, until: float) -> None:
        flow.ready_at = until
        flow.waiting = True
        self._timeline.at(until, self._wake, flow)

    def _wake(self, flow: Flow) -> None:
        flow.waiting = False
        if flow.open:
            self._enqueue(flow)

    def _piece(self, at: float) -> int:
        # Whole segments, since each packet has its headers, and its own chance of being lost.
        segment = self._model.profile.segment
        whole = int(min(self._model.rate(at) * PIECE_SECONDS / 8, MAX_PIECE))
        return max(segment, whole - whole % segment)

    def _send_note(self, flow: Flow, parcel: _Parcel) -> None:
        """A note alone takes a one-way trip; behind data it comes along with the last byte."""
        if flow.last_at <= parcel.sent_at:
            flow.last_at = max(flow.last_at, self._model.arrival(max(parcel.sent_at, flow.ready_at)))
        self._timeline.at(flow.last_at, self._tell, flow, parcel.tag)

    def _send_piece(self, flow: Flow, parcel: _Parcel, start: float, length: int) -> None:
        model = self._model
        profile = model.profile
        packets = -(-length // profile.segment)
        sent = model.carry_down(start, length)
        arrives = max(flow.last_at, self._arrival(flow, sent))
        model.acknowledge(start, packets)
        rtt = model.rtt(start)
        # What comes before the first loss arrives in time. All behind it waits in the receiver's kernel for
        # the packet that is resent, since TCP delivers in order.
        first, lost = model.down_losses.take(packets)
        intact = length if not lost else first * profile.segment
        if intact:
            self._deliver(flow, parcel, intact, arrives)
            if flow.window is not None:
                flow.window.sent(intact, arrives + rtt / 2)
        if lost:
            again = self._resend(start, arrives, lost, rtt)
            if flow.window is not None:
                flow.window.lost(start, rtt)
                flow.window.sent(length - intact, again + rtt / 2)
            # Drawn where something was lost, not by time: resets come with trouble. What arrived before
            # stays.
            if self._random.next() < profile.reset:
                flow.open = False
                flow.queue.clear()
                self._timeline.at(again, self._break, flow)
                return
            self._deliver(flow, parcel, length - intact, again)

    def _arrival(self, flow: Flow, sent: float) -> float:
        """When what left the queue at `sent` is here.

        What an outage meets on its way is sent again, and what comes behind it waits for that."""
        model = self._model
        at = sent + model.one_way(sent)
        if model.is_up(at):
            return at
        flow.ready_at = retry_at(sent, model.next_up(at), model.rtt(sent))
        return model.arrival(flow.ready_at)

    def _resend(self, start: float, arrives: float, lost: int, rtt: float) -> float:
        """When lost packets arrive after all: a round trip later, or a timeout where they are lost again.

        What they take of the link is charged now: charged when they are resent, they would have to be put
        into a part of the link that was given to others before."""
        model = self._model
        model.carry_down(start, lost * model.profile.segment)
        again = arrives + rtt
        timeout = rtt + TIMEOUT_MARGIN
        # A resend that is lost again is found by the timer alone (RFC 6298): no later packet tells of it.
        while self._random.next() < model.profile.loss:
            again += timeout
            timeout = min(2 * timeout, MAX_TIMEOUT)
        if not model.is_up(again):
            again = model.arrival(retry_at(again, model.next_up(again), rtt))
        return again

    def _deliver(self, flow: Flow, parcel: _Parcel, length: int, at: float) -> None:
        flow.last_at = at
        data = parcel.data[parcel.done : parcel.done + length] if parcel.data is not None else None
        if data is not None:
            self._timeline.at(at, self._hand, flow, parcel.tag, parcel.done, data)
        elif parcel.done + length == parcel.size:
            self._timeline.at(at, self._tell, flow, parcel.tag)
        parcel.done += length

    def _hand(self, flow: Flow, tag: Any, start: int, data: memoryview) -> None:
        if not flow.dropped:
            flow.receiver.arrived(tag, start, data)

    def _tell(self, flow: Flow, tag: Any) -> None:
        if not flow.dropped:
            flow.receiver.noted(tag)

    def _break(self, flow: Flow) -> None:
        if not flow.dropped:
            flow.receiver.broken()


def retry_at(tried: float, up_at: float, rtt: float) -> float:
    """When a sender that tried at `tried` gets through a link that is up from `up_at` on.

    At the first of its tries (each timeout twice the last, RFC 6298, section 5.5) after that. A gap shorter
    than a round trip is noticed earlier, by what comes behind it. All in seconds since the epoch; `rtt` in
    seconds."""
    if up_at == float("inf"):
        return up_at
    at, timeout = tried, rtt + TIMEOUT_MARGIN
    while at < up_at:
        at += timeout
        timeout = min(2 * timeout, MAX_TIMEOUT)
    return min(at, up_at + rtt) if up_at - tried < rtt else at
