"""What cutting attention heads saves: a forward pass of what an export keeps of the encoder against the whole one.

Half of the attention heads of the packaged MiniLM, 36 of its 72 drawn at random, are cut out, by the code that writes
and loads exports. Both encoders run on the same random sequences of 128 tokens, 8 at a time, in inference mode; fp32
on the CPU with 2 threads, bf16 on a GPU. A round is 10 passes of one side, then 10 of the other, and counts the fastest
of each. Printed before is the share of floating-point operations that is gone, and how much sooner the rest would be
done at the same rate.

Target: at least 1.12 x as fast as whole.
"""

from __future__ import annotations

import random
from functools import partial

import measure
import steps
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mtsearch.config.trial import Encoder
from mtsearch.data.batching import Inputs
from mtsearch.model.encoder import find_encoder, load_encoder
from mtsearch.model.layers import find_layers
from mtsearch.model.pruned import bare_copy, cut_heads
from mtsearch.model.sublayers import find_sublayers

ROWS, LENGTH = 8, 128
PASSES = 10  # of each side in a round
TARGETS = (measure.Target("half of the heads", "whole", 1.12),)


def half_of(encoder: nn.Module, seed: int) -> nn.Module:
    """A copy without half of the attention heads, drawn at random."""
    cut = bare_copy(encoder)
    layers = find_sublayers(cut, find_layers(cut).layers, "pruning")
    heads = [(layer, head) for layer, one in enumerate(layers) for head in range(one.num_heads)]
    kept = set(random.Random(seed).sample(heads, len(heads) // 2))
    cut_heads(tuple(tuple(h for h in range(one.num_heads) if (n, h) in kept) for n, one in enumerate(layers)), layers)
    return cut


def flops(encoder: nn.Module, inputs: Inputs) -> int:
    """Of a forward pass; the counter knows no fused attention on the CPU."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        encoder(**inputs.arguments())
    return int(counter.get_total_flops())


@torch.inference_mode()
def run(encoder: nn.Module, inputs: Inputs) -> None:
    """A forward pass."""
    with steps.autocast(inputs.mask_BL.device):
        encoder(**inputs.arguments())


def fastest(encoder: nn.Module, inputs: Inputs, passes: int) -> float:
    """Milliseconds of the fastest of so many passes."""
    one = partial(run, encoder)
    return min(steps.mean_milliseconds(one, [inputs], inputs.mask_BL.device) for _ in range(passes))


def main() -> None:
    """Measure and print."""
    options = steps.arguments(__doc__, rounds=10)
    encoder = load_encoder(find_encoder(Encoder().model), Encoder()).eval()
    sides = {"whole": encoder, "half of the heads": half_of(encoder, seed=13)}
    random_ids = torch.Generator().manual_seed(13)
    ids_BL = torch.randint(1000, 30000, (ROWS, LENGTH), generator=random_ids).to(options.device)
    inputs = Inputs(ids_BL, torch.ones_like(ids_BL))
    for side in sides.values():
        side.to(options.device)
    whole, half = (flops(side, inputs) for side in sides.values())
    print(f"{options.device}: {1 - half / whole:.1%} of {whole / 1e9:.1f} GFLOP are gone: {whole / half:.2f} x")
    runs = {name: partial(fastest, side, inputs, 2 if options.quick else PASSES) for name, side in sides.items()}
    steps.compare(runs, TARGETS, options.rounds, "of the fastest pass in a round")


if __name__ == "__main__":
    main()
