"""What a finished or running search says: tables in, tables and figures out.

::

    import mtsearch_analysis as mta

    run = mta.load_run("runs/baseline")
    mta.best_trials(run, n=5)
    mta.write_report(run)
"""

from mtsearch_analysis.best import best_trials, compare, task_table, tasks_lost
from mtsearch_analysis.curves import anytime, anytime_figure, curve_figure, learning_curves
from mtsearch_analysis.early_stopping import early_order_table, early_order_verdict
from mtsearch_analysis.images import save_figures
from mtsearch_analysis.load import Run, Runs, load_run, load_runs
from mtsearch_analysis.parallel import parallel_figure
from mtsearch_analysis.pareto import pareto_figure, pareto_front
from mtsearch_analysis.replication import replication_table, replication_tests, replication_verdict
from mtsearch_analysis.report import write_report
from mtsearch_analysis.summary import summarise
from mtsearch_analysis.task_sets import task_set_table

__all__ = [
    "Run",
    "Runs",
    "anytime",
    "anytime_figure",
    "best_trials",
    "compare",
    "curve_figure",
    "early_order_table",
    "early_order_verdict",
    "learning_curves",
    "load_run",
    "load_runs",
    "parallel_figure",
    "pareto_figure",
    "pareto_front",
    "replication_table",
    "replication_tests",
    "replication_verdict",
    "save_figures",
    "summarise",
    "task_set_table",
    "task_table",
    "tasks_lost",
    "write_report",
]
