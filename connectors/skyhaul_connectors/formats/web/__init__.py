"""Web archives, HTML, and what HTTP says of a body."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _html() -> Implementation:
    from skyhaul_connectors.formats.web.html import HtmlDecoder, HtmlOptions

    return Implementation(HtmlOptions, HtmlDecoder)


def _warc() -> Implementation:
    from skyhaul_connectors.formats.web.warc import WarcDecoder, WarcOptions

    return Implementation(WarcOptions, WarcDecoder)


HTML = Format(
    name="html",
    about="the text of a page",
    schemas=("document", "own"),
    suffixes=(".html", ".htm", ".xhtml"),
    load=_html,
)

WARC = Format(
    name="warc",
    about="web archives: WARC, WET and ARC",
    schemas=("document", "own"),
    suffixes=(".warc", ".wet", ".arc", ".warc.wet"),
    load=_warc,
)
