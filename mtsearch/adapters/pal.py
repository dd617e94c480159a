"""Projected attention layers: beside each layer of the encoder a small attention of the task's own."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.config.base import Frozen
from mtsearch.errors import ConfigError
from mtsearch.model.extension import Extension, Host, Role
from mtsearch.model.layers import entering_states

__all__ = ["Pal"]


class Pal(Frozen):
    """Projected attention layers (Stickland & Murray 2019, arXiv 1902.02671).

    To what a layer makes of its input h, each task adds what a small attention of its own makes of the same h::

        norm(h + SA(h) + V_D · SA_low(V_E · h))

    V_E [r, D] and V_D [D, r] are shared by all layers of a task; SA_low is a multi-head attention of size r for each
    task and layer, with query, key and value projections and none after it. A task thus adds 2·D·r + 3·N·r²
    parameters: with BERT-base and the defaults 8 tasks add 14.5 M, which makes the paper's 1.13 × of the encoder.

    V_D starts at zero: the model starts as the plain encoder, bit for bit in evaluation. V_D learns from the first
    update on, all else from the second. The other weights start as those of ``nn.Linear`` (a standard deviation of
    1/√(3·fan_in), which is 0.02 for V_E in BERT-base), so that their scale does not depend on the rank.

    Where we differ from the authors' code (github.com/AsaCooperStickland/Bert-n-Pals): it draws V_D, too, from a
    normal distribution of 0.02, so that training starts away from the pretrained encoder; it has biases everywhere,
    where the paper's count has none; it has a GELU after V_D, which is not in the paper's equation, and 6 attention
    heads for the paper's 12. It adds the result to the input of the feed-forward's residual sum, we to the output of
    the feed-forward: the sum is the same, but the family's dropout after the feed-forward falls on ours, too. In a
    family that normalises before its sublayers (ModernBERT), h is the sum that runs past them, and there is no norm
    after.
    """

    name: Literal["pal"] = "pal"
    rank: int = Field(default=204, gt=0)
    """Size of the small attention (r)."""
    attention_heads: int = Field(default=12, gt=0)
    """Of the small attention; they share the rank."""
    layers: int | None = Field(default=None, gt=0)
    """How many of the upper layers have one beside them; null gives one to all."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout on the small attention's weights."""

    @model_validator(mode="after")
    def _rank_is_shared_evenly(self) -> Pal:
        if self.rank % self.attention_heads:
            nearest = max(1, round(self.rank / self.attention_heads)) * self.attention_heads
            raise ValueError(
                f"adapters.rank: must be a multiple of attention_heads ({self.attention_heads}), but got {self.rank}; "
                f"take {nearest}"
            )
        return self

    def build(self, host: Host) -> Extension | None:
        """The layers, hooked into the encoder.

        Raises:
            ConfigError: the encoder has fewer layers than are asked for.
            EncoderError: the encoder is of a family that we do not know.
        """
        return _RunningPal(self, host)


class _RunningPal(nn.Module):
    """The projected attention layers of all tasks.

    A pre-hook of a layer keeps what enters it, for the hook of its feed-forward to add to. Of an encoder whose layers
    are one module (ALBERT) each application has its own small attention.
    """

    def __init__(self, config: Pal, host: Host) -> None:
        super().__init__()
        sublayers = host.sublayers("adapters")
        num_layers = len(sublayers) if config.layers is None else config.layers
        if num_layers > len(sublayers):
            raise ConfigError(
                f"adapters.layers: must be at most the encoder's layers ({len(sublayers)}), but got {num_layers}"
            )
        first = len(sublayers) - num_layers
        # An encoder whose layers are one module is of depth 1 as a whole, however often it is applied.
        self.lowest_depth = min(sublayers[first].depth, host.layers.num_layers)
        hidden_size: int = host.encoder.config.hidden_size  # type: ignore[union-attr, assignment]
        self.by_task = nn.ModuleDict(
            {task: _TaskLayers(config, hidden_size, num_layers, _generator(host.seed, task)) for task in host.tasks}
        )
        self._num_encoder_parameters = sum(parameter.numel() for parameter in host.encoder.parameters())
        self._serving = host.serving
        self._entered: tuple[int, Tensor] | None = None  # number of the small attention, and what it is to see
        numbers: dict[nn.Module, list[int]] = {}
        for number, one in enumerate(sublayers):
            numbers.setdefault(one.layer, []).append(number - first)
        for one in {one.layer: one for one in sublayers[first:]}.values():
            one.layer.register_forward_pre_hook(partial(self._keep, numbers[one.layer]), with_kwargs=True)
            one.feed_forward_out.register_forward_hook(self._add)

    def _keep(self, numbers: Sequence[int], layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._serving.is_under_way:
            number = numbers[self._serving.nth_call(self, layer)]
            self._entered = None if number < 0 else (number, entering_states(args, kwargs))

    def _add(self, feed_forward_out: nn.Module, args: tuple[Any, ...], output_BLD: Tensor) -> Tensor | None:
        if self._entered is None:
            return None
        (number, states_BLD), self._entered = self._entered, None
        added_BLD: Tensor = self.by_task[self._serving.task](number, states_BLD, self._serving.inputs.mask_BL)
        return output_BLD + added_BLD

    def roles(self) -> Mapping[str, Role]:
        return {
            f"by_task.{task}.{name}": Role(task=task)
            for task, layers in self.by_task.items()
            for name, _ in layers.named_parameters()
        }

    def penalty(self) -> Tensor | None:
        return None

    def measured(self) -> Iterable[tuple[str, str, float]]:
        """How much larger it makes the model: the same at each time."""
        num_parameters = sum(parameter.numel() for parameter in self.parameters())
        yield "", "adapter_parameters", float(num_parameters)
        yield "", "adapter_parameter_ratio", num_parameters / self._num_encoder_parameters


class _TaskLayers(nn.Module):
    """One task's projections, and its small attention for each layer."""

    def __init__(self, config: Pal, hidden_size: int, num_layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.down = _drawn(config.rank, hidden_size, generator)  # V_E
        self.up = nn.Parameter(torch.zeros(hidden_size, config.rank))  # V_D
        # Query, key and value of a layer are one product.
        self.attention = nn.ParameterList(_drawn(3 * config.rank, config.rank, generator) for _ in range(num_layers))
        self._num_heads = config.attention_heads
        self._dropout = config.dropout

    def forward(self, number: int, states_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """What is added to a layer's output, [B, L, D].

        Args:
            number: 0 for the lowest layer that has one.
            states_BLD: what enters the layer.
            mask_BL: 1 where there is a token; what is attended to.
        """
        low_BLr = functional.linear(states_BLD, self.down)
        projected_BL3r = functional.linear(low_BLr, self.attention[number])
        by_head = projected_BL3r.view(*mask_BL.shape, 3, self._num_heads, -1)
        query_BHLd, key_BHLd, value_BHLd = by_head.permute(2, 0, 3, 1, 4)
        mixed_BHLd = functional.scaled_dot_product_attention(
            query_BHLd,
            key_BHLd,
            value_BHLd,
            attn_mask=mask_BL.bool()[:, None, None, :],
            dropout_p=self._dropout if self.training else 0.0,
        )
        return functional.linear(mixed_BHLd.transpose(1, 2).flatten(2), self.up)


def _generator(seed: int, task: str) -> torch.Generator:
    """A task's weights depend on no other task, nor does anything else depend on them."""
    return torch.Generator().manual_seed(seed ^ zlib.crc32(f"adapters of {task}".encode()))


def _drawn(num_rows: int, num_columns: int, generator: torch.Generator) -> nn.Parameter:
    bound = num_columns**-0.5
    return nn.Parameter(torch.empty(num_rows, num_columns).uniform_(-bound, bound, generator=generator))
