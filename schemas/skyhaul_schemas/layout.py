"""Where things lie in a dataset folder. Paths are relative to it, with `/` between parts."""

from __future__ import annotations

from skyhaul_schemas.plan import GROUP_SIZE

CARD = "README.md"
"""Hugging Face's dataset card: its head names the files of each split."""
CROISSANT = "croissant.json"
DATA = "data"
CONTROL = "_skyhaul"
"""Spark's and Arrow's readers of folders pass over names that begin with `_`."""
JOB = f"{CONTROL}/job.yaml"
OBJECTS = f"{CONTROL}/plan/objects.parquet"
SHARDS = f"{CONTROL}/plan/shards.parquet"
PLAN = f"{CONTROL}/plan"
DRAFTS = f"{PLAN}/draft-"
"""How the names of drafts begin."""
COMMITS = f"{CONTROL}/commits"
FAILURES = f"{CONTROL}/failures"
REJECTS = f"{CONTROL}/rejects"
RUNS = f"{CONTROL}/runs"
LINKS = f"{CONTROL}/links"
SEALED = f"{CONTROL}/sealed"
CERTIFICATE = f"{CONTROL}/certificate.json"
DERIVATION = f"{PLAN}/derivation.json"
"""Of a derived dataset: what it is made from, and how."""
INPUTS = f"{PLAN}/inputs.parquet"
"""Of a derived dataset: the files that its rows come from, with their digests."""
SHUFFLE = f"{CONTROL}/shuffle"
"""Sorted runs of rows while a dataset is derived; gone once it is whole."""
STATS = f"{CONTROL}/stats"
DESCRIPTION = f"{STATS}/describe.json"
"""Counts, lengths and quantiles of the rows."""
SET_ASIDE = f"{CONTROL}/set-aside"
"""Files that stood where others belong. They are kept for people; nothing reads them."""


def objects_file(generation: int) -> str:
    return f"{PLAN}/objects-{generation:04d}.parquet" if generation else OBJECTS


def shards_file(generation: int) -> str:
    """Its presence is the generation."""
    return f"{PLAN}/shards-{generation:04d}.parquet" if generation else SHARDS


def dropped_file(generation: int) -> str:
    return f"{PLAN}/dropped-{generation:04d}.parquet"


def draft_file(generation: int, digest: str, name: str) -> str:
    """What will be `objects.parquet`, `dropped.parquet` or `job.yaml` of a generation that may come to be.

    Named by the generation's digest, so that no rival's draft takes its place (docs/adr/0004).
    """
    return f"{DRAFTS}{generation:04d}-{digest}-{name}"


def group_of(shard: int) -> int:
    return shard // GROUP_SIZE


def shards_of(group: int) -> range:
    """The shards of a full group."""
    return range(group * GROUP_SIZE, (group + 1) * GROUP_SIZE)


def data_file(shard: int, split: str, part: int) -> str:
    # `-` ends the split's name, for none has one in it: the card's `data/*/train-*` is split `train` alone.
    return f"{DATA}/{group_of(shard):04d}/{split}-{shard:07d}-{part:03d}.parquet"


def commit_file(shard: int) -> str:
    return f"{COMMITS}/{group_of(shard):04d}/{shard:07d}.json"


def sealed_file(group: int) -> str:
    """The commit records of a full group in one file. Once it is there, it speaks for the group."""
    return f"{SEALED}/{group:04d}.parquet"


def failure_file(shard: int) -> str:
    return f"{FAILURES}/{group_of(shard):04d}/{shard:07d}.json"


def rejects_file(shard: int) -> str:
    return f"{REJECTS}/{group_of(shard):04d}/{shard:07d}.parquet"


def run_file(utc: str, run_id: str) -> str:
    return f"{RUNS}/{utc}-{run_id}.json"
