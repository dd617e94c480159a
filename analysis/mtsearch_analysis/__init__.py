"""What a finished or running search says: tables in, tables and figures out.

::

    import mtsearch_analysis as mta

    run = mta.load_run("runs/baseline")
    mta.best_trials(run, n=5)
    mta.write_report(run)
"""

from mtsearch_analysis.advice import advise
from mtsearch_analysis.best import best_trials, compare, task_table, tasks_lost
from mtsearch_analysis.comparison import (
    anytime_of_runs,
    anytime_of_runs_figure,
    comparable_runs,
    groups_by_space,
    run_table,
)
from mtsearch_analysis.cost import cost_figure, cost_table
from mtsearch_analysis.curves import anytime, anytime_figure, curve_figure, learning_curves, trial_figure
from mtsearch_analysis.early_stopping import early_order_table, early_order_verdict, regret_figure, stopping_regret
from mtsearch_analysis.effects import effect_figure, interaction_figure, interactions, marginal_effects
from mtsearch_analysis.heads import (
    gate_agreement,
    gate_maps,
    gate_pairs,
    gate_pairs_figure,
    head_costs,
    head_costs_figure,
    head_maps_figure,
    mean_map,
    rgb_figure,
)
from mtsearch_analysis.images import save_figures
from mtsearch_analysis.importance import importance_figure, parameter_importance
from mtsearch_analysis.interference import interference_figure, interference_table
from mtsearch_analysis.joint import (
    delta_m_table,
    joint_figure,
    joint_pairs,
    joint_table,
    negative_transfer_figure,
    negative_transfer_table,
)
from mtsearch_analysis.load import Run, Runs, load_run, load_runs, load_table
from mtsearch_analysis.parallel import parallel_figure
from mtsearch_analysis.pareto import hypervolume, hypervolume_curve, hypervolume_figure, pareto_figure, pareto_front
from mtsearch_analysis.probes import best_heads, best_layers_figure, label_differences, label_differences_figure
from mtsearch_analysis.replication import replication_table, replication_tests, replication_verdict
from mtsearch_analysis.report import write_report
from mtsearch_analysis.results import config_scores, results_table, results_text
from mtsearch_analysis.seeds import seed_spread, seeds_figure, seeds_needed
from mtsearch_analysis.settings import Range, Setting, searched_settings
from mtsearch_analysis.summary import summarise
from mtsearch_analysis.task_sets import task_set_table
from mtsearch_analysis.trade_offs import task_scores, trade_off_figure, trade_off_table
from mtsearch_analysis.transfer import (
    ranking_figure,
    ranking_quality,
    ranking_table,
    task_map,
    task_map_figure,
    task_similarities,
    transfer_figure,
    transfer_table,
)

__all__ = [
    "Range",
    "Run",
    "Runs",
    "Setting",
    "advise",
    "anytime",
    "anytime_figure",
    "anytime_of_runs",
    "anytime_of_runs_figure",
    "best_heads",
    "best_layers_figure",
    "best_trials",
    "comparable_runs",
    "compare",
    "config_scores",
    "cost_figure",
    "cost_table",
    "curve_figure",
    "delta_m_table",
    "early_order_table",
    "early_order_verdict",
    "effect_figure",
    "gate_agreement",
    "gate_maps",
    "gate_pairs",
    "gate_pairs_figure",
    "groups_by_space",
    "head_costs",
    "head_costs_figure",
    "head_maps_figure",
    "hypervolume",
    "hypervolume_curve",
    "hypervolume_figure",
    "importance_figure",
    "interaction_figure",
    "interactions",
    "interference_figure",
    "interference_table",
    "joint_figure",
    "joint_pairs",
    "joint_table",
    "label_differences",
    "label_differences_figure",
    "learning_curves",
    "load_run",
    "load_runs",
    "load_table",
    "marginal_effects",
    "mean_map",
    "negative_transfer_figure",
    "negative_transfer_table",
    "parallel_figure",
    "parameter_importance",
    "pareto_figure",
    "pareto_front",
    "ranking_figure",
    "ranking_quality",
    "ranking_table",
    "regret_figure",
    "replication_table",
    "replication_tests",
    "replication_verdict",
    "results_table",
    "results_text",
    "rgb_figure",
    "run_table",
    "save_figures",
    "searched_settings",
    "seed_spread",
    "seeds_figure",
    "seeds_needed",
    "stopping_regret",
    "summarise",
    "task_map",
    "task_map_figure",
    "task_scores",
    "task_set_table",
    "task_similarities",
    "task_table",
    "tasks_lost",
    "trade_off_figure",
    "trade_off_table",
    "transfer_figure",
    "transfer_table",
    "trial_figure",
    "write_report",
]
