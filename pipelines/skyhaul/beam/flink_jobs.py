"""Cancels a job on Flink itself: Beam's job server lets go of a cancelled job, but Flink goes on with it.

Seen with Beam 2.62's job server on Flink 1.19. Flink's REST API:
https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import quote

DEADLINE = 3.0
"""Seconds for each answer of the REST API; an interrupted client has nine in all
(`skyhaul.hauling.signals`), and asks for the list and for each job."""

_OVER = frozenset({"FINISHED", "FAILED", "CANCELED"})
"""Flink's states of a job that will not run again (`JobStatus`, "globally terminal")."""


def flink_master(options: Any) -> str | None:
    """The REST address that the Beam options name, as a URL, or None."""
    master = options.get_all_options().get("flink_master") or ""
    if not master or master.startswith("["):  # [auto], [local]
        return None
    return str(master if "://" in master else f"http://{master}")


def cancel_flink_jobs(master: str, name: str) -> int:
    """Cancel the jobs of that name that are not over. Returns how many. Raises OSError, ValueError."""
    with urllib.request.urlopen(f"{master}/jobs/overview", timeout=DEADLINE) as answer:
        jobs = json.load(answer)["jobs"]
    ours = [job["jid"] for job in jobs if job["name"] == name and job["state"] not in _OVER]
    for job in ours:
        request = urllib.request.Request(f"{master}/jobs/{quote(job)}?mode=cancel", method="PATCH")
        with urllib.request.urlopen(request, timeout=DEADLINE):
            pass
    return len(ours)


def name_on_flink(result: Any) -> str:
    """What Flink calls the job of a portable runner's result.

    The job's id at the job server is that name and a UUID. Beam has no public name for the id."""
    job_id = str(getattr(result, "_job_id", ""))
    return job_id.rpartition("_")[0] or job_id
