"""Values from the environment: where they are taken, and that they go nowhere else."""

from __future__ import annotations

import pytest

from schemas.job.job_texts import FULL, LEAST, changed
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import Job

CANARY = "canary-5up3r-53cr37"


def job_of(text: str, **env: str) -> Job:
    return parse_job(text, "job.yaml", env).job


def refused(text: str, **env: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_job(text, "job.yaml", env)
    return str(caught.value)


def test_names_are_taken_from_the_environment_and_numbers_are_read_from_text() -> None:
    text = changed(changed(FULL, "seed: 7", "seed: ${SEED}"), "emulate: true", "emulate: ${EMULATE}")
    text = changed(
        changed(text, "down: 130", "down: ${RATE}"), "max_connections: 16", "max_connections: ${N}"
    )
    job = job_of(text, SEED="9", EMULATE="no", RATE="20", N="3")
    assert job.seed == 9
    assert (job.links["leo-west"].emulate, job.links["leo-west"].down) == (False, 20e6)
    assert job.sources["stdlib"].max_connections == 3


def test_a_name_that_is_not_set_is_named_with_key_and_line() -> None:
    text = changed(LEAST, "url: data/*.txt", "url: a\n    options: {key: '${KEY_ID}'}")
    assert refused(text) == (
        "job.yaml:7:20: sources.here.options.key: found ${KEY_ID}, allowed: a name from the environment;"
        " KEY_ID is not set (export KEY_ID=...)"
    )


def test_two_dollars_stand_for_one() -> None:
    assert job_of(changed(LEAST, "data/*.txt", "'data/$${X}-$1-$'")).sources["here"].url == ["data/${X}-$1-$"]


@pytest.mark.parametrize("text", ["${X", "${}", "${a b}", "${X:-y}"])
def test_other_forms_of_it_are_refused(text: str) -> None:
    line = refused(changed(LEAST, "data/*.txt", f"'data/{text}'"), X="1")
    assert line.startswith("job.yaml:6:10: sources.here.url: found '${")
    assert "allowed: ${NAME} or ${file:/path}, or $${ for a plain ${" in line


def test_keys_are_never_taken_from_the_environment() -> None:
    assert CANARY not in refused(LEAST + "${KEY}: 1\n", KEY=CANARY)


PLACES = [
    ("seed: 7", "seed: ${SECRET}"),
    ("version: 1", "version: ${SECRET}"),
    ("name: stdlib-over-leo", "name: ${SECRET}!"),
    ("schema: document", "schema: ${SECRET}"),
    ("down: 130Mbit/s", "down: ${SECRET}"),
    ("rtt: 45ms", "rtt: ${SECRET}"),
    ("loss: 0.4%", "loss: ${SECRET}"),
    ("loss: 0.4%", "outages: ['${SECRET}+1s']"),
    ("loss: 0.4%", "burst: ${SECRET}"),
    ("emulate: true", "emulate: ${SECRET}"),
    ("target_size: 256MiB", "target_size: ${SECRET}"),
    ("compression: zstd:3", "compression: ${SECRET}"),
    ("splits: {train: 0.99, validation: 0.01}", "splits: ['${SECRET}']"),
    ("splits: {train: 0.99, validation: 0.01}", "splits: {train: '${SECRET}'}"),
    ("max_connections: 16", "max_connections: ${SECRET}"),
    ("options: {}", "options: ['${SECRET}']"),
    ("options: {}", "options: ${SECRET}"),
    ("via: [leo-west]", "via: ['${SECRET}']"),
    ("url: /usr/lib/python3*/**/*.py", "url: {liste: '${SECRET}'}"),
    ("url: /usr/lib/python3*/**/*.py", "url: ['${SECRET}', 1]"),
    ("fields: {text: body}", "fields: ['${SECRET}']"),
    ("fields: {text: body}", "fields: {text: ['${SECRET}']}"),
    ("fields: {text: body}", "decode: {option: '${SECRET}'}"),
    ("  leo-west:\n", "  east: ${SECRET}\n  leo-west:\n"),
    ("patience: 10m", "patience: ${SECRET}"),
]


@pytest.mark.parametrize(("old", "new"), PLACES, ids=[new.strip() for _, new in PLACES])
def test_a_secret_in_any_wrong_place_is_in_no_message(old: str, new: str) -> None:
    message = refused(changed(FULL, old, new), SECRET=CANARY)
    assert "${SECRET}" in message
    assert CANARY not in message


def test_a_secret_is_in_no_text_that_a_loaded_job_shows_of_itself() -> None:
    text = changed(FULL, "options: {}", "options: {token: '${SECRET}'}")
    text = changed(text, "url: /usr/lib", "url: https://me:${SECRET}@host")
    loaded = parse_job(text, "job.yaml", {"SECRET": CANARY})
    assert loaded.job.sources["stdlib"].options == {"token": CANARY}
    assert loaded.secrets == {CANARY}
    for shown in (repr(loaded), str(loaded), repr(loaded.job), str(loaded.job), loaded.text):
        assert CANARY not in shown


@pytest.mark.parametrize("key", ["fields", "decode"])
def test_what_the_plan_keeps_is_not_taken_from_the_environment(key: str) -> None:
    line = refused(changed(FULL, "fields: {text: body}", f"{key}: {{text: '${{X}}'}}"), X="body")
    assert f"sources.stdlib.{key}.text: found ${{X}}, allowed: a value written out" in line


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("options: {}", f"options: {{token: {CANARY}}}", "a secret written out"),
        (
            "options: {}",
            f"options: {{client_kwargs: {{aws_secret_access_key: {CANARY}}}}}",
            "a secret written out",
        ),
        ("options: {}", f"options: {{headers: {{Authorization: Bearer {CANARY}}}}}", "a secret written out"),
        ("options: {}", f"options: {{password: {CANARY}}}", "a secret written out"),
        ("url: /usr/lib", f"url: https://me:{CANARY}@host", "a password in a URL"),
        ("dataset: out/stdlib", f"dataset: sftp://me:{CANARY}@host/out", "a password in a URL"),
        ("url: /usr/lib", f"url: https://host/a?X-Amz-Signature={CANARY}&b=", "a secret in a URL"),
        ("url: /usr/lib", f"url: https://host/a?token={CANARY}&b=", "a secret in a URL"),
    ],
)
def test_a_secret_written_out_is_refused_without_being_shown(old: str, new: str, found: str) -> None:
    message = refused(changed(FULL, old, new))
    assert f"found {found}" in message
    assert "taken from the environment" in message
    assert CANARY not in message


@pytest.mark.parametrize(
    "options",
    [
        "{anon: true, key: '${KEY}', secret: '${SECRET}'}",
        "{token: null}",
        "{username: me, key_filename: /home/me/.ssh/id}",
        "{private_key_path: /home/me/.ssh/id}",
    ],
)
def test_options_that_show_no_secret_are_taken(options: str) -> None:
    job_of(changed(FULL, "options: {}", f"options: {options}"), KEY="k", SECRET=CANARY)
