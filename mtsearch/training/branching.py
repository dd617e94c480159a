"""A training that goes on from another trial's checkpoint, with some settings changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mtsearch.config.schema import trial_schema
from mtsearch.training.checkpoint import read_description
from mtsearch.training.parts import Parts

__all__ = ["branch_off"]


def branch_off(parts: Parts, origin: Path) -> None:
    """Make parts that were built from another trial's checkpoint go on as their own config says.

    The optimizer's groups came with that trial's settings: each takes the own one where it differs. A learning rate
    is multiplied by how much larger the own one is, so that it stays where its schedule has brought it. What is best
    counts from here: what was before is the other trial's.

    Args:
        parts: with the state of the checkpoint.
        origin: the checkpoint.
    """
    config, progress = parts.config, parts.state.progress
    before = trial_schema(config.plugins).model_validate_json(json.dumps(read_description(origin)["config"]))
    theirs = before.optimizer.build(parts.state.model, config.training.seed).param_groups
    ours = config.optimizer.build(parts.state.model, config.training.seed).param_groups
    for group, their, our in zip(parts.state.optimizer.param_groups, theirs, ours, strict=True):
        for key in our.keys() - {"params", "names"}:
            if our[key] == their[key]:
                continue
            if key == "lr":
                group["lr"] *= our["lr"] / their["lr"]
                group["initial_lr"] = our["lr"]
            else:
                group[key] = our[key]
    if parts.state.report is None:
        return
    score = parts.state.report.score
    parts.state.report = replace(parts.state.report, best_score=score, best_evaluation=progress.evaluation)
    progress.best_score, progress.best_evaluation = score, progress.evaluation
    progress.best_is_met = parts.objective.is_met(parts.state.report.scores)
