"""What there is to say of a run: computed once, told as a page, in Markdown or in LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from mtsearch_analysis.advice import advise
from mtsearch_analysis.early_stopping import early_order_table, early_order_verdict, stopping_regret
from mtsearch_analysis.effects import marginal_effects
from mtsearch_analysis.importance import parameter_importance
from mtsearch_analysis.load import Run
from mtsearch_analysis.settings import searched_settings
from mtsearch_analysis.summary import summarise

__all__ = ["Findings", "find"]

# They bound the time: Optuna takes a while for each trial that a study is given, and for each of its settings.
_MOST_TRIALS = 1_000
_MOST_RESAMPLED = 20_000
_MOST_SETTINGS_RESAMPLED = 2_000
_FEWEST_RESAMPLES = 10


@dataclass(frozen=True)
class Findings:
    """What a report is made of, besides the run's tables.

    Args:
        run: the run.
        summary: the run in sentences.
        advice: what to try next, in sentences.
        importance: of the settings, as ``parameter_importance`` gives it; empty where it can't be told.
        importance_note: why it is not there; empty where it is.
        effects: of the settings, as ``marginal_effects`` gives them.
        early_order: as ``early_order_table`` gives it.
        early_verdict: what that comes to, in sentences; empty where there is nothing to say.
        regret: of stopping early, as ``stopping_regret`` gives it.
    """

    run: Run
    summary: list[str]
    advice: list[str]
    importance: pd.DataFrame
    importance_note: str
    effects: pd.DataFrame
    early_order: pd.DataFrame
    early_verdict: str
    regret: pd.DataFrame


def find(run: Run) -> Findings:
    """Answers every question of the report; without Optuna all but that of importance."""
    note = ""
    num_completed = max(1, int((run.trials["status"] == "completed").sum()))
    num_settings = max(1, len(searched_settings(run)))
    num_resamples = min(
        50,
        _MOST_RESAMPLED // min(num_completed, _MOST_TRIALS),
        max(_FEWEST_RESAMPLES, _MOST_SETTINGS_RESAMPLED // num_settings),
    )
    try:
        importance = parameter_importance(run, num_resamples=num_resamples, max_trials=_MOST_TRIALS)
    except ImportError as error:
        importance, note = pd.DataFrame(), f"Which settings mattered is left out: {error}."
    return Findings(
        run=run,
        summary=summarise(run),
        advice=advise(run, importance),
        importance=importance,
        importance_note=note,
        effects=marginal_effects(run),
        early_order=early_order_table(run),
        early_verdict=_sentence(early_order_verdict(run)),
        regret=stopping_regret(run),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""
