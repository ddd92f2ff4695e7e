"""Beam's options, each view made once.

Beam asks for a view at every transform and state of a pipeline, a hundred times for ours, and builds an
argument parser each time. Views share their values, so one of each kind is as good as many.
"""

from __future__ import annotations

from typing import TypeVar

from apache_beam.options.pipeline_options import PipelineOptions

View = TypeVar("View", bound=PipelineOptions)


class KeptViews(PipelineOptions):
    """PipelineOptions of some arguments; `view_as` gives the same object for the same class."""

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        # Past Beam's own __setattr__, which takes attributes for options.
        self.__dict__["_views"] = {}

    def view_as(self, cls: type[View]) -> View:
        views: dict[type[PipelineOptions], PipelineOptions] = self.__dict__["_views"]
        view = views.get(cls)
        if view is None:
            view = views[cls] = super().view_as(cls)
        assert isinstance(view, cls)
        return view
