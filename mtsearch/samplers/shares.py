"""Whole numbers of examples in proportion to powers of the tasks' sizes."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["power_quotas"]


def power_quotas(sizes: Mapping[str, int], exponent: float, examples: int | None) -> dict[str, int]:
    """Examples of each task in proportion to N^exponent: largest remainders, at least one each.

    Args:
        sizes: N, the tasks' sizes in examples.
        exponent: 1 is proportional to size, 0 the same for every task.
        examples: of all tasks together; None takes as many as the tasks have together.

    Returns:
        Quotas that sum to ``examples``, and to one more for every task whose share came to none.
    """
    wanted = examples or sum(sizes.values())
    weights = {task: size**exponent for task, size in sizes.items()}
    total = sum(weights.values())
    exact = {task: wanted * weight / total for task, weight in weights.items()}
    quotas = {task: int(share) for task, share in exact.items()}
    by_remainder = sorted(exact, key=lambda task: quotas[task] - exact[task])
    for task in by_remainder[: wanted - sum(quotas.values())]:
        quotas[task] += 1
    return {task: max(1, quota) for task, quota in quotas.items()}
