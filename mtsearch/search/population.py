"""Population based training: which trial stops for which other one's copy, and that copy's beginning on disk.

Source: Jaderberg et al. 2017, Population Based Training of Neural Networks, arXiv 1711.09846, truncation selection.
There members of a population take over weights in place; here what takes over is a new trial, so that every trial has
one config. A trial is compared with all that came as far, so that a population need not run in step, nor at once.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtsearch.config.perturbed import perturb
from mtsearch.config.schedulers import Pbt
from mtsearch.config.space import SearchSpace
from mtsearch.search.proposals import trial_name
from mtsearch.search.results import trial_folder
from mtsearch.search.schedulers import Seen
from mtsearch.search.state import RunState, TrialState

__all__ = ["Population", "Successor"]

_TRIES = 3
_FILES = ("model.safetensors", "model.json", "state.safetensors", "state.json")


@dataclass(frozen=True)
class Successor:
    """What takes a trial's place.

    Attributes:
        parent: the trial that it goes on from.
        checkpoint: a copy of the parent's last one, relative to the run folder.
        evaluation: the parent's there.
        seconds: what the parent's clock showed there.
        examples: that the parent had been trained on there.
        params: the parent's, perturbed.
    """

    parent: str
    checkpoint: str
    evaluation: int
    seconds: float
    examples: int
    params: Mapping[str, Any]


class Population:
    """A judge that remembers who takes the place of those that it stops.

    Args:
        pbt: interval, shares and factor.
        space: what is searched.
        folder: the run folder.
        state: the trials so far; those to come are looked up in it too.
    """

    def __init__(self, pbt: Pbt, space: SearchSpace, folder: Path, state: RunState) -> None:
        self._pbt = pbt
        self._space = space
        self._folder = folder
        self._state = state
        self._scores: dict[int, dict[str, float]] = defaultdict(dict)
        self._successors: dict[str, Successor] = {}
        for trial in state.trials.values():
            for evaluation, score in trial.scores.items():
                self._remember(trial, evaluation, score)

    def goes_on(self, seen: Seen) -> bool:
        """Whether the trial does; else :meth:`successor_of` tells what is to take its place."""
        trial, pbt = self._state.trials[seen.trial_id], self._pbt
        if not self._remember(trial, seen.evaluation, seen.score) or seen.evaluation % pbt.interval:
            return True
        others = {name: score for name, score in self._scores[seen.evaluation].items() if name != seen.trial_id}
        if len(others) < pbt.min_trials or seen.score >= float(np.quantile(list(others.values()), pbt.share)):
            return True
        good = float(np.quantile(list(others.values()), 1 - pbt.share))
        parents = sorted(name for name, score in others.items() if score >= good and self._can_be_parent(name))
        rng = random.Random(f"pbt {self._space.search.seed} {seen.trial_id} {seen.evaluation}")
        rng.shuffle(parents)
        for name in parents:
            parent = self._state.trials[name]
            checkpoint = self._copy(name)
            if checkpoint is not None:
                report = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["report"]
                self._successors[seen.trial_id] = Successor(
                    parent=name,
                    checkpoint=checkpoint.relative_to(self._folder).as_posix(),
                    evaluation=report["evaluation"],
                    seconds=report["seconds"],
                    examples=report["examples_seen"],
                    params=perturb(self._space, parent.params, pbt.factor, rng),
                )
                return False
        return True

    def remember(self, seen: Seen) -> None:
        """As in :class:`mtsearch.search.schedulers.Judge`: what has ended is not stopped, and has no successor."""
        self._remember(self._state.trials[seen.trial_id], seen.evaluation, seen.score)

    def successor_of(self, trial_id: str) -> Successor | None:
        """What is to take the place of a trial that was stopped, once; None if it was not stopped here."""
        return self._successors.pop(trial_id, None)

    def _remember(self, trial: TrialState, evaluation: int, score: float) -> bool:
        """Whether the score is the trial's own: up to where it began it has its parent's."""
        is_own = evaluation > trial.parent_evaluation
        if is_own:
            self._scores[evaluation][trial.trial_id] = score
        return is_own

    def _can_be_parent(self, trial_id: str) -> bool:
        """Only what still runs has a state to go on from."""
        trial = self._state.trials[trial_id]
        return trial.is_open and trial_id not in self._successors

    def _copy(self, trial_id: str) -> Path | None:
        """Keep a trial's last checkpoint for the next trial, as links where there can be any; None if there is none.

        It is looked for on disk: a worker deletes what it told of last once it has written another. What the trial
        itself began with, in ``attempt-0``, is none of its own.
        """
        place = trial_folder(self._folder, trial_name(len(self._state.trials))) / "attempt-0"
        for _ in range(_TRIES):
            shutil.rmtree(place, ignore_errors=True)  # a crash may have left one, too
            checkpoints = trial_folder(self._folder, trial_id).glob("attempt-[1-9]*/checkpoints/evaluation-*")
            states = (path for path in checkpoints if (path / "state.safetensors").is_file())
            source = max(states, default=None, key=lambda path: path.name)
            if source is None:
                return None
            target = place / "checkpoints" / source.name
            target.mkdir(parents=True)
            try:
                for name in _FILES:
                    _link(source / name, target / name)
            except FileNotFoundError:  # just now
                continue
            return target
        shutil.rmtree(place, ignore_errors=True)
        return None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
