"""Products of the Hessian with a random vector, whose mean is its diagonal (Hutchinson's estimator).

For noise u with E[u uᵀ] = I and the Hessian H of a loss, E[u ⊙ (H u)] = diag(H). The product costs a few backward
passes over all parameters at once, and H itself is never formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["Distribution", "Loss", "difference_product", "draw_noise", "exact_product"]

Distribution = Literal["rademacher", "gaussian"]
Loss = Callable[[], Tensor]


def draw_noise(parameters: list[Tensor], distribution: Distribution, seed: tuple[int, int]) -> list[Tensor]:
    """A random tensor for each parameter, with mean 0 and variance 1.

    It depends on the seed and the shapes alone, so that every process draws the same; torch's own generators are
    left as they are.

    Args:
        parameters: of one device.
        distribution: ``rademacher`` is -1 or 1 with equal chances.
        seed: two numbers, each of which gives other noise.
    """
    # torch's generator on the CPU looks at 32 bits of its seed only: mix both numbers into them.
    mixed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    generator = torch.Generator(parameters[0].device).manual_seed(mixed)
    noise = [torch.empty_like(parameter, requires_grad=False) for parameter in parameters]
    for tensor in noise:
        if distribution == "gaussian":
            tensor.normal_(generator=generator)
        else:  # a third of the time that bernoulli_ takes
            tensor.random_(0, 2, generator=generator).mul_(2).sub_(1)
    return noise


def exact_product(loss: Loss, parameters: list[Tensor], noise: list[Tensor]) -> list[Tensor | None]:
    """The Hessian times the noise, by differentiating the gradient once more along it (Pearlmutter 1994).

    Args:
        loss: a scalar; called once, with the math kernel of attention, since the others have no second derivative.
        parameters: which require gradients.
        noise: as :func:`draw_noise` gives it.

    Returns:
        A tensor for each parameter; zero where the loss is linear in it, None where it does not occur in the loss.
    """
    with sdpa_kernel(SDPBackend.MATH):
        gradients = _gradients(loss, parameters, create_graph=True)
        bent = [(g, u) for g, u in zip(gradients, noise, strict=True) if g is not None and g.requires_grad]
        products: Sequence[Tensor | None] = [None] * len(parameters)
        if bent:
            products = torch.autograd.grad([g for g, _ in bent], parameters, [u for _, u in bent], allow_unused=True)
    return [
        torch.zeros_like(parameter) if product is None and gradient is not None else product
        for parameter, gradient, product in zip(parameters, gradients, products, strict=True)
    ]


@torch.no_grad()
def difference_product(loss: Loss, parameters: list[Tensor], noise: list[Tensor]) -> list[Tensor | None]:
    """The Hessian times the noise, as the central difference of gradients along it.

    (∇L(θ + δu) - ∇L(θ - δu)) / 2δ, with δ = ε^⅓ (1 + |θ|) / |u| for machine precision ε: rounding then errs about
    as much as the third derivative (Nocedal & Wright 2006, section 8.1; the scaling by norms is Andrei's, 2009, J.
    Comput. Appl. Math. 230). It asks for first derivatives only, of whatever kernel, and less memory.

    Args:
        loss: a scalar; called twice, both times with the same state of torch's generators and so the same dropout.
        parameters: which require gradients; moved, and put back bit for bit.
        noise: as :func:`draw_noise` gives it.

    Returns:
        A tensor for each parameter, None where it does not occur in the loss.
    """
    precision = max(torch.finfo(parameter.dtype).eps for parameter in parameters)
    delta = precision ** (1 / 3) * (1 + _norm(parameters)) / _norm(noise)
    device = parameters[0].device
    before = [parameter.clone() for parameter in parameters]
    random = torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        torch._foreach_add_(parameters, noise, alpha=delta)
        ahead = _gradients(loss, parameters)
        torch._foreach_copy_(parameters, before)
        torch._foreach_sub_(parameters, noise, alpha=delta)
        torch.set_rng_state(random[0])
        if random[1] is not None:
            torch.cuda.set_rng_state(random[1], device)
        behind = _gradients(loss, parameters)
    finally:
        torch._foreach_copy_(parameters, before)
    return [None if a is None or b is None else (a - b).div_(2 * delta) for a, b in zip(ahead, behind, strict=True)]


def _gradients(loss: Loss, parameters: list[Tensor], *, create_graph: bool = False) -> Sequence[Tensor | None]:
    """First derivatives without autocast: half precision would drown second ones in rounding."""
    with torch.enable_grad(), torch.autocast(parameters[0].device.type, enabled=False):
        value = loss()
        if not value.requires_grad:  # a process without rows
            return [None] * len(parameters)
        return torch.autograd.grad(value, parameters, create_graph=create_graph, allow_unused=True)


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(norm**2 for norm in torch.stack(torch._foreach_norm(tensors)).tolist()))
