"""JSON documents and JSON Lines."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _jsonl() -> Implementation:
    from skyhaul_connectors.formats.json.jsonl import JsonlDecoder, JsonlOptions

    return Implementation(JsonlOptions, JsonlDecoder)


def _json() -> Implementation:
    from skyhaul_connectors.formats.json.document import JsonDecoder, JsonOptions

    return Implementation(JsonOptions, JsonDecoder)


JSONL = Format(
    name="jsonl",
    about="one JSON object a line",
    schemas=("document", "reading", "own"),
    suffixes=(".jsonl", ".ndjson", ".jsonlines"),
    load=_jsonl,
)

JSON = Format(
    name="json",
    about="a JSON array, one JSON object, or lines after all",
    schemas=("document", "reading", "own"),
    suffixes=(".json", ".geojson"),
    load=_json,
)
