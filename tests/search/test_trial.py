from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mtsearch.config.load import load_space
from mtsearch.search.events import EVENTS
from mtsearch.search.trial import Assignment, Trial, attempt, attempts, free_memory, train_until
from mtsearch.training.precision import choose_precision
from mtsearch.training.report import Objective


@pytest.fixture
def assign(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path) -> Callable[..., Assignment]:
    def make(train_on: tuple[str, ...] = ("train",), **sections: Any) -> Assignment:
        config = load_space(tiny_config(**sections)).single_config().model_dump(mode="json")
        (tmp_path / EVENTS).touch()
        return Assignment(
            run_folder=str(tmp_path),
            place="trials/t0000",
            config=config,
            data_root=str(tiny_data),
            cpus=1,
            gpus=0,
            objective=Objective(scored_tasks=("sentiment", "similarity"), constraints=("similarity.pearson >= -1",)),
            train_on=train_on,
        )

    return make


def told(result: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(result["told"]))


def scores(results: list[dict[str, Any]]) -> dict[int, float]:
    return {result["evaluation"]: result["score"] for result in results if "evaluation" in result}


def test_a_trial_says_that_it_started_then_each_evaluation_then_that_it_finished(
    assign: Callable[..., Assignment], tmp_path: Path
) -> None:
    started, first, second = attempt(assign())
    assert (started["outcome"], started["attempt"]) == ("started", 1)
    assert [first["outcome"], second["outcome"]] == ["running", "finished"]
    assert [first["done"], second["done"]] == [False, True]
    assert told(first)["checkpoint"] == "trials/t0000/attempt-1/checkpoints/evaluation-0001"
    assert (tmp_path / told(second)["checkpoint"] / "model.safetensors").is_file()
    assert told(first)["precision"] == choose_precision("auto", "cpu")
    assert told(first)["data"].keys() == {"sentiment", "paraphrase", "similarity"}
    assert told(second)["data"] is None


def test_an_assignment_travels_through_ray_as_one_text(assign: Callable[..., Assignment]) -> None:
    config = assign(train_on=("train", "dev")).to_ray()
    assert {type(value) for value in config.values()} == {str, int}
    assert Assignment.from_ray(config) == assign(train_on=("train", "dev"))


def test_a_trial_may_begin_from_anothers_checkpoint_and_goes_on_from_its_own(
    assign: Callable[..., Assignment], tmp_path: Path
) -> None:
    parent = attempt(assign(training={"epochs": 4}))
    first, second = [next(parent) for _ in range(3)][1:]
    parent.close()
    where = told(second)["checkpoint"]
    child = replace(
        assign(training={"epochs": 4}, optimizer={"name": "adamw", "lr": 5e-3}), place="trials/t0001", begin_from=where
    )
    begun = attempt(child)
    said = [next(begun) for _ in range(3)]
    begun.close()
    assert [result.get("evaluation") for result in said] == [None, 2, 3]
    assert said[1]["score"] == second["score"] != first["score"]
    assert told(said[1])["checkpoint"] == where
    assert told(said[2])["checkpoint"] == "trials/t0001/attempt-1/checkpoints/evaluation-0003"
    after = list(attempt(child))
    assert [result.get("evaluation") for result in after] == [None, 3, 4]
    assert after[1]["score"] == said[2]["score"]


def test_a_stopped_trial_goes_on_in_a_folder_of_its_own_with_the_same_numbers(
    assign: Callable[..., Assignment], tmp_path: Path
) -> None:
    assignment = assign(training={"epochs": 3})
    stopped = attempt(assignment)
    before = [next(stopped), next(stopped), next(stopped)]
    stopped.close()
    after = list(attempt(assignment))
    assert after[0]["attempt"] == 2
    assert scores(before).keys() == {1, 2}
    assert scores(after).keys() == {2, 3}  # the last report is told once more: it may have been lost
    assert scores(after)[2] == scores(before)[2]
    assert told(after[1])["checkpoint"].startswith("trials/t0000/attempt-1/")
    assert told(after[2])["checkpoint"].startswith("trials/t0000/attempt-2/")
    from_the_start = list(attempt(Assignment(**{**vars(assignment), "place": "trials/other"})))
    assert scores(from_the_start) == {**scores(before), **scores(after)}


def test_a_trial_that_raises_has_failed_in_one_line_with_the_traceback_in_its_log(
    assign: Callable[..., Assignment], tmp_path: Path
) -> None:
    assignment = assign(encoder={"model": str(tmp_path / "nowhere")})
    _, failed = attempt(assignment)
    assert (failed["outcome"], failed["attempt"], failed["cause"], failed["done"]) == ("failed", 1, "trial", True)
    assert "nowhere" in failed["reason"]
    assert "\n" not in failed["reason"]
    log = (tmp_path / "trials/t0000/attempt-1/log.txt").read_text()
    assert "Traceback" in log
    assert "nowhere" in log


def test_running_out_of_memory_is_named_so(assign: Callable[..., Assignment], monkeypatch: pytest.MonkeyPatch) -> None:
    from mtsearch.training import parts

    def build(*args: Any, **settings: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(parts, "build", build)
    failed = list(attempt(assign()))[-1]
    assert (failed["cause"], failed["reason"]) == ("memory", "out of memory: MemoryError")


def test_without_a_driver_memory_that_runs_out_is_tried_once_more_with_half_as_many_examples(
    assign: Callable[..., Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtsearch.training import parts

    build, sizes = parts.build, []

    def limited(config: Any, place: Any, *args: Any, **settings: Any) -> Any:
        sizes.append(place.micro_batch_size)
        if place.micro_batch_size is None:
            raise MemoryError
        return build(config, place, *args, **settings)

    monkeypatch.setattr(parts, "build", limited)
    assignment = assign()
    told = list(attempts(assignment))
    half = -(-assignment.config["training"]["batch_size"] // 2)
    assert sizes == [None, half]
    assert [one["outcome"] for one in told][:2] == ["started", "started"]
    assert told[-1]["outcome"] == "finished"
    (last,) = [one for one in attempts(replace(assignment, micro_batch_size=half)) if one["outcome"] == "finished"]
    assert sizes == [None, half, half]
    assert last["score"] == told[-1]["score"]


def test_a_diverged_trial_gives_no_score_to_the_trial_scheduler(
    assign: Callable[..., Assignment], saboteur: Path
) -> None:
    results = list(attempt(assign(plugins=[str(saboteur)], optimizer={"name": "saboteur", "how": "diverge"})))
    assert [result["outcome"] for result in results] == ["started", "diverged"]
    assert results[-1]["done"]
    assert "score" not in results[-1]
    assert "evaluation" not in results[-1]
    assert "loss" in results[-1]["reason"]


def test_what_is_logged_during_a_trial_is_in_its_log_alone(assign: Callable[..., Assignment], tmp_path: Path) -> None:
    results = attempt(assign())
    next(results)
    logging.getLogger("mtsearch.training").warning("look here")
    results.close()
    logging.getLogger("mtsearch.training").warning("too late")
    log = (tmp_path / "trials/t0000/attempt-1/log.txt").read_text()
    assert "look here" in log
    assert "too late" not in log


def test_two_workers_never_share_an_attempts_folder(assign: Callable[..., Assignment]) -> None:
    one, other = attempt(assign()), attempt(assign())
    assert {next(one)["attempt"], next(other)["attempt"]} == {1, 2}
    one.close()
    other.close()


def test_training_until_an_evaluation_stops_there(assign: Callable[..., Assignment]) -> None:
    *_, result = train_until(assign(train_on=("train", "dev"), training={"epochs": 3}), 2)
    assert (result["evaluation"], result["outcome"]) == (2, "running")
    assert told(result)["report"]["examples_seen"] > 2 * 3 * 48


def test_what_a_trial_makes_of_its_data_is_in_its_log(assign: Callable[..., Assignment], tmp_path: Path) -> None:
    next(results := attempt(assign(augmentation={"name": "eda", "num_augmented": 1, "synonyms": "shipped"})))
    next(results)
    results.close()
    log = (tmp_path / "trials/t0000/attempt-1/log.txt").read_text()
    assert "sentiment: + 48 augmented (eda, shipped synonyms)" in log


def test_a_run_folder_that_is_not_there_or_goes_away_is_not_the_trials_doing(
    assign: Callable[..., Assignment], tmp_path: Path
) -> None:
    missing = Assignment(**{**vars(assign()), "run_folder": str(tmp_path / "gone")})
    (failed,) = attempt(missing)
    assert (failed["outcome"], failed["cause"], failed["attempt"]) == ("failed", "surroundings", None)
    assert "must be on storage that every node shares" in failed["reason"]
    for lost, leave in (("file", Path.touch), ("folder", Path.mkdir)):  # nothing can be made there; anything can
        shared = tmp_path / lost
        shared.mkdir()
        (shared / EVENTS).touch()
        results = attempt(Assignment(**{**vars(assign()), "run_folder": str(shared)}))
        next(results)
        shared.rename(tmp_path / f"{lost} elsewhere")
        leave(shared)
        *_, failed = results
        assert (failed["outcome"], failed["cause"], failed["attempt"]) == ("failed", "surroundings", 1)


def test_a_trial_in_micro_batches_says_and_saves_what_others_do(assign: Callable[..., Assignment]) -> None:
    assignment = Assignment(**{**vars(assign()), "micro_batch_size": 3})
    assert Assignment.from_ray(assignment.to_ray()) == assignment
    started, first, second = attempt(assignment)
    assert [result["outcome"] for result in (started, first, second)] == ["started", "running", "finished"]
    assert {result["attempt"] for result in (started, first, second)} == {1}


@pytest.mark.filterwarnings("ignore:This API is deprecated")  # older Ray, of its own logger
def test_a_worker_is_called_by_its_trial_and_how_far_that_is_and_the_actor_by_the_run(
    assign: Callable[..., Assignment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("mtsearch.search.trial.setproctitle", titles.append)
    actor = Trial(config=assign().to_ray())
    try:
        for _ in range(3):
            actor.step()
        actor.reset_config(replace(assign(), place="trials/t0001").to_ray())
        actor.step()
        assert repr(actor) == f"trials of {tmp_path.name}"  # whichever they are
    finally:
        actor.stop()
    trial, tasks = f"ray::{tmp_path.name} t0000", "sentiment+paraphrase+similarity"
    begun = f"{trial} {tasks}"
    assert titles == [begun, begun, f"{begun} after epoch 1", f"ray::{tmp_path.name} t0001 {tasks}"]


@pytest.mark.filterwarnings("ignore:This API is deprecated")  # as above
def test_no_trial_follows_in_a_process_in_which_cuda_is_broken(
    assign: Callable[..., Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered\nFor debugging consider ..")

    actor = Trial(config=assign().to_ray())
    actor.step()
    with monkeypatch.context() as patched:
        patched.setattr(torch.cuda, "is_initialized", lambda: True)
        patched.setattr(torch.cuda, "empty_cache", fail)
        patched.setattr(torch.cuda, "synchronize", fail)
        with pytest.raises(RuntimeError, match="CUDA is broken since an earlier trial of this process: CUDA error: "):
            actor.reset_config(replace(assign(), place="trials/t0001").to_ray())
    actor.stop()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have ways of their own")
def test_what_a_trial_has_freed_is_given_back_to_the_machine() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks = [bytes(60_000) for _ in range(4_000)]
    held = resident()
    del blocks[:-1]  # the last one lies above all others
    free_memory()
    assert held - resident() > 100_000_000
