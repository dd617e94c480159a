"""Freezing and thawing at work on a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from mtsearch.model.multitask import MultitaskModel
from mtsearch.unfreezing.contract import UnfreezingMethod

__all__ = ["Thawing"]


class Thawing:
    """Keeps frozen what does not train yet.

    Parameters that no epoch trains are frozen at once, so that whatever is built after it keeps no state of them, and
    :meth:`start_epoch` freezes the rest. Everything but :attr:`thawed_at` is a function of the epoch.

    Args:
        model: whose parameters are frozen and thawed.
        method: says what trains when.
        epochs: of the trial.

    Attributes:
        trainable: the depths that train now.
        thawed_at: the number of updates that had been done when a depth thawed; those that train from the
            start are not in it.
        warnings: what the method says of the number of layers and epochs.

    Raises:
        ConfigError: the method asks for more layers than there are.
    """

    def __init__(self, model: MultitaskModel, method: UnfreezingMethod, epochs: int) -> None:
        self.warnings = method.check(model.num_layers, epochs)
        self._model = model
        self._method = method
        self._parameters = [
            (p, model.depths[name]) for name, p in model.named_parameters() if p.requires_grad and name in model.depths
        ]
        self._initially = method.trainable_depths(model.num_layers, 0)
        self.thawed_at: dict[int, int] = {}
        self.trainable = method.trainable_depths(model.num_layers, epochs - 1)
        self._apply()

    def start_epoch(self, epoch: int, step: int) -> frozenset[int]:
        """Freeze and thaw for an epoch; saying it again within the epoch changes nothing.

        Args:
            epoch: 0-based.
            step: updates done so far.

        Returns:
            The depths that thawed just now.
        """
        self.trainable = self._method.trainable_depths(self._model.num_layers, epoch)
        self._apply()
        thawed = self.trainable - self._initially - self.thawed_at.keys()
        self.thawed_at |= dict.fromkeys(sorted(thawed), step)
        return thawed

    def _apply(self) -> None:
        for parameter, depth in self._parameters:
            parameter.requires_grad_(depth in self.trainable)

    @property
    def frozen_prefix(self) -> int | None:
        """The highest depth up to which nothing trains and nothing is extended; None where the embeddings are."""
        return self._model.frozen_prefix(self.trainable)

    def set_training_mode(self) -> None:
        """``model.train()``, but what is frozen stays in evaluation mode: it has no dropout."""
        self._model.train()
        _evaluate_frozen(self._model)
        if 0 not in self.trainable:
            for module in self._model.layers.below:  # some are dropout alone, without parameters
                module.eval()

    @contextmanager
    def warmed(self, groups: Sequence[dict[str, Any]], step: int) -> Iterator[None]:
        """Inside, the rates of newly thawed depths are scaled down: around ``optimizer.step()``.

        Args:
            groups: the optimizer's, with their ``depth``; one of a plugin's optimizer that tells none is left as it is.
            step: updates done so far.
        """
        shares = {depth: self._share(step - begun) for depth, begun in self.thawed_at.items()}
        rising = [group for group in groups if shares.get(group.get("depth", -1), 1.0) < 1.0]
        rates = [group["lr"] for group in rising]
        for group in rising:
            group["lr"] *= shares[group["depth"]]
        try:
            yield
        finally:
            for group, rate in zip(rising, rates, strict=True):
                group["lr"] = rate

    def _share(self, updates: int) -> float:
        """Of the schedule's rate, after so many updates since a thaw: full at the last one of the warm-up."""
        return min(1.0, (updates + 1) / max(1, self._method.warmup_updates))

    def measured(self) -> dict[str, float]:
        """What trains now, for the log: the lowest depth, how many of the encoder's layers, and how many parameters."""
        sizes = [parameter.numel() for parameter, depth in self._parameters if depth in self.trainable]
        layers = [depth for depth in self.trainable if 1 <= depth <= self._model.num_layers]
        return {
            "lowest_trainable_depth": float(min(self.trainable)),
            "trainable_layers": float(len(layers)),
            "trainable_parameters": float(sum(sizes)),
        }

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`load_state_dict` takes back."""
        return {"thawed_at": {str(depth): step for depth, step in self.thawed_at.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; :meth:`start_epoch` then freezes as the epoch asks."""
        self.thawed_at = {int(depth): step for depth, step in state["thawed_at"].items()}


def _evaluate_frozen(module: nn.Module) -> None:
    trains = [parameter.requires_grad for parameter in module.parameters()]
    if trains and not any(trains):
        module.eval()
    else:
        for child in module.children():
            _evaluate_frozen(child)
