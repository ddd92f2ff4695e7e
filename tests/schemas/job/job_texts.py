"""Job files for tests: the one of the design, and the least one."""

from __future__ import annotations

FULL = """\
version: 1
name: stdlib-over-leo
dataset: out/stdlib              # path or fsspec URL
spool: .skyhaul/spool            # local disk; spool_limit bounds it
seed: 7
schema: document                 # document | reading | image | blob: one for the dataset
sources:
  stdlib:
    url: /usr/lib/python3*/**/*.py   # path or URL with globs, a list of them, or {list: objects.jsonl}
    format: text                 # text | jsonl | csv | parquet | warc | binary; default by suffix
    fields: {text: body}         # schema field: source column
    checksums: SHA256SUMS        # optional
    max_connections: 16          # politeness: raise it for servers of your own
    options: {}                  # for the filesystem
    via: [leo-west]              # links, best first; none = the plain network
links:
  leo-west:
    preset: leo                  # any field below overrides it
    emulate: true                # rehearse: impose rate, delay, loss, outages
    down: 130Mbit/s
    rtt: 45ms
    loss: 0.4%
    contacts: passes.csv
shards:
  target_size: 256MiB            # source bytes a shard
  row_group_size: 64MiB          # uncompressed
  compression: zstd:3
  splits: {train: 0.99, validation: 0.01}
on_damage: reject                # or fail
patience: 10m                    # how long a silent source is tried before its shards are deferred
"""

LEAST = """\
version: 1
name: least
dataset: out
sources:
  here:
    url: data/*.txt
"""


def changed(text: str, old: str, new: str) -> str:
    """`text` with its one `old` replaced; a test whose text has moved on fails here."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)
