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
from mtsearch_analysis.significance import holm, paired_t_test, t_interval
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
    best epoch.

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
    trials = trials[trials["status"] == "completed"]
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
    values = configs[columns].rename(columns=lambda column: column.removeprefix("config/"))
    own = values.iloc[list(configs.index).index(baseline)]
    whole: dict[int, dict[str, str]] = {}
    short: dict[int, str] = {}
    for place, number in enumerate(configs.index):
        row = values.iloc[place]
        differing = [name for name in row.index if not _equal(row[name], own[name])]
        whole[number] = {name: wording.setting(row[name]) for name in differing}
        short[number] = ", ".join(_shortened(differing, row, own))
    twice = {text for text, times in Counter(short.values()).items() if times > 1}
    return {
        number: ", ".join(f"{name}={value}" for name, value in whole[number].items()) if text in twice else text
        for number, text in short.items()
    }


def _equal(left: Any, right: Any) -> bool:
    return bool(pd.isna(left) and pd.isna(right)) if pd.isna(left) or pd.isna(right) else bool(left == right)


def _shortened(differing: list[str], row: pd.Series, own: pd.Series) -> list[str]:
    """Of a method that was changed its name; of a part that is on or off that alone; else name and value."""
    parts = []
    switched = [name.removesuffix("name") for name in differing if name.endswith(".name")]
    for name in differing:
        if any(name.startswith(prefix) and name != f"{prefix}name" for prefix in switched):
            continue
        parent = name.rpartition(".")[0]
        siblings = [other for other in row.index if other.rpartition(".")[0] == parent]
        if len(siblings) > 1 and own[siblings].isna().all():
            parts.append(parent)
        elif len(siblings) > 1 and row[siblings].isna().all():
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
    rows = []
    keys = ["config", "settings", "is_baseline", "split", "metric", "tasks"]
    measured = ["split", "metric", "tasks"]
    by_seed = scores.groupby([*keys, "seed"], sort=False)["value"].mean().reset_index("seed")
    baselines = by_seed[by_seed.index.get_level_values("is_baseline")]
    of_baseline = {place: group.set_index("seed")["value"] for place, group in baselines.groupby(level=measured)}
    for key, group in by_seed.groupby(level=keys, sort=False):
        _, _, is_baseline, *what = key
        values = group.set_index("seed")["value"]
        low, high = t_interval(values, confidence)
        row = {
            **dict(zip(keys, key, strict=True)),
            "num_seeds": len(values),
            "mean": values.mean(),
            "sd": values.std(ddof=1),
            "low": low,
            "high": high,
            "p": math.nan,
        }
        if not is_baseline:
            differences = (values - of_baseline.get(tuple(what), values.iloc[:0])).dropna()
            row |= {"num_pairs": len(differences), "difference": differences.mean(), "p": paired_t_test(differences)}
            row |= dict(zip(("difference_low", "difference_high"), t_interval(differences, confidence), strict=True))
        rows.append(row)
    columns = [*keys, "num_seeds", "mean", "sd", "low", "high", "num_pairs", "difference", "difference_low"]
    frame = pd.DataFrame(rows, columns=[*columns, "difference_high", "p"]).astype({"num_pairs": "Int64"})
    frame["p_holm"] = np.nan
    for _, group in frame.groupby("split"):
        frame.loc[group.index, "p_holm"] = holm(group["p"].tolist())
    frame["verdict"] = [
        _verdict(bool(row["is_baseline"]), row["difference"], row["p_holm"], 1 - confidence, directions[row["metric"]])
        for row in frame.to_dict("records")
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
