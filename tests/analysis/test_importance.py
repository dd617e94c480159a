from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from mtsearch_analysis.importance import importance_figure, parameter_importance
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import trial_row, write_tables


def _run(folder: Path, num_trials: int = 60, conditional: bool = False, objective: Objective | None = None) -> Run:
    """``a`` decides the score, ``b`` adds a little, ``c`` nothing; a pruned trial says the opposite."""
    draw = random.Random(1)
    rows: list[dict[str, Any]] = []
    for number in range(num_trials):
        a, b, c = draw.random(), draw.random(), draw.choice(["x", "y"])
        settings = {"config/a": a, "config/b": b, "config/c": c}
        if conditional and number % 2:
            settings["config/d"] = draw.random()
        rows.append(trial_row(number, a + 0.1 * b, **settings))
    rows.append(trial_row(num_trials, 9.0, status="pruned", **{"config/a": 0.0, "config/b": 0.5, "config/c": "x"}))
    return load_run(write_tables(folder, rows, [], objective or Objective()))


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_the_setting_that_decides_comes_first_and_shares_add_up(tmp_path: Path, method: Any) -> None:
    frame = parameter_importance(_run(tmp_path), method, num_resamples=5)
    assert frame["parameter"].iloc[0] == "a"
    assert frame["importance"].iloc[0] > 0.7
    assert frame["importance"].sum() == pytest.approx(1.0)
    assert (frame["low"] <= frame["high"]).all()
    assert set(frame["num_trials"]) == {60}


def test_importance_does_not_depend_on_the_direction_alone(tmp_path: Path) -> None:
    run = _run(tmp_path, objective=Objective("t.loss", "minimize"))
    assert parameter_importance(run, num_resamples=0)["parameter"].iloc[0] == "a"


def test_the_same_seed_gives_the_same_intervals(tmp_path: Path) -> None:
    run = _run(tmp_path)
    first, second = (parameter_importance(run, num_resamples=5, seed=3) for _ in range(2))
    assert first.equals(second)


def test_a_conditional_setting_is_refused_by_fanova_alone(tmp_path: Path) -> None:
    run = _run(tmp_path, conditional=True)
    assert set(parameter_importance(run, num_resamples=0)["parameter"]) == {"a", "b", "c", "d"}
    with pytest.raises(ValueError, match="no d; take method='ped_anova'"):
        parameter_importance(run, "fanova")


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_an_option_of_zero_beside_a_logarithmic_range_counts_as_its_low_end(tmp_path: Path, method: Any) -> None:
    draw = random.Random(1)
    rows = []
    for number in range(40):
        decay = draw.choice([0.0, 10 ** draw.uniform(-4, -1)])
        rows.append(trial_row(number, decay, **{"config/decay": decay, "config/c": draw.choice(["x", "y"])}))
    write_tables(tmp_path, rows, [])
    (tmp_path / "resolved.yaml").write_text("decay: {choice: [0, {loguniform: [0.0001, 0.1]}]}")
    frame = parameter_importance(load_run(tmp_path), method, num_resamples=3)
    assert frame["parameter"].tolist() == ["decay", "c"]
    assert frame["importance"].iloc[0] > 0.8


def test_shares_are_those_that_optuna_tells_of_the_search_itself(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        layers, lr = trial.suggest_int("layers", 1, 8), trial.suggest_float("lr", 1e-5, 1e-2, log=True)
        return layers / 8 - abs(math.log10(lr) + 3) + trial.suggest_categorical("pooling", ["cls", "mean"]).count("c")

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(3))
    study.optimize(objective, n_trials=60)
    rows = [
        trial_row(trial.number, trial.value, **{f"config/{name}": value for name, value in trial.params.items()})
        for trial in study.trials
    ]
    write_tables(tmp_path, rows, [])
    space = {"layers": {"int": [1, 8]}, "lr": {"loguniform": [1e-5, 1e-2]}, "pooling": {"choice": ["cls", "mean"]}}
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(space))
    frame = parameter_importance(load_run(tmp_path), num_resamples=0)
    expected = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    assert dict(zip(frame["parameter"], frame["importance"], strict=True)) == pytest.approx(expected)


def test_few_trials_say_nothing(tmp_path: Path) -> None:
    frame = parameter_importance(_run(tmp_path, num_trials=9))
    assert frame.empty
    assert "It takes 10 completed trials" in importance_figure(frame).layout.annotations[0].text


def test_a_sample_stands_for_more_trials_than_are_wanted(tmp_path: Path) -> None:
    frame = parameter_importance(_run(tmp_path), num_resamples=0, max_trials=40)
    assert set(frame["num_trials"]) == {40}
    assert frame["parameter"].iloc[0] == "a"


def test_an_unknown_metric_and_a_confidence_in_percent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 < confidence < 1"):
        parameter_importance(_run(tmp_path), confidence=95)
    with pytest.raises(ValueError, match="no metric 'nope'"):
        parameter_importance(_run(tmp_path), metric="nope")


def test_without_optuna_the_remedy_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'mtsearch-analysis\[importance\]'$"):
        parameter_importance(_run(tmp_path))


def test_the_figure_has_a_bar_for_each_setting_the_most_important_on_top(tmp_path: Path) -> None:
    frame = parameter_importance(_run(tmp_path), num_resamples=5)
    bar = importance_figure(frame).data[0]
    assert list(bar.customdata) == frame["parameter"].tolist()[::-1]
    assert list(bar.x) == frame["importance"].tolist()[::-1]
