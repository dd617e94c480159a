from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtsearch_analysis.effects import effect_figure, interaction_figure, interactions, marginal_effects
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import trial_row, write_tables

SPACE = {"lr": {"loguniform": [1e-4, 1.0]}, "k": {"choice": ["x", "y"]}}


def _run(folder: Path, trials: list[tuple[float, dict[str, Any]]], **objective: Any) -> Run:
    rows = [
        trial_row(i, score, **{f"config/{name}": value for name, value in settings.items()})
        for i, (score, settings) in enumerate(trials)
    ]
    rows.append(trial_row(len(rows), 99.0, status="pruned", **{"config/lr": 1e-4, "config/k": "x"}))
    write_tables(folder, rows, [], Objective(**objective))
    (folder / "resolved.yaml").write_text(yaml.safe_dump(SPACE))
    return load_run(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return _run(
        tmp_path,
        [
            (0.1, {"lr": 1e-4, "k": "x"}),
            (0.3, {"lr": 5e-3, "k": "x"}),
            (0.2, {"lr": 1e-4, "k": "y"}),
            (0.6, {"lr": 1.0, "k": "y"}),
            (0.8, {"k": "y"}),
        ],
    )


def test_a_range_is_parted_on_its_own_scale_and_only_completed_trials_count(run: Run) -> None:
    frame = marginal_effects(run, num_bins=2)
    lr = frame[frame["parameter"] == "lr"]
    assert lr["bin"].tolist() == [0, 1, "not used"]
    assert lr["num_trials"].tolist() == [3, 1, 1]
    assert lr["mean"].tolist() == pytest.approx([0.2, 0.6, 0.8])
    assert lr["at"].tolist()[:2] == pytest.approx([1e-3, 1e-1])
    assert lr["to"].tolist()[:2] == pytest.approx([1e-2, 1.0])
    assert lr["low"].isna().tolist() == [False, True, True]
    assert lr["low"].iloc[0] < 0.2 < lr["high"].iloc[0]


def test_options_each_have_their_mean(run: Run) -> None:
    frame = marginal_effects(run)
    options = frame[frame["parameter"] == "k"]
    assert dict(zip(options["bin"], options["mean"], strict=True)) == pytest.approx({"x": 0.2, "y": 1.6 / 3})


def test_the_figure_has_a_log_axis_where_the_range_has(run: Run) -> None:
    frame = marginal_effects(run, num_bins=2)
    figure = effect_figure(frame[frame["parameter"] == "lr"])
    assert figure.layout.xaxis.type == "log"
    assert list(figure.data[0].y) == pytest.approx([0.2, 0.6])
    assert figure.layout.annotations[0].text == "not used (1 trial)"
    assert effect_figure(frame[frame["parameter"] == "k"]).layout.xaxis.type == "category"


def test_an_interaction_is_what_the_sum_of_effects_misses(tmp_path: Path) -> None:
    cells = {(1e-4, "x"): 0.1, (1e-4, "y"): 0.2, (1.0, "x"): 0.3, (1.0, "y"): 0.8}
    run = _run(tmp_path, [(score, {"lr": lr, "k": k}) for (lr, k), score in cells.items()])
    frame = interactions(run, "lr", "k", num_bins=2)
    assert frame["mean"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.8])
    assert frame["beyond_sum"].tolist() == pytest.approx([0.1, -0.1, -0.1, 0.1])
    assert [str(part) for part in frame["first_bin"]] == ["0.0001 to 0.01"] * 2 + ["0.01 to 1"] * 2
    heat = interaction_figure(frame).data[0]
    assert heat.z.tolist() == [pytest.approx([0.1, 0.3]), pytest.approx([0.2, 0.8])]


def test_numbers_beside_a_range_are_options_of_their_own(tmp_path: Path) -> None:
    trials = [(0.1, {"lr": 0.0}), (0.3, {"lr": 0.0}), (0.6, {"lr": 1e-3}), (0.8, {"lr": 2.0}), (0.9, {})]
    run = _run(tmp_path, [(score, {**settings, "k": "xy"[i % 2]}) for i, (score, settings) in enumerate(trials)])
    frame = marginal_effects(run, num_bins=2).query("parameter == 'lr'")
    assert frame["bin"].tolist() == [0, "0", "2", "not used"]
    assert frame["mean"].tolist() == pytest.approx([0.6, 0.2, 0.8, 0.9])
    assert frame["at"].isna().tolist() == [False, True, True, True]
    assert [line.text for line in effect_figure(frame).layout.annotations] == [
        "0 (2 trials)",
        "2 (1 trial)",
        "not used (1 trial)",
    ]
    assert [str(part) for part in interactions(run, "lr", "k", num_bins=2)["first_bin"].unique()] == [
        "0.0001 to 0.01",
        "0",
        "2",
    ]


def test_settings_that_did_not_vary_have_no_interaction(run: Run) -> None:
    with pytest.raises(ValueError, match="'nope' did not vary; choose of lr, k"):
        interactions(run, "lr", "nope")
    with pytest.raises(ValueError, match="twice"):
        interactions(run, "lr", "lr")


def test_fewer_than_two_parts_are_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="num_bins >= 2"):
        marginal_effects(run, num_bins=1)
    with pytest.raises(ValueError, match="num_bins >= 2"):
        interactions(run, "lr", "k", num_bins=0)


def test_without_completed_trials_the_figures_say_so(tmp_path: Path) -> None:
    run = _run(tmp_path, [])
    assert "completed trials" in effect_figure(marginal_effects(run)).layout.annotations[0].text
