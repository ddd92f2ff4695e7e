"""Spark in local mode, with page checksums verified. Needs Java."""

from __future__ import annotations

import os
import tempfile

import pyspark
from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

from skyhaul.certify.engine_reading import Reading, Request, Schema, SplitReading

_KINDS = {
    "string": "string",
    "binary": "binary",
    "boolean": "bool",
    "tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": "int64",
    "float": "float32",
    "double": "float64",
    "date": "date32",
    "timestamp_ntz": "timestamp[us]",
    "timestamp": "timestamp[us, tz=UTC]",
}  # fmt: skip
"""By Spark's simple names; its timestamp is an instant in microseconds."""


def read(request: Request, streaming: bool) -> Reading:
    """`streaming` makes no difference."""
    # Spark's parts talk to each other over TCP: on loopback only, whatever this machine's name resolves to.
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    spark = (
        SparkSession.builder.master("local[2]")
        .appName("skyhaul certify")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", tempfile.gettempdir())
        .config("spark.sql.warehouse.dir", f"{tempfile.gettempdir()}/warehouse")
        .config("spark.sql.shuffle.partitions", "2")
        # The machine's zone must not come into what timestamps are.
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.hadoop.parquet.page.verify-checksum.enabled", "true")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    schema: Schema = ()
    splits = {}
    try:
        for split in request.splits:
            frame = spark.read.parquet(request.files(split))
            schema = tuple((str(field.name), _kind(field.dataType)) for field in frame.schema.fields)
            sums = frame.agg(
                f.count(f.lit(1)).alias("rows"),
                f.sum(f.octet_length("id")).alias("id_bytes"),
                f.sum(f.octet_length(request.body)).alias("body_bytes"),
                f.sum("provenance.length").alias("source_bytes"),
                # count() of a column leaves nulls out.
                *(f.count(f.col(name)).alias(f"held.{name}") for name in request.columns),
            )
            row = sums.collect()[0].asDict()
            splits[split] = SplitReading(
                row["rows"],
                row["id_bytes"] or 0,
                row["body_bytes"] or 0,
                row["source_bytes"] or 0,
                {name: row["rows"] - row[f"held.{name}"] for name in request.columns},
            )
    finally:
        spark.stop()
    return Reading(pyspark.__version__, schema, splits)


def _kind(kind: t.DataType) -> str:
    if isinstance(kind, t.StructType):
        return f"struct<{', '.join(f'{field.name}: {_kind(field.dataType)}' for field in kind.fields)}>"
    if isinstance(kind, t.ArrayType):
        return f"list<{_kind(kind.elementType)}>"
    name = str(kind.simpleString())
    return _KINDS.get(name, name)
