"""What a connection tells the channel that owns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from skyhaul_connectors.sources.http.request import Ask
from skyhaul_connectors.sources.http.response_head import AnswerHead
from skyhaul_schemas.errors import CarriageError

Connection = TypeVar("Connection", contravariant=True)


class ConnectionOwner(Protocol[Connection]):
    """The channel, towards its connections."""

    def connected(self, connection: Connection) -> None: ...

    def redirected(self, ask: Ask, head: AnswerHead) -> None:
        """Ask again elsewhere; raises CarriageError where that is refused."""

    def retry_fresh(self, ask: Ask) -> bool:
        """Whether a failed answer came from a remembered redirect, and was asked for anew."""

    def ask_over_another(self, connection: Connection, asks: Sequence[Ask]) -> None:
        """The connection ended without a word to anybody; ask for these over a new one."""

    def disconnected(self, connection: Connection, error: CarriageError | None, unanswered: int) -> None:
        """The connection is over; the last call."""
