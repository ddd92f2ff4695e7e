"""What a connection tells the channel that owns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from skyhaul_connectors.sources.http_ask import Ask
from skyhaul_connectors.sources.http_head import AnswerHead
from skyhaul_schemas.errors import CarriageError

if TYPE_CHECKING:
    from skyhaul_connectors.sources.http_connection import HttpConnection


class ConnectionOwner(Protocol):
    """The channel, towards its connections."""

    def connected(self, connection: HttpConnection) -> None: ...

    def redirected(self, ask: Ask, head: AnswerHead) -> None:
        """Ask again elsewhere; raises CarriageError where that is refused."""

    def retry_fresh(self, ask: Ask) -> bool:
        """Whether a failed answer came from a remembered redirect, and was asked for anew."""

    def ask_over_another(self, connection: HttpConnection, asks: Sequence[Ask]) -> None:
        """The connection ended without a word to anybody; ask for these over a new one."""

    def disconnected(self, connection: HttpConnection, error: CarriageError | None, unanswered: int) -> None:
        """The connection is over; the last call."""
