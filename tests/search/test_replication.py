from __future__ import annotations

import errno
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch.config.constraints import Constraint
from mtsearch.config.load import load_space
from mtsearch.config.search import Replicate
from mtsearch.config.space import SearchSpace
from mtsearch.errors import DataError, RunError
from mtsearch.search import replication
from mtsearch.search.events import EVENTS, EventLog, Replicated, ReplicationStarted, Started, read_events
from mtsearch.search.replication import (
    Contestant,
    contestants,
    fresh_seeds,
    is_complete,
    replicate_run,
    singles,
    train_and_score,
)
from mtsearch.search.results import Tables
from mtsearch.search.state import RunState, fold
from mtsearch.search.trial import Assignment
from mtsearch.search.tuner import run_search
from mtsearch.training.report import Objective
from mtsearch_analysis import load_run, replication_table
from tests.search.conftest import Story
from tests.search.test_tuner import Interrupt


def searched(*scores: float, tasks: str = "sentiment") -> Story:
    """A finished search whose trials came to these scores, each with a learning rate of its own."""
    story = Story().begun(trials=len(scores), rungs=None)
    for number, score in enumerate(scores):
        story.suggested(number, tasks=tasks).reported(number, 1, score).stopped(number, "completed")
        story.events[-3].config["optimizer"] = {"lr": number}
    return story


def replicated(config_id: str, seed: int, score: float, **changes: Any) -> Replicated:
    values: dict[str, Any] = {
        "time": 1000.0,
        "config_id": config_id,
        "trial_id": config_id,
        "alone": None,
        "config": {"tasks": {"sentiment": {}}, "training": {"seed": seed}},
        "seed": seed,
        "gpus": 0.5,
        "status": "completed",
        "reason": "all done",
        "evaluations": 2,
        "best_epoch": 1.0,
        "seconds": 4.0,
        "dev": {"mean_score": score},
        "test": {"mean_score": score - 0.1},
        "without_test": "",
    }
    return Replicated(**{**values, **changes})


@pytest.fixture
def space(make_space: Callable[..., SearchSpace]) -> SearchSpace:
    return make_space({"replicate": {"top": 2, "seeds": 2}})


def test_the_best_configs_are_compared_with_the_space_s_defaults(space: SearchSpace) -> None:
    found = contestants(fold(searched(0.3, 0.7, 0.5).events), space, top=2)
    assert [(one.config_id, one.rank, one.is_start) for one in found] == [
        ("t0001", 1, False),
        ("t0002", 2, False),
        ("start", None, True),
    ]
    assert found[-1].trial_id is None
    assert found[-1].config["training"]["batch_size"] == 16
    assert found[-1].with_seed(101)["training"]["seed"] == 101


def test_the_start_point_is_the_trial_of_the_first_one_in_the_space(make_space: Callable[..., SearchSpace]) -> None:
    space = make_space({"start": [{"optimizer.lr": 5e-5}]})
    story = searched(0.3, 0.7)
    story.events[1] = replace(story.events[1], start=0)  # type: ignore[call-arg]
    found = contestants(fold(story.events), space, top=1)
    assert [(one.config_id, one.rank, one.is_start) for one in found] == [("t0001", 1, False), ("t0000", None, True)]
    among_the_best = contestants(fold(story.events), space, top=2)
    assert [(one.config_id, one.rank, one.is_start) for one in among_the_best] == [
        ("t0001", 1, False),
        ("t0000", 2, True),
    ]
    # Without start points of its own, the first one is an earlier run's best.
    assert [one.config_id for one in contestants(fold(story.events), make_space(), top=1)] == ["t0001", "start"]


def test_defaults_that_a_trial_had_are_that_trial(space: SearchSpace) -> None:
    story = searched(0.3)
    story.events[1] = replace(
        story.events[1],  # type: ignore[call-arg]
        config=space.config(space.default).model_dump(mode="json"),
    )
    (one,) = contestants(fold(story.events), space, top=1)
    assert (one.config_id, one.trial_id, one.is_start) == ("t0000", "t0000", True)


def test_a_config_that_differs_in_its_seed_alone_is_the_same_one(space: SearchSpace) -> None:
    story = searched(0.3, 0.5, 0.4)
    for event in story.events:
        if hasattr(event, "config"):
            event.config["optimizer"] = {"lr": 1}
            event.config["training"] = {"seed": event.number}
    found = contestants(fold(story.events), space, top=3)
    assert [one.config_id for one in found if one.rank] == ["t0001"]


def test_seeds_are_the_same_each_time_and_none_is_the_search_s() -> None:
    story = searched(0.3, 0.5)
    story.events[1].config["training"]["seed"] = 102  # type: ignore[union-attr]
    state = fold(story.events)
    assert fresh_seeds(state, 3) == [101, 103, 104]
    assert fresh_seeds(state, 5)[:3] == [101, 103, 104]


def test_each_task_alone_keeps_the_config_and_is_for_the_objective_if_that_is_its_own(
    make_space: Callable[..., SearchSpace],
) -> None:
    config = {"tasks": {"pos": {"kind": "a"}, "ner": {"kind": "b"}}, "training": {"seed": 7}, "optimizer": {"lr": 1}}
    pos, ner = singles(Contestant("t0001", "t0001", config, 1))
    assert (pos.config_id, pos.alone, pos.config["tasks"]) == ("t0001/pos", "pos", {"pos": {"kind": "a"}})
    assert pos.config["optimizer"] == {"lr": 1}
    tasks = {name: {"kind": "classification", "data": "sst5"} for name in ("pos", "ner")}
    space = make_space({"metric": "pos.macro_f1", "constraints": ["ner.accuracy >= 0.5"]}, tasks=tasks)
    assert pos.objective(space) == Objective("pos.macro_f1")
    assert ner.objective(space) == Objective("mean_score")
    assert singles(Contestant("t0001", "t0001", {"tasks": {"pos": {}}})) == []


def test_what_breaks_the_constraints_is_not_among_the_best_and_does_not_win(space: SearchSpace) -> None:
    state = fold(searched(0.3, 0.9, 0.5).events)
    state.constraints = (Constraint.parse("mean_score <= 0.6"),)
    assert [one.config_id for one in contestants(state, space, 3)] == ["t0002", "t0000", "start"]
    state.constraints = (Constraint.parse("mean_score <= 0.1"),)
    assert [one.config_id for one in contestants(state, space, 3)] == ["t0001", "t0002", "t0000", "start"]


def test_of_those_that_meet_the_constraints_with_other_seeds_the_best_is_trained_task_by_task(
    space: SearchSpace,
) -> None:
    state = fold(searched(0.5, 0.55, tasks="pos+ner").events)
    state.constraints = (Constraint.parse("mean_score <= 0.6"),)
    for config_id, score in (("t0000", 0.5), ("t0001", 0.7), ("start", 0.1)):
        for seed in (101, 102):
            state.apply(replicated(config_id, seed, score))
    for seed, task in itertools.product((101, 102), ("pos", "ner")):
        assert not is_complete(state, space)
        state.apply(replicated(f"t0000/{task}", seed, 0.9))
    assert is_complete(state, space)


def test_tasks_alone_follow_once_the_best_on_dev_is_known(space: SearchSpace) -> None:
    state = fold(searched(0.3, 0.7, tasks="pos+ner").events)
    assert not is_complete(state, space)
    for config_id, score in (("t0000", 0.6), ("t0001", 0.5), ("start", 0.1)):
        for seed in (101, 102):
            state.apply(replicated(config_id, seed, score))
    assert not is_complete(state, space)
    for seed in (101, 102):
        for task in ("pos", "ner"):
            state.apply(replicated(f"t0000/{task}", seed, 0.5))  # t0000 has become the best
    assert is_complete(state, space)


def test_what_failed_by_no_fault_of_its_own_is_still_missing(make_space: Callable[..., SearchSpace]) -> None:
    space = make_space({"replicate": {"top": 1, "seeds": 1}})
    state = fold(searched(0.7).events)
    state.apply(replicated("start", 101, 0.4))
    for may_pass in (True, False):
        state.apply(replicated("t0000", 101, 0.0, status="failed", dev={}, test={}, may_pass=may_pass))
        assert is_complete(state, space) is not may_pass


def test_trainings_have_the_search_s_holdout_and_so_have_tasks_alone(make_space: Callable[..., SearchSpace]) -> None:
    space = make_space({"holdout_ratio": 0.4})
    config = {"tasks": {"pos": {}, "ner": {}}, "training": {"seed": 7}}
    whole = Contestant("t0001", "t0001", config, 1)
    assert {one.objective(space).holdout_ratio for one in (whole, *singles(whole))} == {0.4}


def test_a_search_without_a_score_has_nothing_to_replicate(space: SearchSpace) -> None:
    assert is_complete(RunState(), space)


def test_replications_cost_the_search_no_time_and_are_a_table(tmp_path: Path, space: SearchSpace) -> None:
    state = fold(searched(0.3, 0.7).events)
    seconds, spent = state.seconds, state.gpu_seconds
    state.apply(ReplicationStarted(time=500.0, ranks={"t0001": 1}, start="start", host="here", pid=1))
    state.apply(replicated("t0001", 101, 0.6))
    state.apply(replicated("start", 101, 0.4, trial_id=None, without_test="a: b has only train, dev", test={}))
    assert (state.seconds, state.gpu_seconds) == (seconds, spent)
    Tables(tmp_path, space.objectives).refresh(state, now=True)
    rows = load_run(tmp_path).replications
    assert rows["config_id"].tolist() == ["t0001", "start"]
    assert rows["rank"].isna().tolist() == [False, True]
    assert rows["is_start"].tolist() == [False, True]
    assert rows["gpu_seconds"].tolist() == [2.0, 2.0]
    assert rows["test/mean_score"].isna().tolist() == [False, True]
    assert rows["without_test"].iloc[1] == "a: b has only train, dev"


@pytest.fixture(scope="module")
def data_with_test(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data, of which paraphrase alone has a test split."""
    root = tmp_path_factory.mktemp("data") / "root"
    shutil.copytree(tiny_data, root)
    dev = (root / "quora/quora-dev.csv").read_text().splitlines()
    (root / "quora/quora-test.csv").write_text("\n".join(dev[:17]) + "\n")
    return root


@pytest.fixture
def assigned(
    tiny_config: Callable[..., dict[str, Any]], data_with_test: Path, tmp_path: Path
) -> Callable[..., Assignment]:
    def assign(**sections: Any) -> Assignment:
        space = load_space(tiny_config(**sections))
        config = space.single_config().model_dump(mode="json")
        (tmp_path / EVENTS).touch()
        return Assignment(str(tmp_path), "replications/x/seed-101", config, str(data_with_test), 1, 0.0, Objective())

    return assign


def last_word(assignment: Assignment) -> dict[str, Any]:
    """What a training comes to."""
    *_, last = train_and_score(assignment)
    return last


def test_the_best_evaluation_on_dev_is_scored_on_test(assigned: Callable[..., Assignment]) -> None:
    ended = last_word(assigned(training={"epochs": 2}))
    assert (ended["status"], ended["evaluations"]) == ("completed", 2)
    assert ended["test"].keys() == {"mean_score", "worst_task", "paraphrase.accuracy", "paraphrase.macro_f1"}
    assert ended["test"]["mean_score"] == ended["test"]["paraphrase.accuracy"]  # the only task with a test split
    assert ended["without_test"].startswith("sentiment: ")
    assert ended["dev"]["mean_score"] > 0
    assert ended["data"].keys() == {"sentiment", "paraphrase", "similarity"}


def test_a_training_that_was_cut_off_comes_to_the_numbers_of_one_that_was_not(
    assigned: Callable[..., Assignment],
) -> None:
    # A rate that is soon too high: the best evaluation may lie before the interruption.
    assignment = assigned(training={"epochs": 3}, optimizer={"name": "adamw", "lr": 0.05})
    whole = last_word(replace(assignment, place="replications/x/whole"))
    cut = replace(assignment, place="replications/x/cut")

    attempts = replication.attempts

    def killed(assignment: Assignment) -> Iterator[dict[str, Any]]:
        yield from itertools.islice(attempts(assignment), 3)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replication, "attempts", killed)
        with pytest.raises(KeyboardInterrupt):
            last_word(cut)
    resumed = last_word(cut)
    assert {**resumed, "seconds": 0, "data": {}} == {**whole, "seconds": 0, "data": {}}


def test_what_a_training_raises_is_its_reason(assigned: Callable[..., Assignment], saboteur: Path) -> None:
    ended = last_word(assigned(plugins=[str(saboteur)], optimizer={"name": "saboteur", "how": "raise"}))
    assert ended["status"] == "failed"
    assert "boom" in ended["reason"]
    assert ended["dev"] == ended["test"] == {}


@pytest.mark.parametrize(
    ("error", "may_pass"),
    [(OSError(errno.ESTALE, "stale file handle"), True), (OSError(errno.ENOSPC, "full"), True), (KeyError("x"), False)],
)
def test_what_may_pass_is_told_from_what_may_not(
    assigned: Callable[..., Assignment], monkeypatch: pytest.MonkeyPatch, error: Exception, may_pass: bool
) -> None:
    def raise_error(*_: Any) -> None:
        raise error

    monkeypatch.setattr("mtsearch.training.parts.build", lambda *_, **__: raise_error())
    in_training = last_word(assigned())
    monkeypatch.setattr(replication, "_told", raise_error)
    monkeypatch.setattr(replication, "attempts", lambda _: (told for told in [{"outcome": "finished", "reason": ""}]))
    in_scoring = last_word(assigned())
    for ended in (in_training, in_scoring):
        assert (ended["status"], ended["may_pass"]) == ("failed", may_pass)


def test_a_training_that_diverges_at_once_has_no_score(assigned: Callable[..., Assignment], saboteur: Path) -> None:
    ended = last_word(assigned(plugins=[str(saboteur)], optimizer={"name": "saboteur", "how": "diverge"}))
    assert ended["status"] == "diverged"
    assert (ended["dev"], ended["test"], ended["best_epoch"], ended["evaluations"]) == ({}, {}, None, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.xdist_group("ray")
def test_a_search_replicates_its_best_and_goes_on_with_what_is_missing(
    tiny_config: Callable[..., dict[str, Any]], data_with_test: Path, tmp_path: Path
) -> None:
    lr = {"loguniform": [1e-4, 1e-1]}
    asked = {"trials": 2, "scheduler": {"name": "none"}, "replicate": {"top": 1, "seeds": 2}, "concurrency": 1}
    config = tiny_config(optimizer={"name": "adamw", "lr": lr}, training={"epochs": 1}, search=asked)
    del config["tasks"]["similarity"]
    space, folder = load_space(config), tmp_path / "run"

    first = run_search(space, folder, data_root=data_with_test, observer=Interrupt(Replicated, 1))
    assert not first.is_finished
    assert first.reason == "stopped by SIGINT"
    last = run_search(space, folder, data_root=data_with_test)
    assert last.is_finished
    assert last.reason == "all 2 trials are done"
    with pytest.raises(RunError, match="this run is finished"):
        run_search(space, folder, data_root=data_with_test)

    def done() -> list[tuple[str, int]]:
        return [(e.config_id, e.seed) for e in read_events(folder) if isinstance(e, Replicated)]

    whole, alone = [last.best, "start"], [f"{last.best}/sentiment", f"{last.best}/paraphrase"]
    expected = [(one, seed) for of in (whole, alone) for seed in (101, 102) for one in of]
    assert sorted(done()) == sorted(map(tuple, expected))
    assert not list(folder.glob("replications/**/model.safetensors"))
    assert (folder / f"replications/{last.best}/seed-101/config.yaml").is_file()
    rows = load_run(folder).replications
    assert (rows["status"] == "completed").all()
    assert rows.loc[rows["alone"] != "sentiment", "test/paraphrase.accuracy"].notna().all()

    # One seed more, by the command of its own: nothing that is done is done again, and the search is as it was.
    started = len([event for event in read_events(folder) if isinstance(event, Started)])
    before = done()
    copied = load_space({**config, "search": {**asked, "copy_to": (tmp_path / "copies").as_uri()}})
    more = replicate_run(copied, folder, Replicate(top=1, seeds=3), data_root=data_with_test)
    assert more.stopped is None
    assert done()[: len(before)] == before
    assert {seed for _, seed in done()[len(before) :]} == {103}
    assert len(done()) == len(before) + 4
    assert len(pd.read_parquet(tmp_path / "copies" / "run" / "replications.parquet")) == len(done())
    assert len([event for event in read_events(folder) if isinstance(event, Started)]) == started
    table = replication_table(load_run(folder)).query("metric == 'mean_score' and split == 'dev'")
    assert table["num_seeds"].tolist() == [3, 3]
    assert pd.read_parquet(folder / "trials.parquet")["status"].tolist() == ["completed"] * 2

    config = next(iter(fold(read_events(folder)).trials.values())).config
    hashes = {("sentiment", json.dumps(config["tasks"]["sentiment"]["data"], sort_keys=True)): "other"}
    with pytest.raises(DataError, match=r"tasks\.sentiment: replications must see the data of the search"):
        replicate_run(space, folder, Replicate(top=1, seeds=4), data_root=data_with_test, data_hashes=hashes)


def test_a_folder_that_is_no_run_or_has_no_score_is_refused(tmp_path: Path, space: SearchSpace) -> None:
    with pytest.raises(RunError, match=r"must be a run folder, but it holds no events\.jsonl"):
        replicate_run(space, tmp_path, Replicate())
    (tmp_path / "events.jsonl").write_bytes(b"")
    with pytest.raises(RunError, match="replicating needs a trial with a score, but no trial has one yet"):
        replicate_run(space, tmp_path, Replicate())


def test_what_came_of_several_configs_is_refused(tmp_path: Path, space: SearchSpace) -> None:
    story = searched(0.3, 0.5).suggested(2, parent="t0001", replaces="t0000").reported(2, 2, 0.9)
    with EventLog(tmp_path) as log:
        for event in story.events:
            log.append(event)
    with pytest.raises(RunError, match="t0002, one of the best, went on from t0001 under pbt"):
        replicate_run(space, tmp_path, Replicate(top=1))
