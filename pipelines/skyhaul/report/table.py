"""Plain columns of text, as they look the same on a terminal, in a file and in a mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from skyhaul_schemas.printable import printable


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> Iterator[str]:
    """Lines of a table. Cells are made printable; the last column is not padded.

    Args:
        head: The columns' names.
        rows: As many cells each.
        right: An `r` for each column that is aligned to the right, else any sign.
    """
    # Escaped before they are measured: an escape is wider than what it stands for.
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [
            cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()


def labelled(rows: Sequence[tuple[str, str]], *, indent: str = "  ") -> Iterator[str]:
    """Lines of label and value."""
    width = max((len(printable(label)) for label, _ in rows), default=0)
    for label, value in rows:
        yield f"{indent}{printable(label).ljust(width)}  {printable(value)}".rstrip()


def next_lines(commands: Sequence[str]) -> Iterator[str]:
    """Lines that say what to type next, most useful first."""
    for i, command in enumerate(commands):
        yield ("next: " if i == 0 else "      ") + command


def plural(count: int, noun: str) -> str:
    """`1 shard`, `2 shards`, `1,200 shards`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def nulled_row(nulled_by: Mapping[str, int]) -> list[tuple[str, str]]:
    """The row of fields that are null since their values do not fit, by reason; none without any."""
    text = ", ".join(f"{count:,} {printable(reason)}" for reason, count in nulled_by.items())
    return [("made null", text)] if text else []


def truncated_row(truncated_by: Mapping[str, int]) -> list[tuple[str, str]]:
    """The row of images that were cut off and are kept, by format; none without any."""
    text = ", ".join(f"{count:,} {printable(kind)}" for kind, count in truncated_by.items())
    return [("truncated", text)] if text else []
