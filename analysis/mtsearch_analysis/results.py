"""Tables of results as papers have them: a row for each config, with its differences to a baseline over seeds.

Trials of one run or of several whose settings differ in nothing but ``training.seed`` are one config.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from mtsearch_analysis import wording
from mtsearch_analysis.load import Run, Runs, named_runs
from mtsearch_analysis.significance import holm, paired_p_values, t_bounds
from mtsearch_analysis.tables import split_metric
from mtsearch_analysis.task_sets import same_settings

__all__ = ["config_scores", "results_table", "results_text"]

_SEED = "training.seed"
_OVER_TASKS = ("mean_score", "worst_task")
_SCORE_COLUMNS = ["config", "settings", "is_baseline", "run", "trial_id", "seed", "split", "metric", "tasks", "value"]


def config_scores(
    runs: Run | Runs, *, baseline: str | None = None, names: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What each config reached with each seed, long: the configs in the order of their first trials.

    Where a run was replicated its replications count, on dev and test, and not its trials: those were chosen by their
    scores. Of a start point they count where it is a trial's config. Otherwise completed trials count, each at its
    best epoch; but for those that went on from another's weights, under pbt: what they reached is not their config's.

    Columns: ``config`` (its name), ``settings`` (those in which it differs from the baseline; empty for the baseline),
    ``is_baseline``, ``run``, ``trial_id``, ``seed``, ``split``, ``metric`` (``mean_score`` or ``task.metric``; the main
    metric first, then the tasks'), the ``tasks`` that it is over (``pos+ner`` of a ``mean_score``) and ``value``.

    Args:
        runs: one or several.
        baseline: the trial that stands for it, ``t0003`` or of several runs ``NAME/t0003``; None for the first one.
        names: of configs, by a trial that stands for each; the others are called by their ``settings``.

    Raises:
        ValueError: no such trial, or it has not completed.
    """
    trials = pd.concat([run.trials.assign(run=name) for name, run in named_runs(runs).items()], ignore_index=True)
    trials = trials[(trials["status"] == "completed") & trials["parent"].isna()]
    configs = same_settings(trials, ignoring=[_SEED])
    first = trials.groupby(configs, sort=False).head(1)
    if trials.empty:
        return pd.DataFrame(columns=_SCORE_COLUMNS)
    of_baseline = configs[first.index[0] if baseline is None else _trial(trials, baseline)]
    settings = _differences(first.set_index(configs[first.index]), of_baseline)
    titles = {number: text or "baseline" for number, text in settings.items()}
    titles |= {configs[_trial(trials, trial)]: name for trial, name in (names or {}).items()}
    scores = pd.concat(
        [_scores_of(name, run, trials[trials["run"] == name], configs) for name, run in named_runs(runs).items()],
        ignore_index=True,
    )
    scores = scores.assign(
        settings=scores["number"].map(settings),
        config=scores["number"].map(titles),
        is_baseline=scores["number"] == of_baseline,
    )
    order = {number: place for place, number in enumerate(dict.fromkeys(configs))}
    metrics = {metric: place for place, metric in enumerate(dict.fromkeys(scores["metric"]))}
    keys = scores.assign(place=scores["number"].map(order), by_metric=scores["metric"].map(metrics))
    keys = keys.sort_values(["place", "split", "by_metric", "seed"], kind="stable")
    return keys[_SCORE_COLUMNS].reset_index(drop=True)


def _scores_of(name: str, run: Run, trials: pd.DataFrame, configs: pd.Series) -> pd.DataFrame:
    metrics = dict.fromkeys([run.main_metric, *run.task_metrics, *run.objective.others])
    numbers = dict(zip(trials["trial_id"], configs[trials.index], strict=True))
    replications = run.replications[run.replications["alone"].isna() & run.replications["trial_id"].isin(numbers)]
    # ``best/`` columns hold what was measured on the holdout where there is one.
    sources: dict[str, tuple[str, pd.DataFrame]] = {run.score_split: ("best/", trials)}
    if len(replications):
        sources = {split: (f"{split}/", replications) for split in ("dev", "test")}
    pieces = [
        rows[["trial_id", "seed"]].assign(
            run=name,
            number=rows["trial_id"].map(numbers),
            split=split,
            metric=metric,
            tasks=_tasks_of(metric, run, rows),
            value=rows[prefix + metric],
        )
        for split, (prefix, rows) in sources.items()
        for metric in metrics
        if prefix + metric in rows
    ]
    columns = ["trial_id", "seed", "run", "number", "split", "metric", "tasks", "value"]
    return pd.concat(pieces, ignore_index=True).dropna(subset="value") if pieces else pd.DataFrame(columns=columns)


def _tasks_of(metric: str, run: Run, rows: pd.DataFrame) -> str | pd.Series:
    """What a metric is over: scores over other tasks cannot be compared with it."""
    if metric not in _OVER_TASKS:
        return split_metric(metric)[0]
    scored_tasks = run.objective.scored_tasks
    return rows["tasks"].fillna("") if scored_tasks is None else "+".join(scored_tasks)


def _trial(trials: pd.DataFrame, name: str) -> int:
    """The row of a completed trial, named with or without its run."""
    run, _, trial_id = name.rpartition("/")
    rows = trials.index[(trials["trial_id"] == trial_id) & ((trials["run"] == run) | (run == ""))]
    if rows.empty:
        known = [f"{run}/{trial}" for run, trial in zip(trials["run"], trials["trial_id"], strict=True)]
        raise ValueError(f"no completed trial {name!r}; the first ones are {', '.join(known[:5])}")
    return int(rows[0])


def _differences(configs: pd.DataFrame, baseline: int) -> dict[int, str]:
    """For each config the settings in which it differs from the baseline, as few as tell them apart."""
    columns = [str(column) for column in configs if str(column).startswith("config/")]
    columns = [
        c for c in columns if c not in ("config/name", f"config/{_SEED}") and configs[c].nunique(dropna=False) > 1
    ]
    names = [column.removeprefix("config/") for column in columns]
    siblings: dict[str, list[str]] = {}
    for name in names:
        siblings.setdefault(name.rpartition(".")[0], []).append(name)
    values = configs[columns].astype(object)
    rows = [dict(zip(names, row, strict=True)) for row in values.where(values.notna(), None).to_numpy().tolist()]
    own = rows[list(configs.index).index(baseline)]
    whole: dict[int, str] = {}
    short: dict[int, str] = {}
    for number, row in zip(configs.index, rows, strict=True):
        differing = [name for name in names if row[name] != own[name]]
        whole[number] = ", ".join(f"{name}={wording.setting(row[name])}" for name in differing)
        short[number] = ", ".join(_shortened(differing, row, own, siblings))
    times = Counter(short.values())
    return {number: whole[number] if times[text] > 1 else text for number, text in short.items()}


def _shortened(
    differing: list[str], row: Mapping[str, Any], own: Mapping[str, Any], siblings: Mapping[str, Collection[str]]
) -> list[str]:
    """Of a method that was changed its name; of a part that is on or off that alone; else name and value."""
    parts = []
    switched = [name.removesuffix("name") for name in differing if name.endswith(".name")]
    for name in differing:
        if any(name.startswith(prefix) and name != f"{prefix}name" for prefix in switched):
            continue
        parent = name.rpartition(".")[0]
        beside = siblings[parent]
        if len(beside) > 1 and all(own[other] is None for other in beside):
            parts.append(parent)
        elif len(beside) > 1 and all(row[other] is None for other in beside):
            parts.append(f"no {parent}")
        else:
            parts.append(f"{name}={wording.setting(row[name])}")
    return list(dict.fromkeys(parts))


def results_table(
    runs: Run | Runs,
    *,
    baseline: str | None = None,
    names: Mapping[str, str] | None = None,
    metrics: Collection[str] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """A row for each config, split and metric: its mean over seeds, and how it differs from the baseline.

    Columns: ``config``, ``settings``, ``is_baseline``, ``split``, ``metric`` and ``tasks`` as in :func:`config_scores`;
    ``num_seeds``, their ``mean`` and standard deviation ``sd``, from ``low`` to ``high`` the t interval of the mean;
    ``num_pairs`` of seeds that the baseline has too, the mean ``difference`` over these, from ``difference_low`` to
    ``difference_high`` its t interval, ``p`` of the paired t test, ``p_holm`` corrected for all configs and metrics
    of that split, and ``verdict``: "better", "worse", "within noise", with less than two pairs "unknown", empty for
    the baseline. A score over other tasks than the baseline's is paired with none.

    Args:
        runs: one or several.
        baseline: as for :func:`config_scores`.
        names: as for :func:`config_scores`.
        metrics: these alone, such as ``mean_score``: the fewer are tested, the less is corrected for; None for all.
        confidence: of the intervals, between 0 and 1; a corrected p below 1 - ``confidence`` is more than noise.

    Raises:
        ValueError: the confidence is not between 0 and 1, or as for :func:`config_scores`.
    """
    scores = config_scores(runs, baseline=baseline, names=names)
    if metrics is not None:
        scores = scores[scores["metric"].isin(metrics)]
    directions = {name: run.direction_of(name) for run in named_runs(runs).values() for name in set(scores["metric"])}
    measured = ["split", "metric", "tasks"]
    keys = ["config", "settings", "is_baseline", *measured]
    by_seed = scores.groupby([*keys, "seed"], sort=False, as_index=False)["value"].mean()
    of_baseline = by_seed.loc[by_seed["is_baseline"], [*measured, "seed", "value"]]
    pairs = by_seed.merge(of_baseline, "left", [*measured, "seed"], suffixes=("", "_of_baseline"))
    pairs["difference"] = (pairs["value"] - pairs["value_of_baseline"]).mask(pairs["is_baseline"])
    groups = pairs.groupby(keys, sort=False)
    frame: pd.DataFrame = groups["value"].agg(num_seeds="size", mean="mean", sd="std")
    frame["low"], frame["high"] = t_bounds(frame["mean"], frame["sd"], frame["num_seeds"], confidence)
    differences = groups["difference"].agg(["count", "mean", "std", "min", "max"])
    number, mean = differences["count"], differences["mean"]
    is_the_same = (number > 1) & (differences["min"] == differences["max"])
    sd = differences["std"].mask(is_the_same, 0.0)
    frame["num_pairs"], frame["difference"] = number.astype("Int64"), mean
    frame["difference_low"], frame["difference_high"] = t_bounds(mean, sd, number, confidence)
    frame["p"] = paired_p_values(mean, sd, number)
    frame = frame.reset_index()
    frame["num_pairs"] = frame["num_pairs"].mask(frame["is_baseline"])
    frame["p_holm"] = np.nan
    for _, group in frame.groupby("split"):
        frame.loc[group.index, "p_holm"] = holm(group["p"].tolist())
    frame["verdict"] = [
        _verdict(is_baseline, difference, p, 1 - confidence, directions[metric])
        for is_baseline, difference, p, metric in zip(
            frame["is_baseline"], frame["difference"], frame["p_holm"], frame["metric"], strict=True
        )
    ]
    return frame


def _verdict(is_baseline: bool, difference: float, p_holm: float, alpha: float, direction: str) -> str:
    if is_baseline:
        return ""
    if math.isnan(p_holm):
        return "unknown"
    if p_holm >= alpha:
        return "within noise"
    return "better" if (difference > 0) == (direction == "maximize") else "worse"


def results_text(table: pd.DataFrame, form: Literal["md", "latex"] = "md", *, digits: int = 3) -> str:
    """The table as a paper prints it: a row for each config, a column for each split and metric.

    A cell is the mean over seeds, ± half of its t interval where there are several, and in brackets the difference to
    the baseline, with a star where that is more than noise.

    Args:
        table: what :func:`results_table` gives, or some of its rows.
        form: Markdown, or LaTeX with the rules of the booktabs package.
        digits: after the point.
    """
    several_splits = table["split"].nunique() > 1
    is_named = ((table["config"] != table["settings"]) & ~table["is_baseline"]).any()
    rows: dict[str, dict[str, str]] = {}
    for row in table.to_dict("records"):
        cells = rows.setdefault(row["config"], {"config": row["config"]})
        if is_named:
            cells["settings"] = row["settings"] or "–"
        cells[f"{row['split']} {row['metric']}" if several_splits else row["metric"]] = _cell(row, digits)
    text = pd.DataFrame(list(rows.values())).fillna("–")
    if form == "latex":
        written = text.rename(columns=_latex_text).map(_latex_text)
        return written.to_latex(index=False, column_format="l" * (1 + is_named) + "r" * (text.shape[1] - 1 - is_named))
    lines = [list(text.columns), ["---"] * (1 + is_named) + ["---:"] * (text.shape[1] - 1 - is_named)]
    lines += text.to_numpy().tolist()
    return "".join(f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _cell(row: Mapping[Any, Any], digits: int) -> str:
    text = f"{row['mean']:.{digits}f}"
    if not math.isnan(row["low"]):
        text += f" ± {row['high'] - row['mean']:.{digits}f}"
    if not row["is_baseline"] and pd.notna(row["difference"]):
        difference = round(row["difference"], digits) + 0.0  # no -0.000
        text += f" ({difference:+.{digits}f}{'*' if row['verdict'] in ('better', 'worse') else ''})"
    return text


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
