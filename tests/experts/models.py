"""Models with experts on tiny encoders of every family, for the tests of experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtsearch.data.batching import Batch, Inputs
from mtsearch.experts import EncoderExperts, FeedForwardExperts
from mtsearch.model.extension import Host
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.serving import Serving
from mtsearch.tasks.contract import Encoded, Logits
from tests.model.test_layers import tiny

TASKS = ("one", "two")


class Head(nn.Module):
    """All states, those of padding as zeros."""

    def forward(self, *sequences: Encoded) -> Logits:
        first = sequences[0]
        return Logits(first.tokens_BLD * first.mask_BL.unsqueeze(-1), first.mask_BL)


def build(
    config: FeedForwardExperts | EncoderExperts, encoder: nn.Module | str = "bert", **settings: Any
) -> MultitaskModel:
    """A model with experts, in evaluation mode; the encoder may be a family's name, with settings of its config."""
    encoder = tiny(encoder, **settings) if isinstance(encoder, str) else encoder
    host = Host(encoder, find_layers(encoder), Serving(), TASKS, 7)
    extension = config.build(host)
    assert extension is not None
    return MultitaskModel(
        encoder, {task: Head() for task in TASKS}, host.layers, {"experts": extension}, host.serving
    ).eval()


def batch(lengths: Sequence[int] = (7, 3, 5, 7, 2, 6), task: str = "one", seed: int = 0) -> Batch:
    """Sequences of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return Batch(task, np.arange(len(lengths)), (Inputs(ids * mask + (1 - mask), mask),), {})


def randomise(module: nn.Module) -> None:
    """Make experts differ, as after training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)


def plain(model: MultitaskModel, one: Batch) -> Tensor:
    """What the encoder gives without experts."""
    mask_BL1 = one.inputs[0].mask_BL.unsqueeze(-1)
    states_BLD: Tensor = model.encoder(**one.inputs[0].arguments()).last_hidden_state * mask_BL1
    return states_BLD
