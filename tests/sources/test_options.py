"""`options:` of sources: what nobody would look at is refused, whatever the kind of source."""

from __future__ import annotations

from typing import Any

import pytest

from skyhaul_connectors.sources.opening import KINDS, open_source
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import SourceSpec

URLS = {
    "file": "/x/*.txt",
    "synthetic": "synthetic://x?count=1",
    "http": "http://127.0.0.1:9/x/*.txt",
    "https": "https://127.0.0.1:9/x/*.txt",
}
"""Of schemes whose URLs are not all alike."""
SCHEMES = [scheme for kind in KINDS for scheme in kind.schemes]


def spec(scheme: str, **more: Any) -> SourceSpec:
    return SourceSpec.model_validate({"url": URLS.get(scheme, f"{scheme}://127.0.0.1/x/*.txt"), **more})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_option_that_a_source_does_not_know_is_refused(scheme: str) -> None:
    with pytest.raises(UsageError) as caught:
        # SSH's client alone knows what it takes. It is asked before anything is contacted.
        list(open_source("far", spec(scheme, options={"no_such": "CANARY"})).listing())
    assert str(caught.value).startswith("source far: ")
    assert "option" in str(caught.value) or "needs a package" in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("az", {"account_name": "a", "account_key": "k", "exclude_cli_credential": True}),
        ("abfss", {"connection_string": "c", "managed_identity_client_id": "m"}),
        ("s3", {"key": "k", "secret": "s", "profile": "p", "use_listings_cache": False}),
        ("s3", {"endpoint_url": "http://127.0.0.1:9", "content_encoding": "stored"}),
        ("ftp", {"username": "u", "tls": True}),
        ("hf", {"token": "t", "endpoint": "https://hub.test"}),
        ("memory", {"max_paths": 10}),
        ("sftp", {"username": "u", "known_hosts": "h", "look_for_keys": False}),
    ],
)
def test_an_option_of_the_filesystem_or_of_the_library_behind_it_is_taken(
    scheme: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    open_source("far", spec(scheme, options=options)).close()


def test_a_misspelt_key_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"no option 'acount_key'; az:// has account_host, account_key, "):
        open_source("far", spec("az", options={"acount_key": "CANARY"}))


def test_two_options_that_say_the_same_are_a_fault_of_the_job() -> None:
    # A bucket that s3fs alone reads, so that it is s3fs that looks at them.
    both = SourceSpec.model_validate(
        {"url": "s3://b--x-s3/*.txt", "options": {"key": "k", "username": "u", "secret": "s"}}
    )
    with pytest.raises(UsageError, match="does not take these options"):
        list(open_source("far", both).listing())


def test_a_made_up_source_takes_no_checksums() -> None:
    with pytest.raises(UsageError, match="synthetic:// takes no checksums"):
        open_source("far", spec("synthetic", checksums="SHA256SUMS"))
