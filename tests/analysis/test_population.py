"""A run under pbt, in which a trial goes on from another's weights, as its tables and its report tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch_analysis.advice import advise
from mtsearch_analysis.cost import cost_table
from mtsearch_analysis.early_stopping import early_order_table, early_order_verdict
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.report import write_report
from mtsearch_analysis.results import config_scores
from mtsearch_analysis.summary import summarise
from tests.analysis.run_folders import metric_row, trial_row, write_tables


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """t0004 took the place of t0001, with the weights that t0000 had after 2 of 3 evaluations; all have a GPU."""

    def trial(number: int, score: float, evaluations: int, dropout: float, begun: int = 0, **columns: object) -> None:
        cost = {"seconds": 60.0 * (evaluations - begun), "gpu_seconds": 60.0 * (evaluations - begun)}
        cost["examples_seen"] = 100 * evaluations
        row = trial_row(
            number, score, evaluations=evaluations, **cost, **columns, **{"config/encoder.dropout": dropout}
        )
        trials.append(
            row | {"best/mean_score": score, "best/epoch": float(evaluations), "last/epoch": float(evaluations)}
        )
        for evaluation in range(begun + 1, evaluations + 1):
            metrics.append(metric_row(row["trial_id"], evaluation, score - (evaluations - evaluation) / 100))

    trials: list[dict[str, object]] = []
    metrics: list[dict[str, object]] = []
    trial(0, 0.8, 3, 0.10)
    trial(1, 0.2, 1, 0.20, status="pruned", stop_reason="t0004 took its place after evaluation 1")
    trial(2, 0.5, 3, 0.15)
    trial(3, 0.4, 3, 0.05)
    trial(4, 0.9, 3, 0.30, begun=2, parent="t0000", parent_evaluation=2)
    folder = write_tables(tmp_path / "run", trials, metrics)
    (folder / "resolved.yaml").write_text("encoder: {dropout: {uniform: [0.0, 0.3]}}")
    return load_run(folder)


def test_a_score_costs_what_its_ancestors_took_too(run: Run) -> None:
    costs = cost_table(run).set_index("trial_id")
    assert costs["seconds"].to_dict() == {"t0001": 60, "t0000": 180, "t0002": 180, "t0003": 180, "t0004": 180}
    assert costs[["gpu_seconds", "examples_seen"]].loc["t0004"].tolist() == [180, 300]
    assert costs["is_worth_it"].to_dict() == dict.fromkeys(costs.index, False) | {"t0001": True, "t0004": True}


def test_early_scores_of_others_weights_say_nothing_of_stopping_early(run: Run) -> None:
    assert early_order_table(run).empty
    assert early_order_verdict(run) == ""


def test_a_trial_with_others_weights_is_no_score_of_its_config(run: Run) -> None:
    assert config_scores(run)["trial_id"].unique().tolist() == ["t0000", "t0002", "t0003"]


def test_settings_of_a_last_stretch_are_no_reason_to_widen_a_range(run: Run) -> None:
    assert not any(sentence.startswith("Widen") for sentence in advise(run))


def test_the_report_tells_what_came_from_others(run: Run, tmp_path: Path) -> None:
    assert summarise(run)[-1] == (
        "Of 5 trials, 4 completed and 1 pruned; 1 went on from another's weights, so that a score may not be its "
        "trial's settings' alone."
    )
    page = write_report(run, tmp_path / "report.html").read_text()
    assert "<dd>1 min, after 2 min of those that it went on from</dd>" in page
    assert "Train its last config from the start: <code>mtsearch train" in page
    assert '<td class="number" data-key="100.0">100</td><td class="number" data-key="60.0">1 min</td>' in page
