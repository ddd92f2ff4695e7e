"""Versions of what a plan is made of by this package; docs/versions.md has what follows when one rises."""

from __future__ import annotations

PLAN_FORMAT = 1
"""Form of a plan's files: the one that this version writes and reads. It rises when a file of the same name
would mean something else, so that a reader refuses a plan rather than guess."""

DERIVED_FORMAT = 2
"""The same of a derived dataset, whose objects are rows and no files at a source: a reader that knows of none
would take its rows for misplaced."""

DEALING_VERSION = 1
"""Raised whenever equal input is dealt to shards in another way. It is part of the plan's fingerprint: a job
that is planned again elsewhere has to come to the same shards, and a worker that would deal otherwise is
refused. It stands here, below `planning.build`, because the fingerprint is taken while a plan is built."""
