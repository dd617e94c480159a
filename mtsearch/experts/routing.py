"""Which expert a sequence goes to: the expert gate, its load-balancing loss, and what is logged of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.model.pooling import MeanPooling

__all__ = ["ExpertGate", "GateKind", "HardRouting", "Routing", "SoftRouting"]

GateKind = Literal["soft", "hard"]


class Routing(Protocol):
    """Where the rows of a pass go. Rows are the first dimension of whatever is dispatched."""

    @property
    def sizes(self) -> list[int]:
        """How many rows each expert has, [E]."""

    def dispatch(self, rows: Tensor) -> Sequence[Tensor]:
        """For each expert its rows, of [B, ..]."""

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        """From each expert's output for its rows, one output for all rows, [B, ..], in their own order."""


@dataclass(frozen=True)
class SoftRouting:
    """Every expert has every row; outputs are mixed by the gate's probabilities.

    Attributes:
        probabilities_BE: of the gate.
    """

    probabilities_BE: Tensor

    @property
    def sizes(self) -> list[int]:
        num_rows, num_experts = self.probabilities_BE.shape
        return [num_rows] * num_experts

    def dispatch(self, rows: Tensor) -> Sequence[Tensor]:
        return [rows] * self.probabilities_BE.shape[1]

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        # Half precision would round the probabilities, whose sum would no longer be 1.
        weighted = (_like_rows(p_B, out) * out for p_B, out in zip(self.probabilities_BE.T, outputs, strict=True))
        return torch.stack(list(weighted)).sum(0).to(outputs[0].dtype)


class HardRouting:
    """Every row goes to the expert of the highest probability, and to no other.

    Outputs are multiplied by 1 + p - p.detach(), which is 1: the chosen expert's probability p gets the gradient that
    a multiplication by p would give it, while the value is the expert's alone (a straight-through estimator).

    Args:
        probabilities_BE: of the gate.
    """

    def __init__(self, probabilities_BE: Tensor) -> None:
        num_experts = probabilities_BE.shape[1]
        p_B, chosen_B = probabilities_BE.max(1)
        self._order_B = chosen_B.argsort(stable=True)
        self._place_B = self._order_B.argsort()
        self._one_B = 1 + (p_B - p_B.detach())
        self._sizes = functional.one_hot(chosen_B, num_experts).sum(0).tolist()  # waits for the device

    @property
    def sizes(self) -> list[int]:
        return self._sizes

    def dispatch(self, rows: Tensor) -> Sequence[Tensor]:
        return torch.split(rows.index_select(0, self._order_B), self._sizes)

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        together = torch.cat(list(outputs)).index_select(0, self._place_B)
        return together * _like_rows(self._one_B, together).to(together.dtype)


class ExpertGate(nn.Module):
    """Scores the experts for each sequence by the mean of its tokens' states: softmax(W · normalised mean), [B, E].

    The mean is normalised to mean 0 and variance 1 (layer norm without parameters), since families differ in the
    scale of their states. W is drawn so that scores have about variance 1: sequences differ in their probabilities
    from the start. The gate computes in single precision also under autocast, as Switch does.

    Of the passes in training mode it keeps what :meth:`penalty` and :meth:`measured` tell, on the device.

    Args:
        size: D of the states.
        num_experts: E, at least 2.
        kind: what its routings are.
        balance_weight: of the load-balancing loss (α).
        seed: of W.
    """

    def __init__(self, size: int, num_experts: int, kind: GateKind, balance_weight: float, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed ^ zlib.crc32(b"expert gate"))
        drawn = torch.randn(num_experts, size, generator=generator)
        self.weight = nn.Parameter(drawn / math.sqrt(size))
        self._pool = MeanPooling()
        self._kind = kind
        self._balance_weight = balance_weight
        self._last_balance: Tensor | None = None
        self._sums: dict[str, Tensor] = {}
        self._num_rows: dict[str, int] = {}

    def forward(self, states_BLD: Tensor, mask_BL: Tensor, task: str) -> Routing:
        """Route these sequences.

        Args:
            states_BLD: of their tokens.
            mask_BL: 1 where there is a token, else 0: padding never counts.
            task: that the pass is for.
        """
        with torch.autocast(states_BLD.device.type, enabled=False):
            pooled_BD = self._pool(states_BLD.to(self.weight.dtype), mask_BL)
            scores_BE = functional.linear(functional.layer_norm(pooled_BD, pooled_BD.shape[1:]), self.weight)
            probabilities_BE = scores_BE.softmax(1)
        if self.training and torch.is_grad_enabled():  # not in a teacher's passes
            self._count(probabilities_BE, task)
        return SoftRouting(probabilities_BE) if self._kind == "soft" else HardRouting(probabilities_BE)

    def _count(self, probabilities_BE: Tensor, task: str) -> None:
        num_rows, num_experts = probabilities_BE.shape
        chosen_BE = functional.one_hot(probabilities_BE.argmax(1), num_experts).to(probabilities_BE.dtype)
        balance = num_experts * (chosen_BE.mean(0) * probabilities_BE.mean(0)).sum()
        self._last_balance = balance
        used_E = (probabilities_BE.detach() if self._kind == "soft" else chosen_BE).sum(0)
        sums = torch.cat([used_E, balance.detach().view(1) * num_rows])
        self._sums[task] = self._sums[task] + sums if task in self._sums else sums
        self._num_rows[task] = self._num_rows.get(task, 0) + num_rows

    def penalty(self) -> Tensor | None:
        """The weighted load-balancing loss of the last pass in training mode, then forgotten; None where there is none.

        α · E · Σ f_e P_e over the experts, where f_e is the share of the rows for which e is the most probable, and
        P_e its mean probability. It is α where both are even, and up to α · E where one expert has all. Of several
        processes each balances its own rows.

        Source:
            Switch Transformers (Fedus et al. 2021, arXiv 2101.03961, equations 4 to 6), with sequences for tokens.
        """
        balance, self._last_balance = self._last_balance, None
        return None if balance is None or not self._balance_weight else self._balance_weight * balance

    def measured(self) -> Iterator[tuple[str, str, float]]:
        """Means over the rows of the passes in training mode since the last call, of this process.

        Of each task ``expert_1_share`` and so on, which are the shares of its rows that go to an expert, or the mean
        probabilities of a soft gate, and ``expert_balance_loss``, without its weight. Over all tasks
        ``expert_usage_entropy`` of these shares, in nats and divided by log E: 1 is even use, 0 one expert alone.
        """
        sums, num_rows = self._sums, self._num_rows
        self._sums, self._num_rows = {}, {}
        for task, of_task in sums.items():
            *shares, balance = (of_task / num_rows[task]).tolist()
            yield from ((task, f"expert_{number}_share", share) for number, share in enumerate(shares, start=1))
            yield task, "expert_balance_loss", balance
        if sums:
            used_E = torch.stack(list(sums.values())).sum(0)[:-1]
            entropy = torch.special.entr(used_E / used_E.sum()).sum() / math.log(len(used_E))
            yield "", "expert_usage_entropy", float(entropy)


def _like_rows(weights_B: Tensor, rows: Tensor) -> Tensor:
    return weights_B.view(-1, *[1] * (rows.dim() - 1))
