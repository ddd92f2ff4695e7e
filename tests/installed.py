"""Packages of somebody else's, as pip would have installed them into a folder of the import path."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from skyhaul_schemas import plugins

WORDS = '''
"""Objects whose words, split at spaces, are records."""

import importlib.metadata

from skyhaul.plugins import Account, Format, FormatOptions, Implementation, RowBuffer, WholeObject


class WordOptions(FormatOptions):
    """upper: whether words are given in upper case."""

    upper: bool = False


class WordDecoder(WholeObject):
    """Decoder of words."""

    def __init__(self, settings, options):
        super().__init__(settings, options)
        self._upper = options.upper

    def decode(self, data):
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        raw = data.read(0, data.chunk.object.size)
        at = 0
        for word in raw.split(b" "):
            if word.strip():
                text = word.decode("ascii", "replace").strip()
                row = dict(text=text.upper() if self._upper else text)
                buffer.add([row.get(name) for name in self.schema.names[:-2]], at, len(word))
            at += len(word) + 1
            if buffer.full:
                yield buffer.step()
        yield from buffer.rest()


FORMAT = Format(
    name="words",
    about="words between spaces",
    schemas=("document",),
    suffixes=(".words",),
    load=lambda: Implementation(WordOptions, WordDecoder),
)
'''
"""A module that declares format `words`."""


def put(
    folder: Path,
    distribution: str,
    version: str,
    points: Mapping[str, str],
    *,
    group: str = plugins.FORMATS,
    modules: Mapping[str, str] | None = None,
) -> Path:
    """Write a distribution with entry points (name -> `module:attribute`) and modules (name -> source) into
    `folder`, which belongs on the import path. Returns `folder`."""
    about = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    for name, source in (modules or {}).items():
        (folder / f"{name}.py").write_text(source)
    return folder


@contextmanager
def on_path(*folders: Path) -> Iterator[None]:
    """The distributions in `folders` are installed, for this process and a moment."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(str(folder))
        plugins.installed.cache_clear()
        try:
            yield
        finally:
            plugins.installed.cache_clear()
            # Another test may install another package whose modules have the same names.
            for name, module in list(sys.modules.items()):
                if Path(getattr(module, "__file__", None) or "/").parent in folders:
                    del sys.modules[name]
