"""Presets hold the published figures, and a job file's link becomes the profile that it asks for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from skyhaul_connectors.links.profile.presets import PRESETS, profile_from
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import LinkSpec

DATA = Path(__file__).parents[2] / "data" / "links"


def spec(**fields: object) -> LinkSpec:
    return LinkSpec.model_validate(fields)


def test_the_presets_are_those_that_are_documented() -> None:
    assert list(PRESETS) == ["fibre", "leo", "leo-remote", "leo-mobile", "meo", "geo", "cellular"]


@pytest.mark.parametrize(
    ("name", "rtt_ms", "down", "up", "loss", "loss_up"),
    [
        ("fibre", (14, 14), (120, 120), (17, 17), (0, 0), (0, 0)),
        ("leo", (45, 45), (130, 130), (14, 14), (0.0001, 0.0001), (0.002, 0.005)),
        ("leo-remote", (60, 120), (16, 27), (4, 4), (0.01, 0.02), (0.01, 0.02)),
        ("leo-mobile", (44, 44), (234, 234), (30, 30), (0.015, 0.015), (0.015, 0.015)),
        ("meo", (140, 140), (500, 500), (100, 100), (0.001, 0.001), (0.001, 0.001)),
        ("geo", (600, 684), (50, 50), (5, 5), (0.005, 0.01), (0.005, 0.01)),
        ("cellular", (57, 84), (23, 63), (3, 4), (0.002, 0.007), (0.002, 0.007)),
    ],
)
def test_a_preset_lies_within_the_published_range(
    name: str,
    rtt_ms: tuple[float, float],
    down: tuple[float, float],
    up: tuple[float, float],
    loss: tuple[float, float],
    loss_up: tuple[float, float],
) -> None:
    preset = PRESETS[name]
    assert rtt_ms[0] <= preset.rtt * 1000
    assert (preset.rtt + preset.jitter) * 1000 <= rtt_ms[1] + 1e-9
    assert down[0] <= preset.down / 1e6 <= down[1]
    assert up[0] <= preset.up / 1e6 <= up[1]
    assert loss[0] <= preset.loss <= loss[1]
    assert loss_up[0] <= preset.loss_up <= loss_up[1]


def test_leo_spikes_by_40_ms_each_15_seconds() -> None:
    for name in ("leo", "leo-remote"):
        assert (PRESETS[name].handover_every, PRESETS[name].handover_spike) == (15, 0.040)


def test_leo_mobile_keeps_the_quantiles_of_the_drive_data() -> None:
    mobile = PRESETS["leo-mobile"]
    assert mobile.rate_quantiles is not None
    assert mobile.up_quantiles is not None
    assert mobile.rtt_quantiles is not None
    assert [round(mobile.rate_quantiles.at(q)) for q in (0.05, 0.5, 0.95)] == [33, 234, 401]
    assert [round(mobile.up_quantiles.at(q)) for q in (0.05, 0.5, 0.95)] == [7, 30, 55]
    assert [round(mobile.rtt_quantiles.at(q), 3) for q in (0.5, 0.95, 0.99)] == [0.044, 0.080, 0.116]
    (outages,) = mobile.episodes
    assert outages.per_hour == 38
    assert [round(outages.lasts.at(q), 1) for q in (0.5, 0.9, 0.99, 1)] == [0.8, 5, 42, 102]


def test_rain_takes_what_was_measured() -> None:
    rain = [e for e in PRESETS["leo-remote"].episodes if not e.is_outage]
    assert [(round(1 - e.down, 2), round(1 - e.up, 2)) for e in rain] == [(0.38, 0.52)]


def test_every_preset_names_its_basis_and_each_satellite_preset_what_is_assumed() -> None:
    for name, preset in PRESETS.items():
        assert len(preset.note) > 20, name
        assert name == "fibre" or "Assumed" in preset.note, name


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"link west: no preset 'leos'; there are fibre, leo, leo-remote, "):
        profile_from(spec(preset="leos"), "west")


def test_emulating_without_a_rate_is_refused() -> None:
    with pytest.raises(UsageError, match="emulate needs a rate; give down, trace, or a preset"):
        profile_from(spec(emulate=True, rtt="40ms"))


def test_a_contact_plan_with_a_rate_in_every_contact_is_rate_enough() -> None:
    profile = profile_from(spec(emulate=True, contacts=f"{DATA / 'contactPlan.json'}#10-1"))
    assert profile.contacts is not None
    with pytest.raises(UsageError, match="needs a rate"):
        profile_from(spec(emulate=True, contacts=str(DATA / "passes.csv")))


def test_a_real_link_needs_nothing() -> None:
    assert profile_from(spec()).down == math.inf


def test_a_field_overrides_the_preset() -> None:
    profile = profile_from(spec(preset="leo", down="200Mbit/s", rtt="30ms", loss="0.4%", burst=3))
    assert (profile.down, profile.rtt, profile.loss, profile.loss_up, profile.burst) == (
        200e6, 0.030, 0.004, 0.004, 3,
    )  # fmt: skip
    assert profile.up == PRESETS["leo"].up
    assert profile_from(spec(preset="leo", loss="1%", loss_up="0.1%")).loss_up == 0.001


def test_given_outages_replace_the_random_ones_and_leave_the_rain() -> None:
    profile = profile_from(spec(preset="leo-remote", outages=["20s+5s"]))
    assert profile.outages == ((20.0, 5.0),)
    assert [e.is_outage for e in profile.episodes] == [False]
    assert profile_from(spec(preset="leo", outages=[])).episodes == ()


def test_a_trace_replaces_rates_and_outages(tmp_path: Path) -> None:
    (tmp_path / "bw").write_text("".join(f"{ms}\n" for ms in range(1, 1001)))
    profile = profile_from(spec(preset="leo-mobile", trace=str(tmp_path / "bw")))
    assert profile.down == 12e6
    assert (profile.episodes, profile.rate_quantiles) == ((), None)


def test_a_link_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="link west: handover_gap must be shorter than handover_every"):
        profile_from(spec(preset="leo", handover_gap="15s"), "west")
    with pytest.raises(UsageError, match="loses more than half"):
        profile_from(spec(preset="leo", loss="60%"))
