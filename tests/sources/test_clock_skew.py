"""A refusal for the time of a request names the clock, and a store's own code is shown."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest
from botocore.exceptions import ClientError

from skyhaul_connectors.sources import clock_skew
from skyhaul_connectors.sources.fsspec.errors import as_carriage, store_words
from skyhaul_connectors.sources.http.response.head import parse_head
from skyhaul_connectors.sources.http.response.validation import refusal
from skyhaul_schemas.errors import AccessRefused, ConnectionLost, ObjectMissing

NOW = 1_700_000_000.0


def refused(code: str, kind: type[OSError] = PermissionError, off: float = 0.0) -> OSError:
    """As s3fs raises it, 40 minutes off by `off`."""
    headers = {"date": formatdate(time.time() - off, usegmt=True)}
    answer: Any = {
        "Error": {"Code": code, "Message": "a signature: AKIAEXAMPLE"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": headers},
    }
    error = kind("a text with a signature")
    error.__cause__ = ClientError(answer, "ListObjectsV2")
    return error


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (2400, "40 minutes ahead of the server's"),
        (-2400, "40 minutes behind the server's"),
        (3 * 3600, "3 hours ahead of the server's"),
        (-400 * 86400, "400 days behind the server's"),
        (301, "5 minutes ahead of the server's"),
    ],
)
def test_a_difference_is_said_in_round_numbers(off: float, said: str) -> None:
    found = clock_skew.ahead(formatdate(NOW - off, usegmt=True), now=NOW)
    assert found == pytest.approx(off)
    assert said in clock_skew.words(found)


@pytest.mark.parametrize(
    ("date", "age"),
    [
        (None, None),
        ("soon", None),
        ("Tue, 99 Nov 2023 22:13:20 GMT", None),
        (formatdate(NOW, usegmt=True), None),
        (formatdate(NOW - 200, usegmt=True), None),
        (formatdate(NOW - 7200, usegmt=True), "7200"),
    ],
)
def test_an_answer_without_a_date_or_near_in_time_blames_no_clock(date: str | None, age: str | None) -> None:
    assert clock_skew.ahead(date, age, now=NOW) is None


def test_a_store_that_says_the_time_is_wrong_is_believed() -> None:
    error = as_carriage("s: bucket b", refused("RequestTimeTooSkewed", off=2400))
    assert isinstance(error, AccessRefused)
    assert str(error) == (
        "s: bucket b: the store refuses access (RequestTimeTooSkewed): this machine's clock is 40 minutes"
        " ahead of the server's; set the clock"
    )
    assert "set the clock" in str(as_carriage("s", refused("RequestTimeTooSkewed", OSError)))


def test_a_refusal_without_a_word_names_the_clock_where_the_date_says_so() -> None:
    assert "40 minutes behind" in str(as_carriage("s", refused("403", off=-2400)))
    assert str(as_carriage("s", refused("403"))) == (
        "s: the store refuses access (PermissionError); check the credentials"
    )


def test_the_store_s_own_code_is_shown_and_its_text_is_not() -> None:
    said = str(as_carriage("s", refused("InvalidAccessKeyId")))
    assert said == "s: the store refuses access (InvalidAccessKeyId); check the credentials"
    lost = as_carriage("s", refused("SlowDown", OSError))
    assert isinstance(lost, ConnectionLost)
    assert str(lost) == "s: SlowDown"
    assert isinstance(as_carriage("s", refused("NoSuchKey", FileNotFoundError)), ObjectMissing)
    assert str(as_carriage("s", refused("a code\nwith lines", OSError))) == "s: OSError"
    assert store_words(refused("AccessDenied")) == " (AccessDenied)"
    assert "clock is 40 minutes ahead" in store_words(refused("RequestTimeTooSkewed", off=2400))
    assert store_words(PermissionError()) == ""


def test_an_http_refusal_names_the_clock_where_the_date_says_so() -> None:
    def head(off: float, status: int = 403) -> str:
        date = formatdate(time.time() - off, usegmt=True)
        text = f"HTTP/1.1 {status} No\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
        return str(refusal("s: 'x'", parse_head(text.encode())))

    assert head(2400) == (
        "s: 'x': the server refuses access (403); this machine's clock is 40 minutes ahead of the server's;"
        " set the clock"
    )
    assert head(0) == "s: 'x': the server refuses access (403); check the credentials"
    assert "clock" not in head(2400, 404)
