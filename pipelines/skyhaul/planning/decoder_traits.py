"""What decoders may do beyond what each one must, by their class.

A plan asks for every object, and asking a protocol takes longer than all else that planning does with one;
so a no is remembered, and only where the answer may be yes is the protocol asked.
"""

from __future__ import annotations

from skyhaul_connectors.formats.protocol import Decoder, ReadsAhead, Selective

_selective: dict[type, bool] = {}
_reads_ahead: dict[type, bool] = {}


def may_select(decoder: Decoder) -> bool:
    """False: it is not `Selective`."""
    kind = type(decoder)
    if kind not in _selective:
        _selective[kind] = isinstance(decoder, Selective)
    return _selective[kind]


def may_read_ahead(decoder: Decoder) -> bool:
    """False: it does not `ReadsAhead`."""
    kind = type(decoder)
    if kind not in _reads_ahead:
        _reads_ahead[kind] = isinstance(decoder, ReadsAhead)
    return _reads_ahead[kind]
