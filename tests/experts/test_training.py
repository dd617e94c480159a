"""Experts in whole trials, beside the other methods of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtsearch.config.trial import TrialConfig
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.report import Report
from tests.training.trials import STILL, snapshot, values

FEED_FORWARD = {"name": "feed_forward", "layers": 1}
ENCODERS = {"name": "encoders"}
FORMS = [{**FEED_FORWARD, "gate": "soft"}, FEED_FORWARD, ENCODERS]
FEW = {"name": "uniform", "examples_per_task": 16}
OTHERS: dict[str, dict[str, Any]] = {
    "bf16": {"training": {"precision": "bf16"}},
    "SophiaH": {"optimizer": {"name": "sophiah", "lr": 1e-3, "hessian_interval": 2}},
    "SophiaH by differences": {
        "optimizer": {"name": "sophiah", "lr": 1e-3, "hessian_interval": 2, "estimator": "finite_difference"}
    },
    "SMART": {"regularizers": {"smart": {}}},
    "momentum teacher": {"regularizers": {"proximal": {}}},
    "surgery": {"sampler": {**FEW, "mixed": True}, "surgery": {"name": "pcgrad"}},
    "frozen layers": {"unfreezing": {"name": "layers", "first": 2}},
    "thawing layers": {"unfreezing": {"name": "gradual", "initially": 0}},
    "individual pretraining": {"training": {"individual_pretraining": {"epochs": 1}}},
    "siamese pairs": {"tasks": {"similarity": {"kind": "pair_regression", "data": "stsb", "pair": "siamese"}}},
}


@pytest.fixture
def trial(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> Callable[..., tuple[Parts, list[Report]]]:
    def run(**sections: Any) -> tuple[Parts, list[Report]]:
        parts = build(TrialConfig.model_validate(tiny_config(**sections)), Place(None, tiny_data))
        return parts, list(fit(parts))

    return run


@pytest.mark.parametrize("experts", FORMS, ids=["soft", "hard", "encoders"])
@pytest.mark.parametrize("sections", OTHERS.values(), ids=OTHERS)
def test_experts_train_beside_the_other_methods(
    trial: Callable[..., tuple[Parts, list[Report]]], sections: dict[str, Any], experts: dict[str, Any]
) -> None:
    parts, reports = trial(experts=experts, **{"sampler": FEW, **sections})
    assert reports[-1].outcome == "finished"
    assert all(math.isfinite(m.value) for report in reports for m in report.measurements)
    assert all(torch.isfinite(parameter).all() for parameter in parts.state.model.parameters())


@pytest.mark.parametrize("experts", [FEED_FORWARD, ENCODERS], ids=["feed_forward", "encoders"])
def test_every_report_tells_how_each_task_uses_the_experts(
    trial: Callable[..., tuple[Parts, list[Report]]], experts: dict[str, Any]
) -> None:
    parts, reports = trial(experts={**experts, "num_experts": 3}, **STILL)
    for report in reports:
        shares = [values(report, f"expert_{number}_share") for number in (1, 2, 3)]
        assert [set(of_one) for of_one in shares] == [set(parts.tasks)] * 3
        assert all(sum(of_one[task] for of_one in shares) == pytest.approx(1, abs=1e-6) for task in parts.tasks)
        assert all(0 < loss < 3 + 1e-6 for loss in values(report, "expert_balance_loss").values())
        assert 0 <= values(report, "expert_usage_entropy")[""] <= 1 + 1e-6


def test_the_balance_loss_is_part_of_what_is_trained(trial: Callable[..., tuple[Parts, list[Report]]]) -> None:
    training = {"epochs": 1, "interference_interval": None}
    gates = [
        snapshot(trial(experts={**FEED_FORWARD, "balance_weight": weight}, training=training, **STILL)[0].state.model)
        for weight in (0.0, 1.0)
    ]
    assert not torch.equal(*(gate["extensions.experts.gate.weight"] for gate in gates))


def test_task_heads_do_not_depend_on_experts(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> None:
    with_experts, without = (
        snapshot(build(TrialConfig.model_validate(tiny_config(**sections)), Place(None, tiny_data)).state.model)
        for sections in ({"experts": FEED_FORWARD}, {})
    )
    assert all(torch.equal(tensor, with_experts[name]) for name, tensor in without.items())
