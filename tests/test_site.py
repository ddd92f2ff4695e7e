"""The documentation site's check: what comes from elsewhere is found, what a reader follows by hand not."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "site"

_spec = importlib.util.spec_from_file_location("offline", ROOT / "docs" / "offline.py")
assert _spec is not None
assert _spec.loader is not None
offline = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(offline)


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "loads https://cdn.example/a.js"),
        ('<script src="//cdn.example/a.js"></script>', "loads //cdn.example/a.js"),
        ('<link rel="stylesheet" href="https://fonts.example/f.css">', "loads https://fonts.example/f.css"),
        ('<img src="https://img.example/badge.svg">', "loads https://img.example/badge.svg"),
        ('<p style="background: url(https://img.example/b.png)">', "loads https://img.example/b.png"),
        ("<style>@import 'https://fonts.example/f.css';</style>", "loads https://fonts.example/f.css"),
        ('<script>fetch("https://count.example/hit")</script>', "loads https://count.example/hit"),
        ('<a href="gone.html">gone</a>', "gone.html is not there"),
        ('<a href="folder/">index</a>', "folder/ is not there"),
    ],
)
def test_what_a_page_needs_a_network_for_or_lacks_is_found(page: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "index.html").write_text(page)
    assert list(offline.findings(tmp_path)) == [f"index.html: {found}"]
    assert offline.main(tmp_path) == 1


def test_fonts_that_a_style_loads_and_addresses_in_a_script_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@font-face { src: url('https://fonts.example/f.woff2') }")
    (tmp_path / "b.js").write_text('const at = "https://count.example/hit"; // see https://example.org')
    assert list(offline.findings(tmp_path)) == [
        "a.css: loads https://fonts.example/f.woff2",
        "b.js: names https://count.example/hit",
    ]


def test_links_to_follow_by_hand_and_files_of_the_site_are_no_findings(tmp_path: Path) -> None:
    (tmp_path / "a b.html").write_text("<p>")
    (tmp_path / "index.html").write_text(
        '<a href="https://beam.apache.org">Beam</a> <a href="a%20b.html#part">part</a> <a href="#top">top</a>'
        ' <a href="mailto:a@b.example">mail</a> <svg xmlns="http://www.w3.org/2000/svg"></svg>'
    )
    assert offline.main(tmp_path) == 0


def test_a_folder_without_pages_is_no_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert offline.main(tmp_path) == 1
    assert "`make site` builds them" in capsys.readouterr().out


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.skipif(not SITE.is_dir(), reason="`make site` builds it")
@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("index.html", "skyhaul’s documentation"),
        ("docs/api.html", "The whole haul: lots, reshuffle, haul."),
        ("search.html?q=spool", "Search finished, found "),
    ],
)
def test_the_site_opens_from_files_in_a_browser_that_reaches_no_server(
    page: str, shown: str, tmp_path: Path
) -> None:
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000", "--dump-dom",
        f"file://{SITE}/{page}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert shown in done.stdout
