"""SMART's Bregman proximal point method with a momentum teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mtsearch.config.base import Frozen
from mtsearch.data.batching import Batch
from mtsearch.model.layers import evaluation_mode
from mtsearch.regularizers.contract import MeanPenalty, RunningRegularizer
from mtsearch.regularizers.replay import RandomState
from mtsearch.tasks.contract import Inventory, Logits, TaskKind

__all__ = ["Proximal"]


class Proximal(Frozen):
    """Momentum Bregman proximal point optimization (Jiang et al. 2020, arXiv 1911.03437, section 3.2).

    weight · Σ distance(f(x; θ), f(x; θ̃)) over the rows x: no update may carry the model's outputs far from those of
    a teacher θ̃, the exponential moving average of the weights θ. The distance is the task kind's: symmetric KL
    divergence for classes, squared error for numbers. The teacher runs without dropout and gets no gradient.

    The paper raises β to 0.999 after the first tenth of the updates; here it is constant, and a search dimension.

    It costs an update one pass forward, and memory for one copy of the trainable parameters.
    """

    weight: float = Field(default=1.0, ge=0)
    """What the distance is multiplied by (μ); 0 is plain training."""
    momentum: float = Field(default=0.99, ge=0, lt=1)
    """Share of the teacher that an update keeps (β); 0 makes it the model itself."""

    def build(self, model: nn.Module) -> RunningRegularizer:
        """The regulariser, whose teacher starts as ``model`` is."""
        return _RunningProximal(self, model)


class _RunningProximal:
    """The teacher is the model itself, run with averages in place of its trainable parameters.

    Buffers and frozen parameters are thereby shared. A parameter that thaws is its own average until its first
    update, which is what a copy would be, and enters with the value that this update gives it.
    """

    name = "proximal"

    def __init__(self, config: Proximal, model: nn.Module) -> None:
        self._config = config
        self._mean = MeanPenalty()
        self._averages = {name: parameter.detach().clone() for name, parameter in _trainable(model)}
        self._update = get_ema_multi_avg_fn(config.momentum)  # type: ignore[no-untyped-call]

    def penalty(
        self,
        model: nn.Module,
        batch: Batch,
        kind: TaskKind,
        inventory: Inventory,
        logits: Logits,
        random: RandomState,
    ) -> Tensor:
        with torch.no_grad(), evaluation_mode(model):
            teacher: Logits = functional_call(model, self._averages, (batch,))
        penalty = self._config.weight * kind.distance(logits, teacher, inventory)
        self._mean.add(penalty, len(batch.rows))
        return penalty

    def after_update(self, model: nn.Module) -> None:
        parameters = dict(model.named_parameters())
        self._update(list(self._averages.values()), [parameters[name] for name in self._averages], 0)
        self._averages |= {name: p.detach().clone() for name, p in _trainable(model) if name not in self._averages}

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._averages)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        device = next(iter(self._averages.values())).device
        self._averages = {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}

    def measured(self) -> dict[str, float]:
        mean = self._mean.take()
        return {} if mean is None else {"proximal_penalty": mean}


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
