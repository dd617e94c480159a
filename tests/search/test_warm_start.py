from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mtsearch.config.messages import InvalidConfigError
from mtsearch.config.space import SearchSpace
from mtsearch.errors import RunError
from mtsearch.search.events import Imported, Suggested, read_events
from mtsearch.search.extension import identity_of
from mtsearch.search.proposals import JOURNAL, Proposals
from mtsearch.search.state import RunState, fold
from mtsearch.search.tuner import _imported, run_search
from mtsearch.search.warm_start import read_warm_start
from tests.search.test_driver import Drive

Make = Callable[..., SearchSpace]


def data_of(space: SearchSpace) -> dict[tuple[str, str], str]:
    config = space.config(space.default).model_dump(mode="json")
    return {(task, json.dumps(kind["data"], sort_keys=True)): "abcd" for task, kind in config["tasks"].items()}


@pytest.fixture
def earlier(make_space: Make, tmp_path: Path) -> Path:
    """A run of 8 trials: completed with 0.1, 0.2, .. 0.6, then pruned, then failed."""
    folder = tmp_path / "earlier"
    drive = Drive(make_space(), folder, concurrency=1)
    for number in range(6):
        drive.finish(drive.start(), 0.1 * (number + 1))
    pruned = drive.start()
    drive.say(pruned, 1, 0.05)
    drive.driver.ended(pruned)
    failed = drive.start()
    drive.driver.result(failed, {"outcome": "failed", "attempt": 1, "reason": "boom", "cause": "trial"})
    drive.driver.ended(failed)
    drive.close()
    # Whoever made the folder recorded the space too.
    path = folder / "events.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "identity": identity_of(make_space())}), *rest]) + "\n")
    return folder


def test_the_same_space_takes_over_all_that_can_be_told(make_space: Make, earlier: Path) -> None:
    space = make_space()
    imported = read_warm_start(earlier, space, data_of(space))
    trials = fold(read_events(earlier)).trials
    assert imported.starts == [dict(trials[trial_id].params) for trial_id in ("t0005", "t0004", "t0003")]
    told = {each["trial_id"]: each["status"] for each in imported.observations}
    assert told == {"t0000": "completed", "t0001": "completed", "t0002": "completed", "t0006": "pruned"}
    assert imported.observations[1]["best_scores"]["mean_score"] == pytest.approx(0.2)
    assert imported.notes[0].startswith(f"from {earlier}, tried first: t0005 (training.batch_size, optimizer.lr, ")
    assert imported.notes[1] == f"from {earlier}, told to the search algorithm: 3 completed and 1 pruned trials"


def test_what_is_searched_now_and_was_fixed_then_is_an_observation(make_space: Make, earlier: Path) -> None:
    space = make_space(weighting={"choice": [{"name": "static"}, {"name": "uncertainty"}]})
    assert len(read_warm_start(earlier, space, data_of(space)).observations) == 4


def test_another_setting_makes_start_points_of_the_best_alone_and_says_which(make_space: Make, earlier: Path) -> None:
    space = make_space(training={"epochs": 20, "batch_size": {"choice": [16, 32, 64]}})
    imported = read_warm_start(earlier, space, data_of(space))
    assert len(imported.starts) == 3
    assert imported.observations == []
    assert imported.notes[-1] == f"from {earlier}, not used: 4 trials: training.epochs is another one"


def test_other_data_is_no_observation(make_space: Make, earlier: Path) -> None:
    space = make_space()
    imported = read_warm_start(earlier, space, dict.fromkeys(data_of(space), "other"))
    assert imported.observations == []
    assert imported.notes[-1].endswith("not used: 4 trials: the data of sentiment is not the same")


def test_another_objective_is_no_observation(make_space: Make, earlier: Path) -> None:
    space = make_space({"metric": "sentiment.accuracy"})
    imported = read_warm_start(earlier, space, data_of(space))
    assert (len(imported.starts), imported.observations) == (3, [])
    assert "told to the search algorithm: no trials, since search.metric is another one there" in imported.notes[1]


def test_scores_on_a_holdout_and_on_all_of_dev_are_not_mixed(make_space: Make, earlier: Path) -> None:
    space = make_space({"holdout_ratio": 0.5})
    imported = read_warm_start(earlier, space, data_of(space))
    assert (
        "told to the search algorithm: no trials, since search.holdout_ratio is another one there" in imported.notes[1]
    )
    path = earlier / "events.jsonl"  # as a run of before there were holdouts wrote it
    first, *rest = path.read_text().splitlines()
    started = json.loads(first)
    del started["identity"]["search"]["holdout_ratio"]
    path.write_text("\n".join([json.dumps(started), *rest]) + "\n")
    assert len(read_warm_start(earlier, make_space(), data_of(space)).observations) == 4


def test_an_algorithm_that_learns_from_its_own_generations_is_told_nothing(make_space: Make, earlier: Path) -> None:
    space = make_space({"algorithm": {"name": "random"}})
    imported = read_warm_start(earlier, space, data_of(space))
    assert imported.notes[1].endswith("no trials, since random learns nothing from trials that it did not propose")


def test_values_that_the_space_has_no_place_for_are_left_out_of_a_start_point(make_space: Make, earlier: Path) -> None:
    space = make_space(schedule={"name": "linear"}, training={"epochs": 10, "batch_size": {"choice": [128]}})
    imported = read_warm_start(earlier, space, data_of(space))
    assert [list(point) for point in imported.starts] == [["optimizer.lr"]] * 3


def test_nothing_in_common_no_run_and_a_grid_are_refused(make_space: Make, earlier: Path, tmp_path: Path) -> None:
    space = make_space(
        optimizer={"name": "adamw"},
        schedule={"name": "linear"},
        sampler={"choice": [{"name": "proportional"}, {"name": "sqrt"}]},
        training={"epochs": 2},
    )
    with pytest.raises(RunError, match=r"must have something in common with this space, but .*7 trials: sampler"):
        read_warm_start(earlier, space, data_of(space))
    with pytest.raises(RunError, match=r"--from: must name a run folder, but .*nowhere holds no events\.jsonl"):
        read_warm_start(tmp_path / "nowhere", space, {})
    grid = make_space({"algorithm": {"name": "grid"}}, optimizer={"name": "adamw"})
    with pytest.raises(RunError, match="--from: a grid takes every point in its own order"):
        read_warm_start(earlier, grid, {})


def begin(space: SearchSpace, folder: Path, imported: Imported | None) -> Drive:
    drive = Drive(space, folder, concurrency=1)
    if imported is not None:
        drive.driver.record(imported)
        drive.proposals.observe(imported)
    return drive


def test_a_search_tries_what_was_taken_over_first_and_goes_on_without_the_earlier_run(
    make_space: Make, earlier: Path, tmp_path: Path
) -> None:
    space = make_space({"trials": 9, "start": [{"optimizer.lr": 5e-5}]})
    imported = read_warm_start(earlier, space, data_of(space))

    def run(folder: Path, interrupted_after: int | None) -> list[Suggested]:
        drive = begin(space, folder, imported)
        for number in range(9):
            if number == interrupted_after:
                drive.close()
                drive = begin(space, folder, None)
            drive.finish(drive.start(), 0.1 + 0.01 * number)
        drive.close()
        return [event for event in read_events(folder) if isinstance(event, Suggested)]

    whole = run(tmp_path / "whole", None)
    earlier.rename(tmp_path / "gone")
    resumed = run(tmp_path / "resumed", 5)
    assert [event.params for event in resumed] == [event.params for event in whole]
    assert [event.number for event in whole] == list(range(9))
    assert [event.start for event in whole] == [0, 1, 2, 3, None, None, None, None, None]
    assert whole[0].params["optimizer.lr"] == 5e-5
    assert [dict(event.params) for event in whole[1:4]] == imported.starts


def test_optuna_sees_the_earlier_trials_before_our_own(make_space: Make, earlier: Path, tmp_path: Path) -> None:
    space = make_space({"algorithm": {"name": "tpe", "startup_trials": 4}})
    imported = read_warm_start(earlier, space, data_of(space))
    state = RunState()
    state.apply(imported)
    proposals = Proposals(space, state, tmp_path / JOURNAL)
    study = proposals._study
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]
    assert [trial.value for trial in study.trials] == pytest.approx([0.1, 0.2, 0.3, 0.05])
    assert study.trials[3].intermediate_values == {1: 0.05}
    assert study.trials[0].user_attrs["trial_id"] == "earlier/t0000"
    assert proposals.propose(0).number == 0
    assert study.trials[4].system_attrs  # the estimator has taken over: the four count as its start-up trials
    proposals.close()


def test_only_a_new_search_is_started_from_another_one(make_space: Make, earlier: Path, tmp_path: Path) -> None:
    space = make_space()
    begun = fold(read_events(earlier))
    with pytest.raises(RunError, match=r"--from: only a new search can start from an earlier one, but .* has trials"):
        _imported(earlier, space, tmp_path, begun, {})
    state = RunState()
    imported = _imported(earlier, space, tmp_path, state, data_of(space))
    assert imported is not None
    state.apply(imported)
    assert _imported(tmp_path / "gone", space, tmp_path, state, {}) is None
    assert _imported(None, space, tmp_path, begun, {}) is None


def test_a_run_that_cannot_be_started_from_leaves_no_folder_behind(make_space: Make, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--from: must name a run folder"):
        run_search(make_space(), tmp_path / "run", warm_start=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


def test_the_defaults_can_be_tried_first(make_space: Make, tmp_path: Path) -> None:
    space = make_space({"start": ["defaults", {"optimizer.lr": 5e-5}]})
    drive = Drive(space, tmp_path / "run", concurrency=9)
    first, second = drive.start(), drive.start()
    drive.close()
    assert drive.state.trials[first].params == space.default.params
    assert drive.state.trials[first].config == space.config(space.default).model_dump(mode="json")
    assert drive.state.trials[second].params["optimizer.lr"] == 5e-5
    with pytest.raises(InvalidConfigError, match=r"search\.start\.0"):
        make_space({"start": ["default"]})
