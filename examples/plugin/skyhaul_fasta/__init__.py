"""FASTA sequences for skyhaul. This module declares; what is heavy is imported when a job names `fasta`."""

from __future__ import annotations

from skyhaul.plugins import Format, Implementation


def _load() -> Implementation:
    from skyhaul_fasta.decoder import FastaDecoder, FastaOptions

    return Implementation(FastaOptions, FastaDecoder)


FORMAT = Format(
    name="fasta",
    about="sequences of FASTA files",
    schemas=("document", "own"),
    suffixes=(".fasta", ".fa", ".fna", ".faa"),
    load=_load,
)
