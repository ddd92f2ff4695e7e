"""Globs against an obvious reference: try every way to lay `**` over a path's folders."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.sources.catalogue.globs import Selection, below, common_root, split_root


def slowly(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path) and not any(part.startswith(".") for part in path)
        return slowly(pattern[1:], path) or (
            len(path) > 1 and not path[0].startswith(".") and slowly(pattern, path[1:])
        )
    if not path or (len(pattern) == 1) != (len(path) == 1):
        return False
    hidden = path[0].startswith(".") and not pattern[0].startswith(".") and pattern[0] != path[0]
    return not hidden and fnmatch.fnmatchcase(path[0], pattern[0]) and slowly(pattern[1:], path[1:])


PARTS = st.sampled_from(["**", "*", "a", "b*", "?", "[ab]", "*.txt", ".*", "a.txt", ".h"])
NAMES = st.sampled_from(["a", "b", "ab", "bb", "a.txt", ".h", "c"])


@given(st.lists(PARTS, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=5))
def test_following_a_pattern_folder_by_folder_equals_the_slow_way(
    pattern: list[str], path: list[str]
) -> None:
    assert Selection(["/".join(pattern)]).matches("/".join(path)) == slowly(pattern, path)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=4), min_size=1, max_size=3), st.lists(NAMES, min_size=1))
def test_several_patterns_match_what_any_of_them_does(patterns: list[list[str]], path: list[str]) -> None:
    together = Selection(["/".join(p) for p in patterns]).matches("/".join(path))
    assert together == any(Selection(["/".join(p)]).matches("/".join(path)) for p in patterns)


@pytest.mark.parametrize(
    ("pattern", "root", "rest"),
    [
        ("/usr/lib/python3*/**/*.py", "/usr/lib", "python3*/**/*.py"),
        ("a/b/*.c", "a/b", "*.c"),
        ("*.c", "", "*.c"),
        ("a.txt", "", "a.txt"),
        ("/a.txt", "/", "a.txt"),
        ("a/b/", "a/b", "**"),
        ("/", "/", "**"),
        ("/data/[x]/y", "/data", "[x]/y"),
    ],
)
def test_the_root_is_the_longest_folder_without_globs(pattern: str, root: str, rest: str) -> None:
    assert split_root(pattern) == (root, rest)


@pytest.mark.parametrize(
    ("roots", "root"),
    [
        (["/a/b", "/a/c"], "/a"),
        (["/a", "/b"], "/"),
        (["a/b", "a/b/c"], "a/b"),
        (["/a/bc", "/a/b"], "/a"),
        (["a", "b"], ""),
        ([""], ""),
        (["", "a"], ""),
        (["/"], "/"),
    ],
)
def test_several_patterns_share_the_longest_common_folder(roots: list[str], root: str) -> None:
    assert common_root(roots) == root
    for folder in roots:
        assert below(root, folder).strip("/") in folder
