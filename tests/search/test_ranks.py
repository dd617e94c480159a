"""Trials with several workers: what they come to, how they stop, and that they leave no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.search.events import EVENTS
from mtsearch.search.ranks import Ranks
from mtsearch.search.trial import Assignment, attempt
from mtsearch.training.report import Objective

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc"),
]


@pytest.fixture
def assign(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path: Path) -> Callable[..., Assignment]:
    def make(place: str = "trials/t0000", workers: int = 2, **sections: Any) -> Assignment:
        still = {"dropout": 0.0, "attention_dropout": 0.0}  # each process draws its own dropout
        tasks = {"similarity": {"kind": "pair_regression", "data": "stsb", "head": {"dropout": 0.0}}}
        training = {"precision": "fp32", "epochs": 3, **sections.pop("training", {})}
        made = tiny_config(encoder={**still, **sections.pop("encoder", {})}, tasks=tasks, training=training, **sections)
        (tmp_path / EVENTS).touch()
        return Assignment(
            run_folder=str(tmp_path),
            place=place,
            config=load_space(made).single_config().model_dump(mode="json"),
            data_root=str(tiny_data),
            cpus=workers,
            gpus=0,
            objective=Objective(),
            workers=workers,
        )

    return make


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with closing(Ranks()) as ranks:
        yield ranks


def ranks_alive(parent: int | None = None) -> list[int]:
    """The ids of the processes of trials that are there, or of those that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
                above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            if b"mtsearch.search.rank" in command and above == (parent or os.getpid()):
                found.append(int(folder.name))
    return sorted(found)


def scores(results: list[dict[str, Any]]) -> list[float]:
    return [result["score"] for result in results if "score" in result]


def test_two_workers_come_to_what_one_comes_to_and_stay_for_the_next_trial(
    assign: Callable[..., Assignment], ranks: Ranks, tmp_path: Path
) -> None:
    together = list(attempt(assign(), ranks))
    begun = ranks_alive()
    alone = list(attempt(assign("trials/alone", workers=1)))
    assert [result["outcome"] for result in together] == [result["outcome"] for result in alone]
    assert scores(together) == pytest.approx(scores(alone), abs=2e-4)
    assert len(scores(alone)) == 3
    assert len(begun) == 2
    again = list(attempt(assign("trials/again"), ranks))
    assert scores(again) == scores(together)
    assert ranks_alive() == begun
    assert (tmp_path / "trials/t0000/attempt-1/checkpoints/evaluation-0003/model.safetensors").is_file()
    assert (tmp_path / "trials/t0000/attempt-1/log-2.txt").is_file()


def test_a_stopped_trial_goes_on_with_the_same_numbers(assign: Callable[..., Assignment], ranks: Ranks) -> None:
    stopped = attempt(assign(), ranks)
    before = [next(stopped), next(stopped), next(stopped)]
    stopped.close()
    told_once_more = attempt(assign(), ranks)  # and stopped there
    assert scores([next(told_once_more), next(told_once_more)]) == scores(before)[-1:]
    told_once_more.close()
    begun = ranks_alive()
    assert len(begun) == 2
    after = list(attempt(assign(), ranks))
    assert (after[0]["attempt"], after[-1]["outcome"]) == (3, "finished")
    assert ranks_alive() == begun
    straight = list(attempt(assign("trials/straight"), ranks))
    assert scores(before) + scores(after)[1:] == scores(straight)


def test_a_process_that_dies_fails_the_trial_and_takes_the_others_with_it(
    assign: Callable[..., Assignment], ranks: Ranks
) -> None:
    results = attempt(assign(training={"epochs": 300}), ranks)
    told = [next(results), next(results)]
    assert scores(told)
    os.kill(ranks_alive()[1], signal.SIGKILL)
    *_, failed = results
    assert (failed["outcome"], failed["cause"]) == ("failed", "surroundings")
    assert failed["reason"] == "its process 2 of 2 was killed by SIGKILL"
    assert ranks_alive() == []
    after = attempt(assign(), ranks)
    assert (next(after)["attempt"], next(after)["evaluation"]) == (2, 1)  # from its checkpoint
    after.close()


def test_what_a_process_raises_is_told_once(
    assign: Callable[..., Assignment], ranks: Ranks, saboteur: Path, tmp_path: Path
) -> None:
    _, failed = attempt(assign(plugins=[str(saboteur)], optimizer={"name": "saboteur", "how": "raise"}), ranks)
    assert (failed["cause"], failed["reason"]) == ("trial", "RuntimeError: boom (saboteur.py:19)")
    assert ranks_alive() == []
    assert "boom" in (tmp_path / "trials/t0000/attempt-1/log.txt").read_text()


def test_without_a_parent_there_are_no_processes(assign: Callable[..., Assignment]) -> None:
    order = json.dumps(assign(training={"epochs": 300}).to_ray())
    code = (
        "import json, sys; from mtsearch.search.trial import Assignment, attempt\n"
        f"for result in attempt(Assignment.from_ray(json.loads({order!r}))): print('said', flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == [b"said\n"] * 2
        children = ranks_alive(parent.pid)
        meeting_place = Path(f"/proc/{children[0]}/cmdline").read_text().split("\0")[-2]
        parent.kill()
    assert len(children) == 2
    deadline = time.monotonic() + 300
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not Path(meeting_place).parent.exists()
