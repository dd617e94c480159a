"""Maps of attention heads and how much alike they are, held to numbers worked by hand and to scipy."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtsearch_analysis.heads import (
    gate_agreement,
    gate_maps,
    gate_pairs,
    gate_pairs_figure,
    head_costs,
    head_costs_figure,
    head_maps_figure,
    jaccard,
    jaccard_by_chance,
    mean_map,
    rgb_figure,
)
from mtsearch_analysis.load import load_run, load_runs
from tests.analysis.run_folders import trial_row, write_gates, write_tables

# Two layers of three attention heads.
FIRST = [[1.0, 0.5, 0.0], [0.0, 1.0, 0.25]]
SECOND = [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0]]
THIRD = [[0.0, 0.0, 1.0], [0.5, 1.0, 1.0]]


def maps_of(folder: Path, gates: list[list[list[float]]], tasks: list[str] | None = None) -> pd.DataFrame:
    """A run with a trial for each set of gates, shared by the tasks."""
    rows = [trial_row(i, 0.5, **({"tasks": tasks[i]} if tasks else {})) for i in range(len(gates))]
    write_tables(folder, rows, [])
    write_gates(folder, {f"t{i:04}": [given] for i, given in enumerate(gates)})
    return gate_maps(load_run(folder))


def test_a_map_is_that_of_the_last_evaluation_or_of_the_best(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, [trial_row(0, 0.5, **{"best/epoch": 0.0})], [])
    write_gates(folder, {"t0000": [FIRST]})
    last, best = gate_maps(load_run(folder)), gate_maps(load_run(folder), at="best")
    assert last["gate"].tolist() == [1.0, 0.5, 0.0, 0.0, 1.0, 0.25]
    assert last[["layer", "head"]].to_numpy().tolist() == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    assert set(last["evaluation"]) == {1}
    assert best["gate"].tolist() == [1.0] * 6


def test_the_mean_map_is_over_every_set_of_gates_given(tmp_path: Path) -> None:
    mean = mean_map(maps_of(tmp_path, [FIRST, SECOND, THIRD]))
    expected = (np.array(FIRST) + np.array(SECOND) + np.array(THIRD)) / 3
    assert mean["gate"].tolist() == pytest.approx(expected.ravel().tolist())
    drawn = head_maps_figure(mean).data[0]
    assert np.asarray(drawn.z) == pytest.approx(expected)
    assert drawn.colorscale[0][1] == "#ffffff"  # closed is white: dark is used by many


def test_there_is_a_panel_for_each_set_of_gates_named_shortly(tmp_path: Path) -> None:
    figure = head_maps_figure(maps_of(tmp_path, [FIRST, SECOND]))
    assert [note.text for note in figure.layout.annotations] == ["t0000", "t0001"]
    assert np.asarray(figure.data[1].z).tolist() == SECOND


def test_an_rgb_map_is_255_times_what_each_of_three_leaves_closed(tmp_path: Path) -> None:
    figure = rgb_figure(maps_of(tmp_path, [FIRST, SECOND, THIRD]))
    image = np.asarray(figure.data[0].z)
    assert image.shape == (2, 3, 3)
    assert image[0, 0].tolist() == [0, 0, 255]  # open in the first and second: blue
    assert image[0, 1].tolist() == [128, 255, 255]
    assert image[1, 1].tolist() == [0, 0, 0]  # open in all three: black
    assert [trace.name for trace in figure.data[1:]] == [
        "t0000 alone",
        "t0001 alone",
        "t0002 alone",
        "all three",
        "none",
    ]


def test_an_rgb_map_takes_three(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes three sets of gates, but got 2"):
        rgb_figure(maps_of(tmp_path, [FIRST, SECOND]))


def test_maps_of_encoders_of_different_shapes_are_refused(tmp_path: Path) -> None:
    first, second = maps_of(tmp_path / "a", [FIRST]), maps_of(tmp_path / "b", [[[1.0, 0.0]]])
    with pytest.raises(ValueError, match="same encoder"):
        mean_map(pd.concat([first, second]))


def test_pairs_correlate_as_scipy_says_and_share_open_heads_as_counted(tmp_path: Path) -> None:
    pairs = gate_pairs(maps_of(tmp_path, [FIRST, SECOND, THIRD]))
    assert pairs[["a", "b"]].to_numpy().tolist() == [["t0000", "t0001"], ["t0000", "t0002"], ["t0001", "t0002"]]
    flat = [np.ravel(gates) for gates in (FIRST, SECOND, THIRD)]
    expected = [stats.pearsonr(left, right).statistic for left, right in itertools.combinations(flat, 2)]
    assert pairs["correlation"].tolist() == pytest.approx(expected)
    # Open: 1 2 5 6, then 1 4 5, then 3 4 5 6.
    assert pairs["jaccard"].tolist() == pytest.approx([2 / 5, 2 / 6, 2 / 5])
    assert (pairs["low"] <= pairs["correlation"]).all()
    assert (pairs["correlation"] <= pairs["high"]).all()


def test_p_is_the_share_of_all_orders_that_correlate_as_much(tmp_path: Path) -> None:
    pairs = gate_pairs(maps_of(tmp_path, [FIRST, SECOND]), num_permutations=20_000)
    left, right = np.ravel(FIRST), np.ravel(SECOND)
    orders = np.array(list(itertools.permutations(range(6))))
    everyone = np.array([np.corrcoef(left, right[order])[0, 1] for order in orders])
    exact = np.mean(np.abs(everyone) >= abs(np.corrcoef(left, right)[0, 1]) - 1e-12)
    assert pairs["p"].iloc[0] == pytest.approx(exact, abs=0.01)


def test_within_layers_agreement_on_which_layers_to_keep_is_no_agreement_on_heads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Both keep the lower layer and drop the upper one; which heads is noise.
    noisy = [np.stack([0.7 + 0.3 * rng.random(12), 0.3 * rng.random(12)]).tolist() for _ in range(2)]
    maps = maps_of(tmp_path, noisy)
    assert gate_pairs(maps)["p"].iloc[0] < 0.001
    assert gate_pairs(maps, within_layers=True)["p"].iloc[0] > 0.05


def test_the_bootstrap_interval_is_about_fisher_s(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    left = rng.random(200)
    right = (left + rng.random(200)) / 2
    maps = maps_of(tmp_path, [left.reshape(10, 20).tolist(), right.reshape(10, 20).tolist()])
    row = gate_pairs(maps).iloc[0]
    fisher = stats.pearsonr(left, right).confidence_interval()
    assert (row["low"], row["high"]) == (pytest.approx(fisher.low, abs=0.04), pytest.approx(fisher.high, abs=0.04))


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    maps = maps_of(tmp_path, [FIRST, SECOND, THIRD])
    pd.testing.assert_frame_equal(gate_pairs(maps), gate_pairs(maps))


def test_gates_that_are_all_the_same_correlate_with_nothing(tmp_path: Path) -> None:
    row = gate_pairs(maps_of(tmp_path, [FIRST, [[0.0] * 3] * 2])).iloc[0]
    assert math.isnan(row["correlation"])
    assert math.isnan(row["p"])
    assert row["jaccard"] == 0.0


def test_pairs_are_told_apart_by_what_their_trials_trained(tmp_path: Path) -> None:
    tasks = ["pos", "pos", "ner", "pos+ner", "ner+dep"]
    pairs = gate_pairs(maps_of(tmp_path, [FIRST] * 5, tasks)).set_index(["a", "b"])["relation"]
    assert pairs["t0000", "t0001"] == "same tasks"
    assert pairs["t0000", "t0002"] == "different tasks"
    assert pairs["t0000", "t0003"] == "joint and single"
    assert pairs["t0003", "t0004"] == "overlapping tasks"
    assert pairs["t0000", "t0004"] == "different tasks"


def test_trials_whose_tasks_are_not_known_are_not_taken_for_alike(tmp_path: Path) -> None:
    assert gate_pairs(maps_of(tmp_path, [FIRST, SECOND]))["relation"].tolist() == ["unknown tasks"]


def test_gates_of_one_task_each_stand_for_that_task(tmp_path: Path) -> None:
    for name, gates in (("one", [FIRST, SECOND]), ("other", [FIRST, THIRD])):
        folder = write_tables(tmp_path / name, [trial_row(0, 0.5, tasks="pos+ner")], [])
        write_gates(folder, {"t0000": gates}, tasks=("pos", "ner"))
    pairs = gate_pairs(gate_maps(load_runs([tmp_path / "one", tmp_path / "other"])))
    found = {(row["a"], row["b"]): row["relation"] for row in pairs.to_dict("records")}
    assert found["one (ner)", "one (pos)"] == "same trial"
    assert found["one (pos)", "other (pos)"] == "same tasks"
    assert found["one (pos)", "other (ner)"] == "different tasks"


def test_agreement_is_the_mean_and_range_of_each_relation(tmp_path: Path) -> None:
    pairs = gate_pairs(maps_of(tmp_path, [FIRST, SECOND, THIRD], ["pos", "pos", "ner"]))
    table = gate_agreement(pairs)
    assert table["relation"].tolist() == ["same tasks", "different tasks"]
    assert table["num_pairs"].tolist() == [1, 2]
    different = pairs[pairs["relation"] == "different tasks"]
    assert table.loc[1, "jaccard"] == pytest.approx((2 / 6 + 2 / 5) / 2)
    assert table.loc[1, "correlation_low"] == different["correlation"].min()
    assert table.loc[1, "correlation_high"] == different["correlation"].max()


def test_the_figure_has_a_row_for_each_relation_and_every_pair_in_it(tmp_path: Path) -> None:
    figure = gate_pairs_figure(gate_pairs(maps_of(tmp_path, [FIRST, SECOND, THIRD], ["pos", "pos", "ner"])))
    assert list(figure.layout.yaxis.ticktext) == ["same tasks", "different tasks"]
    assert [list(trace.x) for trace in figure.data if trace.name == "a pair"] == [[0.4], pytest.approx([1 / 3, 0.4])]


def test_jaccard_of_nothing_is_unknown() -> None:
    nothing, something = np.zeros(3, dtype=bool), np.array([True, False, True])
    assert math.isnan(jaccard(nothing, nothing))
    assert jaccard(nothing, something) == 0.0
    assert jaccard(something, something) == 1.0


def test_chance_is_exact_where_all_draws_can_be_listed() -> None:
    left = {0, 1}
    draws = [len(left & set(right)) / len(left | set(right)) for right in itertools.combinations(range(5), 3)]
    mean, low, high = jaccard_by_chance(5, 2, 3, confidence=0.9)
    assert mean == pytest.approx(np.mean(draws))
    assert (low, high) == (min(draws), max(draws))


def test_chance_for_half_of_72_heads() -> None:
    drawn = [
        jaccard(*(np.isin(np.arange(72), rng.choice(72, 36, replace=False)) for _ in range(2)))
        for rng in [np.random.default_rng(3)]
        for _ in range(4000)
    ]
    mean, low, high = jaccard_by_chance(72, 36, 36)
    assert mean == pytest.approx(np.mean(drawn), abs=0.005)
    assert (round(low, 2), round(high, 2)) == (0.24, 0.44)
    assert np.mean([low <= value <= high for value in drawn]) >= 0.95


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("num_permutations", 0, "num_permutations >= 1"),
        ("num_resamples", 0, "num_resamples >= 1"),
        ("confidence", 95, "0 < confidence < 1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, argument: str, value: int, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        gate_pairs(maps_of(tmp_path, [FIRST, SECOND]), **{argument: value})


def test_costs_are_those_of_completed_trials_from_few_heads_to_many(tmp_path: Path) -> None:
    rows = [
        trial_row(0, 0.7, **{"best/open_heads": 1.0, "best/latency_ratio": 1.0}),
        trial_row(1, 0.6, **{"best/open_heads": 0.5, "best/latency_ratio": 0.8}),
        trial_row(2, 0.9, status="pruned", **{"best/open_heads": 0.1, "best/latency_ratio": 0.5}),
    ]
    costs = head_costs(load_run(write_tables(tmp_path / "a", rows, [])))
    assert costs[["trial_id", "score", "open_heads", "latency_ratio"]].to_numpy().tolist() == [
        ["t0001", 0.6, 0.5, 0.8],
        ["t0000", 0.7, 1.0, 1.0],
    ]
    across_heads, across_time = head_costs_figure(costs).data
    assert list(across_heads.x) == [0.5, 1.0]
    assert list(across_time.x) == [0.8, 1.0]


def test_a_run_without_pruning_has_empty_tables_and_figures_that_say_so(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.5)], []))
    maps = gate_maps(run)
    assert maps.empty
    assert gate_pairs(maps).empty
    assert head_costs(run).empty
    for figure in (head_maps_figure(maps), head_costs_figure(head_costs(run))):
        assert "No attention heads may be pruned" in figure.layout.annotations[0].text
    assert "two sets of gates" in gate_pairs_figure(gate_pairs(maps)).layout.annotations[0].text
