"""Whether early scores told the final order: how safe it was to stop trials early."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from mtsearch_analysis.curves import learning_curves
from mtsearch_analysis.load import Run
from mtsearch_analysis.tables import split_metric
from mtsearch_analysis.wording import count

__all__ = ["early_order_table", "early_order_verdict"]

_FEWEST = 5  # completed trials of which anything is said
_MOST_ROWS = 8
_COLUMNS = ["evaluation", "stopped", "trials", "tau", "in_order", "winner_rank", "is_beyond_chance"]


def early_order_table(run: Run) -> pd.DataFrame:
    """How the order of the completed trials at an early evaluation agrees with their final order.

    One row for each evaluation after which trials were stopped early (the first 8), or where none was for evaluations
    1, 3, 9, ... Only completed trials have a final score, and of them those that went beyond that evaluation count.
    Where trials were stopped, these had to do well early to be completed at all: what the stopped ones would have
    come to is not known, and the agreement among the others says little about them.

    Columns: ``evaluation``, ``stopped`` (trials that ended there as pruned), ``trials`` (completed ones compared),
    ``tau`` (Kendall's τ-b between the score there and the final score, which is the best one, that one included; 0
    where all are equal),
    ``in_order`` ((1 + τ) / 2: the share of pairs of trials that are in their final order), ``winner_rank`` (that of
    the one that came to be the best, there, from 1), and ``is_beyond_chance`` (τ is larger than two standard errors of
    an order by lot). Empty where trials with different tasks are ranked apart, or too few (< 2) can be compared.

    Source: Kendall 1938, A new measure of rank correlation; the standard error without ties is
    √(2 (2n + 5) / (9 n (n - 1))).
    """
    if run.ranks_apart() or run.metrics.empty:
        return pd.DataFrame(columns=_COLUMNS)
    task, metric = split_metric(run.main_metric)
    curves = learning_curves(run, metric=metric, task=task)
    sign = -1.0 if run.direction == "minimize" else 1.0
    of_completed = curves[curves["status"] == "completed"]
    scores = of_completed.pivot(index="trial_id", columns="evaluation", values="value") * sign
    final = run.trials.set_index("trial_id")["score"].astype("float64") * sign
    last = of_completed.groupby("trial_id")["evaluation"].max()
    stopped = run.trials.loc[run.trials["status"] == "pruned", "evaluations"].value_counts().sort_index()
    rows = []
    for evaluation in _evaluations(stopped.index.tolist(), int(last.max()) if len(last) else 0):
        if evaluation not in scores:
            continue
        early = scores[evaluation].dropna()
        early = early[early.index.isin(last.index[last > evaluation])]
        if len(early) < 2:
            continue
        at_end = final.reindex(early.index)
        tau = float(np.nan_to_num(kendalltau(early, at_end).statistic))
        rows.append(
            (
                evaluation,
                int(stopped.get(evaluation, 0)),
                len(early),
                tau,
                (1 + tau) / 2,
                int((early > early[str(at_end.idxmax())]).sum()) + 1,
                tau > 2 * _standard_error(len(early)),
            )
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def early_order_verdict(run: Run) -> str:
    """What the table comes to, in words, by its first row with enough trials; empty if there is nothing to say."""
    table = early_order_table(run)
    was_used = bool((run.trials["status"] == "pruned").any())
    enough = table[table["trials"] >= _FEWEST]
    if enough.empty:
        if not was_used or table.empty:
            return ""
        few = count(int(table["trials"].max()), "completed trial")
        return f"{few} {'is' if few.startswith('1 ') else 'are'} too few to say whether stopping trials early was safe"
    row = enough.iloc[0]
    evaluation, trials = int(row["evaluation"]), int(row["trials"])
    text = (
        f"at evaluation {evaluation}, {row['in_order']:.0%} of pairs of the {trials} completed trials were in their "
        f"final order (Kendall's τ {row['tau']:.2f}), and the best was {_ordinal(int(row['winner_rank']))} of them: "
    )
    if not row["is_beyond_chance"]:
        text += "no more than chance would have it"
        remedy = "a larger search.scheduler.grace, mode: conservative or {name: none}" if was_used else ""
        text += f"; safer is {remedy}" if remedy else ", so stopping trials by it would not have been safe"
    else:
        text += "early scores told the final order " + ("well" if row["in_order"] >= 0.8 else "roughly")
    if was_used:
        text += ". Those that were stopped have no final score, and are not in this"
    return text


def _evaluations(stopped: list[int], last: int) -> list[int]:
    """Where to compare: after these, or 1, 3, 9, .. below the last one."""
    if stopped:
        return stopped[:_MOST_ROWS]
    found, evaluation = [], 1
    while evaluation < last:
        found.append(evaluation)
        evaluation *= 3
    return found[:_MOST_ROWS]


def _standard_error(number: int) -> float:
    return math.sqrt(2 * (2 * number + 5) / (9 * number * (number - 1)))


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
