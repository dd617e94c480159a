"""Spaces and made-up reports for the tests of the search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace
from mtsearch.search.events import Event, Reported, RungUnit, RunStarted, Started, Stopped, StopStatus, Suggested


@pytest.fixture(scope="session")
def make_space() -> Callable[..., SearchSpace]:
    """A space with a conditional, of which no encoder or data is needed; keyword arguments replace sections."""

    def make(search: dict[str, Any] | None = None, **sections: Any) -> SearchSpace:
        return load_space(
            {
                "name": "space",
                "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
                "training": {"epochs": 10, "batch_size": {"choice": [16, 32, 64]}},
                "optimizer": {"name": "adamw", "lr": {"loguniform": [1e-5, 3e-4]}},
                "schedule": {"choice": [{"name": "linear"}, {"name": "plateau", "patience": {"int": [1, 4]}}]},
                "search": {"trials": 8, "algorithm": {"name": "tpe", "startup_trials": 3}, **(search or {})},
                **sections,
            }
        )

    return make


SABOTEUR = """
import os
import signal
from pathlib import Path
from typing import Literal

import torch

from mtsearch.config.base import Frozen


class Saboteur(Frozen):
    name: Literal["saboteur"] = "saboteur"
    how: Literal["raise", "kill", "diverge", "train"] = "raise"
    marker: str = ""

    def build(self, model, seed):
        if self.how == "raise":
            raise RuntimeError("boom")
        if self.how == "kill" and not Path(self.marker).exists():
            Path(self.marker).write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        lr = float("inf") if self.how == "diverge" else 1e-3
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        group = {"params": [p for _, p in named], "names": [name for name, _ in named], "part": "all", "lr": lr}
        return torch.optim.SGD([group])


OPTIMIZERS = (Saboteur,)
"""


@pytest.fixture(scope="session")
def saboteur(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin whose optimizer raises, kills its process the first time, or diverges."""
    path = tmp_path_factory.mktemp("plugin") / "saboteur.py"
    path.write_text(SABOTEUR)
    return path


def report(
    evaluation: int, score: float | None, best: tuple[int, float] | None = None, **changes: Any
) -> dict[str, Any]:
    """A report as JSON values; ``best`` is (evaluation, score), by default this one."""
    best_evaluation, best_score = best or (evaluation, score)
    return {
        "evaluation": evaluation,
        "step": 10 * evaluation,
        "epoch": float(evaluation),
        "examples_seen": 100 * evaluation,
        "seconds": 2.0 * evaluation,
        "scores": {} if score is None else {"sentiment.accuracy": score, "mean_score": score},
        "score": score,
        "best_score": best_score,
        "best_evaluation": best_evaluation,
        "measurements": [] if score is None else [{"task": "", "split": "dev", "metric": "mean_score", "value": score}],
        "outcome": "running",
        "reason": "",
        "facts": {"parameters": 1000, "examples_per_second": 50.0},
        "checkpoint": f"evaluation-{evaluation:04d}",
        **changes,
    }


def with_holdout(dev: float, holdout: float) -> dict[str, Any]:
    """What a report has more of where some of dev is held out."""
    held_out = {"sentiment.accuracy": holdout, "mean_score": holdout}
    return {
        "scores": {**dict.fromkeys(held_out, dev), "open_heads": 0.5},
        "held_out": held_out,
        "held_out_score": holdout,
    }


def said(
    evaluation: int, score: float | None, outcome: str = "running", reason: str = "", attempt: int = 1, **changes: Any
) -> dict[str, Any]:
    """What a worker says of an evaluation."""
    told = {
        "report": report(evaluation, score, outcome=outcome, **changes),
        "checkpoint": f"trials/x/attempt-1/checkpoints/evaluation-{evaluation:04d}",
        "precision": "fp32",
        "data": {"sentiment": {"origin": "path", "where": "there", "hash": "abcd"}} if evaluation == 1 else None,
    }
    return {
        "outcome": outcome,
        "attempt": attempt,
        "reason": reason,
        "evaluation": evaluation,
        "score": score,
        "told": json.dumps(told),
    }


class Story:
    """Events as a run would write them, a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def _add(self, kind: type[Any], **values: Any) -> Story:
        self.events.append(kind(time=float(len(self.events)), **values))
        return self

    def begun(
        self,
        trials: int = 8,
        rungs: tuple[int, ...] | None = (1, 3, 9),
        extra: int = 0,
        own_tasks: bool = False,
        constraints: tuple[str, ...] = (),
        rung_unit: RungUnit = "evaluations",
    ) -> Story:
        return self._add(
            RunStarted,
            identity={"a": 1},
            trials=trials,
            extra=extra,
            extended=extra > 0,
            rungs=rungs,
            rung_unit=rung_unit,
            host="here",
            pid=1,
            versions={},
            scores_own_tasks=own_tasks,
            constraints=constraints,
        )

    def suggested(
        self,
        number: int,
        gpus: float = 0.0,
        params: dict[str, Any] | None = None,
        tasks: str = "sentiment",
        bracket: int = 0,
        parent: str | None = None,
        parent_evaluation: int = 0,
        replaces: str | None = None,
    ) -> Story:
        """``tasks`` as in the table: ``sentiment+paraphrase``."""
        of = {task: {"metrics": ["accuracy"], "data": {}} for task in tasks.split("+")}
        config = {"training": {"seed": 7}, "tasks": of, "plugins": []}
        return self._add(
            Suggested,
            trial_id=f"t{number:04d}",
            number=number,
            params=params or {},
            config=config,
            config_hash="c",
            gpus=gpus,
            start=None,
            bracket=bracket,
            parent=parent,
            parent_checkpoint=None if parent is None else f"trials/t{number:04d}/attempt-0/checkpoints/x",
            parent_evaluation=parent_evaluation,
            parent_seconds=2.0 * parent_evaluation,
            parent_examples=100 * parent_evaluation,
            replaces=replaces,
        )

    def started(self, number: int, attempt: int = 1) -> Story:
        return self._add(Started, trial_id=f"t{number:04d}", attempt=attempt, node="n1")

    def reported(self, number: int, *args: Any, **changes: Any) -> Story:
        values = report(*args, **changes)
        return self._add(
            Reported,
            trial_id=f"t{number:04d}",
            report=values,
            checkpoint=f"trials/t{number:04d}/attempt-1/checkpoints/{values['checkpoint']}",
            precision="fp32",
            data=None,
        )

    def stopped(self, number: int, status: StopStatus, reason: str = "because") -> Story:
        return self._add(Stopped, trial_id=f"t{number:04d}", status=status, reason=reason)
