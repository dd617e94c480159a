"""Figures of probes from small tables made by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mtsearch_analysis.load import load_table
from mtsearch_analysis.probes import best_heads, best_layers_figure, label_differences, label_differences_figure
from mtsearch_analysis.tables import PROBES

ITEMS = {"nsubj": 80, "det": 100}


def probes_of(folder: Path, *rows: dict[str, Any]) -> pd.DataFrame:
    """Through a file, as a study would write it."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(PROBES.from_rows(rows), folder / PROBES.file)
    return load_table(PROBES, folder)


def head(
    label: str, layer: int, number: int, dev: float, test: float, model: str = "pretrained", trained: str | None = None
) -> list[dict[str, Any]]:
    shared = {"model": model, "trained": trained, "task": "dep", "label": label, "num_items": ITEMS.get(label, 180)}
    at = {"layer": layer, "head": number}
    return [{**shared, **at, "split": s, "accuracy": value} for s, value in (("dev", dev), ("test", test))]


def chance(label: str, name: str, dev: float, test: float) -> list[dict[str, Any]]:
    rows = head(label, 1, 1, dev, test)
    return [{**row, "layer": None, "head": None, "chance": name} for row in rows]


PRETRAINED = [
    *head("nsubj", 1, 1, 0.3, 0.9),
    *head("nsubj", 4, 7, 0.6, 0.5),
    *head("nsubj", 5, 2, 0.6, 0.8),
    *head("det", 2, 3, 0.9, 0.85),
    *head("det", 3, 3, 0.1, 0.2),
    *chance("nsubj", "offset", 0.35, 0.3),
    *chance("nsubj", "majority", 0.2, 0.45),
]


def test_a_head_is_chosen_on_dev_and_judged_on_test(tmp_path: Path) -> None:
    best = best_heads(probes_of(tmp_path, *PRETRAINED)).set_index("label")
    # Not the one that is best on test, and of equal ones the lower layer.
    assert best.loc["nsubj", ["layer", "head", "dev_accuracy", "accuracy"]].tolist() == [4, 7, 0.6, 0.5]
    assert best.loc["det", ["layer", "head", "accuracy", "num_items"]].tolist() == [2, 3, 0.85, 100]


def test_chance_is_the_baseline_that_is_best_on_dev(tmp_path: Path) -> None:
    best = best_heads(probes_of(tmp_path, *PRETRAINED)).set_index("label")
    assert best.loc["nsubj", "chance"] == 0.3
    assert best.loc["nsubj", "above_chance"] == pytest.approx(0.2)
    assert math.isnan(best.loc["det", "chance"])


def test_the_figure_of_layers_has_a_point_for_each_label_larger_for_frequent_ones(tmp_path: Path) -> None:
    heads = best_heads(probes_of(tmp_path, *PRETRAINED, *head("", 6, 6, 0.7, 0.7)))
    (trace,) = best_layers_figure(heads).data
    points = {
        text: (x, y, size) for text, x, y, size in zip(trace.text, trace.x, trace.y, trace.marker.size, strict=True)
    }
    assert {label: point[:2] for label, point in points.items()} == {"nsubj": (4, 0.5), "det": (2, 0.85)}
    assert points["det"][2] > points["nsubj"][2]


def test_the_figure_of_layers_shows_one_model(tmp_path: Path) -> None:
    rows = [*head("det", 1, 1, 0.5, 0.5), *head("det", 1, 1, 0.5, 0.5, model="dep")]
    with pytest.raises(ValueError, match="one model at a time, but got pretrained, dep"):
        best_layers_figure(best_heads(probes_of(tmp_path, *rows)))


SINGLE = [*head("nsubj", 3, 1, 0.7, 0.7, "dep", "dep"), *head("det", 3, 2, 0.9, 0.95, "dep", "dep")]
JOINT = [*head("nsubj", 2, 1, 0.6, 0.6, "all", "pos+dep"), *head("det", 2, 2, 0.9, 0.97, "all", "pos+dep")]


def test_differences_are_from_the_model_trained_on_the_task_alone(tmp_path: Path) -> None:
    frame = label_differences(best_heads(probes_of(tmp_path, *PRETRAINED, *SINGLE, *JOINT)))
    found = {(row["model"], row["label"]): row["difference"] for row in frame.to_dict("records")}
    assert found == {
        ("pretrained", "nsubj"): pytest.approx(-0.2),
        ("pretrained", "det"): pytest.approx(-0.1),
        ("all", "nsubj"): pytest.approx(-0.1),
        ("all", "det"): pytest.approx(0.02),
    }
    assert dict(zip(frame["label"], frame["frequency_rank"], strict=True)) == {"nsubj": 2, "det": 1}


def test_dashes_are_longer_for_frequent_labels_around_a_line_at_nothing(tmp_path: Path) -> None:
    figure = label_differences_figure(label_differences(best_heads(probes_of(tmp_path, *PRETRAINED, *SINGLE, *JOINT))))
    pretrained, joint = figure.data
    assert list(joint.x) == ["all", "all"]
    sizes = {row[0]: size for row, size in zip(pretrained.customdata, pretrained.marker.size, strict=True)}
    assert sizes["det"] > sizes["nsubj"]
    assert (figure.layout.shapes[0].y0, figure.layout.shapes[0].y1) == (0, 0)


def test_two_single_task_models_are_one_too_many(tmp_path: Path) -> None:
    again = head("nsubj", 3, 1, 0.7, 0.7, "dep again", "dep")
    with pytest.raises(ValueError, match="dep has several single-task models: dep, dep again; leave out all but one"):
        label_differences(best_heads(probes_of(tmp_path, *SINGLE, *again)))


def test_without_a_single_task_model_the_figure_says_so(tmp_path: Path) -> None:
    frame = label_differences(best_heads(probes_of(tmp_path, *PRETRAINED)))
    assert frame.empty
    assert "trained on one task alone" in label_differences_figure(frame).layout.annotations[0].text


def test_an_empty_table_has_empty_tables(tmp_path: Path) -> None:
    heads = best_heads(probes_of(tmp_path))
    assert heads.empty
    assert "was probed" in best_layers_figure(heads).layout.annotations[0].text


def test_a_folder_without_probes_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no probes table; pass the folder that holds probes.parquet"):
        load_table(PROBES, tmp_path)
