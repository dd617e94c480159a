"""What all regularisers share: the config that names them, means to report, and dropout drawn twice."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtsearch.regularizers import Proximal, Regularizers, Smart
from mtsearch.regularizers.replay import RandomState
from tests.regularizers.tiny import INVENTORY, KINDS, build_batch, build_model


@pytest.mark.parametrize(
    "regularizers",
    [Regularizers(), Regularizers(smart=Smart(weight=0.0)), Regularizers(proximal=Proximal(weight=0.0))],
)
def test_what_is_switched_off_is_not_built(regularizers: Regularizers) -> None:
    assert regularizers.build(nn.Linear(1, 1)) == []


def test_both_can_be_at_work_and_are_told_apart_by_name() -> None:
    both = Regularizers(smart=Smart(norm="l2", num_steps=2), proximal=Proximal(momentum=0.5))
    assert [running.name for running in both.build(nn.Linear(1, 1))] == ["smart", "proximal"]
    assert Regularizers.model_validate_json(both.model_dump_json()) == both


def test_the_mean_penalty_per_row_is_measured_since_the_last_time() -> None:
    kind = KINDS["classification"]
    model, batch = build_model(kind), build_batch(kind)
    for running in Regularizers(smart=Smart(), proximal=Proximal()).build(model):
        assert running.measured() == {}
        total = 0.0
        for _ in range(2):
            random = RandomState.now(torch.device("cpu"))
            total += running.penalty(model, batch, kind, INVENTORY, model(batch), random).item()
        assert running.measured() == {f"{running.name}_penalty": pytest.approx(total / (2 * len(batch.rows)))}
        assert running.measured() == {}


def test_a_replay_draws_the_same_again_and_leaves_no_trace() -> None:
    dropout, ones = nn.Dropout(0.5), torch.ones(100)
    random = RandomState.now(torch.device("cpu"))
    first, second = dropout(ones), dropout(ones)
    state = torch.get_rng_state()
    for _ in range(2):
        with random.replayed():
            assert torch.equal(dropout(ones), first)
            assert torch.equal(dropout(ones), second)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second)
