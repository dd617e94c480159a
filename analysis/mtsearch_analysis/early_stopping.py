"""Whether early scores told the final order: how safe it was to stop trials early, or would have been."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.stats import kendalltau

from mtsearch_analysis.curves import learning_curves
from mtsearch_analysis.load import Run
from mtsearch_analysis.significance import tails
from mtsearch_analysis.style import STATUS_COLOURS, empty_figure, integer_ticks, lay_out
from mtsearch_analysis.wording import count

__all__ = ["early_order_table", "early_order_verdict", "regret_figure", "stopping_regret"]

_FEWEST = 5  # completed trials of which anything is said
_MOST_ROWS = 8
_EVERY = 10  # evaluation is looked at beyond the first so many
_REGRETS = ["evaluation", "trials", "kept", "regret", "low", "high", "share_saved"]
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
    an order by lot). Empty where trials with different tasks are ranked apart, where trials went on from others'
    weights (under pbt their early scores are the others'), or too few (< 2) can be compared.

    Source: Kendall 1938, A new measure of rank correlation; the standard error without ties is
    √(2 (2n + 5) / (9 n (n - 1))).
    """
    if run.ranks_apart() or run.is_population or run.metrics.empty:
        return pd.DataFrame(columns=_COLUMNS)
    scores, final, last = _full_curves(run)
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


def stopping_regret(
    run: Run,
    reduction_factor: float = 3.0,
    *,
    num_resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """What it would have cost to go on with only the best trials after each evaluation, by the recorded full curves.

    It replays one rung on the completed trials of a run in which none was stopped early: of n trials that went beyond
    the evaluation the best ⌈n / ``reduction_factor``⌉ there are kept. What search schedulers with several rungs, and
    algorithms that propose other trials, would have come to is ``mtsearch simulate``'s to say.

    Columns: ``evaluation`` (each of the first 10, then every tenth); ``trials`` compared; ``kept``; ``regret`` (how
    much worse the best of the kept ones is in the end than the best of all; 0 where the winner is kept), from ``low``
    to ``high`` its percentile interval over resampled trials; and ``share_saved`` (of all their evaluations, those that
    would not have been made).
    Empty where trials were stopped early, trials with different tasks are ranked apart, or fewer than 5 completed.

    Args:
        run: the run.
        reduction_factor: one in this many goes on; more than 1.
        num_resamples: of the trials, with replacement.
        confidence: of the interval.
        seed: of the resamples.

    Raises:
        ValueError: the reduction factor is not above 1, or the confidence not between 0 and 1.
    """
    if reduction_factor <= 1:
        raise ValueError(f"reduction_factor > 1 must hold, but got reduction_factor={reduction_factor}")
    quantiles = tails(confidence)
    was_used = bool((run.trials["status"] == "pruned").any())
    if was_used or run.ranks_apart() or run.metrics.empty:
        return pd.DataFrame(columns=_REGRETS)
    scores, final, last = _full_curves(run)
    rng = np.random.default_rng(seed)
    rows = []
    for evaluation in map(int, scores.columns[:-1]):
        if evaluation > _EVERY and evaluation % _EVERY:
            continue
        compared = scores.index[(last > evaluation) & scores[evaluation].notna()]
        number = len(compared)
        if number < _FEWEST:
            continue
        early = scores.loc[compared, evaluation].to_numpy("float64")
        at_end = final.loc[compared].to_numpy("float64")
        lengths = last.loc[compared].to_numpy("int64")
        kept = math.ceil(number / reduction_factor)
        resamples = rng.integers(number, size=(num_resamples, number))
        regrets = [_regret(early[drawn], at_end[drawn], kept) for drawn in resamples]
        low, high = np.quantile(regrets, quantiles)
        needed = lengths[_best(early, kept)].sum() + evaluation * (number - kept)
        share_saved = 1 - needed / lengths.sum()
        rows.append((evaluation, number, kept, _regret(early, at_end, kept), low, high, share_saved))
    return pd.DataFrame(rows, columns=_REGRETS)


def regret_figure(frame: pd.DataFrame) -> go.Figure:
    """The regret of stopping after each evaluation, with its interval, and what it would have saved.

    Args:
        frame: what :func:`stopping_regret` gives.
    """
    if frame.empty:
        return empty_figure("It takes 5 completed trials, and none that was stopped early.")
    regret = frame["regret"].to_numpy("float64")
    figure = go.Figure(
        go.Scatter(
            x=frame["evaluation"].to_numpy("int64"),
            y=regret,
            mode="lines+markers",
            line={"color": STATUS_COLOURS["completed"], "width": 2},
            marker={"size": 8},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (frame["high"] - regret).clip(lower=0).to_numpy("float64"),
                "arrayminus": (regret - frame["low"]).clip(lower=0).to_numpy("float64"),
                "thickness": 1.5,
            },
            customdata=frame[["kept", "trials", "share_saved"]].to_numpy("float64"),
            hovertemplate="after evaluation %{x} the best %{customdata[0]:.0f} of %{customdata[1]:.0f}:<br>"
            "regret %{y:.4f}, %{customdata[2]:.0%} of the evaluations saved<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=320,
        showlegend=False,
        xaxis={"title": {"text": "stopped after evaluation", "standoff": 6}} | integer_ticks(frame["evaluation"].max()),
        yaxis={"title": {"text": "regret"}, "rangemode": "tozero"},
    )


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


def _full_curves(run: Run) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """(completed trials' scores by trial and evaluation, every trial's final one, their last evaluations).

    More is better of both kinds of scores.
    """
    curves = learning_curves(run)
    sign = -1.0 if run.direction == "minimize" else 1.0
    final = run.trials.set_index("trial_id")["score"].dropna().astype("float64") * sign
    of_completed = curves[(curves["status"] == "completed") & curves["trial_id"].isin(final.index)]
    of_completed = of_completed.drop_duplicates(["trial_id", "evaluation"], keep="last")
    scores = of_completed.pivot(index="trial_id", columns="evaluation", values="value") * sign
    return scores, final, of_completed.groupby("trial_id")["evaluation"].max()


def _regret(early: np.ndarray, at_end: np.ndarray, kept: int) -> float:
    return float(at_end.max() - at_end[_best(early, kept)].max())


def _best(scores: np.ndarray, number: int) -> np.ndarray:
    return np.argsort(-scores, kind="stable")[:number]


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
