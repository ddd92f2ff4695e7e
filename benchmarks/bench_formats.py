"""A local haul of JSONL, web archives and Parquet against the plain library script and against datatrove.

    python benchmarks/bench_formats.py [--formats jsonl warc parquet] [--bytes 300000000] [--pairs 3]

Runs alternate on the same data. MB are those of the input before its compression (for Parquet: as Arrow
holds it). Start-up is included. datatrove is the optional extra `bench`; without it its column is left out,
and said so.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from corpus import write_jsonl
from corpus_formats import write_parquet, write_warc
from measure import HEADER, Cost, ratios, row, run, skyhaul

JOB = """\
version: 1
name: bench-{kind}
dataset: out/haul
spool: spool
sources:
  lines:
    url: corpus/*.{suffix}
    fields: {fields}
"""
COLUMNS = "{text: body, source_id: id, url: url, language: lang}"
SUFFIX = {"jsonl": "jsonl", "warc": "warc.gz", "parquet": "parquet"}
FIELDS = {"jsonl": COLUMNS, "warc": "{}", "parquet": COLUMNS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", choices=list(SUFFIX), default=list(SUFFIX))
    parser.add_argument("--bytes", type=int, default=300_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--mean", type=int, default=2000, help="mean bytes of a text, JSONL and Parquet")
    parser.add_argument("--no-datatrove", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for corpus and output that is kept")
    arguments = parser.parse_args()
    for kind in arguments.formats:
        with tempfile.TemporaryDirectory(prefix="skyhaul-bench-") as name:
            _compare(kind, arguments.keep / kind if arguments.keep else Path(name), arguments)


def _compare(kind: str, folder: Path, arguments: argparse.Namespace) -> None:
    here = Path(__file__).parent
    files, size = _corpus(kind, folder / "corpus", arguments)
    stored = sum(file.stat().st_size for file in files)
    print(
        f"\n{kind}: {size / 1e6:.0f} MB in {len(files)} files of together {stored / 1e6:.0f} MB", flush=True
    )
    plain: list[Cost] = []
    ours: list[Cost] = []
    theirs: list[Cost] = []
    peer = not arguments.no_datatrove and importlib.util.find_spec("datatrove") is not None
    for _ in range(arguments.pairs):
        shutil.rmtree(folder / "out", ignore_errors=True)
        plain.append(run([sys.executable, here / f"plain_{kind}.py", "corpus", "out/plain"], folder))
        (folder / "job.yaml").write_text(JOB.format(kind=kind, suffix=SUFFIX[kind], fields=FIELDS[kind]))
        ours.append(run([skyhaul(), "run", "job.yaml", "--quiet"], folder))
        if peer:
            script = here / "datatrove_pipeline.py"
            theirs.append(run([sys.executable, script, kind, "corpus", "out/datatrove"], folder))
        _same_rows(folder / "out")
    print(HEADER)
    print(row("plain script", plain, size))
    print(row("skyhaul run", ours, size))
    if theirs:
        print(row("datatrove", theirs, size))
    print("speed per CPU second against plain:", ratios([c.cpu for c in ours], [c.cpu for c in plain]))
    if theirs:
        print("against datatrove:", ratios([c.cpu for c in ours], [c.cpu for c in theirs]))
    else:
        print("datatrove was left out" + ("" if peer else "; the extra `bench` has it"), flush=True)


def _corpus(kind: str, folder: Path, arguments: argparse.Namespace) -> tuple[list[Path], int]:
    if kind == "warc":
        return write_warc(folder, arguments.bytes, arguments.files)
    if kind == "parquet":
        return write_parquet(folder, arguments.bytes, arguments.files, arguments.mean)
    files = write_jsonl(folder, arguments.bytes, arguments.files, arguments.mean)
    return files, sum(file.stat().st_size for file in files)


def _same_rows(out: Path) -> None:
    """All three wrote as many rows. Raises RuntimeError."""
    import pyarrow.parquet as pq

    counts = {}
    for folder in ("plain", "haul/data", "datatrove"):
        files = list((out / folder).glob("**/*.parquet"))
        if files:
            counts[folder] = sum(pq.read_metadata(file).num_rows for file in files)
    if len(set(counts.values())) != 1:
        raise RuntimeError(f"rows differ: {counts}")


if __name__ == "__main__":
    main()
