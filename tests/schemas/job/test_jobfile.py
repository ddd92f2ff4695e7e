"""A job file becomes a typed job, or a line that says what is wrong, where, and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.job.job_texts import FULL, LEAST, changed
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import load_job, parse_job
from skyhaul_schemas.job.model import Job, ListedUrls


def job_of(text: str, **env: str) -> Job:
    return parse_job(text, "job.yaml", env).job


def refused(text: str, **env: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_job(text, "job.yaml", env)
    return str(caught.value).split("\n")


def test_the_design_s_example_is_read_as_it_stands() -> None:
    job = job_of(FULL)
    assert (job.version, job.name, job.seed, job.schema_) == (1, "stdlib-over-leo", 7, "document")
    source = job.sources["stdlib"]
    assert source.url == ["/usr/lib/python3*/**/*.py"]
    assert (source.format, source.fields, source.checksums) == ("text", {"text": "body"}, "SHA256SUMS")
    assert (source.max_connections, source.via) == (16, ["leo-west"])
    link = job.links["leo-west"]
    assert (link.preset, link.emulate, link.down, link.rtt) == ("leo", True, 130e6, 0.045)
    assert (link.loss, link.contacts) == (0.004, "passes.csv")
    assert job.shards.target_size == 256 * 1024**2
    assert job.shards.codec == ("zstd", 3)
    assert job.shards.splits == {"train": 0.99, "validation": 0.01}
    assert job.patience == 600.0


def test_the_least_job_has_the_design_s_defaults() -> None:
    job = job_of(LEAST)
    assert (job.spool, job.seed, job.schema_, job.on_damage) == (".skyhaul/spool", 0, "document", "reject")
    assert job.shards.splits == {"train": 1.0}
    assert job.sources["here"].via == []
    assert job.sources["here"].min_rate == 8 * 1000.0, "1kB/s, in bit/s as all rates are"


def test_a_url_may_be_a_list_or_a_list_file() -> None:
    assert job_of(changed(LEAST, "data/*.txt", "[a/*.txt, b/*.txt]")).sources["here"].url == [
        "a/*.txt",
        "b/*.txt",
    ]
    url = job_of(changed(LEAST, "data/*.txt", "{list: objects.jsonl}")).sources["here"].url
    assert url == ListedUrls(list="objects.jsonl")


def test_outages_are_start_plus_length() -> None:
    job = job_of(changed(FULL, "loss: 0.4%", "outages: [20s+5s, [1m, 2s]]"))
    assert job.links["leo-west"].outages == [(20.0, 5.0), (60.0, 2.0)]


def test_words_of_yaml_1_1_are_plain_text() -> None:
    """`no`, a date and `12:30` are text: Norway is a country, and no time is a base-60 number."""
    job = job_of(changed(FULL, "fields: {text: body}", "decode: {a: no, b: 2024-01-01, c: 12:30, d: 0o17}"))
    assert job.sources["stdlib"].decode == {"a": "no", "b": "2024-01-01", "c": "12:30", "d": 15}


def test_numbers_that_stand_for_cells_are_taken_as_they_are_written() -> None:
    missing = "[-9999, 999.90, 1e3, 0x10, 'MM', MM, true]"
    job = job_of(changed(FULL, "fields: {text: body}", f"decode: {{missing: {missing}, other: [1]}}"))
    texts = ["-9999", "999.90", "1e3", "0x10", "MM", "MM", True]
    assert job.sources["stdlib"].decode == {"missing": texts, "other": [1]}
    assert job_of(changed(FULL, "fields: {text: body}", "decode: {missing: 7}")).sources["stdlib"].decode == {
        "missing": 7
    }


def test_anchors_and_merges_spare_repetition() -> None:
    text = (
        LEAST
        + "  there:\n    <<: &base {format: text, max_connections: 4}\n    url: b\n    max_connections: 5\n"
    )
    assert job_of(text).sources["there"].max_connections == 5
    assert job_of(text).sources["there"].format == "text"


ONE_LINERS = [
    (
        "    format: text",
        "    formt: text",
        "10:5: sources.stdlib.formt: found an unknown key, allowed: format",
    ),
    ("shards:\n", "shard:\n", "24:1: shard: found an unknown key, allowed: shards"),
    (
        "target_size: 256MiB",
        "taget_size: 256MiB",
        "25:3: shards.taget_size: found an unknown key, allowed: target_size, file_size",
    ),
    (
        "down: 130Mbit/s",
        "down: 13Mb",
        "20:11: links.leo-west.down: found '13Mb', allowed: a number above zero with bit/s, kbit/s,"
        " Mbit/s, Gbit/s, kB/s or MB/s",
    ),
    (
        "rtt: 45ms",
        "rtt: 45",
        "21:10: links.leo-west.rtt: found 45, allowed: a number with ms, s, m, h or d, such as 45ms, 30s,"
        " 10m, 1h30m or 2d",
    ),
    ("seed: 7", "seed: -3", "5:7: seed: found -3, allowed: a whole number from 0"),
    ("seed: 7", "seed: 1.5", "5:7: seed: found 1.5, allowed: a whole number from 0"),
    ("seed: 7", "seed: true", "5:7: seed: found true, allowed: a whole number from 0"),
    ("version: 1", "version: 2", "1:10: version: found 2, allowed: 1"),
    ("name: stdlib-over-leo", "name: 2024", "2:7: name: found 2024, allowed: text; put it in quotes"),
    (
        "schema: document",
        "schema: doc",
        "6:9: schema: found 'doc', allowed: 'document', 'reading', 'image', 'audio' or 'blob',"
        " or a mapping of name and columns",
    ),
    (
        "emulate: true",
        "emulate: maybe",
        "19:14: links.leo-west.emulate: found 'maybe', allowed: true or false",
    ),
    (
        "via: [leo-west]",
        "via: leo-wst",
        "15:10: sources.stdlib.via: found 'leo-wst', allowed: the name of a link: leo-west",
    ),
    (
        "via: [leo-west]",
        "via:\n      - leo-west\n      - geo",
        "17:9: sources.stdlib.via.1: found 'geo', allowed: the name of a link: leo-west",
    ),
    (
        "options: {}",
        "options: []",
        "14:14: sources.stdlib.options: found an empty list, allowed: a mapping of keys",
    ),
    (
        "max_connections: 16",
        "max_connections: 0",
        "13:22: sources.stdlib.max_connections: found 0, allowed: a whole number from 1 to 1024",
    ),
    (
        "seed: 7",
        "seed: 7\nseed: 8",
        "6:1: seed: found the key again, allowed: each key once; it stands in line 5 already",
    ),
    (
        "splits: {train: 0.99, validation: 0.01}",
        "splits: {train: 0.9}",
        "28:11: shards.splits: found a mapping, allowed: shares above 0 that add up to 1",
    ),
    (
        "compression: zstd:3",
        "compression: zstd:23",
        "27:16: shards.compression: found 'zstd:23', allowed: zstd, zstd:1 to zstd:22, snappy or none",
    ),
    (
        "row_group_size: 64MiB",
        "row_group_size: 101MB",
        "26:19: shards.row_group_size: found 101000000, allowed: at most 100MB (uncompressed)",
    ),
    (
        "  leo-west:\n",
        "  leo west:\n",
        "17:3: links.leo west: found 'leo west', allowed: 1 to 64 letters, digits, '.', '_' and '-',"
        " with a letter or digit first",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), ONE_LINERS, ids=[new.strip() for _, new, _ in ONE_LINERS])
def test_an_error_names_key_line_and_column_and_what_was_found_and_what_is_allowed(
    old: str, new: str, line: str
) -> None:
    assert f"job.yaml:{line}" in refused(changed(FULL, old, new))


def test_a_missing_key_is_named_with_its_meaning() -> None:
    (line,) = refused(changed(LEAST, "dataset: out\n", ""))
    assert line.startswith("job.yaml:1:1: dataset: found nothing, allowed: (required) The output folder")


def test_a_source_without_its_url_is_found_at_the_source_s_line() -> None:
    (line,) = refused(changed(LEAST, "    url: data/*.txt", "    format: text"))
    assert line.startswith("job.yaml:5:3: sources.here.url: found nothing, allowed: (required) Path or URL")


def test_an_unknown_key_like_no_other_lists_all_keys() -> None:
    (line,) = refused(LEAST + "zzz: 1\n")
    assert line.startswith(
        "job.yaml:7:1: zzz: found an unknown key, allowed: about, dataset, deadline, ledger, links,"
    )


def test_all_problems_are_listed_in_the_order_of_the_file() -> None:
    text = changed(changed(FULL, "down: 130Mbit/s", "down: x"), "seed: 7", "seed: x")
    lines = refused(text)
    assert [line.split(": ")[1] for line in lines] == ["seed", "links.leo-west.down"]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("version: 1\nname: [a\ndataset: b\n", "job.yaml:3:8: not YAML: "),
        ("version: 1\nname: a: b\n", "job.yaml:2:8: not YAML: mapping values are not allowed here"),
        ("version: 1\n\tname: a\n", "job.yaml:2:1: not YAML: "),
        ("version: 1\nname: *nobody\n", "job.yaml:2:7: not YAML: found undefined alias"),
        ("version: 1\nname: a\x07\n", "job.yaml:2:8: not YAML: special characters are not allowed"),
        ("a: 1\n---\nb: 2\n", "job.yaml:2:1: not YAML: but found another document"),
        ("", "job.yaml:1:1: found an empty file, allowed: a job file; it starts with `version: 1`"),
        ("- a\n", "job.yaml:1:1: found a list, allowed: a mapping of keys, such as `version: 1`"),
        (
            "a: !!python/object/apply:os.system [id]\n",
            "job.yaml:1:4: found the tag 'tag:yaml.org,2002:python",
        ),
        ("? [a]\n: 1\n", "job.yaml:1:3: found a key that is no text, allowed: text as keys"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, start: str) -> None:
    assert refused(text)[0].startswith(start)


def test_an_alias_bomb_costs_no_more_than_its_text() -> None:
    bomb = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(9):
        bomb += f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n"
    assert any(
        "found too many values, allowed: 50000, with all aliases expanded" in line for line in refused(bomb)
    )


def test_an_alias_of_itself_ends() -> None:
    assert any(
        "found too many values, allowed: 50000, with all aliases expanded" in line
        for line in refused("a: &a [*a]\n")
    )


def test_deep_nesting_is_refused_before_it_is_descended() -> None:
    (line,) = refused("a: " + "[" * 100_000)
    assert line == "job.yaml:1:35: found nesting without end, allowed: a depth of 32"


def test_a_number_without_end_is_refused() -> None:
    (line,) = refused(changed(FULL, "seed: 7", f"seed: {'9' * 5000}"))
    assert line.startswith("job.yaml:5:7: seed: found '9999")
    assert len(line) < 250


def test_a_name_with_control_characters_cannot_forge_a_line() -> None:
    (line,) = refused(LEAST + '"x\\ny\\e[31m": 1\n')
    assert "x\\ny\\x1b[31m" in line


def test_a_missing_file_a_folder_and_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "latin.yaml", ":2:10: found bytes that are no UTF-8, allowed: UTF-8"),
        (tmp_path / "big.yaml", "found more than"),
    ]:
        (tmp_path / "latin.yaml").write_bytes(b"version: 1\nname: caf\xe9\n")
        (tmp_path / "big.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
        with pytest.raises(UsageError, match=said) as caught:
            load_job(path, {})
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_a_job_file_is_kept_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(changed(LEAST, "url: data", "url: ${ROOT}/data"), encoding="utf-8")
    loaded = load_job(path, {"ROOT": "/mnt"})
    assert loaded.text == path.read_text(encoding="utf-8")
    assert loaded.job.sources["here"].url == ["/mnt/data/*.txt"]
    assert loaded.path == path


@pytest.mark.parametrize(
    ("base", "line", "problem"),
    [
        (
            "{a: 1, a: 2}",
            7,
            "sources.here.options.a: found the key again, allowed: each key once; it stands in line 7",
        ),
        (
            '{"\\ud800": 1}',
            7,
            "sources.here.options: found the key '\\ud800', allowed: characters that UTF-8 has",
        ),
        ("{[a]: 1}", 7, "sources.here.options: found a key that is no text, allowed: text as keys"),
        ("{<<: {b: 1}}", 7, "sources.here.options: found `<<` within `<<`, allowed: one level of merging"),
    ],
)
@pytest.mark.parametrize("merge", ["<<: {}", "<<: [{{z: 1}}, {}]", "a: 0\n      <<: {}"])
def test_what_is_merged_is_looked_at_as_if_it_stood_there(
    base: str, line: int, problem: str, merge: str
) -> None:
    """Also where a key of the mapping itself wins over it."""
    text = LEAST + "    options:\n      " + merge.format(base)
    line += merge.count("\n") + 1
    told = problem.replace("in line 7", f"in line {line}")
    found = [re.sub(r"^(job\.yaml:\d+):\d+:", r"\1:", refusal) for refusal in refused(text)]
    assert found == [f"job.yaml:{line}: {told}" + (" already" if "in line" in told else "")]


def test_of_several_bases_the_first_one_wins_and_is_no_repetition() -> None:
    text = LEAST + "    options: {<<: [{a: 1, b: 2}, {a: 3, c: 4}], b: 5}"
    assert job_of(text).sources["here"].options == {"a": 1, "b": 5, "c": 4}


@pytest.mark.parametrize("number", ["1e999", "1e-999", "0.0001e-400", "-1e-400"])
def test_a_number_that_no_float_holds_is_refused(number: str) -> None:
    (told,) = refused(LEAST + f"    decode: {{x: {number}}}")
    assert "sources.here.decode.x" in told
    assert "from 1e-307 to 1e308" in told


@pytest.mark.parametrize(
    ("number", "value"), [("0e5", 0.0), ("0.00e-999", 0.0), ("-0.0", 0.0), ("1e-300", 1e-300)]
)
def test_small_numbers_and_nothing_are_read(number: str, value: float) -> None:
    assert job_of(LEAST + f"    decode: {{x: {number}}}").sources["here"].decode == {"x": value}
