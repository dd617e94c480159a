"""One encoder, one task head per task; a forward pass serves one task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from mtsearch.data.batching import Batch, Inputs
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

    def forward(self, batch: Batch) -> Logits:
        """Scores for the rows of one task's batch."""
        if len(batch.inputs) == 1:
            sequences = [self._encode(batch.inputs[0])]
        else:  # two sequences per row: through the encoder together, then apart again
            both = self._encode(Inputs.stack(batch.inputs))
            num_rows = len(batch.rows)
            sequences = [
                Encoded(both.tokens_BLD[rows], both.mask_BL[rows])
                for rows in (slice(0, num_rows), slice(num_rows, None))
            ]
        logits: Logits = self.heads[batch.task](*sequences)
        return logits

    def _encode(self, inputs: Inputs) -> Encoded:
        options = {} if inputs.token_types_BL is None else {"token_type_ids": inputs.token_types_BL}
        states = self.encoder(input_ids=inputs.ids_BL, attention_mask=inputs.mask_BL, **options)
        return Encoded(states.last_hidden_state, inputs.mask_BL.bool(), inputs.word_ids_BL)
