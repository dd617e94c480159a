"""How much sooner a forward pass of the encoder is done once its closed attention heads are cut out."""

from __future__ import annotations

import statistics
import time
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mtsearch.data.batching import Inputs
from mtsearch.model.layers import evaluation_mode, find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.pruned import KeptHeads, bare_copy, cut_heads, kept_heads
from mtsearch.model.sublayers import find_sublayers
from mtsearch.pruning.contract import CLOSED_AT_MOST, HeadGates
from mtsearch.training.ranks import gather

__all__ = ["LENGTH", "evaluated_gates", "forward_ratio", "latency_ratio", "rows"]

LENGTH = 128
"""Tokens in each sequence that is timed, or as many as the encoder has positions."""

_SECONDS = 0.7
_PAIRS = 3, 9  # passes of the whole encoder and of the cut one in turn: at least, and at most


def rows(device: torch.device) -> int:
    """Sequences that are timed together."""
    return 32 if device.type == "cuda" else 2


def evaluated_gates(model: MultitaskModel) -> dict[str, Tensor]:
    """What evaluations multiply the attention heads with, by task or under "" where all share them: [N, H].

    What counts as closed is 0; empty where the model has no gates.
    """
    if "pruning" not in model.extensions:
        return {}
    gates = cast(HeadGates, model.extensions["pruning"])
    evaluated = {task: gates.evaluated(task) for task in gates.tasks}
    return {task: gates_NH * (gates_NH > CLOSED_AT_MOST) for task, gates_NH in evaluated.items()}


def latency_ratio(model: MultitaskModel, accelerator: Accelerator) -> float | None:
    """The time of a forward pass without the closed attention heads, relative to the whole encoder's.

    Where tasks have gates of their own, without those that are closed for every task, as the model would be exported.
    Of several processes the first one's word counts.

    Returns:
        Exactly 1 where no attention head is closed; None where the model has no gates.
    """
    gates = evaluated_gates(model)
    if not gates:
        return None
    sublayers = find_sublayers(model.encoder, model.layers.layers, "pruning")
    kept = kept_heads(torch.stack(list(gates.values())), sublayers)
    ratio: float = gather(forward_ratio(model.encoder, kept, accelerator), accelerator)[0]
    return ratio


def forward_ratio(encoder: nn.Module, kept: KeptHeads, accelerator: Accelerator) -> float:
    """The time of a forward pass with these attention heads alone, relative to the whole encoder's.

    Both run in turn on the same random sequences, in evaluation mode and in the number format of the trial's
    evaluations; the median over the pairs of runs. The encoder is left as it is, and so are random states.

    Args:
        encoder: the whole one.
        kept: for each layer.
        accelerator: for the number format and the device.
    """
    num_heads = [one.num_heads for one in find_sublayers(encoder, find_layers(encoder).layers, "pruning")]
    if [len(heads) for heads in kept] == num_heads:
        return 1.0
    whole, cut = bare_copy(encoder), bare_copy(encoder)  # neither with what extends the encoder
    cut_heads(kept, find_sublayers(cut, find_layers(cut).layers, "pruning"))
    inputs = _inputs(encoder, accelerator.device)
    ratios: list[float] = []
    with evaluation_mode(whole), evaluation_mode(cut), torch.inference_mode(), accelerator.autocast():
        for one in (whole, cut):  # the first pass allocates
            _forward_seconds(one, inputs)
        begun = time.perf_counter()
        while len(ratios) < _PAIRS[0] or (len(ratios) < _PAIRS[1] and time.perf_counter() - begun < _SECONDS):
            whole_seconds = _forward_seconds(whole, inputs)
            ratios.append(_forward_seconds(cut, inputs) / whole_seconds)
    return statistics.median(ratios)


def _inputs(encoder: nn.Module, device: torch.device) -> Inputs:
    config = encoder.config
    # RoBERTa and its kin begin to count positions at 2.
    length = min(LENGTH, (getattr(config, "max_position_embeddings", None) or LENGTH + 2) - 2)
    size = rows(device), length
    vocabulary: int = config.vocab_size  # type: ignore[union-attr, assignment]
    ids_BL = torch.randint(vocabulary, size, generator=torch.Generator().manual_seed(0))
    return Inputs(ids_BL.to(device), torch.ones(size, dtype=torch.long, device=device))


def _forward_seconds(encoder: nn.Module, inputs: Inputs) -> float:
    begun = time.perf_counter()
    encoder(**inputs.arguments())
    if inputs.mask_BL.is_cuda:
        torch.cuda.synchronize(inputs.mask_BL.device)
    return time.perf_counter() - begun
