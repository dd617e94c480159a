"""The run told in sentences."""

from __future__ import annotations

import pandas as pd

from mtsearch_analysis.best import best_trials, contenders, tasks_lost
from mtsearch_analysis.load import Run, Runs
from mtsearch_analysis.pareto import pareto_front
from mtsearch_analysis.replication import replication_verdict
from mtsearch_analysis.settings import searched_columns
from mtsearch_analysis.tables import STATUSES, split_metric
from mtsearch_analysis.task_sets import task_set_table
from mtsearch_analysis.wording import count, duration, large, listing, score

__all__ = ["summarise", "summarise_runs"]

_MOST_SETTINGS_NAMED = 8
_MOST_TRIALS_NAMED = 8


def summarise(run: Run) -> list[str]:
    """What was searched, what won and by how much, where it lost, what it cost and what became of the trials."""
    if run.trials.empty:
        return [f"{run.name} has no trials yet."]
    return [
        _what_was_searched(run),
        *_whether_it_runs(run),
        *_what_won(run),
        *_where_it_lost(run),
        *_what_is_traded_off(run),
        *_how_sure(run),
        _what_it_cost(run),
        _what_became_of_them(run),
    ]


def summarise_runs(runs: Runs) -> list[str]:
    """What several runs found, which of them found the best trial, and by how much it is ahead of the next run's."""
    metric = next(iter(runs)).main_metric
    sentences = [f"{listing(list(runs.by_name))} are compared by {metric}."]
    tops = {name: best_trials(run, n=1) for name, run in runs.by_name.items() if not run.ranks_apart()}
    scores = {name: float(rows["score"].iloc[0]) for name, rows in tops.items() if len(rows)}
    is_less_better = next(iter(runs)).direction == "minimize"
    ranked = sorted(scores, key=lambda name: scores[name] if is_less_better else -scores[name])
    if not ranked:
        return [*sentences, "No trial has reported a score yet, or none of a run is its best."]
    first = ranked[0]
    won = f"The best trial is {first}'s {tops[first]['trial_id'].iloc[0]} with {score(scores[first])}"
    if len({runs.by_name[name].scored_tasks for name in ranked}) > 1:
        won = f"Each run's {metric} is over its own tasks, so no one trial is best of all"
    elif len(ranked) > 1:
        lead = abs(scores[first] - scores[ranked[1]])
        won += f", {score(lead)} better than the best of {ranked[1]}" if lead else f", the same as {ranked[1]}'s best"
    sentences.append(f"{won}.")
    if len({run.score_split for run in runs}) > 1:
        sentences.append("They are not measured alike: some scores are on a holdout, and others on dev.")
    hashes = {name: frozenset(run.trials["data_hash"].dropna()) for name, run in runs.by_name.items()}
    if len({known for known in hashes.values() if known}) > 1:
        sentences.append("They saw different data, so scores may differ for that alone.")
    spent = f"{duration(runs.trials['seconds'].sum())} of training in all"
    return [*sentences, f"They cost {spent} and {large(sum(run.num_examples for run in runs))} examples."]


def _what_was_searched(run: Run) -> str:
    names = [column.removeprefix("config/") for column in searched_columns(run)]
    shown = names[:_MOST_SETTINGS_NAMED]
    if len(names) > len(shown):
        shown = [*shown, f"{len(names) - len(shown)} more"]
    over = f" over {count(len(names), 'setting')} ({listing(shown)})" if names else ""
    is_told_by_goal = set(run.task_metrics) <= set(run.objective.metrics)
    tasks = "" if is_told_by_goal else listing([split_metric(name)[0] for name in run.task_metrics])
    goal = listing(
        [f"the {'lowest' if way == 'minimize' else 'highest'} {name}" for name, way in run.objective.metrics.items()]
    )
    return f"{run.name} tried {count(len(run.trials), 'config')}{over} for {goal}{f' on {tasks}' if tasks else ''}."


def _whether_it_runs(run: Run) -> list[str]:
    under_way = int((run.trials["status"] == "running").sum())
    if not under_way:
        return []
    were = "was" if under_way == 1 else "were"
    return [f"{count(under_way, 'trial')} {were} under way when this was written, so what follows may change."]


def _what_won(run: Run) -> list[str]:
    ranked = contenders(run)
    if ranked.empty:
        return ["No trial has reported a score."]
    if run.ranks_apart():
        return _what_won_of_each_task(run)
    winner, is_bound = ranked.iloc[0], bool(ranked["is_admissible"].notna().any())
    won = f"{_who_won(run)} is {winner['trial_id']} with {run.main_metric} {score(winner['score'])}"
    won += " on the holdout" if run.score_split == "holdout" else ""
    if pd.notna(winner["best/epoch"]):
        won += f" at epoch {winner['best/epoch']:g}"
    if len(ranked) == 1:
        alone = "meets them" if is_bound and winner["is_admissible"] else "has a score to compare it with"
        return [f"{won}; no other trial {alone}.", *_whose_weights(run)]
    runner_up = ranked.iloc[1]
    lead = abs(winner["score"] - runner_up["score"])
    won += (
        f", {score(lead)} better than the runner-up, {runner_up['trial_id']}"
        if lead
        else f", the same as {runner_up['trial_id']}, which saw no fewer examples"
    )
    completed = ranked.loc[ranked["status"] == "completed", "score"]
    if len(completed) > 1:
        gain = abs(winner["score"] - completed.median())
        of_whom = f"{len(completed)} {'of them' if is_bound else 'trials'} that completed"
        won += f", and {f'{score(gain)} better than' if gain else 'no better than'} the median of the {of_whom}"
    return [f"{won}.", *_whose_weights(run)]


def _who_won(run: Run) -> str:
    judged = run.trials["is_admissible"].dropna()
    if judged.empty:
        return "The best trial"
    stated = listing((run.space or {}).get("search", {}).get("constraints", []))
    told = f" ({stated})" if stated else ""
    those = f"{count(len(judged), 'trial')} with a score"
    if not judged.any():
        return f"None of {those} meets the constraints{told}; the best of them"
    number = int(judged.sum())
    return f"{number} of {those} {'meets' if number == 1 else 'meet'} the constraints{told}; the best of those"


def _whose_weights(run: Run) -> list[str]:
    parents = run.trials.set_index("trial_id")["parent"].dropna()
    line = [best_trials(run, n=1)["trial_id"].iloc[0]]
    while line[-1] in parents and parents[line[-1]] not in line:
        line.append(parents[line[-1]])
    if len(line) == 1:
        return []
    ancestors = listing(line[:0:-1])
    return [f"Under pbt it went on from the weights of {ancestors}: its settings are those of its last stretch alone."]


def _what_won_of_each_task(run: Run) -> list[str]:
    table = task_set_table(run)
    best = table.loc[table.groupby("task", sort=False)["score"].idxmax()]
    cases = [
        f"for {row['task']} those with {row['tasks']} ({row['metric']} {score(row['score'])}"
        + (f", {row['difference']:+.4f} against the task alone)" if row["num_pairs"] else ")")
        for row in best.to_dict("records")
    ]
    means = "Trials are scored on their own tasks, so no one of them is best of all"
    return [f"{means}; the best on average are {listing(cases)}." if cases else f"{means}."]


def _where_it_lost(run: Run) -> list[str]:
    if run.ranks_apart():
        return []
    if best_trials(run, n=2).shape[0] < 2 or len(run.task_metrics) < 2:
        return []
    lost = tasks_lost(run)
    if lost.empty:
        return ["No other trial beats it on any single task."]
    cases = [
        f"on {row['task']} by {row['best_trial']} "
        f"({row['metric']} {score(row['best_score'])}, {score(row['gap'])} better)"
        for row in lost.to_dict("records")
    ]
    return [f"It is beaten {listing(cases)}."]


def _what_is_traded_off(run: Run) -> list[str]:
    if not run.objective.others:
        return []
    judged = run.trials["pareto"].dropna()
    if judged.empty:
        return ["No trial has completed yet, so there is no Pareto front."]
    names = [str(name) for name in pareto_front(run)["trial_id"]]
    shown = names if len(names) <= _MOST_TRIALS_NAMED else [*names[:_MOST_TRIALS_NAMED], "others"]
    front = f"on the Pareto front of {listing(list(run.objective.metrics))}"
    if not names:
        return [f"None of {count(len(judged), 'trial')} that completed is {front}, as none meets the constraints."]
    return [
        f"Of {count(len(judged), 'trial')} that completed, {len(names)} {'is' if len(names) == 1 else 'are'} {front} "
        f"({listing(shown)}): no other is as good on all of these and better on one."
    ]


def _how_sure(run: Run) -> list[str]:
    if len(run.replications):
        return replication_verdict(run)
    seeds = run.trials["seed"].dropna().unique()
    if len(seeds) != 1 or run.trials["score"].notna().sum() < 2:
        return []
    return [f"All trials share seed {seeds[0]}: a small lead may be the seed's, not the config's."]


def _what_it_cost(run: Run) -> str:
    trials = run.trials
    parts = [f"{duration(trials['seconds'].sum())} of training in all"]
    gpu_seconds = trials["gpu_seconds"].sum()
    if gpu_seconds > 0:
        parts.append(f"{duration(gpu_seconds)} of GPU time")
    ends = trials["ended_at"].max() if trials["ended_at"].notna().any() else pd.NaT
    if not run.is_running and pd.notna(ends):
        parts.append(f"{duration((ends - trials['started_at'].min()).total_seconds())} from first start to last end")
    parts.append(f"{large(run.num_examples)} examples")
    return f"The search cost {listing(parts)}."


def _what_became_of_them(run: Run) -> str:
    counts = run.trials["status"].value_counts()
    parts = [f"{counts[status]} {status}" for status in STATUSES if status in counts and status != "running"]
    if not parts:
        return "No trial has ended yet."
    became = f"Of {count(len(run.trials), 'trial')}, {listing(parts)}"
    if run.is_population:
        number = int(run.trials["parent"].notna().sum())
        became += f"; {number} went on from another's weights, so that a score may not be its trial's settings' alone"
    return f"{became}."
