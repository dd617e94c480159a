from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mtsearch.config.objectives import OVERALL_METRICS
from mtsearch.config.search import Keep
from mtsearch.search.events import Event, Reported
from mtsearch.search.results import Tables, kept, retain, write_text
from mtsearch.search.state import RunState, fold
from mtsearch.tasks.metrics import METRICS
from mtsearch_analysis.best import best_trials
from mtsearch_analysis.cost import cost_table
from mtsearch_analysis.curves import anytime
from mtsearch_analysis.load import load_run
from mtsearch_analysis.pareto import pareto_front
from mtsearch_analysis.tables import LESS_IS_BETTER, Direction
from tests.search.conftest import Story, with_holdout

OBJECTIVES: dict[str, Direction] = {"mean_score": "maximize"}
TWO_OBJECTIVES: dict[str, Direction] = {**OBJECTIVES, "similarity.mean_squared_error": "minimize"}


def written(folder: Path, events: list[Event], objectives: dict[str, Direction] = OBJECTIVES) -> RunState:
    tables = Tables(folder, objectives)
    for event in events:
        tables.add(event)
    state = fold(events)
    tables.refresh(state, now=True)
    return state


def test_the_tables_are_what_the_analysis_reads(tmp_path: Path) -> None:
    story = Story().begun().suggested(0, gpus=0.5).started(0).reported(0, 1, 0.4).reported(0, 2, 0.7)
    story.reported(0, 3, 0.6, (2, 0.7)).stopped(0, "completed", "done").suggested(1)
    written(tmp_path, story.events)
    run = load_run(tmp_path)
    assert run.main_metric == "mean_score"
    assert run.direction == "maximize"
    assert run.objective.task_metrics == ("sentiment.accuracy",)
    row = run.trials.set_index("trial_id").loc["t0000"]
    assert (row["score"], row["best/epoch"], row["last/epoch"]) == (0.7, 2.0, 3.0)
    assert (row["best/sentiment.accuracy"], row["last/sentiment.accuracy"]) == (0.7, 0.6)
    assert (row["seconds"], row["gpu_seconds"]) == (6.0, 3.0)
    assert (row["rung"], row["attempts"], row["evaluations"], row["seed"]) == (2, 1, 3, 7)
    assert row["config/training.seed"] == 7
    assert row["started_at"] == pd.Timestamp(2, unit="s", tz="UTC")
    running = run.trials.set_index("trial_id").loc["t0001"]
    assert running["status"] == "running"
    assert pd.isna(running["score"])
    assert list(run.metrics["value"]) == [0.4, 0.7, 0.6]


def test_with_a_holdout_a_score_is_on_it_and_the_table_has_what_dev_said_too(tmp_path: Path) -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.7, **with_holdout(0.7, 0.4))
    written(tmp_path, story.reported(0, 2, 0.6, (1, 0.7), **with_holdout(0.6, 0.5)).events)
    row = load_run(tmp_path).trials.iloc[0]
    assert (row["score"], row["best/epoch"], row["best/mean_score"], row["best_dev/mean_score"]) == (0.4, 1.0, 0.4, 0.7)
    assert (row["best/open_heads"], row["last/mean_score"]) == (0.5, 0.5)
    written(tmp_path, Story().begun().suggested(0).reported(0, 1, 0.7).events)
    assert not [column for column in load_run(tmp_path).trials if column.startswith("best_dev/")]


def test_a_diverged_trial_has_no_score_in_the_table(tmp_path: Path) -> None:
    story = Story().begun().suggested(0).reported(0, 1, None, (0, None), outcome="diverged").stopped(0, "diverged")
    written(tmp_path, story.events)
    row = pd.read_parquet(tmp_path / "trials.parquet").iloc[0]
    assert row["status"] == "diverged"
    assert pd.isna(row["score"])


def traded_off() -> Story:
    """Four trials between two objectives: on the front, beaten, on it too, stopped; and one that runs."""
    story = Story().begun()
    for number, (score, error) in enumerate([(0.5, 1.0), (0.4, 1.5), (0.7, 2.0), (0.1, 3.0), (0.6, 0.1)]):
        scores = {"mean_score": score, "similarity.mean_squared_error": error}
        story.suggested(number).reported(number, 1, score, scores=scores)
    for number in (0, 1, 2):
        story.stopped(number, "completed")
    return story.stopped(3, "pruned")


def test_the_table_says_which_completed_trials_are_on_the_front(tmp_path: Path) -> None:
    written(tmp_path, traded_off().events, TWO_OBJECTIVES)
    run = load_run(tmp_path)
    assert run.objective.metrics == TWO_OBJECTIVES
    assert run.trials["pareto"].tolist() == [True, False, True, pd.NA, pd.NA]
    assert pareto_front(run)["trial_id"].tolist() == ["t0002", "t0000"]


def test_with_one_objective_there_is_no_front(tmp_path: Path) -> None:
    written(tmp_path, traded_off().events)
    assert load_run(tmp_path).trials["pareto"].isna().all()


def test_what_a_trial_takes_over_from_its_parent_is_counted_once(tmp_path: Path) -> None:
    story = Story().begun().suggested(0, gpus=0.5).started(0).reported(0, 1, 0.4).reported(0, 2, 0.5)
    story.suggested(1, gpus=0.5).started(1).reported(1, 1, 0.2)
    story.suggested(2, gpus=0.5, parent="t0000", parent_evaluation=2, replaces="t0001").started(2)
    story.reported(2, 3, 0.6).suggested(3, gpus=0.5, parent="t0002", parent_evaluation=3).started(3)
    story.reported(3, 4, 0.3)
    state = written(tmp_path, story.events)
    run = load_run(tmp_path)
    assert run.num_examples == state.examples_seen == 500
    assert run.trials["gpu_seconds"].sum() == state.gpu_seconds == 5.0
    frame = anytime(run)
    assert frame["examples_seen"].tolist() == [100, 200, 300, 400, 500]
    assert frame["gpu_seconds"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    began = state.trials["t0002"].started_at, state.trials["t0000"].started_at
    assert frame["seconds"].iloc[3] == began[0] - began[1] + 2.0
    # But no trial has its score for less than what those that it went on from had cost.
    costs = cost_table(run).set_index("trial_id").sort_index()
    assert costs["examples_seen"].tolist() == [200, 100, 300, 400]
    assert costs["gpu_seconds"].tolist() == [2.0, 1.0, 3.0, 4.0]


def test_the_analysis_knows_of_which_metrics_less_is_better(tmp_path: Path) -> None:
    of_mtsearch = [*METRICS.values(), *OVERALL_METRICS.values()]
    assert {"loss", *(m.name for m in of_mtsearch if m.direction == "minimize")} == LESS_IS_BETTER
    plugin = tmp_path / "misses.py"
    plugin.write_text(
        "from mtsearch.tasks.metrics import Metric\n"
        "METRICS = (Metric('misses', 'minimize', lambda gold, predicted: 0.0),)\n"
    )
    tables, story = Tables(tmp_path, OBJECTIVES, plugins=(str(plugin),)), Story().begun()
    for number, misses in enumerate((3.0, 1.0)):
        scores = {"mean_score": 0.5, "similarity.misses": misses, "similarity.mean_squared_error": misses}
        story.suggested(number).reported(number, 1, 0.5, scores=scores)
    tables.refresh(fold(story.events), now=True)
    run = load_run(tmp_path)
    for metric in ("similarity.misses", "similarity.mean_squared_error"):
        assert best_trials(run, metric=metric)["trial_id"].tolist() == ["t0001", "t0000"]


def test_a_run_without_trials_has_empty_tables(tmp_path: Path) -> None:
    written(tmp_path, Story().begun().events)
    assert len(pd.read_parquet(tmp_path / "trials.parquet")) == 0
    assert len(pd.read_parquet(tmp_path / "metrics.parquet")) == 0


AGREEMENT = [
    {"task_a": "sentiment", "task_b": "paraphrase", "cosine": -0.25, "num_measurements": 4},
    {"task_a": "sentiment", "task_b": "similarity", "cosine": 0.5, "num_measurements": 3},
]


def test_interference_has_a_row_for_each_pair_of_each_report(tmp_path: Path) -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.4, interference=AGREEMENT)
    story.reported(0, 2, 0.5, interference=AGREEMENT[:1])
    written(tmp_path, story.events)
    rows = load_run(tmp_path).interference
    assert rows["cosine"].tolist() == [-0.25, 0.5, -0.25]
    first = rows.iloc[1].to_dict()
    assert first == {"trial_id": "t0000", "step": 10, "evaluation": 1, "epoch": 1.0, **AGREEMENT[1]}


def test_without_compared_gradients_there_is_no_interference_table(tmp_path: Path) -> None:
    written(tmp_path, Story().begun().suggested(0).reported(0, 1, 0.4, interference=[]).reported(0, 2, 0.5).events)
    assert not (tmp_path / "interference.parquet").exists()


def test_gates_have_a_row_for_each_attention_head_of_each_report(tmp_path: Path) -> None:
    own = {"one": [[1.0, 0.25], [0.0, 0.5]], "two": [[1.0, 1.0], [1.0, 1.0]]}
    story = Story().begun().suggested(0).reported(0, 1, 0.4, gates=own).reported(0, 2, 0.5, gates={})
    written(tmp_path, story.suggested(1).reported(1, 1, 0.4, gates={"": [[0.75, 0.0]]}).events)
    rows = load_run(tmp_path).gates
    assert rows["gate"].tolist() == [1.0, 0.25, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.0]
    third = {"trial_id": "t0000", "step": 10, "evaluation": 1, "epoch": 1.0, "task": "one", "layer": 2, "head": 1}
    assert rows.iloc[2].to_dict() == {**third, "gate": 0.0}
    assert rows.iloc[8:]["task"].tolist() == ["", ""]


def test_without_pruning_there_is_no_gates_table(tmp_path: Path) -> None:
    written(tmp_path, Story().begun().suggested(0).reported(0, 1, 0.4, gates={}).reported(0, 2, 0.5).events)
    assert not (tmp_path / "gates.parquet").exists()
    assert load_run(tmp_path).gates.columns.tolist()[-3:] == ["layer", "head", "gate"]


def test_tables_rebuilt_from_events_equal_those_of_the_running_search(tmp_path: Path) -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.4, interference=AGREEMENT, gates={"": [[1.0]]})
    events = story.reported(0, 2, 0.5, interference=AGREEMENT).stopped(0, "completed").events
    (tmp_path / "live").mkdir()
    (tmp_path / "rebuilt").mkdir()
    live, state = Tables(tmp_path / "live", OBJECTIVES), RunState()
    for event in events:
        state.apply(event)
        live.add(event)
        live.refresh(state, now=True)
    written(tmp_path / "rebuilt", events)
    for name in ("trials.parquet", "metrics.parquet", "interference.parquet", "gates.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "live" / name), pd.read_parquet(tmp_path / "rebuilt" / name)
        )


def test_tables_are_written_at_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtsearch.search import results as module

    clock = [0.0]
    writes = []
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def slow_write(values: object, path: Path) -> None:
        clock[0] += 0.5
        Path(path).write_text("")
        writes.append(path)

    monkeypatch.setattr(module.pq, "write_table", slow_write)
    tables, state = Tables(tmp_path, OBJECTIVES), fold(Story().begun().events)
    while clock[0] < 200:
        tables.refresh(state)
        clock[0] += 0.1
    assert 0.02 < len(writes) * 0.5 / clock[0] < 0.035


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def checkpoints(folder: Path, events: list[Event]) -> list[str]:
    """Makes the checkpoints of the events, and gives the names of those that are there."""
    for event in events:
        if isinstance(event, Reported) and event.checkpoint:
            (folder / event.checkpoint).mkdir(parents=True, exist_ok=True)
            (folder / event.checkpoint / "predictions.parquet").write_text("")
    return there(folder)


def there(folder: Path) -> list[str]:
    return sorted(f"{path.parts[-4]}/{path.name[-1]}" for path in folder.glob("trials/*/attempt-*/checkpoints/*"))


def test_only_the_best_stopped_trials_keep_weights_and_open_ones_keep_all(tmp_path: Path) -> None:
    story = Story().begun()
    for number, score in enumerate((0.3, 0.9, 0.5, 0.1, 0.2)):
        story.suggested(number).reported(number, 1, score).reported(number, 2, score / 2, (1, score))
    for number in (0, 1, 2):
        story.stopped(number, "completed")
    story.stopped(4, "interrupted")
    assert len(checkpoints(tmp_path, story.events)) == 10
    state = fold(story.events)
    staying = retain(tmp_path, state.trials.values(), state, Keep(best=2), OBJECTIVES)
    assert [trial.trial_id for trial in staying] == ["t0001", "t0002"]
    assert there(tmp_path) == [f"t000{number}/{evaluation}" for number in (1, 2, 3, 4) for evaluation in (1, 2)]
    story.stopped(3, "completed").stopped(4, "completed")  # worse than those that stay
    state = fold(story.events)
    assert retain(tmp_path, [*staying, *list(state.trials.values())[3:]], state, Keep(best=2), OBJECTIVES) == staying
    assert there(tmp_path) == [f"t000{number}/{evaluation}" for number in (1, 2) for evaluation in (1, 2)]


def test_of_each_set_of_tasks_that_is_ranked_apart_the_best_keep_weights(tmp_path: Path) -> None:
    story = Story().begun(own_tasks=True)
    for number, (tasks, score) in enumerate([("a", 0.8), ("a+b", 0.5), ("a+b", 0.6), ("a", 0.9)]):
        story.suggested(number, tasks=tasks).reported(number, 1, score).stopped(number, "completed")
    state = fold(story.events)
    assert {trial.number for trial in kept(state.trials.values(), state, Keep(best=1), OBJECTIVES)} == {2, 3}
    state.scores_own_tasks = False
    assert {trial.number for trial in kept(state.trials.values(), state, Keep(best=1), OBJECTIVES)} == {3}


def test_the_table_has_a_trials_tasks_and_which_ones_are_scored(tmp_path: Path) -> None:
    story = Story().begun().suggested(0, tasks="a+b").suggested(1, tasks="b")
    tables = Tables(tmp_path, OBJECTIVES, ("b",))
    tables.refresh(fold(story.events), now=True)
    run = load_run(tmp_path)
    assert run.trials["tasks"].tolist() == ["a+b", "b"]
    assert run.objective.scored_tasks == ("b",)
    written(tmp_path, story.events)
    assert load_run(tmp_path).objective.scored_tasks is None


def test_trials_on_the_front_keep_their_weights_beside_the_best(tmp_path: Path) -> None:
    events = traded_off().events
    checkpoints(tmp_path, events)
    state = fold(events)
    ids = [trial.trial_id for trial in kept(state.trials.values(), state, Keep(best=1), TWO_OBJECTIVES)]
    assert ids == ["t0002", "t0000"]  # the best, and the rest of the front
    assert [
        trial.trial_id for trial in kept(state.trials.values(), state, Keep(best=1, front=False), TWO_OBJECTIVES)
    ] == ["t0002"]
    retain(tmp_path, state.trials.values(), state, Keep(best=1), TWO_OBJECTIVES)
    assert there(tmp_path) == ["t0000/1", "t0002/1", "t0004/1"]


def test_a_kept_trial_keeps_its_best_and_last_checkpoint_alone(tmp_path: Path) -> None:
    story = Story().begun().suggested(0)
    story.reported(0, 1, 0.1).reported(0, 2, 0.9).reported(0, 3, 0.2, (2, 0.9)).reported(0, 4, 0.2, (2, 0.9))
    story.stopped(0, "pruned")
    checkpoints(tmp_path, story.events)
    state = fold(story.events)
    retain(tmp_path, state.trials.values(), state, Keep(best=1, predictions=False), OBJECTIVES)
    assert there(tmp_path) == ["t0000/2", "t0000/4"]
    assert not list(tmp_path.rglob("predictions.parquet"))


def test_nothing_is_kept_if_nothing_is_asked_for(tmp_path: Path) -> None:
    story = Story().begun().suggested(0).reported(0, 1, 0.1).stopped(0, "completed")
    checkpoints(tmp_path, story.events)
    state = fold(story.events)
    retain(tmp_path, state.trials.values(), state, Keep(best=0), OBJECTIVES)
    assert there(tmp_path) == []
