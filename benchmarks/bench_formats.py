"""A local haul of JSONL, web archives and Parquet against the plain library script and against datatrove.

    python benchmarks/bench_formats.py [--formats jsonl warc parquet] [--bytes 1000000000] [--pairs 3]

Runs alternate on the same data. MB are those of the input before its compression (for Parquet: as Arrow
holds it). Start-up is included, and told apart by runs over next to nothing. datatrove is the optional extra
`bench`; without it its column is left out, and said so.

Web archives: main text is made by Resiliparse in all three, and takes most of the time of each. datatrove
as its users run it extracts with Trafilatura: that is told apart, over a twentieth of the data.
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
    url: {source}/*.{suffix}
    fields: {fields}
"""
COLUMNS = "{text: body, source_id: id, url: url, language: lang}"
SUFFIX = {"jsonl": "jsonl", "warc": "warc.gz", "parquet": "parquet"}
FIELDS = {"jsonl": COLUMNS, "warc": "{}", "parquet": COLUMNS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", choices=list(SUFFIX), default=list(SUFFIX))
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
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
    files, size = _corpus(kind, folder / "corpus", arguments.bytes, arguments.files, arguments.mean)
    _corpus(kind, folder / "least", 1, 1, arguments.mean)
    stored = sum(file.stat().st_size for file in files)
    print(
        f"\n{kind}: {size / 1e6:.0f} MB in {len(files)} files of together {stored / 1e6:.0f} MB", flush=True
    )
    plain: list[Cost] = []
    ours: list[Cost] = []
    theirs: list[Cost] = []
    plain_starts: list[Cost] = []
    our_starts: list[Cost] = []
    peer = not arguments.no_datatrove and importlib.util.find_spec("datatrove") is not None
    for _ in range(arguments.pairs):
        for source, plains, hauls in (("least", plain_starts, our_starts), ("corpus", plain, ours)):
            shutil.rmtree(folder / "out", ignore_errors=True)
            plains.append(run([sys.executable, here / f"plain_{kind}.py", source, "out/plain"], folder))
            hauls.append(_haul(kind, folder, source))
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
    starts = [min(c.cpu for c in costs) for costs in (our_starts, plain_starts)]
    print(f"without start-up ({starts[0]:.2f} s and {starts[1]:.2f} s):", end=" ")
    print(ratios([c.cpu - starts[0] for c in ours], [c.cpu - starts[1] for c in plain]))
    if theirs:
        print("against datatrove:", ratios([c.cpu for c in ours], [c.cpu for c in theirs]))
    else:
        print("datatrove was left out" + ("" if peer else "; the extra `bench` has it"), flush=True)
    if theirs and kind == "warc":
        _own_extractor(folder, arguments)


def _haul(kind: str, folder: Path, source: str) -> Cost:
    (folder / "job.yaml").write_text(
        JOB.format(kind=kind, source=source, suffix=SUFFIX[kind], fields=FIELDS[kind])
    )
    return run([skyhaul(), "run", "job.yaml", "--quiet"], folder)


def _own_extractor(folder: Path, arguments: argparse.Namespace) -> None:
    _, size = _corpus("warc", folder / "some", arguments.bytes // 20, 1, arguments.mean)
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for _ in range(arguments.pairs):
        shutil.rmtree(folder / "out", ignore_errors=True)
        ours.append(_haul("warc", folder, "some"))
        script = Path(__file__).parent / "datatrove_pipeline.py"
        theirs.append(run([sys.executable, script, "warc-own", "some", "out/datatrove"], folder))
    print(f"\nwarc, {size / 1e6:.0f} MB, datatrove with its own extractor (Trafilatura)\n{HEADER}")
    print(row("skyhaul run", ours, size))
    print(row("datatrove", theirs, size))
    print("against datatrove:", ratios([c.cpu for c in ours], [c.cpu for c in theirs]), flush=True)


def _corpus(kind: str, folder: Path, size: int, count: int, mean: int) -> tuple[list[Path], int]:
    if kind == "warc":
        return write_warc(folder, size, count)
    if kind == "parquet":
        return write_parquet(folder, size, count, mean)
    files = write_jsonl(folder, size, count, mean)
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
