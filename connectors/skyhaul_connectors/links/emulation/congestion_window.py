"""How much a sender may have on its way: the congestion window of one stream."""

from __future__ import annotations

from collections import deque

INITIAL_SEGMENTS = 10
"""RFC 6928, section 2: at most 10 segments (or 14,600 bytes, which is the same at an MSS of 1,460)."""


class CongestionWindow:
    """The congestion window of one stream, in bytes.

    Slow start, then one segment a round trip, halved once a round trip by loss, started anew by a timeout
    (RFC 5681), so that the rate obeys 1.22·MSS/(RTT·√p) (Mathis et al. 1997). CUBIC grows at least like that
    (RFC 9438, section 4.3).

    Args:
        segment: Payload bytes of a full packet (the MSS)."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self._size = float(INITIAL_SEGMENTS * segment)
        self._threshold = float("inf")
        self._on_way = 0
        self._acks: deque[tuple[float, int]] = deque()
        self._recovered_at = 0.0

    def room(self, now: float) -> int:
        """Bytes that may be sent at `now`; below a segment there is none until `next_ack`."""
        while self._acks and self._acks[0][0] <= now:
            _, count = self._acks.popleft()
            # A window that is not used proves no capacity, and does not grow (RFC 7661). Looked at before the
            # acknowledged bytes leave it.
            if self._on_way * 2 >= self._size:
                grown = count if self._size < self._threshold else self._segment * count / self._size
                self._size += grown
            self._on_way -= count
        return int(self._size) - self._on_way

    def next_ack(self) -> float:
        """When the next acknowledgement makes room; math.inf where nothing is on its way."""
        return self._acks[0][0] if self._acks else float("inf")

    def sent(self, count: int, acknowledged_at: float) -> None:
        """`count` bytes were sent; their acknowledgement arrives at `acknowledged_at` (seconds)."""
        self._on_way += count
        self._acks.append((acknowledged_at, count))

    def lost(self, now: float, rtt: float) -> None:
        """Some of what was sent at `now` is lost; further losses of the same round trip count once."""
        # One loss event a round trip: what else is lost of that window was sent before the sender knew.
        if now >= self._recovered_at:
            self._size = self._threshold = max(self._size / 2, 2.0 * self._segment)
            self._recovered_at = now + rtt

    def timed_out(self) -> None:
        """Nothing was acknowledged for a retransmission timeout: what was on its way counts as lost."""
        self._threshold = max(self._size / 2, 2.0 * self._segment)
        self._size = float(self._segment)
        self._on_way = 0
        self._acks.clear()
