"""How a bucket is asked over HTTP: its address, and requests signed with AWS Signature Version 4.

botocore says where the bucket answers (endpoint, region, addressing style: from the options, the environment
and its configuration files) and which credentials there are (its whole chain, session tokens included), and
it signs. Only method, address and `x-amz-*` fields are signed, so that one signature serves all ranges of an
object while it is fresh: S3 takes one for 15 minutes. (botocore would sign Range and If-Match as well, and is
not shown them.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from skyhaul_connectors.sources.fsspec.errors import translated
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.url import HttpUrl, Origin, parse_url
from skyhaul_schemas.errors import AccessRefused
from skyhaul_schemas.printable import printable

FRESH = 300.0
"""Seconds for which a signature, and the credentials behind it, are used again. A third of what S3 takes, for
clocks differ. botocore renews temporary keys 10 minutes before their end at the latest
(RefreshableCredentials), so that those in hand outlast it."""
_SIGNATURES_CAP = 4096
"""Signatures that are kept, one an object; all are dropped when they are too many."""
_PROBE = "k"
"""A key that stands for any: the presigned URL of it shows where botocore would ask. Nothing is sent for
it."""
_AMAZON = ".amazonaws.com"
"""Elsewhere a store has one endpoint, and a bucket's region is no address."""
_PATIENCE = {"connect_timeout": 10, "read_timeout": 10, "retries": {"max_attempts": 1}}
"""For the one question where a bucket is; ranges have deadlines of their own. One try: what fails here is
asked again by whoever needs the bucket."""
_REPLACED = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
"""Keys as arguments of botocore's client: in the order of ReadOnlyCredentials, and taken out for anonymous
access."""


@dataclass(frozen=True, slots=True)
class S3Options:
    """Those of s3fs's options that decide how a bucket is asked.

    Attributes:
        anonymous: Requests are not signed.
        requester_pays: Whoever asks pays for the traffic, and says so.
        profile: Of AWS's configuration files.
        client: Arguments of botocore's client; may hold keys.
        config: Arguments of botocore's Config.
    """

    anonymous: bool = False
    requester_pays: bool = False
    profile: str | None = None
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)


_UNDERSTOOD = frozenset(
    {
        "key", "username", "secret", "password", "token", "anon", "profile", "requester_pays", "endpoint_url",
        "use_ssl", "client_kwargs", "config_kwargs", "version_aware", "cache_regions", "max_concurrency",
        "default_block_size", "default_cache_type", "default_fill_cache",
    }
)  # fmt: skip
"""Options of s3fs that are ours too, or do not concern how bytes are asked for."""


def s3_options(options: Mapping[str, Any]) -> S3Options | None:
    """The options of s3fs as ours.

    None where one of them changes requests in a way that only s3fs knows (customer-provided keys, say).
    """
    if not options.keys() <= _UNDERSTOOD:
        return None
    # s3fs takes each of these by a name of its own, too; where both are given, that one counts here.
    client = dict(options.get("client_kwargs") or {})
    for name, keys in (
        ("aws_access_key_id", ("key", "username")),
        ("aws_secret_access_key", ("secret", "password")),
        ("aws_session_token", ("token",)),
        ("endpoint_url", ("endpoint_url",)),
        ("use_ssl", ("use_ssl",)),
    ):
        for key in keys:
            # As s3fs: of all these `client_kwargs` has the last word on `use_ssl` alone.
            if options.get(key) is not None and not (name == "use_ssl" and name in client):
                client[name] = options[key]
    return S3Options(
        anonymous=bool(options.get("anon", False)),
        requester_pays=bool(options.get("requester_pays", False)),
        profile=options.get("profile"),
        client=client,
        config=dict(options.get("config_kwargs") or {}),
    )


class S3Access:
    """One bucket's address and signatures.

    `renew` blocks, and is called in a thread before anything else; the rest is for loops, and asks nobody.
    """

    def __init__(self, source: str, bucket: str, options: S3Options) -> None:
        self._source = source
        self._bucket = bucket
        self._options = options
        self._lock = threading.Lock()
        self._session: Any = None
        self._root: HttpUrl | None = None
        self._region = ""
        self._credentials: Any = None
        # `time.monotonic`, since channels of several loops ask.
        self._until = 0.0
        self._signatures: dict[str, Mapping[str, str]] = {}

    @property
    def origin(self) -> Origin | None:
        """Where the bucket answers; None before `renew`."""
        return self._root.origin if self._root is not None else None

    @property
    def stale(self) -> bool:
        return self._root is None or time.monotonic() >= self._until

    def renew(self) -> None:
        """Find the bucket and fresh credentials. Blocks. Raises CarriageError."""
        # Channels notice at once that it is stale; the first one renews, the others find it done.
        with self._lock:
            if not self.stale:
                return
            with translated(f"{self._source}: bucket {self._bucket}"):
                credentials = self._current_credentials()
                if credentials is None and not self._options.anonymous:
                    raise AccessRefused(
                        f"{self._source}: no credentials for bucket {self._bucket}; set AWS_ACCESS_KEY_ID and"
                        " AWS_SECRET_ACCESS_KEY or a profile, or options: {anon: true} for a public bucket"
                    )
                if self._root is None:
                    self._find()
            # Signatures go with the keys that made them, and with the time that they state.
            self._credentials = credentials
            self._signatures = {}
            self._until = time.monotonic() + FRESH

    def url_of(self, key: str, version: str | None) -> HttpUrl:
        """Where the object `key` answers, at one version where `version` names it. Call `renew` first."""
        assert self._root is not None
        # The signature is over the path as Amazon encodes it: all but unreserved characters and slashes.
        # botocore signs an S3 path as it is given (S3SigV4Auth), `//` and `..` too: it must go out as it was
        # signed.
        path = self._root.path + quote(key, safe="/~")
        query = f"versionId={quote(version, safe='~')}" if version is not None else ""
        return replace(self._root, path=path, query=query)

    def signed(self, url: HttpUrl) -> Mapping[str, str]:
        """The fields that a GET of `url` carries. Call `renew` first."""
        known = self._signatures.get(url.target)
        if known is None:
            if len(self._signatures) >= _SIGNATURES_CAP:
                self._signatures.clear()
            known = self._signatures[url.target] = self._sign(url)
        return known

    def _sign(self, url: HttpUrl) -> Mapping[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        headers = {"x-amz-request-payer": "requester"} if self._options.requester_pays else {}
        if self._options.anonymous:
            return headers
        # Without Host: botocore signs the URL's as `Origin.authority` spells it, without a scheme's own port.
        request = AWSRequest("GET", url=f"{url.origin}{url.target}", headers=headers)
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        return dict(request.headers.items())

    def _find(self) -> None:
        client = self._client({})
        # At another region's endpoint Amazon redirects, or refuses the signature, which names a region.
        if client.meta.endpoint_url.endswith(_AMAZON):
            region = _region_of(client, self._bucket)
            if region and region != client.meta.region_name:
                client = self._client({"region_name": region})
        url = client.generate_presigned_url("get_object", Params={"Bucket": self._bucket, "Key": _PROBE})
        try:
            # The URL holds a signature, which `parse_url` does not repeat in its messages.
            found = parse_url(url)
        except ValueError as error:
            raise AccessRefused(f"{self._source}: the store's endpoint: {error}") from None
        self._region = client.meta.region_name or "us-east-1"
        self._root = HttpUrl(found.origin, found.path.removesuffix(_PROBE))

    def _client(self, more: Mapping[str, Any]) -> Any:
        from botocore import UNSIGNED
        from botocore.config import Config

        # By default presigned URLs may still be made by Version 2, and in another address style.
        config = {"signature_version": "s3v4", **_PATIENCE, **self._options.config}
        client = dict(self._options.client)
        if self._options.anonymous:
            config["signature_version"] = UNSIGNED
            client = {key: value for key, value in client.items() if key not in _REPLACED}
        try:
            return self._configured().create_client("s3", **{**client, **more, "config": Config(**config)})
        except (TypeError, ValueError) as error:
            raise AccessRefused(
                f"{self._source}: the S3 client does not take these options ({type(error).__name__});"
                " see endpoint_url, client_kwargs and config_kwargs of s3fs"
            ) from None

    def _configured(self) -> Any:
        """The profile's session of botocore, made once."""
        from botocore.exceptions import ProfileNotFound
        from botocore.session import Session

        if self._session is None:
            session = Session(profile=self._options.profile)
            try:
                # A session looks its profile up late; asked for here, the error names it.
                session.get_scoped_config()
            except ProfileNotFound:
                shown = printable(str(self._options.profile))
                raise AccessRefused(
                    f"{self._source}: no profile {shown!r} in the AWS configuration"
                ) from None
            self._session = session
        return self._session

    def _current_credentials(self) -> Any:
        """The credentials as they are now; None: there are none. botocore renews those that expire."""
        from botocore.credentials import ReadOnlyCredentials

        if self._options.anonymous:
            return None
        own = [self._options.client.get(name) for name in _REPLACED]
        if own[0] is not None:
            return ReadOnlyCredentials(*own)
        found = self._configured().get_credentials()
        # Frozen: key and token of one renewal; it may ask a metadata service, and blocks.
        return found.get_frozen_credentials() if found is not None else None


def _region_of(client: Any, bucket: str) -> str | None:
    """The bucket's region as Amazon states it; None where it states none.

    It does so also where it refuses (403) or leads elsewhere (301). Raises botocore's errors where nothing
    answers.
    """
    from botocore.exceptions import ClientError

    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
    region = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    return region if isinstance(region, str) else None


@dataclass(frozen=True, slots=True)
class SignedOptions(HttpOptions):
    """Options of an HTTP source whose requests to the bucket are signed, and to nowhere else.

    Attributes:
        access: The bucket's; None: nothing is signed.
    """

    access: S3Access | None = field(default=None, repr=False)

    def headers_of(self, url: HttpUrl, own: bool) -> Mapping[str, str]:
        return self.access.signed(url) if own and self.access is not None else {}
