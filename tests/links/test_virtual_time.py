"""The virtual-time loop that tests of transfer run on."""

from __future__ import annotations

import asyncio
import time

import pytest

from virtual_time import VirtualDeadlock, VirtualTimeout, run_virtual


def test_hours_of_timers_pass_in_an_instant_and_in_order() -> None:
    async def main() -> tuple[list[str], float]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        loop.call_at(loop.time() + 7200, seen.append, "late")
        loop.call_at(loop.time() + 0.001, seen.append, "early")
        await asyncio.sleep(7200.5)
        return seen, loop.time()

    began = time.monotonic()
    assert run_virtual(main(), start=5.0) == (["early", "late"], 7205.5)
    assert time.monotonic() - began < 2


def test_real_sockets_work_inside_virtual_time() -> None:
    async def main() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"over the wire\n")
        line = await reader.readline()
        writer.close()
        server.close()
        return line

    assert run_virtual(main()) == b"over the wire\n"


def test_executor_work_runs_inline_so_the_clock_cannot_overtake_it() -> None:
    async def main() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        loop.call_later(10, lambda: None)
        return await loop.run_in_executor(None, lambda: 42), loop.time()

    assert run_virtual(main()) == (42, 0.0)


def test_waiting_for_nothing_is_reported_instead_of_hanging() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(VirtualDeadlock):
        run_virtual(main())


def test_a_run_that_never_ends_is_cut_at_its_limit() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(1, again)

        again()
        await loop.create_future()

    with pytest.raises(VirtualTimeout):
        run_virtual(main(), limit=100)


def test_an_exception_in_a_callback_fails_the_run() -> None:
    async def main() -> None:
        def bad() -> None:
            raise ValueError("lost otherwise")

        asyncio.get_running_loop().call_soon(bad)
        await asyncio.sleep(1)

    with pytest.raises(ValueError, match="lost otherwise"):
        run_virtual(main())
