"""What a transform says of itself: its key in a job file, its options, and how it is built for a shard.

The built-in ones are declared at the end of their modules and named in the registry; an installed
package's is found by its entry point in the group `skyhaul.transforms` (see `skyhaul_schemas.plugins`):

    transforms:
      - shout: {column: text}      # the entry point's name, and below it a mapping: the options
        name: loud                 # optional, as of every rule

A transform sees Arrow batches of the shard's rows; `skyhaul.shards.transform_step` says what it may do with
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from skyhaul.shards.transform_step import Transform
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.job.fieldtypes import JobPart
from skyhaul_schemas.printable import printable

Options = TypeVar("Options", bound=BaseModel)


class TransformOptions(JobPart):
    """Base of the options of a package's transform; unknown keys are refused, and inputs are not shown."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule is built for.

    Attributes:
        transform: The transform's name, for messages.
        name: What the rows that it takes out are counted under (`Transformed.filtered`).
        schema: The columns of the rows, `id` and `provenance` included.
        usual: The column of a rule that names none: `text` of documents, `caption` of images; None: the
            schema has no such column.
    """

    transform: str
    name: str
    schema: pa.Schema
    usual: str | None

    def column(self, named: str | None, *, text: bool = True) -> str:
        """The column that a rule works on: `named`, or the usual one.

        Args:
            named: The column that the job names; None: it names none.
            text: Whether it has to be text; else it may be binary, too.

        Raises:
            UsageError: There is no such column.
        """
        column = named or self.usual
        kinds = [pa.types.is_string, pa.types.is_large_string]
        if not text:
            kinds += [pa.types.is_binary, pa.types.is_large_binary]
        # Ids are unique and of our own making: a rule about them would be a mistake.
        fitting = [f.name for f in self.schema if f.name != "id" and any(kind(f.type) for kind in kinds)]
        if column is None or column not in fitting:
            said = "no column" if column is None else printable(column)
            allowed = ", ".join(fitting)
            raise ValueRefused(
                f"transform `{printable(self.transform)}`: found {said}, allowed: {allowed}",
                found=column,
                allowed=allowed,
                known=tuple(fitting) if named else (),
            )
        return column


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class TransformDeclaration(Generic[Options]):
    """The declaration of one transform.

    Attributes:
        name: Its key in a job file: lower case, one word.
        about: What it does, in a few words, for lists.
        options: The model of what a job says of it: below the key, of a package's; of a built-in one, the
            whole rule.
        build: Called as `build(options, target)` for each shard; gives a function over batches, which may
            remember what it has seen of this shard. Raises UsageError where the rule does not fit.
        fingerprint: Library -> version of what its outcome depends on besides Arrow and the package that
            declares it. Raises UsageError where one is not installed.
    """

    name: str
    about: str
    options: type[Options]
    build: Callable[[Options, Target], Transform]
    fingerprint: Callable[[], Mapping[str, str]] = _nothing


AnyTransform = TransformDeclaration[Any]
