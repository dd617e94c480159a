"""A fixed range of layers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mtsearch.config.base import Frozen
from mtsearch.errors import ConfigError

__all__ = ["Layers"]


class Layers(Frozen):
    """The layers from ``first`` to ``last`` train, in every epoch, with the task heads; all others never do.

    ``{name: layers, last: 0}`` trains the task heads alone, on a frozen encoder.
    """

    name: Literal["layers"] = "layers"
    first: int = Field(default=1, ge=1)
    """The lowest layer that trains, counted from 1 at the bottom."""
    last: int | None = Field(default=None, ge=0)
    """The highest layer that trains; null takes the top one, 0 none at all."""
    embeddings: bool = False
    """Whether the embeddings train too."""

    @model_validator(mode="after")
    def _range_is_not_empty_by_mistake(self) -> Layers:
        if self.last and self.last < self.first:
            raise ValueError(
                f"unfreezing.last: must be at least first ({self.first}), or 0 for no layer, but got {self.last}"
            )
        return self

    @property
    def warmup_updates(self) -> int:
        """Nothing thaws."""
        return 0

    def trainable_depths(self, num_layers: int, epoch: int) -> frozenset[int]:
        """The range and the task heads, in every epoch; the embeddings if asked."""
        last = num_layers if self.last is None else self.last
        return frozenset([*([0] if self.embeddings else []), *range(self.first, last + 1), num_layers + 1])

    def check(self, num_layers: int, epochs: int) -> list[str]:
        """There is nothing to warn of.

        Raises:
            ConfigError: the range reaches beyond the layers that there are.
        """
        for field, value in (("first", self.first), ("last", self.last)):
            if value is not None and value > num_layers:
                raise ConfigError(
                    f"unfreezing.{field}: must be at most the encoder's layers ({num_layers}), but got {value}"
                )
        return []
