"""Several whole encoders."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.experts.routing import ExpertGate, GateKind, Routing
from mtsearch.model.extension import Extension, Host, Role

__all__ = ["EncoderExperts"]


class EncoderExperts(Frozen):
    """A sequence goes through one of several encoders, or through all of them, whose outputs are mixed.

    Expert 1 is the encoder itself, the others start as copies of it. They share the word embeddings, which are up to
    half of an encoder, and whose mean over the tokens the expert gate reads. At the start all experts are equal; they
    part as :class:`~mtsearch.experts.feed_forward.FeedForwardExperts` do.

    Each further expert needs the memory of an encoder without its word embeddings, four times over while it trains
    (weights, gradients, and two moments of AdamW). A soft gate also runs all of them on every sequence. Experts in the
    feed-forwards alone are the affordable form.
    """

    name: Literal["encoders"] = "encoders"
    num_experts: int = Field(default=2, ge=2, le=16)
    """Encoders, the pretrained one among them (E)."""
    gate: GateKind = "hard"
    """``hard``: the most probable expert, with a straight-through estimator; ``soft``: all, mixed by probability."""
    balance_weight: float = Field(default=0.01, ge=0)
    """Weight of the load-balancing loss (α); 0 has none."""

    def build(self, host: Host) -> Extension | None:
        """The copies, run beside the encoder in each pass of the model."""
        return _RunningEncoders(self, host)


class _RunningEncoders(nn.Module):
    def __init__(self, config: EncoderExperts, host: Host) -> None:
        super().__init__()
        words = host.encoder.get_input_embeddings()  # type: ignore[operator]
        # In a copy something without parameters takes the place of the word embeddings: it is given their output.
        self.copies = nn.ModuleList(
            copy.deepcopy(host.encoder, {id(words): nn.Identity()}) for _ in range(config.num_experts - 1)
        )
        self.gate = ExpertGate(words.embedding_dim, config.num_experts, config.gate, config.balance_weight, host.seed)
        self._serving = host.serving
        self._depths = host.layers.depths
        self._routing: Routing | None = None
        self._waiting: Sequence[dict[str, Tensor]] = ()
        host.encoder.register_forward_pre_hook(self._dispatch, with_kwargs=True)
        host.encoder.register_forward_hook(self._combine)

    def _dispatch(self, encoder: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if not self._serving.is_under_way:
            return None
        words_BLE = encoder.get_input_embeddings()(kwargs["input_ids"])  # type: ignore[operator]
        self._routing = self.gate(words_BLE, self._serving.inputs.mask_BL, self._serving.task)
        given = {"inputs_embeds": words_BLE, **{name: value for name, value in kwargs.items() if name != "input_ids"}}
        dispatched = [
            [_at_least_one(rows, all_rows) for rows in self._routing.dispatch(all_rows)] for all_rows in given.values()
        ]
        own, *self._waiting = [dict(zip(given, parts, strict=True)) for parts in zip(*dispatched, strict=True)]
        return args, own

    def _combine(self, encoder: nn.Module, args: Any, output: Any) -> Any:
        if self._routing is None:
            return None
        routing, waiting = self._routing, self._waiting
        self._routing, self._waiting = None, ()
        outputs = [output.last_hidden_state]
        for copied, given, size in zip(self.copies, waiting, routing.sizes[1:], strict=True):
            # Without rows, too: a gradient of zero, as where another process has rows for it.
            is_needed = size > 0 or torch.is_grad_enabled()
            outputs.append(copied(**given).last_hidden_state if is_needed else outputs[0])
        output.last_hidden_state = routing.combine(
            [out[:size] for out, size in zip(outputs, routing.sizes, strict=True)]
        )
        return output

    @property
    def lowest_depth(self) -> int:
        return 0

    def roles(self) -> Mapping[str, Role]:
        copied = {name: self._depths[name] for name, _ in self.copies[0].named_parameters()}
        return {
            "gate.weight": Role(),
            **{
                f"copies.{number}.{name}": Role(depth=depth, is_pretrained=True)
                for number in range(len(self.copies))
                for name, depth in copied.items()
            },
        }

    def penalty(self) -> Tensor | None:
        return self.gate.penalty()

    def measured(self) -> Iterable[tuple[str, str, float]]:
        return self.gate.measured()


def _at_least_one(rows: Tensor, all_rows: Tensor) -> Tensor:
    """These rows, or any: encoders do not run on none."""
    return rows if len(rows) else all_rows[:1]
