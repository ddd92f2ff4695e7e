"""What a forecast begins with: the links as the job file has them, what was used of them, and a plan."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.links.opening import ledger_path
from skyhaul.planning.make_plan import check_plan, make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.links.contract.ledger import Ledger
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.presets import profile_from
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import LoadedJob
from skyhaul_schemas.job.model import Job, ListedUrls, SourceSpec


def stated_profile(job: Job, name: str) -> LinkProfile:
    """The link as the forecast knows it, whether the haul emulates it or not. Raises UsageError."""
    profile = profile_from(job.links[name], name)
    if not math.isfinite(profile.down):
        rates = [c.rate for c in profile.contacts.contacts] if profile.contacts is not None else []
        known = [rate for rate in rates if rate is not None]
        if not known or len(known) < len(rates):
            raise UsageError(f"link {name}: nothing says how fast it is; give `down`, `trace` or a `preset`")
        profile = profile.with_(down=max(known), up=max(known) / 10)
    return profile


def is_interrupted(profile: LinkProfile) -> bool:
    """Whether the link is ever interrupted."""
    return bool(
        profile.outages
        or profile.contacts is not None
        or profile.handover_gap
        or any(episodes.is_outage for episodes in profile.episodes)
    )


def is_dated(profile: LinkProfile) -> bool:
    """Whether the link's contacts are moments of the calendar."""
    return profile.contacts is not None and any(c.absolute for c in profile.contacts.contacts)


def used_so_far(job: Job, terms: Mapping[str, LinkTerms], at: float) -> dict[str, int]:
    """Link -> bytes that count in the cycle of the moment `at`, by the ledger, which may not be there yet.

    Raises:
        StorageError: The ledger cannot be read."""
    metered = {name: link for name, link in terms.items() if link.metered}
    # Only looked at: a forecast writes nothing, and a ledger that is not there yet has counted nothing.
    path = ledger_path(job, os.environ) if metered else None
    if path is None or not path.exists():
        return {}
    with closing(Ledger(path)) as ledger:
        return {name: ledger.used(t.account, t.cycle(at).name).counted for name, t in metered.items()}


def by_tls(spec: SourceSpec) -> bool:
    """Whether connections cost a TLS handshake's round trip, too."""
    urls = [spec.url.root or spec.url.list] if isinstance(spec.url, ListedUrls) else spec.url
    return any(url.startswith("https:") for url in urls)


@contextmanager
def plan_of(
    loaded: LoadedJob, store: DatasetStore, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Plan, DatasetStore]]:
    """Open the dataset's plan; if there is none, make one elsewhere and throw it away afterwards."""
    if Plan.exists(store):
        with closing(Plan.open(store)) as plan:
            check_plan(loaded.job, plan.header)
            yield plan, store
        return
    # Made elsewhere, because a plan in the dataset would bind the job that is only being asked about.
    with tempfile.TemporaryDirectory(prefix="skyhaul-estimate-") as folder:
        place = Path(folder)
        elsewhere = replace(
            loaded,
            job=loaded.job.model_copy(
                update={"dataset": str(place / "dataset"), "spool": str(place / "spool")}
            ),
        )
        with closing(open_store(elsewhere.job.dataset, writable=True)) as scratch:
            make_plan(elsewhere, scratch, progress=progress)
            with closing(Plan.open(scratch)) as plan:
                yield plan, scratch
