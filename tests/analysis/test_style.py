from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import pytest

from mtsearch_analysis.style import (
    SERIES_COLOURS,
    STATUS_COLOURS,
    WINNER_COLOUR,
    label_places,
    lay_out,
    series_line,
)


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


# Machado, Oliveira and Fernandes 2009, A physiologically-based model for simulation of color vision deficiency:
# linear RGB as it is seen without long, without medium and without short cones.
VISIONS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]])  # by white's


def lab(colour: str, vision: list[list[float]]) -> npt.NDArray[np.float64]:
    """CIELAB of a colour as it is seen."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(vision) @ linear, 0, 1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colours", [[*STATUS_COLOURS.values(), WINNER_COLOUR], SERIES_COLOURS])
def test_colours_differ_to_colour_blind_readers_too(vision: str, colours: list[str]) -> None:
    seen = [lab(colour, VISIONS[vision]) for colour in colours]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) > 8.0  # 2.3 can be seen
