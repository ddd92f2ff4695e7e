"""A running engine as tests use it: how a client names it, and its processes to be hurt."""

from __future__ import annotations

import demo
import pytest
from processes import Processes
from standalone import Standalone

from flink.rig import RUN_ENDS, Haul
from skyhaul_schemas.errors import EXIT_OK

CLIENT_ENDS = RUN_ENDS


class Engine:
    """Its job server apart from the client, with one worker process a slot. `cluster` is Flink's."""

    def __init__(self, name: str, children: Processes, endpoint: str, cluster: Standalone | None) -> None:
        self.name = name
        self.children = children
        self.endpoint = endpoint
        self._cluster = cluster
        self.options = self.at(2)

    @property
    def cluster(self) -> Standalone:
        assert self._cluster is not None, f"{self.name} is no Flink"
        return self._cluster

    def at(self, parallelism: int, endpoint: str = "") -> list[str]:
        master = [f"--flink_master={self._cluster.master}"] if self._cluster else []
        return [*demo.portable_options(endpoint or self.endpoint, parallelism), *master]

    def with_pool(self, address: str) -> list[str]:
        kept = [o for o in self.at(1) if not o.startswith("--environment")]
        return [*kept, "--environment_type=EXTERNAL", f"--environment_config={address}"]

    def another_job_server(self, name: str) -> str:
        return (
            self._cluster.start_job_server(name) if self._cluster else demo.start_prism(self.children, name)
        )

    def running_jobs(self) -> list[str]:
        return [job for job, state in self.cluster.jobs().items() if state in ("RUNNING", "RESTARTING")]


def finish(haul: Haul, options: list[str]) -> None:
    """What a user does: the same command again, while it says that there is more."""
    for _ in range(3):
        if haul.run(options) == EXIT_OK:
            return
    pytest.fail("three more runs did not finish the haul")
