"""The time that closed attention heads would save, measured beside training and without a trace in it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from mtsearch.model.multitask import MultitaskModel
from mtsearch.training import latency
from mtsearch.training.latency import evaluated_gates, forward_ratio, latency_ratio
from mtsearch.training.place import Place
from mtsearch.training.precision import build_accelerator
from tests.model.test_layers import tiny
from tests.training.trials import assert_equal, snapshot


class Gates(nn.Module):
    """Gates as an evaluation has them, without anything that they would gate."""

    lowest_depth = 1

    def __init__(self, **gates: list[list[float]]) -> None:
        super().__init__()
        self.tasks = tuple(gates) or ("",)
        self._gates = gates

    def evaluated(self, task: str) -> torch.Tensor:
        return torch.tensor(self._gates[task])


def model_of(gates: dict[str, list[list[float]]], **settings: Any) -> MultitaskModel:
    model = MultitaskModel(tiny("bert", **settings), {})
    if gates:
        model.extensions["pruning"] = Gates(**gates)
    return model


@pytest.fixture(scope="module")
def cpu() -> Accelerator:
    return build_accelerator("fp32", Place(None, None))


def test_it_is_1_where_nothing_is_closed_and_none_where_nothing_is_gated(cpu: Accelerator) -> None:
    assert latency_ratio(model_of({}), cpu) is None
    assert latency_ratio(model_of({"": [[0.1, 1.0], [0.5, 1.0]]}), cpu) == 1.0


def test_gates_are_closed_at_the_threshold() -> None:
    gates = evaluated_gates(model_of({"": [[0.0, 1e-3], [1.1e-3, 1.0]]}))
    assert gates[""].tolist() == [[0.0, 0.0], [pytest.approx(1.1e-3), 1.0]]


def test_what_is_cut_takes_less_time(cpu: Accelerator) -> None:
    # Nearly all of it is attention, which is all cut out.
    sizes = {"hidden_size": 128, "num_attention_heads": 8, "intermediate_size": 4, "max_position_embeddings": 130}
    assert forward_ratio(tiny("bert", **sizes), ((), ()), cpu) < 0.8


def test_of_gates_of_each_tasks_own_only_what_is_closed_for_all_saves_time(
    cpu: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "forward_ratio", lambda encoder, kept, accelerator: len(kept[0]) / 2)
    assert latency_ratio(model_of({"one": [[0.0, 1.0]] * 2, "two": [[1.0, 0.0]] * 2}), cpu) == 1.0
    assert latency_ratio(model_of({"one": [[0.0, 1.0]] * 2, "two": [[0.0, 1.0]] * 2}), cpu) == 0.5


def test_measuring_leaves_no_trace(cpu: Accelerator) -> None:
    model = model_of({"": [[0.0, 1.0], [1.0, 1.0]]})
    model.train()
    model.encoder.encoder.layer[0].eval()  # type: ignore[union-attr, index]
    modes = [module.training for module in model.modules()]
    parameters, random = snapshot(model), torch.get_rng_state()
    identities = [id(parameter) for parameter in model.parameters()]
    ratio = latency_ratio(model, cpu)
    assert ratio is not None
    assert ratio > 0
    assert ratio != 1.0
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(random, torch.get_rng_state())
    assert_equal(parameters, snapshot(model))
    assert identities == [id(parameter) for parameter in model.parameters()]
