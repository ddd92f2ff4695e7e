"""Expressions over columns: Python's syntax, an allow-list of its nodes, and Arrow's kernels.

Nothing is evaluated by Python. Text beside a time is a time: an RFC 3339 date or date-time, of UTC where it
states no offset. Arithmetic is for numbers; integers have 64 bits, and one beyond them is an error, never
another number.

Nulls follow SQL: a comparison with null is null, `and`, `or` and `not` know three values, and a record is
taken by `keep` or `drop` only where the whole is true.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.records.times import TimeOptions, Times
from skyhaul_schemas.errors import TransformFailed, ValueRefused
from skyhaul_schemas.printable import printable

Value = Any
"""A pa.Array or pa.Scalar: pyarrow's kernels take both."""
Node = Callable[[pa.RecordBatch], Value]
"""A compiled part of an expression: its value for the rows of a batch."""

_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Eq: pc.equal, ast.NotEq: pc.not_equal, ast.Lt: pc.less, ast.LtE: pc.less_equal,
    ast.Gt: pc.greater, ast.GtE: pc.greater_equal,
}  # fmt: skip
# The checked kernels, because the others wrap around in silence. A quotient is a double: Arrow divides
# integers into integers, and fails at zero.
_ARITHMETIC: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: pc.add_checked, ast.Sub: pc.subtract_checked, ast.Mult: pc.multiply_checked,
    ast.Div: lambda a, b: pc.divide(_double(a), _double(b)),
}  # fmt: skip
# Narrower than what `Times` reads: an expression promises RFC 3339 and no more.
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def _double(value: Value) -> Value:
    # Unsafe, or an integer beyond 2 ** 53, which a double rounds, would fail the shard.
    return pc.cast(value, pa.float64(), safe=False)


def _number(value: Value) -> Value:
    """`value` as a double or an integer of 64 bits. Raises ArrowTypeError where it is no number."""
    # Lengths are counted in 32 bits, and would overflow where the number that they stand for does not.
    if pa.types.is_integer(value.type):
        return value if value.type == pa.int64() else pc.cast(value, pa.int64())
    if pa.types.is_floating(value.type):
        return value
    raise pa.ArrowTypeError(f"arithmetic is for numbers, not {value.type}")


def _length(value: Value) -> Value:
    binary = pa.types.is_binary(value.type) or pa.types.is_large_binary(value.type)
    return pc.binary_length(value) if binary else pc.utf8_length(value)


_FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    "length": _length, "size": pc.binary_length, "lower": pc.utf8_lower, "upper": pc.utf8_upper,
}  # fmt: skip
_PATTERNS: dict[str, Callable[[Value, str], Value]] = {
    "contains": pc.match_substring, "starts_with": pc.starts_with, "ends_with": pc.ends_with,
    "matches": pc.match_substring_regex,
}  # fmt: skip

_MICROS = pa.timestamp("us", tz="UTC")
_TIMES = Times(TimeOptions())

KNOWN = (
    "columns, numbers, text in quotes, and, or, not, comparisons, in [...], is None, + - * /, "
    f"{', '.join(sorted([*_FUNCTIONS, *_PATTERNS]))}"
)


class Expression:
    """An expression, compiled for the rows of one schema. Nothing is kept between batches."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        """Compile an expression.

        Args:
            text: As the job has it.
            schema: Of the rows.

        Raises:
            UsageError: Something is not allowed in it, or does not fit the columns; the message says what.
        """
        self._schema = schema
        self._text = text
        self._nothing = _empty(schema)
        try:
            tree = ast.parse(text.strip(), mode="eval")
            self._root = self._compile(tree.body)
            # Of no rows, which shows what does not fit the columns.
            empty = self._root(self._nothing)
        # Before the others, since ArrowInvalid is a ValueError, too.
        except pa.ArrowException as error:
            raise self._refused(f"it does not fit the columns: {_first(error)}") from None
        # What a text makes Python's parser raise, if it is too long or too deep as well; and OverflowError of
        # Arrow, for a number that no column holds.
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            raise self._refused("it is no expression") from None
        # A scalar names no column: it is the same of all records, and a slip of the pen.
        if not isinstance(empty, pa.Array) or not pa.types.is_boolean(empty.type):
            raise self._refused("it is not true or false of a record")

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """True, false or null for each row.

        Raises:
            TransformFailed: A number of a row goes beyond 64 bits.
        """
        try:
            return self._root(batch)
        except pa.ArrowInvalid as error:
            raise TransformFailed(
                f"expression `{printable(self._text)}`: {_first(error)}; keep its integers within 64 bits"
            ) from None

    def _refused(self, why: str) -> ValueRefused:
        said = f"expression `{printable(self._text)}`: {why}; allowed: {KNOWN}"
        return ValueRefused(said, found=self._text, allowed=f"{KNOWN}; of this {why}")

    def _compile(self, node: ast.expr) -> Node:
        match node:
            case ast.BoolOp(op=op, values=values):
                join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
                return _folded(join, [self._compile(value) for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._compile(operand)
                return lambda batch: pc.invert(inner(batch))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._compile(operand)
                return lambda batch: pc.negate_checked(_number(inner(batch)))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                count = _ARITHMETIC[type(op)]
                sides = self._compile(left), self._compile(right)
                return _two(lambda a, b: count(_number(a), _number(b)), *sides)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                lefts = [left, *rights[:-1]]
                parts = [self._comparison(*part) for part in zip(lefts, ops, rights, strict=True)]
                return _folded(pc.and_kleene, parts)
            case ast.Call(func=ast.Name(id=name), args=[value], keywords=[]) if name in _FUNCTIONS:
                function, inner = _FUNCTIONS[name], self._compile(value)
                return lambda batch: function(inner(batch))
            case ast.Call(
                func=ast.Name(id=name), args=[value, ast.Constant(value=str(pattern))], keywords=[]
            ) if name in _PATTERNS:
                search, inner = _PATTERNS[name], self._compile(value)
                search(pa.array([""]), pattern)  # a bad pattern shows only where there is a row
                return lambda batch: search(inner(batch), pattern)
            case ast.Constant(value=bool() | int() | float() | str() as value):
                scalar = pa.scalar(value)
                return lambda batch: scalar
            case ast.Name(id=name) if name in self._schema.names:
                return lambda batch: batch.column(name)
            case ast.Name(id=name):
                known = ", ".join(self._schema.names)
                raise self._refused(f"there is no column {printable(name)}, there are {known}")
            case ast.Attribute(value=ast.Name(id=outer), attr=name) if self._has_field(outer, name):
                return lambda batch: pc.struct_field(batch.column(outer), name)
        raise self._refused(f"`{printable(ast.unparse(node))}` is not allowed in it")

    def _has_field(self, outer: str, name: str) -> bool:
        index = self._schema.get_field_index(outer)
        kind = self._schema.field(index).type if index >= 0 else None
        return kind is not None and pa.types.is_struct(kind) and kind.get_field_index(name) >= 0

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Node:
        value = self._compile(left)
        match op, right:
            case (ast.Is() | ast.IsNot(), ast.Constant(value=None)):
                test = pc.is_null if isinstance(op, ast.Is) else pc.is_valid
                return lambda batch: test(value(batch))
            case (ast.In() | ast.NotIn(), ast.List(elts=items) | ast.Tuple(elts=items)) if items and all(
                isinstance(item, ast.Constant) and isinstance(item.value, str | int | float) for item in items
            ):
                constants = [item.value for item in items if isinstance(item, ast.Constant)]
                # Cast to the column's type when it is applied, so that what does not fit shows on the empty
                # batch.
                if self._is_time(value):
                    members = pa.array([self._micros(str(text)) for text in constants], pa.int64())
                else:
                    members = pa.array(constants)
                return _membership(value, members, negated=isinstance(op, ast.NotIn))
        if type(op) not in _COMPARE:
            raise self._refused(f"`{printable(ast.unparse(right))}` is not allowed after `in` or `is`")
        other = self._compile(right)
        match left, right:
            case _, ast.Constant(value=str(text)) if self._is_time(value):
                other = self._constant_time(text)
            case ast.Constant(value=str(text)), _ if self._is_time(other):
                value = self._constant_time(text)
        return _two(_COMPARE[type(op)], value, other)

    def _is_time(self, value: Node) -> bool:
        # Types are known by evaluating: a node is a function, and no rows cost nothing.
        return bool(pa.types.is_timestamp(value(self._nothing).type))

    def _constant_time(self, text: str) -> Node:
        scalar = pa.scalar(self._micros(text), pa.int64()).cast(_MICROS)
        return lambda batch: scalar

    def _micros(self, text: str) -> int:
        """The time that a text stands for, in microseconds since 1970, UTC."""
        # RFC 3339 has `t` and `z`, too.
        said = text.upper()
        try:
            if _RFC_3339.fullmatch(said) is None:
                raise ValueError
            return _TIMES.parse(said)
        except ValueError:
            why = f"`{printable(text)}` beside a time is no RFC 3339 date or date-time"
            raise self._refused(f"{why} (2020-01-31, 2020-01-31T06:00:00Z)") from None


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _two(function: Callable[[Value, Value], Value], left: Node, right: Node) -> Node:
    return lambda batch: function(left(batch), right(batch))


def _folded(join: Callable[[Value, Value], Value], parts: list[Node]) -> Node:
    whole = parts[0]
    for part in parts[1:]:
        whole = _two(join, whole, part)
    return whole


def _membership(value: Node, members: pa.Array, *, negated: bool) -> Node:
    def test(batch: pa.RecordBatch) -> Value:
        found = value(batch)
        # The kernel says false of null, SQL null.
        inside = pc.is_in(found, value_set=members.cast(found.type))
        known = pc.if_else(pc.is_valid(found), inside, pa.scalar(None, pa.bool_()))
        return pc.invert(known) if negated else known

    return test


def _first(error: BaseException) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0])
