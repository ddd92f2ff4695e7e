"""The scheduler's state is written by its owners alone, and its core knows no clock, socket or loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhaul_connectors.transfer import schedule, source_driver

SCHEDULE = Path(schedule.__path__[0])
DRIVER = Path(source_driver.__file__)

FORBIDDEN = {
    "asyncio", "concurrent", "http", "multiprocessing", "os", "queue", "select", "selectors", "signal",
    "socket", "ssl", "subprocess", "threading", "time",
}  # fmt: skip

MUTATORS = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft",
    "push", "remove", "reverse", "rotate", "setdefault", "sort", "update",
}  # fmt: skip
"""Methods that change a container: called on a field, they write it as `+=` does."""


def fields_written(source: str) -> Iterator[tuple[int, str]]:
    """(line, expression) of each write to a field of another object than `self`: an assignment to it, to an
    item of it, its deletion, or a call that changes what it holds."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                written = targets
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                written = [target]
            case ast.For(target=target) | ast.NamedExpr(target=target) | ast.comprehension(target=target):
                written = [target]
            case ast.With(items=items):
                written = [item.optional_vars for item in items if item.optional_vars is not None]
            case ast.Call(func=ast.Attribute(value=holder, attr=name)) if name in MUTATORS:
                written = [holder]
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[ast.Name(id=name), *_]) if (
                name != "self"
            ):
                yield node.lineno, ast.unparse(node)
                continue
            case _:
                continue
        for target in written:
            for field in _fields(target):
                if not _is_own(field):
                    yield node.lineno, ast.unparse(field)


def _fields(target: ast.expr) -> Iterator[ast.Attribute]:
    match target:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _fields(part)
        case ast.Starred(value=value) | ast.Subscript(value=value):
            yield from _fields(value)
        case ast.Attribute():
            yield target


def _is_own(field: ast.Attribute) -> bool:
    return isinstance(field.value, ast.Name) and field.value.id == "self"


@pytest.mark.parametrize("path", [*sorted(SCHEDULE.glob("*.py")), DRIVER], ids=lambda path: path.stem)
def test_no_module_writes_a_field_that_is_not_its_own(path: Path) -> None:
    assert list(fields_written(path.read_text())) == []


@pytest.mark.parametrize("path", sorted(SCHEDULE.glob("*.py")), ids=lambda path: path.stem)
def test_the_schedule_imports_no_clock_no_socket_and_no_loop(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                imported.update(alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module)):
                imported.add(module.partition(".")[0])
    assert not imported & FORBIDDEN


def test_the_schedule_has_modules_to_look_at() -> None:
    assert {"scheduler", "state", "lane", "hedging", "invariants"} <= {p.stem for p in SCHEDULE.glob("*.py")}


@pytest.mark.parametrize(
    "line",
    [
        "lane.outstanding += 1",
        "lane.standby = True",
        "state.lanes[0].depth = 4",
        "self._state.missing -= 1",
        "lane.accepting[number] = channel",
        "del lane.channels[number]",
        "a, (channel.open, b) = values",
        "for lane.depth in range(3): pass",
        "channel.in_flight.append(flight)",
        "self._state.queue.push(pending)",
        "lane.estimate.meter.add(now, 1)",
        "setattr(lane, 'standby', True)",
    ],
)
def test_a_write_from_outside_is_seen(line: str) -> None:
    assert len(list(fields_written(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "self.outstanding += 1",
        "self.channels[number] = self.accepting[number] = channel",
        "self.in_flight.append(flight)",
        "lane.received(channel, flight, count, now)",
        "tasks.add(key)",
        "lane = state.lanes[0]",
    ],
)
def test_an_owner_may_write_its_fields_and_anybody_call_a_method(line: str) -> None:
    assert list(fields_written(line)) == []
