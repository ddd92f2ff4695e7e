"""Conformance suites for what plug-ins add; ours pass the same ones.

`skyhaul.testing.formats` tests a format. Each suite is a class of plain pytest tests that an author
subclasses; importing it needs no pytest, running it does. docs/plugins.md shows how.
"""

from __future__ import annotations

import sys

__all__ = ["decoding", "formats", "sources", "stores", "transforms"]
"""The public modules; what is public in each, its own `__all__` says."""

SUITES = ("formats", "sources", "stores")
"""Modules of this package that hold suites; pytest explains their failed assertions as those of tests."""

# pytest rewrites the asserts of test files only; a library has to ask, before its modules are imported.
if "pytest" in sys.modules:
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{name}" for name in SUITES))
