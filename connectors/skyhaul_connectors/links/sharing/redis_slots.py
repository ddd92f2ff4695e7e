"""The book of a link's slots in Redis: one key a link, moved on by a script, by Redis's own clock."""

from __future__ import annotations

from typing import Any

from skyhaul_connectors.links.sharing.slots import Slot
from skyhaul_schemas.errors import ConnectFailed, UsageError
from skyhaul_schemas.printable import printable

TIMEOUT = 2.0
"""Seconds for a connection, and for an answer. Chosen, not measured: so long a worker waits for a server that
is gone before it says so and tries again."""

_KEPT = 60
"""Seconds that the key of an idle link stays. Longer than any slot lies ahead, else slots that were handed
out would be forgotten and handed out again."""

_RESERVE = f"""
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local free = tonumber(redis.call('GET', KEYS[1]) or '0')
if free < now then free = now end
if free - now > tonumber(ARGV[2]) then return {{0, string.format('%.0f', free - now - ARGV[2])}} end
redis.call('SET', KEYS[1], string.format('%.0f', free + ARGV[1]), 'EX', {_KEPT})
return {{1, string.format('%.0f', free - now)}}
"""
"""Keys: the link's. Arguments: length of the slot, and how far ahead it may begin, in microseconds.

A script is atomic, so no two workers get one slot, and the time is the server's: workers' clocks need not
agree. Numbers are formatted: Lua writes those of 16 digits as 1.7e+15, and cuts what it returns to whole
numbers."""


def key_of(link: str) -> str:
    """The Redis key of a link: all jobs that name it so share it."""
    return f"skyhaul:link:{link}"


class RedisSlots:
    """A `SlotBook` in Redis. Nothing is contacted yet.

    Args:
        link: The link's name, which is the key's.
        url: `redis://`, `rediss://` or `unix://`, with credentials if need be.

    Raises:
        UsageError: redis-py is not installed, or the URL is none."""

    def __init__(self, link: str, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise UsageError(
                f"link {link}: `shared` by Redis needs redis-py; pip install 'skyhaul[redis]'"
            ) from None
        self._link = link
        self._key = key_of(link)
        self._errors = (redis.RedisError, OSError)
        try:
            # No tries of redis-py's own: `SharedPace` tries again, and a second run of the script would move
            # the link's number on for a slot that nobody uses.
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=None
            )
        except ValueError:
            # Its message may hold the URL, and with it the password.
            raise UsageError(f"link {link}: `shared` is no URL of a Redis server") from None
        self._script: Any = self._redis.register_script(_RESERVE)

    def reserve(self, seconds: float, ahead: float) -> Slot:
        """As `SlotBook`. Raises ConnectFailed; its message has the error's class alone, not the URL."""
        try:
            granted, wait = self._script(keys=[self._key], args=[round(seconds * 1e6), round(ahead * 1e6)])
        except self._errors as error:
            raise ConnectFailed(
                f"link {self._link}: Redis does not answer: {printable(type(error).__name__)}"
            ) from error
        return Slot(int(wait) / 1e6, granted=bool(granted))

    def close(self) -> None:
        self._redis.close()
