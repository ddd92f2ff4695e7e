"""Tokens of a text, by a tokenizer that its user names. skyhaul brings none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

Tokenizer = Callable[[Sequence[str]], list[int]]
"""Texts in, how many tokens each has out."""


def tokenizer_of(spec: str) -> Tokenizer:
    """The tokenizer that `spec` names.

    Args:
        spec: `package.module:name`, a callable that takes a text and gives its tokens or their number; or the
            path of a `tokenizer.json`, which the package `tokenizers` reads.

    Raises:
        UsageError: There is none."""
    if spec.endswith(".json"):
        return _of_file(spec)
    module, _, name = spec.partition(":")
    if not module or not name:
        raise UsageError(
            f"tokenizer {printable(spec)}: say package.module:name, or the path of a tokenizer.json"
        )
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"tokenizer {printable(spec)}: {printable(str(error))}") from error
    if not callable(found):
        raise UsageError(f"tokenizer {printable(spec)}: it is nothing that can be called")
    return lambda texts: [_count(found(text)) for text in texts]


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) else len(tokens)


def _of_file(path: str) -> Tokenizer:
    try:
        loader = import_module("tokenizers").Tokenizer
    except ImportError:
        raise UsageError(
            f"tokenizer {printable(path)}: its package is not installed; `pip install tokenizers`"
        ) from None
    try:
        loaded: Any = loader.from_file(path)
    except Exception as error:  # the package raises nothing more special
        raise UsageError(f"tokenizer {printable(path)}: {printable(str(error))}") from error
    return lambda texts: [len(found.ids) for found in loaded.encode_batch(list(texts))]
