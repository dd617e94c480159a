"""One encoder, one task head per task; a forward pass serves one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.data.batching import Batch, Inputs, PrefixStates
from mtsearch.model.layers import EncoderLayers, find_layers
from mtsearch.model.prefix import starting_above
from mtsearch.tasks.contract import Encoded, Logits

__all__ = ["MultitaskModel"]


class MultitaskModel(nn.Module):
    """A shared encoder under the task heads.

    Parameter names tell the parts: ``encoder.*`` and ``heads.TASK.*``.

    Args:
        encoder: a transformers encoder with ``last_hidden_state`` [B, L, D].
        heads: a task head for each task.
    """

    def __init__(self, encoder: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(heads)

    @cached_property
    def layers(self) -> EncoderLayers:
        """The encoder's layers."""
        return find_layers(self.encoder)

    @property
    def num_layers(self) -> int:
        """Layers of the encoder."""
        return self.layers.num_layers

    @cached_property
    def depths(self) -> Mapping[str, int]:
        """Of each parameter by its full name: 0 the embeddings, 1 to N the layers, N + 1 the task heads."""
        encoder = {f"encoder.{name}": depth for name, depth in self.layers.depths.items()}
        return {name: encoder.get(name, self.num_layers + 1) for name, _ in self.named_parameters()}

    def forward(self, batch: Batch) -> Logits:
        """Scores for the rows of one task's batch."""
        if batch.states is not None and batch.states.depth == self.num_layers:
            given = zip(batch.states.sequences_BLD, batch.inputs, strict=True)
            sequences = [Encoded(states_BLD, inputs.mask_BL.bool(), inputs.word_ids_BL) for states_BLD, inputs in given]
        elif len(batch.inputs) == 1:
            sequences = [self._encode(batch.inputs[0], batch.states)]
        else:  # two sequences per row: through the encoder together, then apart again
            both = self._encode(Inputs.stack(batch.inputs), batch.states)
            num_rows = len(batch.rows)
            sequences = [
                Encoded(both.tokens_BLD[rows], both.mask_BL[rows])
                for rows in (slice(0, num_rows), slice(num_rows, None))
            ]
        logits: Logits = self.heads[batch.task](*sequences)
        return logits

    def _encode(self, inputs: Inputs, given: PrefixStates | None) -> Encoded:
        if given is None:
            states = self.encoder(**inputs.arguments())
        else:
            with starting_above(given.depth, _stacked(given.sequences_BLD), self.layers):
                states = self.encoder(**inputs.arguments())
        return Encoded(states.last_hidden_state, inputs.mask_BL.bool(), inputs.word_ids_BL)


def _stacked(sequences_BLD: Sequence[Tensor]) -> Tensor:
    if len(sequences_BLD) == 1:
        return sequences_BLD[0]
    length = max(states_BLD.shape[1] for states_BLD in sequences_BLD)
    return torch.cat([functional.pad(x, (0, 0, 0, length - x.shape[1])) for x in sequences_BLD])
