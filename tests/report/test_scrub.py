"""Secrets in text of other libraries do not reach a log line."""

from __future__ import annotations

import logging

import pytest

from skyhaul.report.logs import JsonFormatter, TextFormatter
from skyhaul.report.scrub import scrubbed

SECRET = "canary-7f3a"


@pytest.mark.parametrize(
    "text",
    [
        f"cannot reach https://user:{SECRET}@host/path",
        f"cannot reach https://{SECRET}@host/path",
        f"GET 'https://host/a?X-Amz-Signature={SECRET}&b=1' failed",
        f"s3://key:{SECRET}@bucket?versionId={SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"authorization: Basic {SECRET}",
        f'"X-Api-Token": "{SECRET}"',
        f"Proxy-Authorization={SECRET}",
        f"a@b https://u:{SECRET}@h1/x and https://u:{SECRET}@h2/y?z={SECRET}",
    ],
)
def test_a_secret_is_taken_out_of_every_form_of_line(text: str) -> None:
    assert SECRET not in scrubbed(text)
    for formatter in (TextFormatter(), JsonFormatter()):
        record = logging.LogRecord("boto", logging.ERROR, "", 0, "%s", (text,), None)
        assert SECRET not in formatter.format(record)
        try:
            raise OSError(text)
        except OSError as error:
            record.exc_info = (type(error), error, None)
        assert SECRET not in formatter.format(record)


@pytest.mark.parametrize(
    "text",
    [
        "https://host/path is fine",
        "what? no: user@example.org wrote to a/b?c",
        "source corpus: 3 objects at http://127.0.0.1:8000/part-0.jsonl",
        "authorization was refused",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert scrubbed(text) == text
