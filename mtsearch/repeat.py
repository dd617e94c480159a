"""Repeat a trial of an earlier run, and say how this machine differs from the one that it ran on."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mtsearch.config.syntax import written
from mtsearch.config.yaml12 import parse
from mtsearch.errors import RunError
from mtsearch.search.tuner import Outcome
from mtsearch_analysis import load_run

__all__ = ["Repeated"]


@dataclass(frozen=True)
class Repeated:
    """A trial to repeat.

    Attributes:
        name: of the new run folder.
        config: of the trial, with the objective and the resources of its run; plain data for ``train``.
        recorded: the trial's row of the table.
        environment: what it ran on, as its run recorded it.
    """

    name: str
    config: Mapping[str, Any]
    recorded: Mapping[str, Any]
    environment: Mapping[str, Any]

    @classmethod
    def of(cls, run: Path, trial: str, plugins: Sequence[str] = ()) -> Repeated:
        """A trial of a run folder.

        Args:
            run: the run folder.
            trial: its id.
            plugins: the modules that it was trained with; a run folder runs no code by itself.

        Raises:
            RunError: there is no such run or trial.
        """
        try:
            trials = load_run(run).trials
            resolved = _plain(run / "resolved.yaml")
            environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{run}: must be a run folder to repeat a trial of, but: {error}") from error
        rows = trials[trials["trial_id"] == trial]
        path = run / "trials" / trial / "config.yaml"
        if rows.empty or not path.is_file():
            known = ", ".join(trials["trial_id"].head(5))
            raise RunError(f"{run}: there is no trial {trial!r} that was run; trials are {known}, ..")
        config = _plain(path)
        if (needed := config.get("plugins")) and not plugins:
            raise RunError(
                f"{path}: this trial needs {', '.join(map(str, needed))}; name the module yourself with --plugin, "
                "since loading it runs its code"
            )
        name = f"{config.get('name', run.name)}-{trial}-again"[:100]
        asked = ("metric", "scored_tasks", "holdout_ratio")  # which older runs did not have
        try:
            objective = {key: resolved["search"][key] for key in asked if key in resolved["search"]}
            held, workers = environment["resources"], environment["resources"].get("workers", 1)
            of_each = {"cpus": held["cpus"] // workers, "gpus": held["gpus"] / workers, "workers": workers}
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise RunError(
                f"{run}: must be a run folder to repeat a trial of, but its resolved.yaml or environment.json is not "
                f"as mtsearch writes it ({type(error).__name__}: {error})"
            ) from error
        return cls(
            name=name,
            config={**config, "name": name, "plugins": list(plugins), "search": objective, "resources": of_each},
            recorded={str(name): value for name, value in rows.iloc[0].items()},
            environment=environment,
        )

    @property
    def data_root(self) -> str | None:
        """The folder of data sets that the run was given."""
        return self.environment.get("data_root")

    def differences(self) -> list[tuple[str, str]]:
        """How what is here differs from what the trial ran on, and from what it came of; numbers may differ then."""
        here = {"python": platform.python_version()}
        versions, hardware = (self.environment.get(part, {}) for part in ("versions", "hardware"))
        for package in versions:
            if package not in here:
                try:
                    here[package] = importlib.metadata.version(package)
                except importlib.metadata.PackageNotFoundError:
                    here[package] = "none"
        found = [
            f"{package} {version} -> {here[package]}"
            for package, version in versions.items()
            if here[package] != version
        ]
        for key, now in (("platform", platform.platform()), ("processor", platform.processor() or platform.machine())):
            if hardware.get(key) != now:
                found.append(f"{key} {hardware.get(key)} -> {now}")
        told = [("environment", "; ".join(found) or "as it was, as far as versions and machine tell")]
        parent = self.recorded.get("parent")
        if isinstance(parent, str):
            trial, evaluation = self.recorded["trial_id"], self.recorded["parent_evaluation"]
            lineage = f"{trial} went on under pbt from evaluation {evaluation:.0f} of {parent}, with its weights"
            told.append(("lineage", f"{lineage}; here its last config alone is trained, from the start"))
        return told

    def compared(self, outcome: Outcome) -> list[tuple[str, str]]:
        """The scores then and now."""
        pairs = []
        for name, value in outcome.scores.items():
            before = self.recorded.get(f"best/{name}")
            if before is not None and not pd.isna(before):
                same = "the same" if value == before else f"differs by {value - before:+.2g}"
                pairs.append((name, f"{before:.6f} then, {value:.6f} now: {same}"))
        return pairs


def _plain(path: Path) -> dict[str, Any]:
    plain = written(parse(path.read_text(encoding="utf-8"), str(path)))
    if not isinstance(plain, dict):
        raise RunError(f"{path}: must be a mapping, but is {type(plain).__name__}; mtsearch did not write it so")
    return plain
