"""What to try next, by what a search found."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mtsearch_analysis.best import best_trials, contenders
from mtsearch_analysis.curves import anytime
from mtsearch_analysis.load import Run
from mtsearch_analysis.replication import replication_tests
from mtsearch_analysis.settings import Setting, searched_settings
from mtsearch_analysis.wording import count, listing, score, setting

__all__ = ["advise"]

_EDGE = 0.05  # of a range, on its own scale
_NUM_BEST = 3  # the best trials whose median has to lie on that side too
_OUTER = 0.25
_FEWEST = 8  # trials of which anything is said of the search's progress
_UNIMPORTANT = 0.05
_FEWEST_TO_FIX = 30  # completed trials; with fewer, options that were tried once look unimportant
_MANY_DIVERGED = 0.2


def advise(run: Run, importance: pd.DataFrame | None = None) -> list[str]:
    """What to try next, in sentences, what promises most first; none while the search runs.

    Tasks that no trial has learned, ranges to widen, trials to train for longer, more trials or no more, other seeds,
    settings to fix, trials that diverged or failed. Each sentence says what it rests on.

    Args:
        run: the run.
        importance: what :func:`mtsearch_analysis.parameter_importance` gives; None says nothing of it.
    """
    if run.is_running or run.ranks_apart():
        return []
    if best_trials(run, n=1).empty:
        return [*_failures(run), *_divergence(run)]
    return [
        *_tasks_without_a_score(run),
        *_ranges_to_widen(run),
        *_longer_training(run),
        *_other_seeds(run),
        *_more_trials(run),
        *_settings_to_fix(run, importance),
        *_divergence(run),
        *_failures(run),
    ]


def _tasks_without_a_score(run: Run) -> Iterator[str]:
    for name in run.task_metrics:
        found = run.trials[f"best/{name}"].dropna()
        if len(found) > 1 and not found.any() and run.direction_of(name) == "maximize":
            yield (
                f"{name} is 0 in all of {count(len(found), 'trial')}: its task head has learned nothing yet. Search "
                "higher learning rates for the task heads (optimizer.head_lr), or train for more epochs."
            )


def _ranges_to_widen(run: Run) -> Iterator[str]:
    best = contenders(run).head(_NUM_BEST)
    if pd.notna(best["parent"].iloc[0]):
        return  # its settings are those of its last stretch alone
    for one in searched_settings(run):
        if one.range is None:
            continue
        shares = one.range.share(one.values(best))
        of_winner, middle = shares.iloc[0], shares.median()
        has_lower = one.range.low != 0  # nothing lies beyond a rate, a share or a count of 0
        if of_winner <= _EDGE and middle <= _OUTER and has_lower:
            yield _widen(one, best, "lower")
        elif of_winner >= 1 - _EDGE and middle >= 1 - _OUTER:
            yield _widen(one, best, "upper")


def _widen(one: Setting, best: pd.DataFrame, side: str) -> str:
    assert one.range is not None
    value = setting(float(one.values(best).iloc[0]))
    return (
        f"Widen the range of {one.name}: the best trial's {value} lies at the {side} end of "
        f"{setting(one.range.low)} to {setting(one.range.high)}, and other good trials near it."
    )


def _longer_training(run: Run) -> Iterator[str]:
    winner = best_trials(run, n=1).iloc[0]
    if winner["status"] == "completed" and winner["evaluations"] > 1 and winner["best/epoch"] == winner["last/epoch"]:
        yield (
            f"Train for longer: {winner['trial_id']} was at its best at its last evaluation, at epoch "
            f"{winner['best/epoch']:g}."
        )


def _other_seeds(run: Run) -> Iterator[str]:
    ranked = contenders(run).head(_NUM_BEST)
    if len(ranked) < 2:
        return
    if ranked["parent"].notna().any():
        yield (
            "Search near the best trial's settings with another trial scheduler, and replicate what is best there: a "
            "trial that went on from another's weights cannot be trained again from its config."
        )
        return
    if len(run.replications):
        rivals = replication_tests(run)
        rivals = rivals[(rivals["against"] == "best") & (rivals["verdict"] == "within noise")]
        names = list(dict.fromkeys(str(name) for name in rivals["other"]))
        if names:
            yield f"Add seeds before choosing between the best trials: the winner is within noise of {listing(names)}."
        return
    lead = abs(ranked["score"].iloc[0] - ranked["score"].iloc[1])
    why = f"before believing a lead of {score(lead)}" if lead else "to tell them apart"
    yield (
        f"Replicate the best trials {why}: mtsearch replicate {run.path} trains them with other seeds and tests the "
        "differences."
    )


def _more_trials(run: Run) -> Iterator[str]:
    number = int(run.trials["score"].notna().sum())
    if number < _FEWEST:
        return
    progress = anytime(run).dropna(subset="best_so_far")
    if progress.empty:
        return
    improved = progress["best_so_far"].ne(progress["best_so_far"].shift())
    share = progress.loc[improved, "examples_seen"].iloc[-1] / progress["examples_seen"].iloc[-1]
    if share > 0.8:
        yield (
            f"Add trials with mtsearch run and --trials +N: the best score still rose after {share:.0%} of the "
            "examples."
        )
    elif share < 0.5:
        yield (
            f"More trials of this space promise little: its best score was reached after {share:.0%} of the examples, "
            "and what followed brought nothing better."
        )


def _settings_to_fix(run: Run, importance: pd.DataFrame | None) -> Iterator[str]:
    if importance is None or importance.empty or importance["num_trials"].iloc[0] < _FEWEST_TO_FIX:
        return
    small = importance[importance["high"] < _UNIMPORTANT]
    names = [str(name) for name in small["parameter"]]
    first = importance.iloc[0]
    if names and len(names) < len(importance):
        yield (
            f"Fix {listing(names)} and search the rest more closely: {'each has' if len(names) > 1 else 'it has'} less "
            f"than {_UNIMPORTANT:.0%} of the importance, {first['parameter']} {first['importance']:.0%}."
        )


def _divergence(run: Run) -> Iterator[str]:
    tried = run.trials[~run.trials["status"].isin(["infeasible", "running"])]
    diverged = tried[tried["status"] == "diverged"]
    if len(tried) < _FEWEST or len(diverged) < _MANY_DIVERGED * len(tried):
        return
    rest = tried[tried["status"] != "diverged"]
    apart = [
        f"{one.name} (median {setting(float(high))}, {setting(float(low))} of the others)"
        for one in searched_settings(run)
        if one.range is not None
        and (high := one.values(diverged).median()) > (low := one.values(rest).median())
        and one.range.share(pd.Series([high])).iloc[0] - one.range.share(pd.Series([low])).iloc[0] > _OUTER
    ]
    remedy = f"lower {listing(apart)}" if apart else "lower the learning rate, or clip gradients"
    yield f"{count(len(diverged), 'trial')} of {len(tried)} diverged: {remedy}."


def _failures(run: Run) -> Iterator[str]:
    failed = run.trials[run.trials["status"] == "failed"]
    reasons = failed["stop_reason"].dropna().value_counts()
    if reasons.empty:
        return
    of_all = f"{len(failed)} of {count(len(run.trials), 'trial')}"
    most = "" if len(reasons) == 1 else f", {reasons.iloc[0]} of them by this"
    yield f"Mend what made {of_all} fail{most}: {reasons.index[0]}"
