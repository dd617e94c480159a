"""What the model and the training loop ask of an extension of the encoder: gates, experts, adapters, tag inputs.

An extension is a module with parameters of its own. It hooks itself into the encoder when it is built, and its
hooks do nothing unless a pass of the model is under way (:class:`~mtsearch.model.serving.Serving`). It reads its
parameters from itself at each call, never from a closure: a pass may run with other tensors in their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from mtsearch.data.piece_tags import TagNames
from mtsearch.model.layers import EncoderLayers
from mtsearch.model.serving import Serving
from mtsearch.model.sublayers import Sublayers, find_sublayers

__all__ = ["Extension", "ExtensionMethod", "Host", "Role"]


@dataclass(frozen=True)
class Host:
    """What an extension is built into.

    Attributes:
        encoder: the pretrained encoder; its own parameters are not to be replaced.
        layers: its layers.
        serving: what the pass under way serves.
        tasks: the names of all tasks.
        seed: of new weights. An extension draws from a generator of its own, so that no other weight depends on it.
        tags: for each layer of ``Inputs.tags_BLT``, in order, the names of tags 1, 2 and so on; 0 is none.
    """

    encoder: nn.Module
    layers: EncoderLayers
    serving: Serving
    tasks: tuple[str, ...]
    seed: int
    tags: TagNames = field(default_factory=dict)

    def sublayers(self, wanted_by: str) -> tuple[Sublayers, ...]:
        """The inner parts of the layers, lowest first.

        Raises:
            EncoderError: the encoder is of a family that we do not know.
        """
        return find_sublayers(self.encoder, self.layers.layers, wanted_by)


@dataclass(frozen=True)
class Role:
    """How a parameter of an extension is trained.

    Attributes:
        depth: the encoder's depth with which it is frozen and thawed; None trains always, as task heads do.
        is_pretrained: whether it goes on from pretrained weights, and learns at the encoder's rate, not at the heads'.
        task: the only task that it serves; None serves all.
        is_stepped_elsewhere: whether the trial's optimizer, its clipping and its thawing leave it alone.
    """

    depth: int | None = None
    is_pretrained: bool = False
    task: str | None = None
    is_stepped_elsewhere: bool = False


class Extension(Protocol):
    """An extension at work; also a ``torch.nn.Module``, whose parameters are named ``EXTENSION.NAME`` in the model."""

    @property
    def lowest_depth(self) -> int:
        """The lowest depth that gives something else because of it; 0 changes the embeddings.

        What lies below is all that can be kept of frozen layers.
        """

    def roles(self) -> Mapping[str, Role]:
        """Of each of its parameters, by its name in the extension."""

    def penalty(self) -> Tensor | None:
        """What it adds to the loss for the rows of the last pass in training mode, as a mean over them; then forgotten.

        None where it adds nothing. Its weight is in it, and it stays out of loss weighting.
        """

    def measured(self) -> Iterable[tuple[str, str, float]]:
        """What is worth logging since the last call: task (or ""), name and value."""


class ExtensionMethod(Protocol):
    """The frozen config of a method that extends the encoder."""

    @property
    def name(self) -> str:
        """The method's; ``none`` adds nothing."""

    def build(self, host: Host) -> Extension | None:
        """The extension, hooked into the encoder; None where there is nothing to add."""
