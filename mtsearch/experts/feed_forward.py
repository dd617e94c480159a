"""Expert feed-forwards in the upper layers of one shared encoder."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.errors import ConfigError
from mtsearch.experts.routing import ExpertGate, GateKind, Routing
from mtsearch.model.extension import Extension, Host, Role
from mtsearch.model.layers import entering_states
from mtsearch.model.sublayers import Sublayers

__all__ = ["FeedForwardExperts"]


class FeedForwardExperts(Frozen):
    """In each of the upper layers a sequence has one of several feed-forwards, or a mixture of them.

    Expert 1 is the encoder's own feed-forward, the others start as copies of its two linear layers; attention and
    norms are shared. One expert gate reads the mean token as it enters the lowest of these layers, and decides once
    for the sequence and all of them: an expert is one way through the upper layers, whose use by each task a table
    can tell. Layers that share one module (ALBERT) have experts of their own each.

    At the start all experts are equal, so that the model gives what the plain encoder gives. They part because the
    gate is drawn at random: under a hard gate they see other sequences, under a soft one each weighs its sequences
    differently. A soft gate itself learns nothing from the tasks before the experts differ.

    A hard gate computes the chosen expert alone, so that it costs about what the plain encoder costs; a soft one
    computes all of them. A forward pass serves one task, so that the load-balancing loss asks each task by itself
    for even use: a small weight leaves tasks free to prefer experts of their own.
    """

    name: Literal["feed_forward"] = "feed_forward"
    num_experts: int = Field(default=3, ge=2, le=64)
    """Feed-forwards in each expert layer, the encoder's own among them (E)."""
    layers: int = Field(default=2, ge=1)
    """How many of the encoder's upper layers have experts."""
    gate: GateKind = "hard"
    """``hard``: the most probable expert, with a straight-through estimator; ``soft``: all, mixed by probability."""
    balance_weight: float = Field(default=0.01, ge=0)
    """Weight of the load-balancing loss (α); 0 has none."""

    def build(self, host: Host) -> Extension | None:
        """The experts, hooked into the upper layers.

        Raises:
            ConfigError: there are fewer layers.
            EncoderError: the encoder is of a family that we do not know.
        """
        sublayers = host.sublayers("experts")
        if self.layers > len(sublayers):
            raise ConfigError(
                f"experts.layers: must be at most the encoder's layers ({len(sublayers)}), but got {self.layers}"
            )
        return _RunningFeedForwards(self, sublayers, host)


class _RunningFeedForwards(nn.Module):
    """What is dispatched by the hook before a linear layer waits for the hook after it, which runs the copies on it.

    Between the two linear layers the rows lie in the order of their experts; whatever happens there happens to each
    token by itself.
    """

    def __init__(self, config: FeedForwardExperts, sublayers: Sequence[Sublayers], host: Host) -> None:
        super().__init__()
        upper = sublayers[-config.layers :]
        self.layers = nn.ModuleDict({str(one.depth): _Copies(one, config.num_experts - 1) for one in upper})
        size = upper[0].feed_forward_in.in_features
        self.gate = ExpertGate(size, config.num_experts, config.gate, config.balance_weight, host.seed)
        self._serving = host.serving
        depth_of = {id(parameter): host.layers.depths[name] for name, parameter in host.encoder.named_parameters()}
        self._depths = {str(one.depth): depth_of[id(one.feed_forward_in.weight)] for one in upper}
        self._lowest, self._highest = upper[0].depth, upper[-1].depth
        self._passed: dict[nn.Module, list[int]] = {}  # the depths of a layer, of which a shared one has several
        for one in sublayers:
            self._passed.setdefault(one.layer, []).append(one.depth)
        self._depth: int | None = None  # of the layer under way, if it has experts
        self._routing: Routing | None = None
        self._waiting: Sequence[Tensor] = ()
        for one in {one.layer: one for one in upper}.values():
            one.layer.register_forward_pre_hook(self._enter, with_kwargs=True)
            one.layer.register_forward_hook(self._leave)
            one.feed_forward_in.register_forward_pre_hook(self._dispatch)
            one.feed_forward_in.register_forward_hook(self._spread)
            one.feed_forward_out.register_forward_pre_hook(self._part)
            one.feed_forward_out.register_forward_hook(self._combine)

    def _enter(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._serving.is_under_way:
            return
        depth = self._passed[layer][self._serving.nth_call(self, layer)]
        if depth == self._lowest:
            states_BLD = entering_states(args, kwargs)
            self._routing = self.gate(states_BLD, self._serving.inputs.mask_BL, self._serving.task)
        self._depth = depth if depth >= self._lowest else None

    def _leave(self, layer: nn.Module, args: Any, output: Any) -> None:
        if self._depth == self._highest:
            self._routing = None
        self._depth = None

    def _dispatch(self, linear: nn.Module, args: tuple[Tensor]) -> Tensor | None:
        if self._depth is None or self._routing is None:
            return None
        own, *self._waiting = self._routing.dispatch(*args)
        return own

    def _spread(self, linear: nn.Module, args: Any, own: Tensor) -> Tensor | None:
        if self._depth is None:
            return None
        return torch.cat([own, *self._run(self._copies(self._depth).feed_forward_in)])

    def _part(self, linear: nn.Module, args: tuple[Tensor]) -> Tensor | None:
        if self._depth is None or self._routing is None:
            return None
        own, *self._waiting = torch.split(args[0], self._routing.sizes)
        return own

    def _combine(self, linear: nn.Module, args: Any, own: Tensor) -> Tensor | None:
        if self._depth is None or self._routing is None:
            return None
        return self._routing.combine([own, *self._run(self._copies(self._depth).feed_forward_out)])

    def _copies(self, depth: int) -> _Copies:
        copies = self.layers[str(depth)]
        assert isinstance(copies, _Copies)
        return copies

    def _run(self, copies: nn.ModuleList) -> list[Tensor]:
        waiting, self._waiting = self._waiting, ()
        # Without rows, too: a gradient of zero, as where another process has rows for it.
        return [copied(rows) for copied, rows in zip(copies, waiting, strict=True)]

    @property
    def lowest_depth(self) -> int:
        return min(self._depths.values())

    def roles(self) -> Mapping[str, Role]:
        depths = {
            f"layers.{place}.{name}": self._depths[place]
            for place, copies in self.layers.items()
            for name, _ in copies.named_parameters()
        }
        return {"gate.weight": Role(), **{n: Role(depth=d, is_pretrained=True) for n, d in depths.items()}}

    def penalty(self) -> Tensor | None:
        return self.gate.penalty()

    def measured(self) -> Iterable[tuple[str, str, float]]:
        return self.gate.measured()


class _Copies(nn.Module):
    """The other experts of one layer."""

    feed_forward_in: nn.ModuleList
    feed_forward_out: nn.ModuleList

    def __init__(self, own: Sublayers, number: int) -> None:
        super().__init__()
        self.feed_forward_in = nn.ModuleList(copy.deepcopy(own.feed_forward_in) for _ in range(number))
        self.feed_forward_out = nn.ModuleList(copy.deepcopy(own.feed_forward_out) for _ in range(number))
