"""Packages that add to skyhaul: found without being imported, loaded alone, refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from installed import on_path, put
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInMissing, PlugInRefused, UsageError

BOMB = "raise RuntimeError('imported,\\nthough nobody\\x1b[2J asked')"


def test_finding_imports_nothing(tmp_path: Path) -> None:
    put(tmp_path, "acme-cif", "0.3.1", {"cif": "acme_cif:FORMAT"}, modules={"acme_cif": BOMB})
    with on_path(tmp_path):
        found = plugins.find(plugins.FORMATS, "cif")
        assert found is not None
        assert (found.distribution, found.version, found.target) == ("acme-cif", "0.3.1", "acme_cif:FORMAT")
        assert found.fingerprint == {"skyhaul.formats:cif": "acme-cif 0.3.1"}
        assert list(plugins.names(plugins.FORMATS)) == ["cif"]
        assert plugins.find(plugins.SOURCES, "cif") is None
        assert "acme_cif" not in sys.modules
    assert plugins.find(plugins.FORMATS, "cif") is None


def test_loading_imports_that_package_alone(tmp_path: Path) -> None:
    put(tmp_path, "acme", "1", {"a": "acme_a:A"}, modules={"acme_a": "A = 'declared'"})
    put(tmp_path, "other", "1", {"b": "other_b:B"}, modules={"other_b": BOMB})
    with on_path(tmp_path):
        found = plugins.find(plugins.FORMATS, "a")
        assert found is not None
        assert found.load(str) == "declared"
        assert "other_b" not in sys.modules


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (BOMB, "bad:X", r"RuntimeError: imported, though nobody\\x1b\[2J asked$"),
        ("import no_such_library", "bad:X", "ModuleNotFoundError: No module named 'no_such_library'$"),
        ("raise SystemExit(7)", "bad:X", "SystemExit: 7$"),
        ("X = (", "bad:X", "SyntaxError: "),
        ("Y = 1", "bad:X", "AttributeError: "),
        ("X = 1", "bad:X", "bad:X is a int, not a str$"),
        ("", "gone:X", "ModuleNotFoundError: No module named 'gone'$"),
    ],
)
def test_a_package_that_cannot_be_imported_is_one_line_with_its_name(
    tmp_path: Path, source: str, target: str, said: str
) -> None:
    put(tmp_path, "acme", "1.2", {"x": target}, modules={"bad": source})
    with on_path(tmp_path):
        found = plugins.find(plugins.FORMATS, "x")
        assert found is not None
        with pytest.raises(PlugInRefused, match=r"^format 'x' of package acme 1\.2.*" + said) as caught:
            found.load(str)
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == 2


def test_two_packages_with_one_name_are_refused_with_both(tmp_path: Path) -> None:
    put(tmp_path / "1", "acme", "1.2", {"x": "a:X", "only": "a:Y"})
    put(tmp_path / "2", "other", "3", {"x": "b:X"})
    with on_path(tmp_path / "1", tmp_path / "2"):
        with pytest.raises(PlugInRefused, match=r"format 'x' is claimed by acme 1\.2 and other 3"):
            plugins.find(plugins.FORMATS, "x")
        assert plugins.find(plugins.FORMATS, "only") is not None
        refused = plugins.clashes(plugins.FORMATS, ())
        assert {(found.name, found.package) for found in refused} == {("x", "acme 1.2"), ("x", "other 3")}


def test_a_name_that_is_built_in_is_refused_to_a_package(tmp_path: Path) -> None:
    put(tmp_path, "acme", "1.2", {"csv": "a:X"})
    with on_path(tmp_path):
        with pytest.raises(PlugInRefused, match=r"'csv' is claimed by skyhaul itself and acme 1\.2"):
            plugins.refuse_clash(plugins.FORMATS, "csv")
        plugins.refuse_clash(plugins.FORMATS, "json")
        assert [found.name for found in plugins.clashes(plugins.FORMATS, ("csv",))] == ["csv"]


def test_what_a_plan_uses_must_be_installed_and_of_the_package_it_was(tmp_path: Path) -> None:
    plan = {"pyarrow": "25", "skyhaul.formats:cif": "acme-cif 0.3.1", "skyhaul.sources:ipfs": "ipfs 2"}
    with pytest.raises(
        PlugInMissing, match=r"^format 'cif' of this plan is of package acme-cif 0\.3\.1, which is not"
    ) as caught:
        plugins.check_installed(plan)
    assert "pip install acme-cif==0.3.1" in str(caught.value)
    assert isinstance(caught.value, UsageError)
    put(tmp_path / "1", "acme-cif", "0.4", {"cif": "acme_cif:FORMAT"})
    with on_path(tmp_path / "1"), pytest.raises(PlugInMissing, match=r"source scheme 'ipfs' .*ipfs 2"):
        plugins.check_installed(plan)
    put(tmp_path / "2", "else", "9", {"cif": "x:FORMAT"})
    with on_path(tmp_path / "2"), pytest.raises(PlugInMissing, match=r"here it is of package else 9: pip"):
        plugins.check_installed(plan)


def test_versions_of_libraries_are_no_plug_ins() -> None:
    plugins.check_installed({"pyarrow": "25", "odd:key": "1", "skyhaul.shards": "3"})
