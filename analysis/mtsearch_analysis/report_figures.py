"""The figures of a report, with what each shows in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from mtsearch_analysis.comparison import (
    Budget,
    anytime_of_runs,
    anytime_of_runs_figure,
    comparable_runs,
    groups_by_space,
)
from mtsearch_analysis.cost import Cost, cost_figure, cost_table
from mtsearch_analysis.curves import anytime, anytime_figure, curve_figure, learning_curves
from mtsearch_analysis.early_stopping import regret_figure
from mtsearch_analysis.effects import effect_figure, interaction_figure, interactions
from mtsearch_analysis.findings import Findings
from mtsearch_analysis.heads import gate_maps, head_costs, head_costs_figure, head_maps_figure, mean_map
from mtsearch_analysis.importance import importance_figure
from mtsearch_analysis.interference import interference_figure, interference_table
from mtsearch_analysis.joint import (
    joint_figure,
    joint_pairs,
    joint_table,
    negative_transfer_figure,
    negative_transfer_table,
)
from mtsearch_analysis.load import Run, Runs
from mtsearch_analysis.parallel import parallel_figure
from mtsearch_analysis.pareto import hypervolume_curve, hypervolume_figure, pareto_figure
from mtsearch_analysis.settings import searched_columns
from mtsearch_analysis.trade_offs import task_scores, trade_off_figure

__all__ = ["ReportFigure", "comparison_figures", "run_figures"]

# More lines than these can't be told apart, and make the page slow: the best trials' are drawn.
_MOST_CURVES = 1_000
_MOST_TASK_CURVES = 100
_MOST_EFFECTS = 8
_MOST_TRADED = 5  # tasks: every two of them have a panel


@dataclass(frozen=True)
class ReportFigure:
    """A figure of a report.

    Args:
        id: its name, of which there is one in a report.
        caption: what it shows in words.
        figure: the figure.
        min_width_px: below which it is not squeezed; 0 for none.
    """

    id: str
    caption: str
    figure: go.Figure
    min_width_px: int = 0


def run_figures(findings: Findings) -> dict[str, list[ReportFigure]]:
    """The figures of one run, by the section that they belong to; some sections have none."""
    run = findings.run
    is_ranked = not run.ranks_apart()
    return {
        "curves": [_curves(run)],
        "pareto": list(_fronts(run)),
        "hypervolume": list(_hypervolume(run)),
        "tasks": list(_task_figures(run)),
        "regret": list(_regret(findings)),
        "anytime": list(_anytime(run)) if is_ranked else [],
        "parallel": [_parallel(run)] if is_ranked else [],
        "importance": list(_importance(findings)),
        "effects": list(_effects(findings)),
        "interaction": list(_interaction(findings)),
        "cost": list(_costs(run)),
        "together": [*_together(run), *_trade_offs(run), *_interference(run)],
        "heads": list(_heads(run)),
    }


def comparison_figures(runs: Runs) -> dict[str, list[ReportFigure]]:
    """The figures of several runs for one metric."""
    groups = groups_by_space(runs)
    budgets: dict[Budget, str] = {
        "seconds": "the time since each began",
        "examples_seen": "the examples that all trials had seen",
    }
    if runs.trials["gpu_seconds"].sum() > 0:
        budgets["gpu_seconds"] = "the GPU time of all trials"
    band = "; bands are 95% bootstrap intervals over runs of one space" if len(set(groups.values())) < len(runs) else ""
    panels = comparable_runs(runs)
    return {
        "anytime": [
            ReportFigure(
                f"anytime-{against.replace('_', '-')}" + (f"-{position}" if position else ""),
                f"The best score so far of {'each run' if len(panels) == 1 else names} over {told}, as far as all of a "
                f"line's runs go{band}.",
                anytime_of_runs_figure(anytime_of_runs(together, against, groups)),
            )
            for against, told in budgets.items()
            for position, (names, together) in enumerate(panels.items())
        ]
    }


def _curves(run: Run) -> ReportFigure:
    curves = learning_curves(run)
    rungs = " Dotted lines show where trials were stopped early." if (run.trials["status"] == "pruned").any() else ""
    return ReportFigure(
        "curves",
        f"{run.main_metric} on the dev split over epochs{_of_the_best(curves, _MOST_CURVES)}. "
        f"A line is a trial, coloured by what became of it.{rungs}",
        curve_figure(_best_ranked(curves, _MOST_CURVES)),
    )


def _fronts(run: Run) -> Iterator[ReportFigure]:
    for position, name in enumerate(run.objective.others):
        yield ReportFigure(
            f"pareto-{position}",
            f"{run.main_metric} against {name}, each completed trial at its best epoch. Orange trials are on the "
            "Pareto front" + (", which no trial lies beyond." if len(run.objective.others) == 1 else "."),
            pareto_figure(run, against=name),
        )


def _hypervolume(run: Run) -> Iterator[ReportFigure]:
    if run.objective.others:
        yield ReportFigure(
            "hypervolume",
            "The hypervolume that the completed trials cover, after each of them: how much of what lies between the "
            "front and a point worse than every trial. Where it is flat, trials added nothing to the front.",
            hypervolume_figure(hypervolume_curve(run)),
        )


def _task_figures(run: Run) -> Iterator[ReportFigure]:
    for position, name in enumerate(run.task_metrics):
        if name != run.main_metric:
            curves = learning_curves(run, name)
            yield ReportFigure(
                f"task-{position}",
                f"{name}{_of_the_best(curves, _MOST_TASK_CURVES)}; colours as above.",
                curve_figure(_best_ranked(curves, _MOST_TASK_CURVES)).update_layout(height=320, showlegend=False),
            )


def _regret(findings: Findings) -> Iterator[ReportFigure]:
    if not findings.regret.empty:
        yield ReportFigure(
            "regret",
            "What it would have cost to go on with the best third only after each evaluation, replayed on the "
            "completed trials: how much worse the best of those is in the end, with 95% bootstrap intervals.",
            regret_figure(findings.regret),
        )


def _anytime(run: Run) -> Iterator[ReportFigure]:
    best_so_far = anytime(run)
    yield ReportFigure(
        "anytime-seconds",
        f"Best {run.main_metric} so far over the time since the first trial started.",
        anytime_figure(best_so_far, against="seconds"),
    )
    yield ReportFigure(
        "anytime-examples",
        f"Best {run.main_metric} so far over the examples that all trials had seen by then.",
        anytime_figure(best_so_far, against="examples_seen"),
    )


def _parallel(run: Run) -> ReportFigure:
    return ReportFigure(
        "parallel",
        "A line is a trial that has a score; it crosses each axis at its value of that setting. "
        f"Grey lines have the worst {run.main_metric}, blue ones are between, orange ones are near the best; "
        "the thick one is the best trial.",
        parallel_figure(run),
        min_width_px=125 * max(len(searched_columns(run)) + 1, 3),
    )


def _importance(findings: Findings) -> Iterator[ReportFigure]:
    frame = findings.importance
    if not frame.empty:
        yield ReportFigure(
            "importance",
            f"How much each setting had to do with being among the best of {frame['num_trials'].iloc[0]:,} "
            "completed trials, by PED-ANOVA, with 95% bootstrap intervals: wide ones say that more trials are needed.",
            importance_figure(frame),
        )


def _effects(findings: Findings) -> Iterator[ReportFigure]:
    effects = findings.effects
    first = list(findings.importance["parameter"]) if not findings.importance.empty else []
    names = list(dict.fromkeys([*first, *effects["parameter"]]))
    for position, name in enumerate(names[:_MOST_EFFECTS]):
        frame = effects[effects["parameter"] == name]
        if len(frame) > 1:
            yield ReportFigure(f"effect-{position}", f"The mean score by {name}.", effect_figure(frame))


def _interaction(findings: Findings) -> Iterator[ReportFigure]:
    if len(findings.importance) > 1:
        first, second = findings.importance["parameter"].iloc[:2]
        yield ReportFigure(
            "interaction",
            f"{first} and {second}, the two that mattered most, at once: mean scores of the completed trials in each "
            "cell, and how many there are.",
            interaction_figure(interactions(findings.run, first, second)),
            min_width_px=460,
        )


def _costs(run: Run) -> Iterator[ReportFigure]:
    frame = cost_table(run)
    before = ", with what those that it went on from had taken until then" if run.is_population else ""
    costs: dict[Cost, str] = {"seconds": "the time that it took", "examples_seen": "the examples that it trained on"}
    if frame["gpu_seconds"].sum() > 0:
        costs["gpu_seconds"] = "the GPU time that it took"
    for against, told in costs.items():
        if against != "seconds" and frame[against].nunique() < 2:
            continue  # it cost all of them the same
        worth = " The orange line joins those that no cheaper trial beats." if against == "seconds" else ""
        yield ReportFigure(
            f"cost-{against.replace('_', '-')}",
            f"Each trial's {run.main_metric} over {told}{before}.{worth}",
            cost_figure(frame, against),
        )


def _together(run: Run) -> Iterator[ReportFigure]:
    pairs = joint_pairs(run)
    if not pairs.empty:
        yield ReportFigure(
            "joint-gains",
            "What each task gains by the tasks that it is trained with, against the task alone with otherwise equal "
            "settings; 95% t intervals where there are several pairs.",
            joint_figure(joint_table(pairs)),
        )
    of_two = negative_transfer_table(pairs)
    if not of_two.empty:
        yield ReportFigure(
            "negative-transfer",
            "What each task gains (blue) or loses (red) by each one other, in percent of its score alone.",
            negative_transfer_figure(of_two),
        )


def _trade_offs(run: Run) -> Iterator[ReportFigure]:
    scores = task_scores(run)
    if 2 <= len(run.task_metrics) <= _MOST_TRADED and len(scores) > 1 and not run.ranks_apart():
        yield ReportFigure(
            "trade-offs",
            "The tasks against one another: a point is a completed trial, at its best epoch; no trial beats the orange "
            "ones on every task. τ is Kendall's: 1 where trials are in the same order on both tasks, below 0 where "
            "tasks are traded off.",
            trade_off_figure(scores),
            min_width_px=140 + 180 * (len(run.task_metrics) - 1),
        )


def _interference(run: Run) -> Iterator[ReportFigure]:
    if not run.interference.empty:
        yield ReportFigure(
            "interference",
            "The cosine between the gradients of each two tasks over shared parameters, mean over trials: red where "
            "they pull apart.",
            interference_figure(interference_table(run)),
        )


def _heads(run: Run) -> Iterator[ReportFigure]:
    maps = gate_maps(run)
    completed = maps[maps["trial_id"].isin(run.trials.loc[run.trials["status"] == "completed", "trial_id"])]
    shapes = completed.groupby(["trial_id", "gates_of"])[["layer", "head"]].max().drop_duplicates()
    if len(shapes) == 1:  # the same encoder, as far as can be told
        yield ReportFigure(
            "head-map",
            "Attention heads by layer: the mean of their gates at the last evaluation over all completed trials. Dark "
            "ones are kept by many.",
            head_maps_figure(mean_map(completed)),
        )
    costs = head_costs(run)
    if len(costs) > 1:
        yield ReportFigure(
            "head-costs",
            f"{run.main_metric} over the share of attention heads that stay open, and over the time of a forward pass "
            "without the closed ones.",
            head_costs_figure(costs, run.main_metric),
            min_width_px=420,
        )


def _best_ranked(curves: pd.DataFrame, most: int) -> pd.DataFrame:
    if curves["trial_id"].nunique() <= most:
        return curves
    return curves[(curves["rank"] <= most).fillna(False)]


def _of_the_best(curves: pd.DataFrame, most: int) -> str:
    return f", of the {most:,} best trials" if curves["trial_id"].nunique() > most else ""
