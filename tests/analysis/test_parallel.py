from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.parallel import parallel_figure
from mtsearch_analysis.style import SCORE_SCALE, WINNER_COLOUR
from tests.analysis.run_folders import trial_row, write_tables


def run_of(folder: Path, *configs: dict[str, Any]) -> Run:
    """Trials whose scores rise with their number."""
    rows = [
        trial_row(i, i / 100, **{f"config/{name}": value for name, value in config.items()})
        for i, config in enumerate(configs)
    ]
    return load_run(write_tables(folder, rows, []))


def heights_of_axis(run: Run, position: int) -> list[float]:
    """Where trials cross an axis, from the worst trial to the winner."""
    heights = []
    for trace in parallel_figure(run).data:
        x, y = np.asarray(trace.x), np.asarray(trace.y)
        heights += y[x == position].tolist()
    return heights


def labels(run: Run) -> list[str]:
    return [annotation.text for annotation in parallel_figure(run).layout.annotations]


def test_the_last_trace_is_the_winner(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"lr": 0.1}, {"lr": 0.2}, {"lr": 0.4})
    winner = parallel_figure(run).data[-1]
    assert winner.line.color == WINNER_COLOUR
    assert "t0002" in winner.text[0]
    np.testing.assert_allclose(winner.y, [1.0, 1.0, np.nan])


def test_a_good_score_is_drawn_as_one_whatever_its_rank(tmp_path: Path) -> None:
    rows = [
        trial_row(i, value, is_admissible=meets, **{"config/lr": float(i)})
        for i, (value, meets) in enumerate([(0.9, False), (0.1, True), (0.5, True)])
    ]
    traces = parallel_figure(load_run(write_tables(tmp_path, rows, []))).data
    colours = {trace.text[0]: trace.line.color for trace in traces}
    assert colours["<b>t0000</b><br>0.9000"] == WINNER_COLOUR
    assert colours["<b>t0001</b><br>0.1000"] == SCORE_SCALE[0][1]


def test_long_names_keep_clear_of_the_next_axis_and_are_whole_where_they_are_pointed_at(tmp_path: Path) -> None:
    names = ["sentence-transformers/all-MiniLM-L6-v2", "google-bert/bert-base-uncased"]
    drawn = parallel_figure(run_of(tmp_path, *({"encoder.model": name} for name in names))).layout.annotations
    assert max(len(annotation.text) for annotation in drawn if annotation.hovertext in names) == 18
    assert {annotation.hovertext for annotation in drawn} >= {*names, "encoder.model"}


def test_a_few_values_are_spaced_evenly_in_order(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"batch": 64}, {"batch": 16}, {"batch": 32})
    np.testing.assert_allclose(heights_of_axis(run, 0), [1.0, 0.0, 0.5])
    assert {"16", "32", "64"} <= set(labels(run))


def test_many_values_lie_at_their_share_of_the_range(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"dropout": i / 10} for i in range(11)))
    np.testing.assert_allclose(heights_of_axis(run, 0), np.arange(11) / 10, atol=1e-6)


def test_values_spread_evenly_in_the_logarithm_get_a_log_axis(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"optimizer.lr": 10.0**-i} for i in range(9)))
    np.testing.assert_allclose(heights_of_axis(run, 0), np.arange(8, -1, -1) / 8, atol=1e-6)
    assert "<b>optimizer.<br>lr<br>(log)</b>" in labels(run)


def test_a_uniform_range_that_starts_near_zero_stays_linear(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"dropout": 0.001 + i / 10} for i in range(9)))
    np.testing.assert_allclose(heights_of_axis(run, 0), np.arange(9) / 8, atol=1e-6)


def test_the_space_says_which_axis_is_logarithmic_however_the_values_fell(tmp_path: Path) -> None:
    drawn = [{"dropout": 10.0**-i, "lr": 0.1 + i / 10} for i in range(9)]
    run_of(tmp_path, *drawn)
    space = {"dropout": {"uniform": [1e-8, 1.0]}, "lr": {"loguniform": [1e-4, 1.0]}}
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(space))
    found = labels(load_run(tmp_path))
    assert "<b>dropout</b>" in found
    assert "<b>lr<br>(log)</b>" in found


def test_a_setting_that_a_trial_lacks_is_drawn_below_the_axis_as_not_used(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"name": "adamw"}, {"name": "sophiah", "rho": 0.1}, {"name": "sophiah", "rho": 0.2})
    heights = heights_of_axis(run, 1)
    assert heights[0] < 0
    assert heights[1:] == [0.0, 1.0]
    assert labels(run).count("not used") == 1


def test_many_options_are_not_all_labelled(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"model": f"m{i:02}"} for i in range(40)))
    assert sum(label.startswith("m") and label != "mean_score" for label in labels(run)) <= 12


def test_equal_scores_are_drawn_at_one_height(tmp_path: Path) -> None:
    rows = [trial_row(i, 0.5, **{"config/lr": i}) for i in range(3)]
    run = load_run(write_tables(tmp_path, rows, []))
    assert set(heights_of_axis(run, 1)) == {0.5}


def test_nothing_to_draw_is_said_in_words(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"lr": 0.1})
    assert labels(run) == ["It takes two trials with a score, and a setting in which they differ."]
