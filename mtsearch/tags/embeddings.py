"""An embedding for each tag, added to those of the words."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.model.extension import Host, Role

__all__ = ["TagEmbeddings"]


class TagEmbeddings(nn.Module):
    """Adds to each token's word embedding those of its tags; a token without a tag stays as it is.

    They are added before the encoder's own norm and dropout. They are new weights: they learn at the task heads' rate
    and train from the start, also below frozen layers, as task heads do.

    Args:
        host: whose tags they are.
        init_std: standard deviation of their initial values.
    """

    lowest_depth = 0

    def __init__(self, host: Host, init_std: float) -> None:
        super().__init__()
        words: nn.Embedding = host.encoder.get_input_embeddings()  # type: ignore[operator]
        generator = torch.Generator().manual_seed(host.seed ^ zlib.crc32(b"tags"))
        self.by_layer = nn.ParameterDict()
        for layer, names in host.tags.items():
            embeddings_CD = torch.zeros(1 + len(names), words.embedding_dim)  # the first one is that of no tag
            embeddings_CD[1:].normal_(std=init_std, generator=generator)
            self.by_layer[layer] = nn.Parameter(embeddings_CD)
        self._serving = host.serving
        words.register_forward_hook(self._add)

    def _add(self, words: nn.Module, args: tuple[Any, ...], embedded_BLD: Tensor) -> Tensor | None:
        if not self._serving.is_under_way:
            return None
        tags_BLT = self._serving.inputs.tags_BLT
        assert tags_BLT is not None
        for tags_BL, embeddings_CD in zip(tags_BLT.unbind(-1), self.by_layer.values(), strict=True):
            embedded_BLD = embedded_BLD + functional.embedding(tags_BL, embeddings_CD, padding_idx=0)
        return embedded_BLD

    def roles(self) -> Mapping[str, Role]:
        return {f"by_layer.{layer}": Role() for layer in self.by_layer}

    def penalty(self) -> Tensor | None:
        return None

    def measured(self) -> Iterable[tuple[str, str, float]]:
        """How long the tags' embeddings have become, on average."""
        for layer, embeddings_CD in self.by_layer.items():
            yield "", f"{layer}_tag_norm", float(embeddings_CD[1:].detach().norm(dim=1).mean())
