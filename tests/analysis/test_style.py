from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from mtsearch_analysis.style import label_places, lay_out, series_line


def test_an_axis_title_that_would_be_cut_off_is_shortened_and_stays_escaped() -> None:
    long = "a &lt;task&gt; with a name of nearly fifty characters.accuracy"
    figure = lay_out(go.Figure(), height_px=300, xaxis={"title": {"text": "epoch"}}, yaxis={"title": {"text": long}})
    assert figure.layout.xaxis.title.text == "epoch"
    assert figure.layout.yaxis.title.text == "a &lt;task&gt; with a …aracters.accuracy"


def test_many_of_a_kind_are_told_apart_by_dashes_once_colours_come_round() -> None:
    lines = [series_line(position, width=1.0) for position in range(14)]
    assert len({(line["color"], line["dash"]) for line in lines}) == 14


def test_a_label_is_on_the_side_where_its_nearest_neighbour_is_not() -> None:
    x, y = np.array([0.0, 0.1, 5.0, 5.1]), np.array([0.0, 0.1, 3.0, 3.0])
    assert label_places(x, y) == ["bottom center", "top center", "top center", "bottom center"]
    assert label_places(x[:1], y[:1]) == ["top center"]
