"""MLflow itself, in a store of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the extra 'mlflow' is not installed")

from mlflow import MlflowClient
from mlflow.entities import Run

from mtsearch.config.trackers import Mlflow
from mtsearch.search.events import EventLog
from mtsearch.search.trackers import Tracking
from tests.search.conftest import Story

pytestmark = pytest.mark.filterwarnings("ignore")  # of its own libraries


def tell(folder: Path, uri: str, story: Story) -> dict[str, Run]:
    """Have a driver of these events track them; gives MLflow's runs by trial."""
    (folder / "events.jsonl").unlink(missing_ok=True)
    with EventLog(folder) as log:
        for event in story.events:
            log.append(event)
    with Tracking(folder, [Mlflow(uri=uri)], pytest.fail):
        pass
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    return {run.data.tags["mtsearch.trial"]: run for run in client.search_runs([experiment.experiment_id])}


def steps(uri: str, run: Run, metric: str = "mean_score") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient(uri).get_metric_history(run.info.run_id, metric)]


@pytest.mark.slow
def test_each_trial_is_a_run_and_one_that_goes_on_continues_its_run(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    folder = tmp_path / "films"
    folder.mkdir()
    story = Story().begun().suggested(0).started(0).suggested(1).started(1).reported(0, 1, 0.5).reported(1, 1, 0.25)
    runs = tell(folder, uri, story.stopped(1, "pruned", "too low").stopped(0, "interrupted"))
    first, second = runs["t0000"], runs["t0001"]
    assert (first.info.status, second.info.status) == ("KILLED", "KILLED")
    assert (second.data.tags["mtsearch.status"], second.data.tags["mtsearch.reason"]) == ("pruned", "too low")
    assert (first.info.run_name, first.data.params["training.seed"]) == ("films t0000", "7")
    assert first.data.metrics["sentiment.accuracy"] == 0.5

    story = story.begun().started(0, attempt=2).reported(0, 2, 0.75)
    assert tell(folder, uri, story)["t0000"].info.status == "RUNNING"
    runs = tell(folder, uri, story.reported(0, 3, 0.625, best=(2, 0.75)).stopped(0, "completed"))
    assert len(runs) == 2
    assert runs["t0000"].info.run_id == first.info.run_id
    assert runs["t0000"].info.status == "FINISHED"
    assert steps(uri, runs["t0000"]) == [(10, 0.5), (20, 0.75), (30, 0.625)]
    assert steps(uri, runs["t0000"], "best_score") == [(10, 0.5), (20, 0.75), (30, 0.75)]
    assert steps(uri, runs["t0001"]) == [(10, 0.25)]
