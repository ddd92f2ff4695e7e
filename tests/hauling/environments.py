"""Environments that a haul may meet and that must not reach its bytes, and a source that would show it."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PLANNED = 1_700_000_000
"""When all files of the region were written, in seconds since 1970: their pinned version."""

HIDING = """
import os, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ.get("HIDE", "").split(","):
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hidden())
for name in filter(None, os.environ.get("PRELOAD", "").split(",")):
    __import__(name)
"""
"""A sitecustomize that hides packages, or imports them before anything else."""

OTHERS_STATE = """
import csv, decimal, locale, sys
import numpy, pandas, pyarrow
numpy.seterr(all="raise")
csv.field_size_limit(100)
decimal.getcontext().prec = 3
sys.set_int_max_str_digits(640)
pyarrow.set_cpu_count(1)
locale.setlocale(locale.LC_ALL, "de_DE.ISO-8859-1")
"""
"""What another part of a process may have set before it hauls with us."""

EMBEDDED = """
import os, sys, time
exec(os.environ.get("STATE", ""))
import apache_beam as beam
from skyhaul.beam import HaulShards, SummarizeReceipts
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulConfig
from skyhaul.planning.make_plan import make_plan
from skyhaul_schemas.job.file import load_job
loaded = load_job("job.yaml", os.environ)
store = open_store(loaded.job.dataset, writable=True)
make_plan(loaded, store)
config = HaulConfig("r-1", store.url, loaded.text, str(loaded.path), epoch=time.time())
with beam.Pipeline() as pipeline:
    pipeline | HaulShards(config) | SummarizeReceipts()
"""
"""A haul inside a pipeline of somebody else's."""


@dataclass(frozen=True)
class Environment:
    """env: variables to set, None to unset. embedded: through the public transform, not the program. before:
    a command that the program is started through."""

    env: dict[str, str | None] = field(default_factory=dict)
    embedded: bool = False
    arguments: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    umask: int | None = None
    hiding: bool = False
    locale: bool = False


GERMAN = {"LC_ALL": "de_DE.ISO-8859-1"}

ENVIRONMENTS = {
    "inside another pipeline": Environment(embedded=True),
    "inside a process with state of its own": Environment(
        {"STATE": OTHERS_STATE}, embedded=True, locale=True
    ),
    "inside a pipeline, in a Latin-1 locale": Environment({**GERMAN}, embedded=True, locale=True),
    "in a Latin-1 locale": Environment({**GERMAN}, locale=True),
    "in a Turkish locale": Environment({"LC_ALL": "tr_TR.UTF-8"}, locale=True),
    "in the C locale": Environment({"LC_ALL": "C", "LANG": None}),
    "in the C locale, without UTF-8": Environment(
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ),
    "in UTF-8 mode": Environment({"PYTHONUTF8": "1"}),
    "on Kiritimati": Environment({"TZ": "Pacific/Kiritimati"}),
    "in St. John's": Environment({"TZ": "America/St_Johns"}),
    "with another hash seed": Environment({"PYTHONHASHSEED": "1"}),
    "with a narrow umask": Environment(umask=0o077),
    "without a home": Environment({"HOME": None, "USER": None, "LOGNAME": None}),
    "with a home that is not there": Environment({"HOME": "/nonexistent", "USER": "somebody"}),
    "with the system's allocator": Environment({"ARROW_DEFAULT_MEMORY_POOL": "system"}),
    "with mimalloc": Environment({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}),
    "on one CPU": Environment(before=("taskset", "-c", "0")),
    "with seven threads": Environment({"OMP_NUM_THREADS": "7", "OPENBLAS_NUM_THREADS": "3"}),
    "without vector instructions": Environment(
        {"ARROW_USER_SIMD_LEVEL": "NONE", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F"}
    ),
    "with a limit on digits": Environment({"PYTHONINTMAXSTRDIGITS": "640"}),
    "without a limit on digits": Environment({"PYTHONINTMAXSTRDIGITS": "0"}),
    "with warnings as errors": Environment({"PYTHONWARNINGS": "error"}),
    "without assertions and docstrings": Environment({"PYTHONOPTIMIZE": "2"}),
    "in development mode": Environment({"PYTHONDEVMODE": "1"}),
    "without pandas": Environment({"HIDE": "pandas,tzdata"}, hiding=True),
    "with pandas imported first": Environment({"PRELOAD": "pandas"}, hiding=True),
    "without what others bring along": Environment(
        {"HIDE": "chardet,cchardet,simplejson,ujson,lxml,bs4,PIL,polars,duckdb,datasets,isal,snappy,regex"},
        hiding=True,
    ),
    "with two workers": Environment(arguments=("--workers", "2")),
}  # fmt: skip

QUICK = {
    "inside a process with state of its own",
    "in a Latin-1 locale",
    "in the C locale, without UTF-8",
    "with pandas imported first",
}
"""Those of which each stands for a door that was open once; the others run among the slow campaigns."""


def write_region(root: Path) -> None:
    """Files whose records, names or order could depend on where they are read."""
    for kind in ("texts", "lines", "tables", "columns", "pages"):
        (root / kind).mkdir(parents=True)
    (root / "texts" / "größe ü.txt").write_text(
        "Straße \N{LATIN SMALL LIGATURE FI}ne A\u030angström\n" * 30, "utf-8"
    )
    (root / "texts" / "zä.txt").write_text("İstanbul I ı i\n", "utf-8")
    (root / "texts" / "latin.txt").write_bytes(
        "Dette er en kort norsk tekst på æøå, skrevet for å prøve tegnsett.\n".encode("latin-1") * 5
    )
    lines = [
        '{"body":"a","n":%s}' % ("9" * 700),
        '{"body":"b","n":%s}' % ("9" * 5000),
        '{"body":"c","n":1e400}',
        '{"body":"d","n":0.1,"z":-0.0,"big":123456789012345678901234567890}',
        '{"body":"e","z":[1,{"b":2,"a":1}],"é":"ü"}',
        '{"body":123}',
        *(json.dumps({"body": f"text {i}", "k": i / 7, "s": {"y": i, "x": i * 1e-7}}) for i in range(200)),
    ]
    (root / "lines" / "ä.jsonl").write_text("\n".join(lines), "utf-8")
    rows = ["body,when", '"' + "long " * 30_000 + '",01 May 2024 01:00 AM']
    rows += [f"row {i},{dt.date(2024, 1 + i % 12, 1 + i):%d %b %Y} 03:00 PM" for i in range(28)]
    (root / "tables" / "a.csv").write_text("\n".join(rows), "utf-8")
    pq.write_table(_columns(), root / "columns" / "ö.parquet")
    with (
        pa.OSFile(str(root / "columns" / "t.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, _columns().schema) as writer,
    ):
        writer.write_table(_columns())
    for name, encoding, text in (
        ("a", "utf-8", "größe "), ("b", "shift_jis", "日本語のテキスト "), ("c", "cp1251", "русский текст "),
    ):  # fmt: skip
        page = f"<html><head><title>t</title></head><body><p>{text * 40}</p></body></html>"
        (root / "pages" / f"{name}.html").write_bytes(page.encode(encoding))
    for file in root.rglob("*.*"):
        os.utime(file, ns=(PLANNED * 10**9,) * 2)


def _columns() -> pa.Table:
    local = pa.timestamp("ns", "America/St_Johns")
    nested = pa.struct([("t", pa.list_(local)), ("d", pa.duration("us")), ("z", pa.date32())])
    first = {"t": [dt.datetime(2023, 1, 1)], "d": dt.timedelta(seconds=1.5), "z": dt.date(2000, 1, 1)}
    return pa.table(
        {
            "body": ["a", "b", "c"],
            "ns": pa.array([1_700_000_000_000_000_001, 1, None], pa.timestamp("ns")),
            "took": pa.array([1_500_000_001, 2_000_000_000, None], pa.duration("ns")),
            "local": pa.array([1_700_000_000_000, -5_000_000_000_000, 0], pa.timestamp("ms", "Europe/Oslo")),
            "nested": pa.array([first, None, {"t": [], "d": None, "z": None}], nested),
            "pairs": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "decimal": pa.array([1, None, 3], pa.decimal128(6, 2)),
            "word": pa.array(["u", "v", "u"]).dictionary_encode(),
        }
    )


def job(region: Path) -> dict[str, object]:
    return {
        "version": 1, "name": "environments", "dataset": "out", "spool": "spool", "seed": 3,
        "schema": "document",
        "transforms": [{"normalise": "NFKC"}, {"identify_language": True}, {"deduplicate": "text"}],
        "sources": {
            "texts": {
                "url": f"{region}/texts/*.txt", "format": "text", "fields": {"text": "body"},
                "decode": {"encoding": "detect"},
            },
            "lines": {"url": f"{region}/lines/*.jsonl", "fields": {"text": "body"}},
            "named": {"url": f"{region}/lines/ä.jsonl", "fields": {"text": "body"}},
            "tables": {
                "url": f"{region}/tables/*.csv", "fields": {"text": "body", "created": "when"},
                "decode": {"time_format": "%d %b %Y %I:%M %p"},
            },
            "columns": {"url": f"{region}/columns/*", "fields": {"text": "body"}},
            "pages": {"url": f"{region}/pages/*.html"},
        },
        "shards": {"target_size": "100KiB", "splits": {"train": 0.9, "validation": 0.1}},
    }  # fmt: skip


def locales(folder: Path) -> None:
    """Compile the locales, for LOCPATH."""
    for language, charmap in (("de_DE", "ISO-8859-1"), ("tr_TR", "UTF-8")):
        command = ["localedef", "-i", language, "-f", charmap, str(folder / f"{language}.{charmap}")]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError:
            pytest.skip("no localedef here (Debian, Ubuntu: apt install locales)")
        if not (folder / f"{language}.{charmap}").is_dir():
            pytest.skip(f"localedef makes no {language}.{charmap} here: {done.stderr.strip()[-200:]}")
