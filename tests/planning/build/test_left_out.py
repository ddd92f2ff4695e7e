"""What a listing names and a source cannot take is counted in the plan and told, and is in no digest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from planning.planned import Listing, job_for, pinned, plan_bytes, plan_into
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import survey
from skyhaul.planning.amend_plan import amend_from
from skyhaul.planning.extend_plan import extend_from
from skyhaul.planning.store.plan import Plan
from skyhaul.report.plan import PlanReport
from skyhaul.report.report import Report
from skyhaul.report.status import StatusReport
from skyhaul_connectors.sources.left_out import NAMES_KEPT, LeftOut
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import PinnedObject, PlanHeader

LINK = "a link to another server"
UNNAMED = "an object that no line names"


class Leaving(Listing):
    """A listing that also has `names` that are no objects."""

    def __init__(self, objects: list[PinnedObject], names: list[str]) -> None:
        super().__init__("s", objects)
        self._names = names

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        yield from super().listing()
        for name in self._names:
            (left_out or LeftOut()).add(name, LINK)
            (left_out or LeftOut()).unchecked.add(name, UNNAMED)


def planned(folder: Path, objects: list[PinnedObject], names: list[str]) -> tuple[PlanHeader, DatasetStore]:
    return plan_into(folder, job_for(folder), {"s": Leaving(objects, names)})


def test_names_are_counted_by_reason_and_a_few_kept_whatever_their_order(tmp_path: Path) -> None:
    names = [f"{i:02d}\n{'x' * 300}" for i in range(20)]
    header, store = planned(tmp_path / "a", [pinned("s", "a", 3)], names)
    again, other = planned(tmp_path / "b", [pinned("s", "a", 3)], list(reversed(names)))
    assert header.left_out == {"s": {LINK: 20}}
    kept = header.left_out_names["s"][LINK]
    assert [name[:4] for name in kept] == [rf"{i:02d}\n" for i in range(NAMES_KEPT)]
    assert all(len(name) == 200 for name in kept)
    assert header == again
    assert plan_bytes(store) == plan_bytes(other)
    with closing(Plan.open(store)) as plan:
        assert plan.header == header


def test_what_is_left_out_is_no_part_of_the_digest(tmp_path: Path) -> None:
    objects = [pinned("s", "a", 3)]
    some, _ = planned(tmp_path / "a", objects, ["b"])
    none, _ = planned(tmp_path / "b", objects, [])
    assert none.left_out == {}
    assert some.digest == none.digest


def test_a_further_generation_has_the_count_of_its_own_listing(tmp_path: Path) -> None:
    loaded = job_for(tmp_path)
    _, store = planned(tmp_path, [pinned("s", "a", 3)], ["x", "y"])
    with closing(Plan.open(store)) as plan:
        source = {"s": Leaving([pinned("s", "a", 3), pinned("s", "b", 4)], ["y"])}
        update = extend_from(loaded, {"s": ["*"]}, source, plan, store)
    assert update.left_out == update.header.left_out == {"s": {LINK: 1}}
    assert update.unchecked == update.header.unchecked == {"s": {UNNAMED: 1}}
    with closing(Plan.open(store)) as plan:
        source = {"s": Leaving([pinned("s", "a", 3), pinned("s", "b", 4)], ["p", "q", "r"])}
        update = amend_from(loaded, {"s": ["*"]}, source, plan, store)
    assert update.generation is None
    assert update.left_out == {"s": {LINK: 3}}, "told also where nothing is to be amended"


def test_a_source_of_which_all_is_left_out_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"nothing matches .*left out: {LINK}: 1"):
        planned(tmp_path, [], ["x"])


def test_plan_and_status_tell_it(tmp_path: Path) -> None:
    header, store = planned(tmp_path, [pinned("s", "a", 3)], ["x", "y\n"])
    with closing(Plan.open(store)) as plan:
        seen = survey(plan, store)
    reports: tuple[Report, ...] = (
        PlanReport.of(header, dataset="d", target="job.yaml", fresh=True, via={}, rates={}),
        StatusReport(seen, header, "d", "job.yaml"),
    )
    for report in reports:
        value = report.to_json()
        assert value["left_out"] == {LINK: 2}
        assert value["left_out_names"] == {LINK: ["s/x", r"s/y\n"]}
        assert value["unchecked"] == {UNNAMED: 2}
        assert value["unchecked_names"] == {UNNAMED: ["s/x", r"s/y\n"]}
        lines = list(report.lines())
        assert rf"  left out of s: 2 names: {LINK} (x, y\n)" in lines
        assert rf"  not checked of s: 2 names: {UNNAMED} (x, y\n)" in lines
