"""Which settings mattered: importance by PED-ANOVA or fANOVA, through Optuna."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.load import Run
from mtsearch_analysis.settings import Setting, searched_settings
from mtsearch_analysis.significance import tails
from mtsearch_analysis.style import STATUS_COLOURS, empty_figure, lay_out
from mtsearch_analysis.wording import listing, shortened

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

__all__ = ["importance_figure", "parameter_importance"]

_FEWEST = 10  # completed trials of which anything is said
_LONGEST_NAME = 32  # characters beside a bar
_FEWEST_ABOVE = 5  # the quantile: what Optuna's documentation asks for
_COLUMNS = ["parameter", "importance", "low", "high", "method", "num_trials"]


def parameter_importance(
    run: Run,
    method: Literal["ped_anova", "fanova"] = "ped_anova",
    *,
    metric: str | None = None,
    num_resamples: int = 100,
    confidence: float = 0.95,
    seed: int = 0,
    max_trials: int | None = None,
) -> pd.DataFrame:
    """How much each setting had to do with the score, the most important first.

    Only completed trials count: those that were stopped early have no final score. Shares add up to 1, and say
    nothing of how good the score is, nor of a setting's direction. Where trials were not drawn at random (TPE draws
    more of what is good), PED-ANOVA tells what set the best apart from the rest of the trials that there were.

    Columns: ``parameter``, ``importance`` (a share, in [0, 1]), from ``low`` to ``high`` its percentile interval over
    resampled trials, ``method`` and ``num_trials``. Empty with fewer than 10 completed trials, or if trials with
    different tasks are ranked apart, or nothing varied.

    Args:
        run: the run.
        method: ``ped_anova`` takes settings that only some trials have; ``fanova`` does not.
        metric: of which; None for the main metric.
        num_resamples: of the completed trials, with replacement; 0 for no interval.
        confidence: of the interval.
        seed: of the resamples, of fANOVA's forest, and of the sample below.
        max_trials: where more have completed, a random sample of so many stands for them, which bounds the time.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: with fANOVA, a setting is conditional; no such metric; or the confidence is not between 0 and 1.

    Source: Watanabe et al. 2023, PED-ANOVA (arXiv 2304.10255), with conditional settings as in arXiv 2601.20800;
    Hutter et al. 2014, An efficient approach for assessing hyperparameter importance. The quantile that PED-ANOVA
    takes for good is the best tenth, or more of them so that there are five trials in it.
    """
    lower, upper = tails(confidence)
    trials = run.trials[run.trials["status"] == "completed"]
    column = "score" if metric in (None, run.main_metric) else f"best/{metric}"
    if column not in trials:
        raise ValueError(f"{run.path}: no metric {metric!r}; best_trials says which there are")
    trials = trials[trials[column].notna()]
    if max_trials is not None and len(trials) > max_trials:
        trials = trials.sample(max_trials, random_state=seed)
    settings = [one for one in searched_settings(run) if trials[one.column].nunique(dropna=False) > 1]
    if len(trials) < _FEWEST or not settings or run.ranks_apart(metric):
        return pd.DataFrame(columns=_COLUMNS)
    if method == "fanova":
        conditional = [one.name for one in settings if one.values(trials).isna().any()]
        if conditional:
            raise ValueError(
                f"{run.path}: fANOVA takes settings that every trial has, but some trials have no "
                f"{listing(conditional)}; take method='ped_anova'"
            )
    sign = -1.0 if run.direction_of(metric or run.main_metric) == "maximize" else 1.0
    frozen = _frozen_trials(trials, settings, sign * trials[column].to_numpy("float64"))
    rng = np.random.default_rng(seed)
    shares = pd.Series(_evaluated(frozen, method, seed), dtype="float64").reindex([one.name for one in settings])
    resampled = pd.DataFrame(
        [
            _evaluated([frozen[i] for i in rng.integers(len(frozen), size=len(frozen))], method, seed)
            for _ in range(num_resamples)
        ],
        columns=shares.index,
    ).fillna(0.0)
    frame = pd.DataFrame(
        {
            "parameter": shares.index,
            "importance": shares.fillna(0.0).to_numpy(),
            "low": resampled.quantile(lower).to_numpy(),
            "high": resampled.quantile(upper).to_numpy(),
            "method": method,
            "num_trials": len(trials),
        }
    )
    return frame.sort_values("importance", ascending=False, kind="stable").reset_index(drop=True)


def importance_figure(frame: pd.DataFrame) -> go.Figure:
    """Importances as bars with their intervals, the most important on top.

    Args:
        frame: what :func:`parameter_importance` gives.
    """
    if frame.empty:
        return empty_figure(f"It takes {_FEWEST} completed trials, and a setting in which they differ.")
    drawn = frame.iloc[::-1]
    figure = go.Figure(
        go.Bar(
            x=drawn["importance"].to_numpy("float64"),
            y=list(range(len(drawn))),
            customdata=[escape(str(name)) for name in drawn["parameter"]],
            orientation="h",
            marker={"color": STATUS_COLOURS["completed"], "opacity": 0.45},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (drawn["high"] - drawn["importance"]).clip(lower=0).to_numpy("float64"),
                "arrayminus": (drawn["importance"] - drawn["low"]).clip(lower=0).to_numpy("float64"),
                "thickness": 1.5,
                "color": STATUS_COLOURS["completed"],
            },
            hovertemplate="<b>%{customdata}</b><br>%{x:.0%}<extra></extra>",
        )
    )
    return lay_out(
        figure,
        height_px=90 + 30 * len(drawn),
        showlegend=False,
        xaxis={
            "title": {"text": "importance", "standoff": 6},
            "tickformat": ".0%",
            "rangemode": "tozero",
            "nticks": 6,
            "tickangle": 0,
        },
        yaxis={
            "showgrid": False,
            "tickvals": list(range(len(drawn))),
            "ticktext": [escape(shortened(str(name), _LONGEST_NAME)) for name in drawn["parameter"]],
        },
    )


def _frozen_trials(trials: pd.DataFrame, settings: Sequence[Setting], losses: np.ndarray) -> list[FrozenTrial]:
    """The trials as Optuna knows them; less of their value is better."""
    optuna = _optuna()
    distributions: dict[str, BaseDistribution] = {}
    columns: dict[str, list[Any]] = {}
    for one in settings:
        values = one.values(trials)
        if one.range is None:
            distributions[one.name] = optuna.distributions.CategoricalDistribution(one.options(trials))
        else:  # a start point, or an option beside the range, may lie outside it
            if one.range.is_log:
                values = values.mask(values <= 0, one.range.low)
            low, high = min(one.range.low, values.min()), max(one.range.high, values.max())
            distributions[one.name] = (
                optuna.distributions.IntDistribution(int(low), int(high), log=one.range.is_log)
                if one.range.is_integer
                else optuna.distributions.FloatDistribution(low, high, log=one.range.is_log)
            )
        columns[one.name] = values.tolist()
    return [
        optuna.trial.create_trial(
            value=float(loss),
            params={name: values[i] for name, values in columns.items() if pd.notna(values[i])},
            distributions={name: distributions[name] for name, values in columns.items() if pd.notna(values[i])},
        )
        for i, loss in enumerate(losses)
    ]


def _evaluated(trials: Sequence[FrozenTrial], method: str, seed: int) -> dict[str, float]:
    optuna = _optuna()
    study = optuna.create_study()
    study.add_trials(trials)
    if method == "fanova":
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    else:
        quantile = min(0.5, max(0.1, _FEWEST_ABOVE / len(trials)))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trials in a branch: the intervals show it
        importances: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return importances


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "importance is computed by optuna, which is not installed; pip install 'mtsearch-analysis[importance]'"
        ) from error
    logging.getLogger("optuna").setLevel(logging.WARNING)  # a study would announce itself
    return optuna
