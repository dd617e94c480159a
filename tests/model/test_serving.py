"""What the pass under way serves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtsearch.data.batching import Inputs
from mtsearch.model.serving import Serving

INPUTS = Inputs(torch.ones(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.long))


def test_a_pass_is_under_way_inside_alone_also_after_an_error() -> None:
    serving = Serving()
    assert not serving.is_under_way

    def fail() -> None:
        with serving.serve("sentiment", INPUTS):
            assert (serving.is_under_way, serving.task, serving.inputs) == (True, "sentiment", INPUTS)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert (serving.is_under_way, serving.task) == (False, "")


def test_calls_of_a_module_are_counted_from_each_pass_anew() -> None:
    serving, shared, other = Serving(), nn.Identity(), nn.Identity()
    for _ in range(2):
        with serving.serve("sentiment", INPUTS):
            assert [serving.nth_call(shared), serving.nth_call(shared), serving.nth_call(other)] == [0, 1, 0]
