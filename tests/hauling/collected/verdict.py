"""What one reader says of one file, and whether a haul's counts agree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """by: the reader. rows: records that it reads. refused: those that it does not; None where it gives the
    file up, so that how many there are is nobody's knowledge. passed: what it finds that is sound and no
    record. either: whether the standard leaves open if all is read or nothing."""

    by: str
    rows: int
    refused: int | None = 0
    passed: int = 0
    either: bool = False

    def agrees(self, rows: int, rejects: int, *, damaged: bool) -> bool:
        if self.refused is None or (self.either and not rows):
            return rows == 0 and rejects > 0
        return (rows, rejects, damaged) == (self.rows, self.refused, False)


def gave_up(by: str) -> Verdict:
    return Verdict(by, 0, None)


def deciding(verdicts: list[Verdict]) -> list[Verdict]:
    """Those that have read the file; what one reader reads is to be read. All, where none has."""
    return [one for one in verdicts if one.refused is not None] or verdicts
