from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mtsearch_analysis.load import Run, load_run, load_runs
from mtsearch_analysis.summary import summarise, summarise_runs
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import trial_row, write_tables

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_a_finished_run_is_told_in_words(tmp_path: Path) -> None:
    def trial(number: int, a: float, b: float, status: str = "completed") -> dict[str, object]:
        return trial_row(
            number,
            (a + b) / 2,
            status=status,
            seconds=60.0,
            gpu_seconds=30.0,
            started_at=START,
            ended_at=START + timedelta(seconds=90),
            **{"best/a.accuracy": a, "best/b.f1": b, "best/epoch": 3.0, "config/lr": number / 10},
        )

    rows = [trial(0, 0.5, 0.7), trial(1, 0.8, 0.6), trial(2, 0.2, 0.2, "pruned"), trial_row(3, status="failed")]
    objective = Objective(task_metrics=("a.accuracy", "b.f1"))
    run = load_run(write_tables(tmp_path / "small", rows, [], objective))
    assert summarise(run) == [
        "small tried 4 configs over 1 setting (lr) for the highest mean_score on a and b.",
        "The best trial is t0001 with mean_score 0.7000 at epoch 3, 0.1000 better than the runner-up, t0000, "
        "and 0.0500 better than the median of the 2 trials that completed.",
        "It is beaten on b by t0000 (f1 0.7000, 0.1000 better).",
        "All trials share seed 7: a small lead may be the seed's, not the config's.",
        "The search cost 3 min of training in all, 1 min 30 s of GPU time, 1 min 30 s from first start to last end "
        "and 4,000 examples.",
        "Of 4 trials, 2 completed, 1 pruned and 1 failed.",
    ]


def test_a_running_search_says_so_before_anything_that_may_change(running_run: Run) -> None:
    assert summarise(running_run)[1] == ("2 trials were under way when this was written, so what follows may change.")


def test_a_tie_at_the_top_is_called_one(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.5), trial_row(1, 0.5)], []))
    assert summarise(run)[1] == (
        "The best trial is t0000 with mean_score 0.5000, the same as t0001, which saw no fewer examples, and no better "
        "than the median of the 2 trials that completed."
    )


def test_a_run_without_a_score_says_so(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, status="diverged", examples_seen=None)], []))
    assert "No trial has reported a score." in summarise(run)
    assert "Of 1 trial, 1 diverged." in summarise(run)


def test_one_task_that_is_searched_for_is_named_once(tmp_path: Path) -> None:
    rows = [trial_row(0, 0.5, **{"best/a.f1": 0.5})]
    run = load_run(write_tables(tmp_path / "small", rows, [], Objective("a.f1", task_metrics=("a.f1",))))
    assert summarise(run)[0] == "small tried 1 config for the highest a.f1."
    two = Objective("a.f1", task_metrics=("a.f1", "b.f1"))
    rows = [trial_row(0, 0.5, **{"best/a.f1": 0.5, "best/b.f1": 0.5})]
    run = load_run(write_tables(tmp_path / "two", rows, [], two))
    assert summarise(run)[0] == "two tried 1 config for the highest a.f1 on a and b."


def constrained(folder: Path, *scores: tuple[float, bool]) -> Run:
    """Completed trials, each with its score and whether it meets the constraint."""
    rows = [trial_row(i, value, is_admissible=meets) for i, (value, meets) in enumerate(scores)]
    run = write_tables(folder, rows, [])
    (run / "resolved.yaml").write_text("search: {constraints: [latency_ratio <= 0.7]}\n")
    return load_run(run)


def test_a_winner_is_compared_with_those_that_meet_the_constraints_too(tmp_path: Path) -> None:
    told = summarise(constrained(tmp_path, (0.9, False), (0.6, True), (0.8, False), (0.7, True)))
    assert told[1] == (
        "2 of 4 trials with a score meet the constraints (latency_ratio <= 0.7); the best of those is t0003 with "
        "mean_score 0.7000, 0.1000 better than the runner-up, t0001, and 0.0500 better than the median of the 2 of "
        "them that completed."
    )


def test_constraints_that_one_trial_or_none_meets_are_told_as_such(tmp_path: Path) -> None:
    assert summarise(constrained(tmp_path / "one", (0.9, False), (0.6, True)))[1] == (
        "1 of 2 trials with a score meets the constraints (latency_ratio <= 0.7); the best of those is t0001 with "
        "mean_score 0.6000; no other trial meets them."
    )
    assert summarise(constrained(tmp_path / "none", (0.9, False), (0.6, False)))[1].startswith(
        "None of 2 trials with a score meets the constraints (latency_ratio <= 0.7); the best of them is t0000 with "
        "mean_score 0.9000, 0.3000 better than the runner-up, t0001"
    )


def test_a_winner_that_went_on_from_others_names_them(tmp_path: Path) -> None:
    rows = [trial_row(0, 0.5), trial_row(1, 0.6, parent="t0000"), trial_row(2, 0.7, parent="t0001")]
    assert (
        "Under pbt it went on from the weights of t0000 and t0001: its settings are those of its last stretch alone."
        in summarise(load_run(write_tables(tmp_path, rows, [])))
    )


def test_ancestors_that_go_round_in_a_circle_are_named_once(tmp_path: Path) -> None:
    rows = [trial_row(0, 0.5, parent="t0001"), trial_row(1, 0.6, parent="t0000")]
    told = " ".join(summarise(load_run(write_tables(tmp_path, rows, []))))
    assert "it went on from the weights of t0000: its" in told


def test_a_run_without_trials_says_so(tmp_path: Path) -> None:
    assert summarise(load_run(write_tables(tmp_path / "new", [], []))) == ["new has no trials yet."]


def test_different_seeds_need_no_caution(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path / "run", [trial_row(0, 0.5, seed=1), trial_row(1, 0.4, seed=2)], []))
    assert not any("seed" in sentence for sentence in summarise(run))


def test_several_objectives_are_named_and_their_front_is_told(tmp_path: Path) -> None:
    def trial(number: int, score: float, heads: float, pareto: bool | None) -> dict[str, object]:
        return trial_row(number, score, pareto=pareto, **{"best/open_heads": heads})

    rows = [trial(0, 0.5, 10, True), trial(1, 0.7, 72, True), trial(2, 0.4, 40, False), trial_row(3, status="failed")]
    run = load_run(write_tables(tmp_path / "small", rows, [], Objective(others={"open_heads": "minimize"})))
    told = summarise(run)
    assert told[0] == "small tried 4 configs for the highest mean_score and the lowest open_heads."
    assert (
        "Of 3 trials that completed, 2 are on the Pareto front of mean_score and open_heads (t0001 and t0000): "
        "no other is as good on all of these and better on one."
    ) in told
    refused = [trial_row(0, 0.5, pareto=False, is_admissible=False)]
    refused_run = load_run(write_tables(tmp_path / "refused", refused, [], run.objective))
    assert (
        "None of 1 trial that completed is on the Pareto front of mean_score and open_heads, as none meets the "
        "constraints." in summarise(refused_run)
    )
    unfinished = load_run(write_tables(tmp_path / "new", [trial_row(0, 0.5, status="running")], [], run.objective))
    assert "No trial has completed yet, so there is no Pareto front." in summarise(unfinished)


def sets_of_tasks(folder: Path) -> Run:
    """Two tasks, alone and together, each trial scored on its own tasks."""

    def trial(number: int, **scores: float) -> dict[str, object]:
        metrics = {f"best/{task}.f1": score for task, score in scores.items()}
        return trial_row(number, sum(scores.values()) / len(scores), tasks="+".join(scores), **metrics)

    rows = [trial(0, a=0.5), trial(1, b=0.75), trial(2, a=0.625, b=0.5)]
    return load_run(write_tables(folder / "sets", rows, [], Objective(task_metrics=("a.f1", "b.f1"))))


def test_no_trial_is_called_best_of_runs_that_are_scored_on_their_own_tasks(tmp_path: Path) -> None:
    folders = [
        write_tables(tmp_path / name, [trial_row(0, value, **{f"best/{metric}": value})], [], Objective())
        for name, metric, value in (("a", "a.f1", 0.5), ("b", "b.f1", 0.625), ("b_too", "b.f1", 0.75))
    ]
    assert summarise_runs(load_runs(folders))[1] == (
        "Each run's mean_score is over its own tasks, so no one trial is best of all."
    )
    assert summarise_runs(load_runs(folders[1:]))[1] == (
        "The best trial is b_too's t0000 with 0.7500, 0.1250 better than the best of b."
    )


def test_no_trial_is_called_best_of_trials_that_are_scored_on_their_own_tasks(tmp_path: Path) -> None:
    said = summarise(sets_of_tasks(tmp_path))
    assert said[:2] == [
        "sets tried 3 configs over 1 setting (tasks) for the highest mean_score on a and b.",
        "Trials are scored on their own tasks, so no one of them is best of all; the best on average are for a those "
        "with a+b (f1 0.6250, +0.1250 against the task alone) and for b those with b (f1 0.7500).",
    ]
    assert not any("beats it" in sentence or "beaten" in sentence for sentence in said)
