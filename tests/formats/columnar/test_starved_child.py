"""A reading child that this machine gives less memory than we allow it says nothing of the bytes."""

from __future__ import annotations

import io
import resource
import subprocess
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from formats.decoding import decode
from skyhaul_connectors.formats.isolated import reader
from skyhaul_schemas.errors import StorageError

LIMIT = 800 * 1024**2


def test_a_limit_of_the_machine_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(["x" * 120_000_000]).dictionary_encode()}), out)
    start = subprocess.Popen

    def starved(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))

        return start(*arguments, preexec_fn=limit, **more)

    monkeypatch.setattr(reader.subprocess, "Popen", starved)
    monkeypatch.setattr(reader._local, "children", {}, raising=False)
    with pytest.raises(StorageError, match="run the same command again") as caught:
        decode(out.getvalue(), "x.parquet")
    assert caught.value.exit_code == 75
