"""What a URL or an index page spells is what the server is asked for; the name stays decoded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from faults.spelled_http import Page, SpelledServer
from skyhaul_connectors.sources.opening import PLAIN, open_source, selection
from skyhaul_connectors.sources.protocol import Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import MalformedAnswer, ObjectMissing, UsageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject
from sources.recording import fetch

QUICK = Timeouts(connect=5.0, idle=0.5, total=5.0)


def hauled(urls: str | dict[str, str], route: Route = PLAIN) -> dict[str, bytes]:
    """Name -> the bytes that ranges bring."""
    source = open_source("s", SourceSpec(url=urls if isinstance(urls, dict) else [urls]), timeouts=QUICK)  # type: ignore[arg-type]  # a field of a SourceSpec
    try:
        objects = list(source.listing())
        assert len({obj.path for obj in objects}) == len(objects)
        outcomes, _ = asyncio.run(fetch(source, [(obj, 0, obj.size) for obj in objects], route=route))
        return {obj.path: outcome.whole for obj, outcome in zip(objects, outcomes, strict=True)}
    finally:
        source.close()


@pytest.mark.parametrize(
    ("target", "name", "other"),
    [
        ("/d/r%5B1%5D.jsonl", "r[1].jsonl", "/d/r1.jsonl"),
        ("/d/r%5b1%5d.jsonl", "r[1].jsonl", "/d/r%5B1%5D.jsonl"),
        ("/d/why%3F.jsonl", "why?.jsonl", "/d/whyX.jsonl"),
        ("/d/a%2Ab.jsonl", "a*b.jsonl", "/d/aXb.jsonl"),
        ("/d/%2A%2A", "**", "/d/x"),
        ("/b/a%2Bb.jsonl", "a+b.jsonl", "/b/a+b.jsonl"),
        ("/b/a+b.jsonl", "a+b.jsonl", "/b/a%2Bb.jsonl"),
        ("/api/group%2Fproject.jsonl", "group%2Fproject.jsonl", "/api/group/project.jsonl"),
        ("/api/group%2fproject/x.jsonl", "x.jsonl", "/api/group/project/x.jsonl"),
        ("/d//a.jsonl", "a.jsonl", "/d/a.jsonl"),
        ("//a.jsonl", "a.jsonl", "/a.jsonl"),
        ("/d/a%2ejsonl", "a.jsonl", "/d/a.jsonl"),
        ("/d/%7Ex/a%2Dz", "a-z", "/d/~x/a-z"),
        ("/d/caf%c3%a9.jsonl", "café.jsonl", "/d/caf%C3%A9.jsonl"),
        ("/d/a;v=1,2.jsonl", "a;v=1,2.jsonl", "/d/a%3Bv%3D1%2C2.jsonl"),
        ("/d/a%3Bv%3D1%2C2.jsonl", "a;v=1,2.jsonl", "/d/a;v=1,2.jsonl"),
        ("/d/a&b'(c)!$@:.jsonl", "a&b'(c)!$@:.jsonl", "/d/x"),
        ('/d/a{b}|c^"<d>`\\.jsonl', 'a{b}|c^"<d>`\\.jsonl', "/d/x"),
        ("/d/100%.jsonl", "100%.jsonl", "/d/100%25.jsonl"),
        ("/d/100%25.jsonl", "100%.jsonl", "/d/100%.jsonl"),
        ("/d/a%252Fb.jsonl", "a%2Fb.jsonl", "/d/a%2Fb.jsonl"),
        ("/d/a..", "a..", "/d/a"),
        ("/d/x./a.", "a.", "/d/x/a."),
        ("/d/%2e/a", "a", "/d/a"),
        ("/d/./a", "a", "/d/a"),
    ],
)
def test_an_exact_url_is_asked_for_as_it_was_written(target: str, name: str, other: str) -> None:
    objects = {target: b"the named object", other: b"another object!"}
    with SpelledServer(objects) as server:
        assert hauled(server.url + target) == {name: b"the named object"}
        assert {asked for _, asked in server.log} == {target}


def test_what_cannot_stand_in_a_request_is_encoded() -> None:
    with SpelledServer({"/d/a%20%C3%BC.jsonl": b"x"}) as server:
        assert hauled(f"{server.url}/d/a ü.jsonl") == {"a ü.jsonl": b"x"}


@pytest.mark.parametrize("query", ["?", "?a[]=1&b={2}|%7e", "?q=%2F%2f+", "?x?y/z"])
def test_a_query_is_sent_as_it_was_written(query: str) -> None:
    objects = {f"/d/a.jsonl{query}": b"with", "/d/a.jsonl": b"without"}
    with SpelledServer(objects) as server:
        assert hauled(f"{server.url}/d/a.jsonl{query}") == {"d/a.jsonl": b"with"}


def test_a_fragment_is_refused_since_no_server_is_told_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="%23"):
        open_source("s", SourceSpec(url=["http://h.example/d/a#1.jsonl"]))
    path = tmp_path / "list.jsonl"
    path.write_text('{"url": "http://h.example/d/a#1.jsonl"}\n')
    with pytest.raises(UsageError, match=r"line 1: .*%23"):
        list(open_source("s", SourceSpec(url={"list": str(path)})).listing())  # type: ignore[arg-type]


def test_a_list_is_asked_for_as_it_was_written(tmp_path: Path) -> None:
    objects = {"/b/a%2Bb": b"1", "/b/g%2fp/x[1]": b"2", "/b//y": b"3"}
    path = tmp_path / "list.csv"
    with SpelledServer(objects) as server:
        rows = [f"{server.url}{target},{name}" for target, name in zip(objects, "abc", strict=True)]
        path.write_text("\n".join(["url,path", *rows]))
        assert hauled({"list": str(path)}) == {"a": b"1", "b": b"2", "c": b"3"}


LINKS = {
    "a%2Bb.jsonl": "a+b.jsonl",
    "g%2fp.jsonl": "g%2Fp.jsonl",
    "r%5B1%5D.jsonl": "r[1].jsonl",
    "s[1].jsonl": "s[1].jsonl",
    "%e2%9c%93.jsonl": "✓.jsonl",
    "q%3f.jsonl": "q?.jsonl",
    "t%2a.jsonl": "t*.jsonl",
    "100%.jsonl": "100%.jsonl",
    "x;y,z=1.jsonl": "x;y,z=1.jsonl",
    "%41.jsonl": "A.jsonl",
}


@pytest.mark.parametrize("prefix", ["", "./", "/d/", "//{host}/d/", "http://{host}/d/"])
def test_a_link_is_asked_for_as_the_page_spells_it(prefix: str) -> None:
    with SpelledServer({f"/d/{link}": link.encode() for link in LINKS}) as server:
        start = prefix.format(host=server.url.removeprefix("http://"))
        server.pages["/d/"] = "".join(f'<a href="{start}{link}">x</a>\n' for link in LINKS)
        wanted = {name: link.encode() for link, name in LINKS.items()}
        assert hauled(f"{server.url}/d/*.jsonl") == wanted
        assert {asked for method, asked in server.log if method == "HEAD"} == {f"/d/{x}" for x in LINKS}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("r%5B1%5D*", {"r[1].jsonl"}),
        ("?%5B1%5D.jsonl", None),
        ("[rs]%5B1]*", {"r[1].jsonl", "s[1].jsonl"}),
        ("t%2A*", {"t*.jsonl"}),
        ("*%3F*", {"q?.jsonl"}),
        ("g%2F*", {"g%2Fp.jsonl"}),
        ("a%2B*", {"a+b.jsonl"}),
        ("%E2%9C%93*", {"✓.jsonl"}),
        ("[%41-%42]*", {"A.jsonl"}),
        ("100%25*", {"100%.jsonl"}),
    ],
)
def test_globs_and_encoded_characters_mix(pattern: str, names: set[str] | None) -> None:
    with SpelledServer({f"/d/{link}": link.encode() for link in LINKS}) as server:
        server.pages["/d/"] = "".join(f'<a href="{link}">x</a>\n' for link in LINKS)
        if names is None:  # an unescaped ? begins the query
            with pytest.raises((UsageError, ObjectMissing)):
                hauled(f"{server.url}/d/{pattern}")
        else:
            assert set(hauled(f"{server.url}/d/{pattern}")) == names


def test_folders_are_asked_for_as_pages_spell_them_too() -> None:
    objects = {"/d/x%282024%29/g%2Fp/a.jsonl": b"in", "/d/x(2024)/g%2Fp/a.jsonl": b"other"}
    pages = {
        "/d/": '<a href="/d/x%282024%29/">x</a>',
        "/d/x%282024%29/": '<a href="/%64/x(2024)/g%2Fp/">another spelling of this folder</a>',
        "/d/x%282024%29/g%2Fp/": '<a href="a.jsonl">a</a>',
    }
    with SpelledServer(objects, pages) as server:
        assert hauled(f"{server.url}/d/**/*.jsonl") == {"x(2024)/g%2Fp/a.jsonl": b"in"}


def test_the_spelling_holds_below_another_base_url_too() -> None:
    objects = {"/d/a%2Bb": b"here", "/d/g%2fp/c[1]": b"here"}
    pages = {"/d/": '<a href="a%2Bb">1</a><a href="g%2fp/c[1]">2</a>'}
    mirror = {"/m//a%2Bb": b"here", "/m//g%2fp/c[1]": b"here"}
    with SpelledServer(objects, pages) as server, SpelledServer(mirror) as other:
        got = hauled(f"{server.url}/d/**", Route(base_url=f"{other.url}/m//"))
        assert got == {"a+b": b"here", "g%2Fp/c[1]": b"here"}
        assert {asked for _, asked in other.log} == set(mirror)


@pytest.mark.parametrize(
    ("path", "asked"), [("", "b/a%2Bb%7e"), ("b/a+b~", "b/a%2Bb%7e"), ("x/p+q", "x/p+q")]
)
def test_a_listed_url_is_spelled_alike_below_another_base_url(tmp_path: Path, path: str, asked: str) -> None:
    rows = tmp_path / "list.csv"
    with (
        SpelledServer({"/b/a%2Bb%7e?token=1": b"x"}) as server,
        SpelledServer({f"/m/{asked}": b"x"}) as other,
    ):
        rows.write_text(f"url,path\n{server.url}/b/a%2Bb%7e?token=1,{path}\n")
        assert hauled({"list": str(rows)}, Route(base_url=f"{other.url}/m/")) == {path or "b/a+b~": b"x"}


def test_a_plan_without_spellings_asks_as_before() -> None:
    with SpelledServer({"/d/a+b%20(c).jsonl": b"x"}) as server:
        source = open_source("s", SourceSpec(url=[f"{server.url}/d/a%2Bb%20%28c%29.jsonl"]), timeouts=QUICK)
        assert source.read_now(PinnedObject("s", "a+b (c).jsonl", 1, ""), 0, 1) == b"x"
        source.close()


@pytest.mark.parametrize(
    "locator",
    ["./a HTTP/1.1\r\nHost: x", "./../a", "./b/..", "./a?x", "./a#x", "./", "./a//b", "./ü", "./a\n", "./."],
)
def test_a_locator_that_leads_elsewhere_is_refused(locator: str) -> None:
    with SpelledServer() as server:
        source = open_source("s", SourceSpec(url=[f"{server.url}/d/*"]), timeouts=QUICK)
        with pytest.raises(ObjectMissing, match="locator"):
            source.read_now(PinnedObject("s", "a", 1, "", locator=locator), 0, 1)
        source.close()
        assert not server.log


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        (["http://h/d/part%203.jsonl"], ["part 3.jsonl"]),
        (["http://h/d/caf%C3%A9/*.jsonl"], ["*.jsonl"]),
        (["http://h/d/a+b.jsonl"], ["a+b.jsonl"]),
        (["http://h/d/a%2Bb.jsonl"], ["a+b.jsonl"]),
        (["http://h/d/"], ["**"]),
        (["http://h"], ["**"]),
        (["http://h/d/x/a.gz", "http://h/d/y/*.gz"], ["x/a.gz", "y/*.gz"]),
        (["http://h/d/r[1].jsonl"], ["r[1].jsonl"]),
        (["http://h/d/r%5B1%5D.jsonl"], ["r%5B1].jsonl"]),
        (["http://h/d/100%25.jsonl"], ["100%.jsonl"]),
        (["http://h/d/a%252Fb"], ["a%252Fb"]),
        (["http://h/d/a%2fb"], ["a%2Fb"]),
        (["http://h/d/a%2Ab*"], ["a%2Ab*"]),
    ],
)
def test_a_plan_keeps_patterns_decoded_where_that_leaves_no_doubt(urls: list[str], shown: list[str]) -> None:
    assert selection(SourceSpec(url=urls)) == shown


@pytest.mark.parametrize(
    "urls",
    [
        ["http://h/d/a%2Bb", "http://h/d/a+b"],
        ["http://h/d//a", "http://h/d/b"],
        ["http://h/d/../a", "http://h/d/b"],
    ],
)
def test_urls_of_one_source_with_one_name_or_none_are_refused(urls: list[str]) -> None:
    with pytest.raises(UsageError, match="path"):
        open_source("s", SourceSpec(url=urls))


def test_two_spellings_of_one_name_are_taken_once_or_refused() -> None:
    with SpelledServer({"/d/%7Ea": b"x"}, {"/d/": '<a href="%7Ea">1</a><a href="~a">1</a>'}) as server:
        assert hauled(f"{server.url}/d/*") == {"~a": b"x"}, "the same by RFC 3986, section 6.2.2"
        server.pages["/d/"] = '<a href="a%2Bb">1</a><a href="a+b">2</a>'
        server.objects |= {"/d/a%2Bb": b"1", "/d/a+b": b"2"}
        with pytest.raises(MalformedAnswer, match=r"two links .* 'a\+b'"):
            hauled(f"{server.url}/d/*")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("//127.0.0.1:{port}//b%2Bc//x[1]?q={{}}", "//b%2Bc//x[1]?q={}"),
        ("../e//%2f/caf\xc3\xa9", "/e//%2f/caf%C3%A9"),
        ("?page=%7e", "/d/a?page=%7e"),
    ],
)
def test_a_redirect_leads_where_the_server_spells_it(location: str, target: str) -> None:
    with SpelledServer({target: b"moved"}) as server:
        where = location.format(port=server.url.rpartition(":")[2])
        for method in ("HEAD", "GET"):
            server.odd[method, "/d/a"] = Page("", status=302, headers={"Location": where})
        source = open_source("s", SourceSpec(url=[f"{server.url}/d/a"]), timeouts=QUICK)
        (obj,) = source.listing()
        assert source.read_now(obj, 0, 5) == b"moved"
        source.close()


def test_a_folder_named_as_an_object_is_refused() -> None:
    with SpelledServer({}, {"/d/sub/": "<a href=x>x</a>", "/d/": '<a href="sub">sub</a>'}) as server:
        for method in ("HEAD", "GET"):
            server.odd[method, "/d/sub"] = Page("", status=301, headers={"Location": "/d/sub/"})
        for pattern in ("sub", "**"):
            with pytest.raises(ObjectMissing, match=r"a folder; write .*/\*\*"):
                hauled(f"{server.url}/d/{pattern}")
