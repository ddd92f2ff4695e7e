"""What a runner is sent: small, and by reference, so that a worker's installed code is what runs."""

from __future__ import annotations

import base64
import bz2
import pickletools
import zlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2

from skyhaul.beam.temporary import drop_pipeline_folder
from skyhaul.beam.transforms import Haul, HaulShards, SummarizeReceipts
from skyhaul.hauling.config import HaulConfig

LIMIT = 10 << 20
"""Bytes of a job graph that Dataflow takes."""


def proto(adapter: str) -> Any:
    config = HaulConfig(
        run="20260101T000000Z-00000000",
        dataset="s3://hauls/x",
        job_text="# a long job file\n" * 2000,
        job_origin="job.yaml",
        workers=1,
        only=None,
        epoch=0.0,
        deadline=None,
        wait=False,
    )
    pipeline = beam.Pipeline()
    drop_pipeline_folder(pipeline)
    pipeline | HaulShards(config, parallelism=4, adapter=adapter) | SummarizeReceipts()  # type: ignore[arg-type]
    return pipeline.to_runner_api()


def sources_in(pickled: bytes) -> Iterator[str]:
    """File names of the code that a pickle of Beam's carries by value."""
    packed = base64.b64decode(pickled)
    for unpack in (zlib.decompress, bz2.decompress):
        try:
            plain = unpack(packed)
        except (zlib.error, OSError):
            continue
        yield from (
            argument
            for _, argument, _ in pickletools.genops(plain)
            if isinstance(argument, str) and argument.endswith(".py")
        )


def functions(pipeline: Any) -> Iterator[tuple[str, bytes]]:
    """Name and pickle of each DoFn in the pipeline."""
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == "beam:transform:pardo:v1":
            do_fn = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload).do_fn
            if do_fn.payload:
                yield transform.unique_name, do_fn.payload


@pytest.mark.parametrize("adapter", ["lots", "splittable"])
def test_the_pipeline_is_far_below_a_job_graphs_limit(adapter: str) -> None:
    assert proto(adapter).ByteSize() < LIMIT / 20


@pytest.mark.parametrize("adapter", ["lots", "splittable"])
def test_what_crosses_between_steps_is_rows_and_not_pickles(adapter: str) -> None:
    pipeline = beam.Pipeline()
    drop_pipeline_folder(pipeline)
    config = HaulConfig("run", "s3://hauls/x", "", "job.yaml")
    pipeline | Haul(config, adapter=adapter)  # type: ignore[arg-type]
    components = pipeline.to_runner_api().components
    pickled = {
        transform.unique_name
        for transform in components.transforms.values()
        for output in transform.outputs.values()
        if transform.unique_name != "Haul"
        and _is_pickled(components, components.pcollections[output].coder_id)
    }
    # Beam's own steps inside of a reshuffle.
    assert {name for name in pickled if "/ReshufflePerKey" not in name} == set()


def _is_pickled(components: Any, coder: str) -> bool:
    found = components.coders[coder]
    return "pickled" in found.spec.urn or any(_is_pickled(components, c) for c in found.component_coder_ids)


@pytest.mark.parametrize("adapter", ["lots", "splittable"])
def test_no_code_of_skyhaul_travels_in_the_pipeline(adapter: str) -> None:
    names = [name for name, _ in functions(proto(adapter))]
    assert any("Haul" in name for name in names)
    travelling = {
        name: source
        for name, pickled in functions(proto(adapter))
        for source in sources_in(pickled)
        if "apache_beam" not in source
    }
    assert travelling == {}


def test_code_that_travels_is_seen() -> None:
    assert any(source.endswith("test_pipeline_proto.py") for source in sources_in(pickler.dumps(lambda: 1)))
