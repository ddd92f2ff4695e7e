"""Views of Beam's options are made once, and share their values as Beam's own do."""

from __future__ import annotations

from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, SetupOptions, StandardOptions

from skyhaul.beam.options import KeptViews

FLAGS = ["--runner=DirectRunner", "--experiments=one", "--save_main_session", "--not_known_to_beam=7"]


def test_the_same_view_is_given_again_and_says_what_beams_own_says() -> None:
    ours, beams = KeptViews(FLAGS), PipelineOptions(FLAGS)
    for cls in (StandardOptions, DebugOptions, SetupOptions):
        assert ours.view_as(cls) is ours.view_as(cls)
    assert ours.view_as(StandardOptions).runner == beams.view_as(StandardOptions).runner
    assert ours.view_as(DebugOptions).experiments == ["one"]
    assert ours.view_as(SetupOptions).save_main_session is True
    assert ours.get_all_options(retain_unknown_options=True) == beams.get_all_options(
        retain_unknown_options=True
    )


def test_what_one_view_sets_another_sees() -> None:
    options = KeptViews(FLAGS)
    options.view_as(StandardOptions).streaming = True
    assert options.view_as(DebugOptions).view_as(StandardOptions).streaming is True
    assert options.get_all_options()["streaming"] is True
