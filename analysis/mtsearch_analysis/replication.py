"""What the best configs reach with other seeds, and whether the winner is more than noise.

The winner is the config among the best with the highest mean of the main metric on dev, over its new seeds. Being the
highest of several it is flattered there; on test, which chose nothing, it is not. It is compared with the others seed
by seed: with the rest of the best, with the start point, and on each task with that task trained alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pandas as pd

from mtsearch_analysis import wording
from mtsearch_analysis.load import Run
from mtsearch_analysis.significance import holm, paired_t_test, t_interval
from mtsearch_analysis.tables import split_metric

__all__ = ["replication_table", "replication_tests", "replication_verdict"]

_SPLITS = ("dev", "test")


def replication_table(run: Run, confidence: float = 0.95) -> pd.DataFrame:
    """What each config reaches on average over its new seeds, a row for each split and metric.

    Columns: ``config_id``, ``rank`` in the search, ``is_start``, the task that it has ``alone``, ``tasks``, ``split``,
    ``metric``, ``num_seeds``, their ``mean`` and standard deviation ``sd``, and from ``low`` to ``high`` Student's t
    interval of the mean, which seeds are independent draws for; null with one seed. Seeds without a score, since the
    training failed or diverged at once, are in ``num_failed`` and in no mean.

    The best are first, by their rank; then the start point; then tasks alone. Configs that are no longer compared,
    since the search went on and has better ones, are left out.

    Args:
        run: the run.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    rows = []
    for config_id, replications in _compared(run).groupby("config_id", sort=False):
        first = replications.iloc[0]
        for split in _SPLITS:
            for metric in _metrics(run, replications, split):
                values = replications[f"{split}/{metric}"].dropna()
                rows.append(
                    {
                        "config_id": config_id,
                        **{name: first[name] for name in ("rank", "is_start", "alone", "tasks")},
                        "split": split,
                        "metric": metric,
                        "num_seeds": len(values),
                        "num_failed": len(replications) - int(replications[f"dev/{metric}"].notna().sum()),
                        "mean": values.mean(),
                        "sd": values.std(ddof=1),
                        **dict(zip(("low", "high"), t_interval(values, confidence), strict=True)),
                    }
                )
    columns = ["config_id", "rank", "is_start", "alone", "tasks", "split", "metric", "num_seeds", "num_failed"]
    return pd.DataFrame(rows, columns=[*columns, "mean", "sd", "low", "high"])


def replication_tests(run: Run, confidence: float = 0.95) -> pd.DataFrame:
    """The winner against the others, seed by seed, a row for each comparison and split.

    Columns: ``split``, ``config_id`` (the winner), ``other``, ``against`` ("best", "start" or "alone"), ``metric`` (the
    main one; against a task alone the task's), ``num_seeds`` that both have, the mean ``difference`` (the winner's
    less the other's), from ``low`` to ``high`` its t interval, ``p`` of the paired t test, ``p_holm`` corrected for all
    comparisons of the split, and ``verdict``: "better", "worse", "within noise", or with one seed "unknown".

    Where trials with different tasks are ranked apart, each set of tasks has a winner; all comparisons are one family.

    Args:
        run: the run.
        confidence: of the interval; a corrected p below 1 - ``confidence`` is more than noise.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    rows = []
    for split in _SPLITS:
        of_split = [_tested(run, pair, split, confidence) for pair in _pairs(run)]
        of_split = [row for row in of_split if row["num_seeds"]]
        for row, p_holm in zip(of_split, holm([row["p"] for row in of_split]), strict=True):
            row["p_holm"] = p_holm
            row["verdict"] = _verdict(run, row["metric"], row["difference"], p_holm, 1 - confidence)
        rows += of_split
    columns = ["split", "config_id", "other", "against", "metric", "num_seeds", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "p", "p_holm", "verdict"])


def replication_verdict(run: Run, confidence: float = 0.95) -> list[str]:
    """What the replications say, in sentences; none where nothing was replicated.

    Args:
        run: the run.
        confidence: as for :func:`replication_tests`.
    """
    table, tests = replication_table(run, confidence), replication_tests(run, confidence)
    sentences = []
    for winner in _winners(run):
        means = table[(table["config_id"] == winner) & (table["metric"] == run.main_metric)]
        by_split = {row["split"]: row for row in means.to_dict("records")}
        reached = " and ".join(f"{_mean(row)} on {split}" for split, row in by_split.items())
        seeds = wording.count(int(by_split["dev"]["num_seeds"]), "seed")
        sentences.append(f"{winner} is the best on dev: over {seeds} its {run.main_metric} is {reached}.")
        trainings = run.replications[run.replications["config_id"] == winner]["is_admissible"].dropna()
        if len(trainings):
            sentences.append(f"It meets the constraints with {int(trainings.sum())} of {len(trainings)} seeds.")
        split = "test" if "test" in by_split else "dev"
        if split == "dev":
            sentences.append("There is no test score to compare by; on dev, which chose it, the winner is flattered.")
        of_split = tests[(tests["config_id"] == winner) & (tests["split"] == split)]
        sentences += [_sentence(row, split) for row in of_split.to_dict("records")]
    without = _compared(run)["without_test"].dropna().unique()
    sentences += [f"Not on test: {reason}." for reason in without]
    return sentences + _failures(run)


class _Pair(NamedTuple):
    winner: str
    other: str
    against: Literal["best", "start", "alone"]
    metric: str


def _compared(run: Run) -> pd.DataFrame:
    """The replications of the configs that are compared, in the order of the table."""
    rows = run.replications
    are_best = rows["rank"].notna()
    trials = set(rows.loc[are_best, "trial_id"])
    rows = rows[are_best | rows["is_start"].astype(bool) | (rows["alone"].notna() & rows["trial_id"].isin(trials))]
    place = rows["alone"].notna() * 2 + (rows["alone"].isna() & rows["rank"].isna())
    return rows.assign(place=place).sort_values(["place", "rank"], kind="stable").drop(columns="place")


def _metrics(run: Run, replications: pd.DataFrame, split: str) -> Iterator[str]:
    alone = replications["alone"].iloc[0]
    for metric in dict.fromkeys([run.main_metric, *run.task_metrics, *run.objective.others]):
        column = f"{split}/{metric}"
        is_its_own = pd.isna(alone) or split_metric(metric)[0] == alone
        if is_its_own and column in replications and replications[column].notna().any():
            yield metric


def _winners(run: Run) -> list[str]:
    """The best config on dev; of each set of tasks, where those are ranked apart.

    Those that meet the search's constraints with half of their seeds or more come before all others.
    """
    column = f"dev/{run.main_metric}"
    rows = _compared(run)
    rows = rows[rows["rank"].notna()]
    if column not in rows:
        return []
    rows = rows[rows[column].notna()]
    contests = rows["tasks"] if run.ranks_apart() else pd.Series("", index=rows.index)
    sign = -1 if run.direction_of(run.main_metric) == "minimize" else 1
    winners = []
    for _, contest in rows.groupby(contests, sort=False):
        # groupby keeps the order of the table: of equal means the better rank is first
        configs = contest.groupby("config_id", sort=False)
        means, shares = sign * configs[column].mean(), configs["is_admissible"].agg(_share_admissible)
        is_admissible = shares >= 0.5
        winners.append(str(means[is_admissible if is_admissible.any() else ~is_admissible].idxmax()))
    return winners


def _share_admissible(is_admissible: pd.Series) -> float:
    """Of a config's trainings; all where nothing is constrained."""
    return float(is_admissible.astype("boolean").fillna(True).mean())


def _pairs(run: Run) -> Iterator[_Pair]:
    configs = _compared(run).drop_duplicates("config_id").set_index("config_id")
    for winner in _winners(run):
        own = configs.loc[winner]
        for other, row in configs.drop(winner).iterrows():
            is_rival = not run.ranks_apart() or row["tasks"] == own["tasks"]
            if pd.notna(row["alone"]):
                if row["trial_id"] == own["trial_id"]:
                    metrics = (name for name in run.task_metrics if split_metric(name)[0] == row["alone"])
                    yield from (_Pair(winner, str(other), "alone", metric) for metric in metrics)
            elif is_rival:
                yield _Pair(winner, str(other), "start" if row["is_start"] else "best", run.main_metric)


def _tested(run: Run, pair: _Pair, split: str, confidence: float) -> dict[str, Any]:
    column = f"{split}/{pair.metric}"
    rows = _compared(run)
    values = [
        rows[rows["config_id"] == config_id].set_index("seed")[column] if column in rows else pd.Series(dtype="float64")
        for config_id in (pair.winner, pair.other)
    ]
    differences = (values[0] - values[1]).dropna()
    low, high = t_interval(differences, confidence)
    return {
        "split": split,
        "config_id": pair.winner,
        "other": pair.other,
        "against": pair.against,
        "metric": pair.metric,
        "num_seeds": len(differences),
        "difference": differences.mean(),
        "low": low,
        "high": high,
        "p": paired_t_test(differences),
    }


def _verdict(run: Run, metric: str, difference: float, p_holm: float, alpha: float) -> str:
    if math.isnan(p_holm):
        return "unknown"
    if p_holm >= alpha:
        return "within noise"
    return "better" if (difference > 0) == (run.direction_of(metric) == "maximize") else "worse"


def _mean(row: dict[Any, Any]) -> str:
    if math.isnan(row["low"]):
        return wording.score(row["mean"])
    return f"{wording.score(row['mean'])} ± {wording.score(row['high'] - row['mean'])}"


def _sentence(row: dict[Any, Any], split: str) -> str:
    what = {
        "better": "is better than",
        "worse": "is worse than",
        "within noise": "is within noise of",
        "unknown": "cannot be told from",
    }[row["verdict"]]
    other = row["other"]
    if row["against"] == "start":
        other = "the start point" if other == "start" else f"the start point {other}"
    elif row["against"] == "alone":
        other = f"{other.rpartition('/')[2]} trained alone"
    subject = f"On {split}, {row['config_id']} {what} {other} in {row['metric']}"
    if row["verdict"] == "unknown":
        return f"{subject} by one seed ({row['difference']:+.4f})."
    half = row["high"] - row["difference"]
    return f"{subject} ({row['difference']:+.4f} ± {half:.4f}, p = {row['p_holm']:.2g} by Holm's correction)."


def _failures(run: Run) -> list[str]:
    rows = _compared(run)
    ended_badly = rows[rows["status"] != "completed"]
    return [
        f"{config_id} {' and '.join(sorted(group['status'].unique()))} with {wording.count(len(group), 'seed')}: "
        f"{group['stop_reason'].iloc[0]}."
        for config_id, group in ended_badly.groupby("config_id", sort=False)
    ]
