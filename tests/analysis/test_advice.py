from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mtsearch_analysis.advice import advise
from mtsearch_analysis.load import Run, load_run
from tests.analysis.run_folders import START, metric_row, trial_row, write_run, write_tables


def _run(folder: Path, scores: list[float], curves: bool = False, **columns: list[Any]) -> Run:
    """Trials one after the other with these scores and columns; the range of ``lr`` is 1e-5 to 1e-3."""
    rows = []
    for i, value in enumerate(scores):
        own = {"started_at": START + pd.Timedelta(hours=i), "best/epoch": 1.0, "last/epoch": 2.0, "evaluations": 2}
        rows.append(trial_row(i, value, **(own | {name: values[i] for name, values in columns.items()})))
    metrics = [metric_row(f"t{i:04}", 1, value) for i, value in enumerate(scores)]
    write_tables(folder, rows, metrics)
    (folder / "resolved.yaml").write_text(yaml.safe_dump({"lr": {"loguniform": [1e-5, 1e-3]}}))
    return load_run(folder)


@pytest.mark.parametrize(("values", "side"), [([9.9e-4, 7e-4, 6e-4], "upper"), ([1.01e-5, 1.5e-5, 1e-3], "lower")])
def test_a_winner_at_the_edge_of_a_range_asks_for_a_wider_one(tmp_path: Path, values: list[float], side: str) -> None:
    told = advise(_run(tmp_path, [0.9, 0.8, 0.7], **{"config/lr": values}))
    assert (
        f"Widen the range of lr: the best trial's {values[0]:.4g} lies at the {side} end of 1e-05 to 0.001" in told[0]
    )


@pytest.mark.parametrize("values", [[9.9e-4, 2e-5, 3e-5], [1e-4, 9e-4, 9e-4], [0.0, 1e-5, 1e-5]])
def test_one_that_is_there_alone_or_in_the_middle_does_not(tmp_path: Path, values: list[float]) -> None:
    assert not any("Widen" in told for told in advise(_run(tmp_path, [0.9, 0.8, 0.7], **{"config/lr": values})))


def test_a_task_that_no_trial_has_learned_comes_first(tmp_path: Path) -> None:
    name = "best/ner.span_f1"
    told = advise(_run(tmp_path, [0.9, 0.8], **{name: [0.0, 0.0]}))
    assert told[0].startswith("ner.span_f1 is 0 in all of 2 trials: its task head has learned nothing yet.")
    assert not any("learned" in one for one in advise(_run(tmp_path, [0.9, 0.8], **{name: [0.0, 0.1]})))


def test_a_winner_that_was_still_learning_asks_for_longer_training(tmp_path: Path) -> None:
    run = _run(tmp_path, [0.9, 0.8], **{"best/epoch": [2.0, 1.0]})
    assert advise(run)[0].startswith("Train for longer: t0000 was at its best at its last evaluation, at epoch 2")


def test_a_lead_of_one_seed_asks_for_others(tmp_path: Path) -> None:
    told = advise(_run(tmp_path, [0.9, 0.8]))
    assert any(f"a lead of 0.1000: mtsearch replicate {tmp_path}" in one for one in told)
    assert any("trials to tell them apart: mtsearch" in one for one in advise(_run(tmp_path, [0.9, 0.9])))


def test_a_lead_over_a_trial_that_breaks_the_constraints_is_none(tmp_path: Path) -> None:
    told = advise(_run(tmp_path, [0.9, 0.8, 0.7], is_admissible=[False, True, True]))
    assert any("a lead of 0.1000" in one for one in told)
    assert not any("a lead" in one for one in advise(_run(tmp_path, [0.9, 0.8], is_admissible=[False, True])))


def test_what_went_on_from_another_trial_is_not_to_be_replicated(tmp_path: Path) -> None:
    told = advise(_run(tmp_path, [0.9, 0.8], parent=[None, "t0000"]))
    assert not any("mtsearch replicate" in one for one in told)
    assert any("another trial scheduler" in one for one in told)


def test_failures_are_to_be_mended_even_where_no_trial_has_a_score(tmp_path: Path) -> None:
    rows = [trial_row(i, status="failed", stop_reason=reason) for i, reason in enumerate(["no disk", "a bug", "a bug"])]
    assert advise(load_run(write_tables(tmp_path, rows, []))) == [
        "Mend what made 3 of 3 trials fail, 2 of them by this: a bug"
    ]


def test_progress_says_whether_more_trials_promise_anything(tmp_path: Path) -> None:
    rising = _run(tmp_path / "a", [0.1 * i for i in range(10)])
    assert any("still rose after 100% of the examples" in one for one in advise(rising))
    flat = _run(tmp_path / "b", [0.9] + [0.1] * 9)
    assert any("was reached after 10% of the examples" in one for one in advise(flat))
    few = _run(tmp_path / "c", [0.9] + [0.1] * 3)
    assert not any("of the examples" in one for one in advise(few))


def test_settings_without_importance_are_to_be_fixed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"parameter": ["lr", "k"], "importance": [0.98, 0.02], "low": [0.9, 0.0], "high": [1.0, 0.04]})
    run = _run(tmp_path, [0.9, 0.8])
    assert not any("Fix" in told for told in advise(run, frame.assign(num_trials=10)))
    told = advise(run, frame.assign(num_trials=30))
    assert told[-1] == "Fix k and search the rest more closely: it has less than 5% of the importance, lr 98%."


def test_many_that_diverged_ask_for_what_sets_them_apart(tmp_path: Path) -> None:
    statuses = ["completed"] * 6 + ["diverged"] * 3
    lr = [2e-5] * 6 + [9e-4] * 3
    told = advise(_run(tmp_path, [0.5] * 9, **{"status": statuses, "config/lr": lr}))
    assert told[-1] == "3 trials of 9 diverged: lower lr (median 0.0009, 2e-05 of the others)."


def test_a_running_search_gets_none(tmp_path: Path) -> None:
    assert advise(load_run(write_run(tmp_path, num_trials=12, running=True))) == []
