"""A loop of ours ends with what code of ours raised unseen, and with nothing that others' code did."""

from __future__ import annotations

import asyncio
import gc
from types import ModuleType

import pytest

from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread

CODE = "async def fails():\n    raise KeyError('nobody awaits it')\n"


def fails_in(module: str) -> ModuleType:
    made = ModuleType(module)
    exec(CODE, made.__dict__)
    return made


async def beside(module: ModuleType) -> str:
    """A task of `module` fails, and is let go of, while another one works."""
    asyncio.get_running_loop().create_task(module.fails())
    await asyncio.sleep(0.05)
    gc.collect()
    await asyncio.sleep(0.05)
    return "done"


def test_a_task_of_a_library_that_fails_on_our_loop_ends_nothing() -> None:
    thread = LoopThread("loop")
    try:
        assert thread.run(beside(fails_in("aiolibrary.session"))) == "done"
        assert thread.run(beside(fails_in("aiolibrary.session"))) == "done"
    finally:
        thread.close()


def test_a_task_of_ours_that_fails_unseen_ends_the_waiting() -> None:
    thread = LoopThread("loop")
    try:
        with pytest.raises(KeyError, match="nobody awaits it"):
            thread.run(beside(fails_in("skyhaul_connectors.anything")))
    finally:
        thread.close()
