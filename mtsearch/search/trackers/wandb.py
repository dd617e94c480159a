"""Weights & Biases: a group for the search, a run for each trial; online or off."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import wandb

from mtsearch.config.trackers import Wandb
from mtsearch.errors import ConfigError
from mtsearch.search.events import StopStatus
from mtsearch.search.results import write_json
from mtsearch.search.trackers.contract import TrackedRun

__all__ = ["WandbTracker"]

_OVER = -1  # in place of a trial's last step


class WandbTracker:
    """Gives runs our own ids, so that a trial that goes on continues its run.

    How far each run was told stands in ``wandb/told.json`` of the run folder: off line there is nobody to ask. Beside
    it lie the files that ``wandb sync`` takes, unless ``WANDB_DIR`` names another place.

    Args:
        settings: where to.
        run: the search.

    Raises:
        ConfigError: nobody is logged in.
    """

    def __init__(self, settings: Wandb, run: TrackedRun) -> None:
        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.api.api_key:
            raise ConfigError("nobody is logged in; run wandb login, or set WANDB_MODE=offline")
        self._settings = settings
        self._run = run
        self._configs: dict[str, Mapping[str, Any]] = {}
        self._open: dict[str, wandb.Run] = {}
        self._path = run.folder / "wandb" / "told.json"
        self._path.parent.mkdir(exist_ok=True)
        self._told: dict[str, int] = json.loads(self._path.read_text("utf-8")) if self._path.is_file() else {}

    def begin(self, trial_id: str, config: Mapping[str, Any], time: float) -> None:
        """Remember what the trial is: the run is made, or gone on with, when there is something new to tell it."""
        self._configs[trial_id] = config

    def _opened(self, trial_id: str) -> wandb.Run:
        if trial_id not in self._open:
            self._open[trial_id] = wandb.init(
                entity=self._settings.entity,
                project=self._settings.project,
                dir=None if "WANDB_DIR" in os.environ else str(self._run.folder),
                id=f"{self._run.key}-{trial_id}",
                name=f"{self._run.name} {trial_id}",
                group=self._run.name,
                config=dict(self._configs[trial_id]),
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(
                    silent=True, console="off", disable_code=True, disable_git=True, x_disable_stats=True
                ),
            )
        return self._open[trial_id]

    def log(self, trial_id: str, metrics: Mapping[str, float], step: int, time: float) -> None:
        """Add the points, if the run has not come so far."""
        told = self._told.get(trial_id, 0)
        if told == _OVER or step <= told:
            return
        self._opened(trial_id).log(dict(metrics), step=step)
        self._remember(trial_id, step)

    def end(self, trial_id: str, status: StopStatus, reason: str, time: float) -> None:
        """End the run; its summary says how the trial stopped."""
        is_final = status != "interrupted"
        if self._told.get(trial_id) == _OVER or not (is_final or trial_id in self._open):
            return
        run = self._opened(trial_id)
        del self._open[trial_id]
        run.summary.update({"status": status, "stop_reason": reason})
        run.finish(exit_code=0 if status in ("completed", "pruned", "interrupted") else 1)
        if is_final:
            self._remember(trial_id, _OVER)
            del self._configs[trial_id]

    def close(self) -> None:
        """Let go of the runs that are open."""
        while self._open:
            self._open.popitem()[1].finish()

    def _remember(self, trial_id: str, step: int) -> None:
        self._told[trial_id] = step
        write_json(self._path, self._told)
