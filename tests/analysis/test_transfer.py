"""Figures of transfer from small tables made by hand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from mtsearch_analysis.load import load_table
from mtsearch_analysis.tables import SOURCE_RANKINGS, TASK_EMBEDDINGS, TRANSFERS, Table
from mtsearch_analysis.transfer import (
    ranking_figure,
    ranking_quality,
    ranking_table,
    task_map,
    task_map_figure,
    task_similarities,
    transfer_figure,
    transfer_table,
)

KINDS = {"sst": "classification", "mnli": "classification", "squad": "qa", "pos": "tagging", "cola": "classification"}


def written(folder: Path, table: Table, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Through a file, as a study would write it."""
    pq.write_table(table.from_rows(rows), folder / table.file)
    return load_table(table, folder)


def transfer(source: str | None, target: str, *scores: float, regime: str = "full to full") -> list[dict[str, Any]]:
    """A row for each seed."""
    kinds = {"target_kind": KINDS[target], "source_kind": KINDS[source] if source else None}
    shared = {"source": source, "target": target, **kinds, "regime": regime, "metric": "accuracy"}
    return [{**shared, "seed": seed, "score": score} for seed, score in enumerate(scores)]


def test_a_gain_is_over_direct_training_paired_by_seed(tmp_path: Path) -> None:
    rows = [
        *transfer(None, "sst", 0.5, 0.6, 0.55),
        *transfer("squad", "sst", 0.6, 0.65, 0.7),
        *transfer("mnli", "sst", 0.8),
        *transfer("sst", "pos", 0.9),
    ]
    table = transfer_table(written(tmp_path, TRANSFERS, rows)).set_index(["target", "source"])
    row = table.loc[("sst", "squad")]
    interval = stats.ttest_rel([0.6, 0.65, 0.7], [0.5, 0.6, 0.55]).confidence_interval()
    assert (row["num_seeds"], row["score"], row["direct"]) == (3, pytest.approx(0.65), pytest.approx(0.55))
    assert (row["gain"], row["relative_gain"]) == (pytest.approx(0.1), pytest.approx(0.1 / 0.55))
    assert (row["low"], row["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert table.loc[("sst", "mnli"), "gain"] == pytest.approx(0.3)  # of the one seed that both have
    assert list(table.index) == [("sst", "mnli"), ("sst", "squad"), ("pos", "sst")]  # the best source first
    assert math.isnan(table.loc[("pos", "sst"), "direct"])


def test_there_is_a_violin_and_a_black_line_for_each_target_and_a_panel_for_each_regime(tmp_path: Path) -> None:
    rows = [
        *transfer(None, "sst", 0.5),
        *transfer("squad", "sst", 0.6),
        *transfer("mnli", "sst", 0.4),
        *transfer("mnli", "pos", 0.9, regime="full to limited"),
    ]
    figure = transfer_figure(transfer_table(written(tmp_path, TRANSFERS, rows)))
    violins = [trace for trace in figure.data if trace.type == "violin"]
    assert [sorted(violin.y) for violin in violins] == [[0.4, 0.6], [0.9]]
    assert [trace.y for trace in figure.data if trace.name == "trained directly"] == [(0.5, 0.5)]
    shown = [trace.name for trace in figure.data if trace.showlegend and trace.type == "scatter"]
    assert shown == ["trained directly", "qa", "classification"]
    assert [note.text for note in figure.layout.annotations] == ["full to full", "full to limited"]


def embedding(task: str, vector: list[float], component: str = "", method: str = "textemb") -> dict[str, Any]:
    shared = {"task": task, "kind": KINDS[task], "method": method, "component": component, "num_examples": 10}
    return {**shared, "vector": vector}


def test_tasks_are_as_alike_as_the_mean_cosine_of_their_components(tmp_path: Path) -> None:
    rows = [
        embedding("sst", [1.0, 0.0], "cls"),
        embedding("mnli", [0.0, 2.0], "cls"),
        embedding("sst", [1.0, 1.0, 1.0], "layer"),
        embedding("mnli", [2.0, 2.0, 2.0], "layer"),
        embedding("pos", [3.0, 3.0], "cls"),
        embedding("sst", [9.0], "", "other"),
    ]
    table = task_similarities(written(tmp_path, TASK_EMBEDDINGS, rows), "textemb").set_index(["task_a", "task_b"])
    assert table.loc[("sst", "mnli"), "cosine"] == pytest.approx(0.5)
    assert table.loc[("sst", "mnli"), "num_components"] == 2
    assert table.loc[("sst", "pos"), "cosine"] == pytest.approx(math.sqrt(0.5))
    assert table.loc[("sst", "pos"), "num_components"] == 1
    assert len(table) == 3


def test_embeddings_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    frame = written(tmp_path, TASK_EMBEDDINGS, [embedding("sst", [1.0]), embedding("mnli", [1.0, 2.0])])
    with pytest.raises(ValueError, match="vectors of different lengths; one encoder at a time"):
        task_similarities(frame, "textemb")
    with pytest.raises(ValueError, match="no task embeddings by 'taskemb'; there are those by textemb"):
        task_similarities(frame, "taskemb")


def test_the_map_keeps_distances_where_two_dimensions_hold_them(tmp_path: Path) -> None:
    angles = dict(zip(KINDS, (0.0, 0.4, 1.0, 2.0, 3.5), strict=True))
    rows = [embedding(task, [math.cos(angle), math.sin(angle)]) for task, angle in angles.items()]
    frame = task_map(task_similarities(written(tmp_path, TASK_EMBEDDINGS, rows), "textemb"))
    assert frame["kept"].iloc[0] == pytest.approx(1.0)
    place = frame.set_index("task")[["x", "y"]]
    for one, other in itertools.combinations(angles, 2):
        expected = math.sqrt(2 - 2 * math.cos(angles[one] - angles[other]))
        assert np.linalg.norm(place.loc[one] - place.loc[other]) == pytest.approx(expected, abs=1e-6)
    assert frame.set_index("task")["nearest"].to_dict() == {
        "sst": "mnli",
        "mnli": "sst",
        "squad": "mnli",
        "pos": "squad",
        "cola": "pos",
    }


def test_a_map_that_loses_distances_says_how_much_it_keeps(tmp_path: Path) -> None:
    rows = [embedding(task, np.eye(5)[i].tolist()) for i, task in enumerate(KINDS)]
    frame = task_map(task_similarities(written(tmp_path, TASK_EMBEDDINGS, rows), "textemb"))
    assert frame["kept"].tolist() == [pytest.approx(0.5)] * 5  # two of four dimensions that are alike
    figure = task_map_figure(frame)
    assert "with 50%" in figure.layout.xaxis.title.text
    assert [trace.name for trace in figure.data] == ["most alike", "classification", "qa", "tagging"]


def rank(method: str, target: str, *sources: str) -> list[dict[str, Any]]:
    shared = {"method": method, "target": target}
    return [{**shared, "source": source, "rank": i} for i, source in enumerate(sources, start=1)]


SCORES = {"mnli": 0.9, "squad": 0.6, "pos": 0.3}


def quality_of(folder: Path, *sources: str, ks: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    rows = [row for source, score in SCORES.items() for row in transfer(source, "sst", score)]
    table = transfer_table(written(folder, TRANSFERS, rows))
    return ranking_quality(written(folder, SOURCE_RANKINGS, rank("taskemb", "sst", *sources)), table, ks=ks)


def test_a_perfect_ranking_has_nothing_to_regret(tmp_path: Path) -> None:
    row = quality_of(tmp_path, "mnli", "squad", "pos").iloc[0]
    assert row[["best_rank", "ndcg", "regret_at_1", "regret_at_2"]].tolist() == [1, 1, 0, 0]


def test_a_ranking_is_judged_by_what_its_first_sources_did(tmp_path: Path) -> None:
    row = quality_of(tmp_path, "pos", "squad", "mnli").iloc[0]
    assert (row["best_rank"], row["num_sources"]) == (3, 3)
    # By hand: of a best score of 0.9, pos gives a third and squad two thirds.
    assert row["regret_at_1"] == pytest.approx(2 / 3)
    assert row["regret_at_2"] == pytest.approx(1 / 3)
    gains = [[2**score - 1 for score in (0.3, 0.6, 0.9)]]
    assert row["ndcg"] == pytest.approx(ndcg_score(gains, [[3, 2, 1]]))


def test_chance_is_the_mean_over_all_orders(tmp_path: Path) -> None:
    every = [quality_of(tmp_path, *order).iloc[0] for order in itertools.permutations(SCORES)]
    by_chance = quality_of(tmp_path, *SCORES).set_index("method").loc["chance"]
    for measure in ("best_rank", "ndcg", "regret_at_1", "regret_at_2"):
        assert by_chance[measure] == pytest.approx(np.mean([row[measure] for row in every]))


def test_more_sources_than_there_are_regret_nothing(tmp_path: Path) -> None:
    quality = quality_of(tmp_path, "pos", "squad", "mnli", ks=(9,))
    assert quality["regret_at_9"].tolist() == [0.0, 0.0]


def test_only_sources_that_were_ranked_and_transferred_from_count(tmp_path: Path) -> None:
    row = quality_of(tmp_path, "cola", "squad", "mnli").iloc[0]
    assert (row["num_sources"], row["best_rank"]) == (2, 2)


def test_regimes_are_judged_one_at_a_time(tmp_path: Path) -> None:
    rows = [
        row
        for regime in ("full to full", "full to limited")
        for source, score in SCORES.items()
        for row in transfer(source, "sst", score if regime == "full to full" else 1 - score, regime=regime)
    ]
    table = transfer_table(written(tmp_path, TRANSFERS, rows))
    rankings = written(tmp_path, SOURCE_RANKINGS, rank("datasize", "sst", "mnli", "squad", "pos"))
    with pytest.raises(ValueError, match="several regimes; choose 'full to full' or 'full to limited'"):
        ranking_quality(rankings, table)
    assert ranking_quality(rankings, table, regime="full to limited")["best_rank"].iloc[0] == 3
    with pytest.raises(ValueError, match="k >= 1 must hold"):
        ranking_quality(rankings, table, regime="full to full", ks=(0,))


def test_the_figure_has_a_panel_for_each_measure_and_chance_beside(tmp_path: Path) -> None:
    table = ranking_table(quality_of(tmp_path, "pos", "squad", "mnli"))
    assert table["measure"].tolist() == ["best_rank", "ndcg", "regret_at_1", "regret_at_2"] * 2
    figure = ranking_figure(table)
    assert len(figure.data) == 4
    assert list(figure.data[0].y) == ["taskemb", "chance"]
    assert list(figure.data[0].x) == [3.0, 2.0]


def test_figures_without_rows_say_so(tmp_path: Path) -> None:
    nothing = transfer_table(written(tmp_path, TRANSFERS, []))
    assert "transferred" in transfer_figure(nothing).layout.annotations[0].text
    quality = ranking_quality(written(tmp_path, SOURCE_RANKINGS, []), nothing)
    assert "ranked" in ranking_figure(ranking_table(quality)).layout.annotations[0].text
    lone = task_similarities(written(tmp_path, TASK_EMBEDDINGS, [embedding("sst", [1.0])]), "textemb")
    assert "two tasks" in task_map_figure(task_map(lone)).layout.annotations[0].text
