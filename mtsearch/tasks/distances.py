"""How far two outputs for the same rows are apart: what regularisers that compare outputs are built of."""

from __future__ import annotations

import torch
from torch import Tensor

from mtsearch.tasks.contract import Logits

__all__ = ["at_least_single", "squared_error", "symmetric_kl"]


def at_least_single(scores: Tensor) -> Tensor:
    """The same in single precision, or in double where they are."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def symmetric_kl(logits: Logits, reference: Logits) -> Tensor:
    """KL(p ‖ q) + KL(q ‖ p) of the class distributions, summed over all that count; a scalar, in nats.

    It is computed as Σ (p - q)(log p - log q), whose terms are never negative, so that distributions that differ
    by little more than rounding do not cancel. Differentiable in both.

    Args:
        logits: scores [..., C].
        reference: the other scores, of the same shape; the mask of ``logits`` holds for both.
    """
    log_p, log_q = (_counting(values, logits.mask).log_softmax(-1) for values in (logits.values, reference.values))
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum()


def squared_error(logits: Logits, reference: Logits) -> Tensor:
    """(p - q)², summed over all that count; a scalar. Differentiable in both.

    Args:
        logits: numbers [...].
        reference: the other numbers, of the same shape; the mask of ``logits`` holds for both.
    """
    p, q = (_counting(values, logits.mask) for values in (logits.values, reference.values))
    return (p - q).square().sum()


def _counting(values: Tensor, mask: Tensor | None) -> Tensor:
    """At least in single precision, and the same on both sides where nothing counts."""
    values = at_least_single(values)
    if mask is None:
        return values
    return values.masked_fill(~mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), 0.0)
