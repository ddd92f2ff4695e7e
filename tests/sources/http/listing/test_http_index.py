"""Index pages as servers write them, and all that a page may name: taken, told or refused."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.spelled_http import Page, SpelledServer
from skyhaul_connectors.sources.http.listing.autoindex import (
    ELSEWHERE,
    NO_FILE,
    OTHER_SCHEME,
    QUERY,
    UNREADABLE,
    read_index,
)
from skyhaul_connectors.sources.http.listing.crawl import NOTHING
from skyhaul_connectors.sources.left_out import HIDDEN, LeftOut
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import parse_url
from skyhaul_schemas.errors import ConnectionLost, MalformedAnswer
from skyhaul_schemas.job.model import SourceSpec

QUICK = Timeouts(connect=5.0, idle=0.5, total=5.0)
URL = parse_url("http://h.example/d/")

APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN"><html><head><title>Index of /d</title>
</head><body><h1>Index of /d</h1><table><tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th>
<th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th>
<th><a href="?C=S;O=A">Size</a></th></tr><tr><th colspan="5"><hr></th></tr>
<tr><td valign="top"><img src="/icons/back.gif"></td><td><a href="/">Parent Directory</a></td></tr>
<tr><td><img src="/icons/folder.gif"></td><td><a href="sub/">sub/</a></td><td>2024-01-01 00:00</td></tr>
<tr><td><a href="a%20b&amp;c.txt"><img src="/icons/text.gif"></a></td>
<td><a href="a%20b&amp;c.txt">a b&amp;c.txt</a></td></tr></table>
<address>Apache/2.4.58 (Ubuntu) Server at h.example Port 80</address></body></html>"""
NGINX = """<html>\r
<head><title>Index of /d/</title></head>\r
<body>\r
<h1>Index of /d/</h1><hr><pre><a href="../">../</a>\r
<a href="sub/">sub/</a>                                   01-Jan-2024 00:00                   -\r
<a href="a%20b%26c.txt">a b&amp;c.txt</a>                           01-Jan-2024 00:00                   4\r
</pre><hr></body>\r
</html>\r
"""
LIGHTTPD = """<!DOCTYPE html>
<html><head><title>Index of /d/</title></head><body><h2>Index of /d/</h2><div class="list"><table><tbody>
<tr class="d"><td class="n"><a href="../">..</a>/</td><td class="m">&nbsp;</td></tr>
<tr class="d"><td class="n"><a href="sub/">sub</a>/</td><td class="m">2024-Jan-01</td></tr>
<tr><td class="n"><a href="a%20b%26c.txt">a b&amp;c.txt</a></td><td class="t">text/plain</td></tr>
</tbody></table></div><div class="foot">lighttpd/1.4.76</div></body></html>"""
CADDY = """<!DOCTYPE html><html><head><link rel="canonical" href="/d/" /><title>d</title></head><body>
<header><h1><a href="../">/</a><a href="">d</a></h1></header>
<a href="./?layout=list&sort=name&order=asc">List</a><a href="./?sort=namedirfirst&order=desc">Name</a>
<table><tr class="file"><td></td><td><a href="./sub/"><svg></svg><span class="name">sub/</span></a></td></tr>
<tr class="file"><td><a href="./a%20b&amp;c.txt"><span class="name">a b&amp;c.txt</span></a></td></tr></table>
<footer>Served with <a rel="noopener noreferrer" href="https://caddyserver.com"><svg></svg></a></footer>
</body></html>"""
ARTIFACTORY = """<html><head><meta name="robots" content="noindex" />
<title>Index of generic-local/d</title></head><body><h1>Index of generic-local/d</h1>
<pre>Name     Last modified      Size</pre><hr/><pre><a href="../">../</a>
<a href="sub/">sub/</a>   01-Jan-2024 00:00    -
<a href="a%20b&amp;c.txt">a b&amp;c.txt</a>  01-Jan-2024 00:00  4 bytes
</pre><hr/><address style="font-size:small;">Artifactory Server</address></body></html>"""
NEXUS = """<html lang="en"><head><title>Index of /d</title><link rel="icon" href="http://h.example/favicon.ico"/>
</head><body class="htmlIndex"><h1>Index of /d</h1><table cellspacing="10">
<tr><td><a href="../">Parent Directory</a></td></tr><tr><td><a href="sub/">sub</a></td><td>&nbsp;</td></tr>
<tr><td><a href="http://h.example/d/a%20b&amp;c.txt">a b&amp;c.txt</a></td></tr></table></body></html>"""
BARE = """<UL><LI><A HREF=sub/>sub</A><LI><A HREF='/d/a
\t b&amp;c.txt'>a b&c.txt</A></UL>"""


@pytest.mark.parametrize("page", [APACHE, NGINX, LIGHTTPD, CADDY, ARTIFACTORY, NEXUS, BARE])
def test_a_page_of_each_server_names_its_children_and_nothing_else(page: str) -> None:
    found = read_index(URL, "text/html", page.encode(), "here")
    assert [(e.name, e.is_folder) for e in found.entries] == [("sub", True), ("a b&c.txt", False)]
    assert found.passed == []
    assert found.next_pages == []
    assert not found.foreign


@pytest.mark.parametrize(
    ("link", "name", "spelling", "is_folder"),
    [
        ('href="a b"', "a b", "a%20b", False),
        ('href=" a\tb\n "', "ab", "ab", False),
        ('href="a&amp;b&copy=1&#x2B;"', "a&b&copy=1+", "a&b&copy=1+", False),
        ('href="&#252;"', "ü", "%C3%BC", False),
        ("HREF=./x?", None, None, None),
        ("HREF=./x", "x", "x", False),
        ('href="x#frag"', "x", "x", False),
        ('href="x/./y/../z"', "x/z", "x/z", False),
        ('href="../d/x"', "x", "x", False),
        ('href="x/y/"', "x/y", "x/y", True),
        ('href="x\\y"', "x/y", "x/y", False),
        ('href="/%64/x"', "x", "x", False),
        ('href="/d/%7e"', "~", "%7e", False),
        ('href="//other.example/d/x"', "x", "x", False),
        ('href="https://h.example/d/x"', "x", "x", False),
        ('href="http://u:p@h.example:8080/d/x"', "x", "x", False),
        ('href="./a:b"', "a:b", "a:b", False),
        ('href="d/"', "d", "d", True),
        ('href="log"', "log", "log", False),
        ('href="log/"', "log", "log", True),
    ],
)
def test_a_link_is_read_as_browsers_read_it(
    link: str, name: str | None, spelling: str | None, is_folder: bool | None
) -> None:
    found = read_index(URL, "text/html; charset=UTF-8", f"<a {link}>x</a>".encode(), "here")
    if name is None:
        assert found.entries == []
        assert [passed.reason for passed in found.passed] == [QUERY]
    else:
        assert [(e.name, e.spelling, e.is_folder) for e in found.entries] == [(name, spelling, is_folder)]


def test_a_link_that_shows_a_folder_is_one() -> None:
    found = read_index(URL, "text/html", b'<a href="sub">sub/</a><a href="a">b/c</a>', "here")
    assert [(e.name, e.is_folder) for e in found.entries] == [("sub", True), ("a", False)]


@pytest.mark.parametrize(
    ("base", "names"),
    [
        ("files/", ["files/a"]),
        ("/d/x/y", ["x/a"]),
        ("http://other.example/d/", ["a"]),
        ("/", []),
        ("javascript:x", ["a"]),
        ("http://[", ["a"]),
    ],
)
def test_a_base_address_moves_all_links(base: str, names: list[str]) -> None:
    page = f'<base target=x><base href="{base}"><base href="/no/"><a href="a">a</a>'
    found = read_index(URL, "text/html", page.encode(), "here")
    assert [e.name for e in found.entries] == names
    assert [p.reason for p in found.passed] == ([] if names else [ELSEWHERE])


@pytest.mark.parametrize(
    ("href", "name", "reason"),
    [
        ("/other/x.txt", "x.txt", ELSEWHERE),
        ("https://cdn.example/bucket/x.txt", "x.txt", ELSEWHERE),
        ("../x.txt", "x.txt", ELSEWHERE),
        ("/dd/x.txt", "x.txt", ELSEWHERE),
        ("x.txt?download=1", "x.txt", QUERY),
        ("ftp://h.example/d/x.txt", "x.txt", OTHER_SCHEME),
        ("part:x.txt", "part:x.txt", OTHER_SCHEME),
        ("http://h.example:99999/d/x.txt", "x.txt", UNREADABLE),
        ("?dir=sub", "?dir", QUERY),
    ],
)
def test_a_link_that_is_no_child_is_passed_over_with_its_reason(href: str, name: str, reason: str) -> None:
    found = read_index(URL, "text/html", f'<a href="{href}">x</a>'.encode(), "here")
    assert found.entries == []
    assert [(passed.name, passed.reason) for passed in found.passed] == [(name, reason)]


def test_a_child_that_is_also_linked_with_a_query_is_not_left_out() -> None:
    page = b'<a href="x">x</a><a href="x?raw=1">raw</a>'
    assert read_index(URL, "text/html", page, "here").passed == []


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("<a href='é'>".encode("latin-1"), "text/html"),
        ("<a href='é'>".encode(), "text/html; charset=iso-8859-1"),
        ("<meta charset=windows-1251><a href='é'>".encode(), "text/html"),
        ("<a href=x>".encode("utf-16"), "text/html"),
        ("<a href=x>".encode("utf-16-le"), "text/html"),
        (b"<a href=x>", "text/plain"),
        (b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>", "application/xml"),
    ],
)
def test_a_page_whose_links_cannot_be_told_is_refused(page: bytes, kind: str) -> None:
    with pytest.raises(MalformedAnswer, match="here: "):
        read_index(URL, kind, page, "here")


def test_text_that_is_no_utf_8_does_not_matter_where_links_are_ascii() -> None:
    page = "<a href='%C3%A9'>é</a>".encode("latin-1")
    assert [e.name for e in read_index(URL, "text/html; charset=iso-8859-1", page, "x").entries] == ["é"]


def test_a_json_entry_that_is_neither_file_nor_folder_is_told() -> None:
    page = b'[{"name": "a+b (1)", "type": "file"}, {"name": "s", "type": "other"}]'
    found = read_index(URL, "application/json", page, "here")
    assert [(e.name, e.spelling) for e in found.entries] == [("a+b (1)", "a+b%20(1)")]
    assert [(p.name, p.reason) for p in found.passed] == [("s", NO_FILE)]


@pytest.mark.parametrize(
    "page",
    [
        '<a rel="next" href="?page=2">more</a>',
        '<link rel="prefetch NEXT" href="/d/?page=2">',
        '<a href="?page=2">2</a>',
        '<a href="http://canonical.example/d/?page=2">2</a>',
        '<a rel=next href="?x=page=2&page=2"></a>'.replace("x=page=2&", ""),
    ],
)
def test_a_next_page_is_found(page: str) -> None:
    found = read_index(URL, "text/html", page.encode(), "here")
    assert [target.query for target in found.next_pages] == ["page=2"]


@pytest.mark.parametrize(
    ("header", "query"),
    [
        ('<?page=2>; rel="next"', ["page=2"]),
        ("<http://h.example/d/?a=1,2;b>;rel=next", ["a=1,2;b"]),
        ('</d/?p=1>; rel="prev", </d/?p=3>; title="a, b; c"; rel="last next"', ["p=3"]),
        ("</style.css>; rel=preload; as=style", []),
    ],
)
def test_a_link_header_is_followed(header: str, query: list[str]) -> None:
    for kind, page in (("text/html", b"<p>"), ("application/json", b"[]")):
        found = read_index(URL, kind, page, "here", link=header)
        assert [target.query for target in found.next_pages] == query


@pytest.mark.parametrize("target", ["page2.html", "/other/?page=2", "../?page=2", "page/2/", "mailto:x"])
def test_a_next_page_that_is_not_of_the_folder_is_refused(target: str) -> None:
    with pytest.raises(MalformedAnswer, match="goes on at a page"):
        read_index(URL, "text/html", b"<p>", "here", link=f"<{target}>; rel=next")
    if target != "mailto:x":
        page = f'<a rel=next href="{target}">next</a>'
        with pytest.raises(MalformedAnswer, match="goes on at a page"):
            read_index(URL, "text/html", page.encode(), "here")


# Whole listings


def listed(server: SpelledServer | str, pattern: str) -> tuple[list[str], dict[str, int]]:
    url = server if isinstance(server, str) else server.url
    source = open_source("s", SourceSpec(url=[url + pattern]), timeouts=QUICK)
    left_out = LeftOut()
    try:
        return sorted(obj.path for obj in source.listing(left_out)), left_out.counts()
    finally:
        source.close()


def test_pages_are_followed_to_the_last() -> None:
    pages: dict[str, Page | str] = {
        "/d/": '<a href="a">a</a><a href="?page=2" rel=next>next</a>',
        "/d/?page=2": Page(
            '<a href="b">b</a><a href="a">a</a>', headers={"Link": '<?page=3&q=[%5B]>; rel="next"'}
        ),
        "/d/?page=3&q=[%5B]": '<a href="c">c</a><a href="?page=4">4</a><a href="?page=1">1</a>',
        "/d/?page=4": '<a href="d/">d</a>',
        "/d/?page=1": '<a href="a">a</a>',
        "/d/d/": '<a href="e">e</a>',
    }
    with SpelledServer({f"/d/{name}": b"x" for name in ("a", "b", "c", "d/e")}, pages) as server:
        assert listed(server, "/d/**") == (["a", "b", "c", "d/e"], {})


def test_pages_that_never_end_are_found_out() -> None:
    with SpelledServer({"/d/a": b"x"}) as server:
        server.pages |= {f"/d/?page={i}": f'<a href=a></a><a href="?page={i + 1}"></a>' for i in range(100)}
        server.pages["/d/"] = server.pages["/d/?page=0"]
        with pytest.raises(MalformedAnswer, match="goes on and on"):
            listed(server, "/d/*")


def test_what_would_be_selected_and_is_no_child_is_counted() -> None:
    page = (
        '<a href="a.txt">a</a><a href="/e/b.txt">b</a><a href="/e/b.bin">b</a><a href="c.txt?v=1">c</a>'
        '<a href="ftp://h/d.txt">d</a><a href="/elsewhere/sub/">s</a><a href="https://h.example/">h</a>'
        '<a href="?dir=x">x</a><a href="javascript:b.txt">b</a>'
    )
    with SpelledServer({"/d/a.txt": b"x"}, {"/d/": page}) as server:
        told = {ELSEWHERE: 1, QUERY: 2, OTHER_SCHEME: 1}
        assert listed(server, "/d/*.txt") == (["a.txt"], told)
        assert listed(server, "/d/**/*.txt") == (["a.txt"], {**told, ELSEWHERE: 2}), "a folder is one too"


def test_a_query_that_names_a_file_is_counted_once_for_each_name() -> None:
    page = (
        '<a href="a.txt">a</a><a href="/get.php?f=b.txt">b</a><a href="?f=x/c.txt&amp;v=1">c</a>'
        '<a href="?f=c.txt">c</a><a href="?C=N;O=D">Name</a><a href="/get.php?f=d.bin">d</a>'
        '<a href="?f=a.txt">a</a>'
    )
    with SpelledServer({"/d/a.txt": b"x"}, {"/d/": page}) as server:
        assert listed(server, "/d/*.txt") == (["a.txt"], {QUERY: 2})


def test_a_page_that_goes_on_after_a_name_is_followed() -> None:
    pages = {"/d/": '<a href="a">a</a><a href="?after=a">more</a>', "/d/?after=a": '<a href="b">b</a>'}
    with SpelledServer({"/d/a": b"x", "/d/b": b"x"}, pages) as server:
        assert listed(server, "/d/*") == (["a", "b"], {})


def test_a_hidden_name_is_counted_where_only_its_dot_keeps_it_out() -> None:
    page = (
        '<a href=".a.txt">a</a><a href="/d/.a.txt">a</a><a href=".a.bin">a</a><a href=".git/">g</a>'
        '<a href="s/.t/u.txt">u</a><a href="b.txt">b</a>'
    )
    with SpelledServer({"/d/b.txt": b"x"}, {"/d/": page}) as server:
        assert listed(server, "/d/*.txt") == (["b.txt"], {HIDDEN: 1})
        assert listed(server, "/d/**/*.txt") == (["b.txt"], {HIDDEN: 3})
    server = SpelledServer({"/d/.a.txt": b"x", "/d/b.txt": b"x"}, {"/d/": page})
    with server:
        assert listed(server, "/d/.*.txt") == ([".a.txt"], {}), "a pattern with a dot takes it"


def test_an_empty_folder_is_asked_for_again_and_told() -> None:
    pages = {"/d/": '<a href="a">a</a><a href="s/">s</a>', "/d/s/": '<a href="../">..</a>'}
    with SpelledServer({"/d/a": b"x"}, pages) as server:
        assert listed(server, "/d/**") == (["a"], {NOTHING: 1})
        assert server.log.count(("GET", "/d/s/")) == 2
        assert server.log.count(("GET", "/d/")) == 1


@pytest.mark.parametrize("page", ["", '<html><body><a href="a">a</a>'])
def test_a_page_that_was_cut_short_is_no_listing(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyhaul_connectors.sources.catalogue.blocking._PAUSE_CAP", 0.01)
    with SpelledServer({"/d/a": b"x"}, {"/d/": Page(page, headers={"Content-Length": ""})}) as server:
        with pytest.raises(ConnectionLost, match="index page"):
            listed(server, "/d/*")
        server.pages["/d/"] = ""
        with pytest.raises(MalformedAnswer, match="without a byte"):
            listed(server, "/d/*")
        server.pages["/d/"] = Page('<html><a href="a">a</a></HTML>', headers={"Content-Length": ""})
        assert listed(server, "/d/*") == (["a"], {})


def test_another_server_is_never_asked_and_its_name_is_told(caplog: pytest.LogCaptureFixture) -> None:
    page = '<a href="https://canonical.invalid/d/a">a</a><a href="https://canonical.invalid/d/s/">s</a>'
    with SpelledServer({"/d/a": b"x", "/d/s/b": b"x"}, {"/d/": page, "/d/s/": "<a href=b>b</a>"}) as server:
        assert listed(server, "/d/**") == (["a", "s/b"], {})
        assert [r.getMessage() for r in caplog.records] == [
            "source s: index pages name its objects at https://canonical.invalid; they are asked for at"
            f" {server.url}"
        ]


def test_a_page_behind_a_redirect_may_spell_its_folder_either_way() -> None:
    page = '<a href="/v2/a">a</a><a href="/latest/b">b</a><a href="c">c</a><a href="index.html?page=2">2</a>'
    objects = {f"/latest/{name}": b"x" for name in "abcd"}
    with SpelledServer(objects, {"/v2/index.html": page, "/latest/?page=2": '<a href="d">d</a>'}) as server:
        server.odd["GET", "/latest/"] = Page("", status=302, headers={"Location": "/v2/index.html"})
        assert listed(server, "/latest/*") == (["a", "b", "c", "d"], {})


@contextmanager
def python_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *args: None  # type: ignore[attr-defined,method-assign]  # quiet
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_every_file_that_pythons_own_server_lists_is_found(tmp_path: Path) -> None:
    names = {
        "a b.txt", "a+b.txt", "a%2Bb.txt", "r[1].txt", "q?.txt", "s*.txt", "h#1.txt", "x;y=1,2.txt", "ü.txt",
        "a&amp;b.txt", "<tag>\"'.txt", "c:d.txt", "100%.txt", "log", "d/log/x.txt", "d/log.txt",
        "e (1)/~.txt",         "back\\slash.txt", "t./u..txt", "日本/語.txt", "empty.txt",
    }  # fmt: skip
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty.txt" else name.encode())
    (tmp_path / "nothing").mkdir()
    with python_server(tmp_path) as url:
        source = open_source("s", SourceSpec(url=[f"{url}/**"]), timeouts=QUICK)
        left_out = LeftOut()
        found = {obj.path: obj for obj in source.listing(left_out)}
        assert set(found) == names
        assert left_out.counts() == {NOTHING: 1}
        assert left_out.names() == {NOTHING: ["nothing/"]}
        assert {name: obj.size for name, obj in found.items()} == {
            name: 0 if name == "empty.txt" else len(name.encode()) for name in names
        }
        source.close()
