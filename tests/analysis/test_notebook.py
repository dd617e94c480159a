from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mtsearch_analysis.load import load_run

NOTEBOOKS = Path(__file__).parents[2] / "analysis" / "notebooks"


def _notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / "first_look.ipynb", as_version=4)


def test_its_run_loads_and_is_small() -> None:
    run = load_run(NOTEBOOKS / "first_look")
    assert run.space is not None
    assert (run.trials["status"] == "completed").any()
    assert sum(path.stat().st_size for path in run.path.iterdir()) < 200_000


def test_it_is_kept_without_outputs() -> None:
    code = [cell for cell in _notebook().cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's own packages; the kernel's are its process's
def test_every_cell_runs_and_every_figure_is_drawn() -> None:
    notebook = _notebook()
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    figures = [output for output in shown if "application/vnd.plotly.v1+json" in output.get("data", {})]
    assert len(figures) == sum("_figure(" in cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert all(output["data"]["application/vnd.plotly.v1+json"]["data"] for output in figures)
    told = "".join(output.text for output in shown if output.output_type == "stream" and output.name == "stdout")
    assert "The best trial is" in told
