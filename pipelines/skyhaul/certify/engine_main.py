"""The process that one engine runs in: `python -m skyhaul.certify.engine_main ENGINE REQUEST ANSWER`.

Reads the request's JSON, writes the reading's. What the engine prints goes where it likes.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from skyhaul.certify.engine_reading import Reading, Request
from skyhaul.certify.engines import ENGINES


def main(name: str, request: str, answer: str) -> None:
    engine = ENGINES[name]
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    # JSON knows no tuples.
    asked["splits"], asked["columns"] = tuple(asked["splits"]), tuple(asked["columns"])
    module = importlib.import_module(f"skyhaul.certify.engines.{engine.module}")
    reading: Reading = module.read(Request(**asked), engine.streaming)
    # To a file: stdout is the engine's, and libraries print there.
    Path(answer).write_text(json.dumps(reading.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
