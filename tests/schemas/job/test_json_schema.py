"""The JSON Schema that editors and the README's reference are fed from."""

from __future__ import annotations

import json
from typing import Any

from skyhaul_schemas.job.file import json_schema


def objects_of(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"Job": schema, **schema["$defs"]}


def test_every_key_of_a_job_file_is_described() -> None:
    bare = [
        f"{name}.{key}"
        for name, part in objects_of(json_schema()).items()
        for key, value in part["properties"].items()
        if len(value.get("description", "")) < 10
    ]
    assert bare == []


def test_unknown_keys_are_refused_everywhere() -> None:
    for part in objects_of(json_schema()).values():
        assert part["additionalProperties"] is False


def test_the_keys_are_those_of_the_design() -> None:
    schema = json_schema()
    assert set(schema["properties"]) >= {
        "version",
        "name",
        "dataset",
        "spool",
        "seed",
        "schema",
        "sources",
        "links",
    }
    assert set(schema["required"]) == {"version", "name", "dataset", "sources"}
    assert set(schema["$defs"]["SourceSpec"]["properties"]) == {
        "url", "format", "fields", "checksums", "max_connections", "options", "decode", "via", "min_rate",
            "max_rejects", "transforms",
    }  # fmt: skip


def test_units_are_text_to_an_editor() -> None:
    sizes = json_schema()["$defs"]["ShardsSpec"]["properties"]["target_size"]
    assert {"type": "string"} in sizes["anyOf"]


def test_it_is_json() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
