"""SophiaH: steps of momentum over curvature, clipped element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtsearch.config.base import Frozen
from mtsearch.optimizers.contract import LayeredModel
from mtsearch.optimizers.curvature import Distribution, difference_product, draw_noise, exact_product
from mtsearch.optimizers.groups import parameter_groups

__all__ = ["RunningSophiaH", "SophiaH"]

_CACHED_ELEMENTS = 2**18  # of a few tensors at once; in MiniLM's largest it halves the time of a step


class SophiaH(Frozen):
    """SophiaH (Liu et al. 2023, arXiv 2305.14342, algorithms 1 and 3): a diagonal Newton step with a bound.

    ::

        m ← β₁ m + (1 - β₁) g                                   every update
        h ← β₂ h + (1 - β₂) u ⊙ (H u),  ĥ = h / (1 - β₂ⁿ)       every ``hessian_interval`` updates, from the first on
        θ ← θ - lr λ θ - lr clip(m / max(ĥ, ε), ±ρ)

    The bound is that of the paper's first version. The later one writes clip(m / max(γ h, ε'), ±1), which is the
    same update with γ = ρ, ε' = ρ ε, a rate of lr ρ and a decay of λ / ρ: no element moves by more than lr ρ
    in an update, and where the curvature is small, negative or not yet known it moves by just that.

    Where we differ: h is corrected for its start at zero by the number n of estimates that the parameter has had.

    Gradients are clipped before the step while h is of the loss itself: a gradient scaled by c < 1 enters m with
    c, and the Newton step is damped as much. ``gradient_clip: null`` leaves the bound to ρ alone.
    """

    name: Literal["sophiah"] = "sophiah"
    lr: float = Field(default=4e-4, gt=0, le=1)
    """Learning rate of the encoder, per update: the share of a Newton step that is taken where it is not clipped."""
    head_lr: float | None = Field(default=None, gt=0, le=1)
    """Learning rate of the task heads, per update; null takes ``lr``."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """What the encoder's rate is multiplied by from each layer to the one below; 1 gives all layers the same."""
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    """Decoupled decay; biases and normalisation weights do not decay."""
    beta1: float = Field(default=0.985, ge=0, lt=1)
    """Decay of the running mean of gradients, per update."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the running mean of curvature, per estimate."""
    rho: float = Field(default=0.02, gt=0)
    """Bound on an element's update as a multiple of the learning rate."""
    eps: float = Field(default=1e-12, ge=1e-30)
    """The least curvature that is divided by."""
    hessian_interval: int = Field(default=10, ge=1)
    """Updates from one estimate of the curvature to the next."""
    hessian_batch_ratio: float = Field(default=0.25, gt=0, le=1)
    """Share of an update's rows that the curvature is estimated on."""
    noise: Distribution = "rademacher"
    """What the estimate's random vector is drawn from; Rademacher's has the smaller variance."""
    estimator: Literal["exact", "finite_difference"] = "exact"
    """A second backward pass, or the difference of two gradients, which takes less memory and any attention kernel."""

    def build(self, model: LayeredModel, seed: int) -> RunningSophiaH:
        """The optimizer over the parameters of ``model``, with noise from ``seed``."""
        groups = parameter_groups(model, self.lr, self.head_lr or self.lr, self.weight_decay, self.layer_decay)
        return RunningSophiaH(groups, self, seed)


class RunningSophiaH(torch.optim.Optimizer):
    """SophiaH at work; it is a :class:`~mtsearch.optimizers.contract.NeedsCurvature`.

    Of each parameter it keeps ``momentum``, ``curvature`` (already corrected for its start) and ``estimates``, how
    many went into that; of each group ``updates``, the steps so far.

    Args:
        groups: with ``lr`` and ``weight_decay`` in each.
        config: the other settings.
        seed: of the noise.
    """

    def __init__(self, groups: list[dict[str, Any]], config: SophiaH, seed: int) -> None:
        super().__init__(groups, {"updates": 0})
        self._config = config
        self._seed = seed
        self._clipped: list[Tensor] = []
        self._curvatures: list[Tensor] = []
        self._is_measuring = False

    @property
    def hessian_batch_ratio(self) -> float:
        return self._config.hessian_batch_ratio

    @property
    def _updates(self) -> int:
        return int(self.param_groups[0]["updates"])

    def curvature_is_due(self) -> bool:
        return self._updates % self._config.hessian_interval == 0

    @torch.no_grad()
    def estimate_curvature(
        self, loss: Callable[[], Tensor], reduce: Callable[[list[Tensor]], None] | None = None
    ) -> None:
        parameters: list[Tensor] = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        noise = draw_noise(parameters, self._config.noise, (self._seed, self._updates))
        product = exact_product if self._config.estimator == "exact" else difference_product
        products = product(loss, parameters, noise)
        if reduce is not None:
            products = _over_processes(products, parameters, reduce)
        beta2 = self._config.beta2
        for parameter, u, Hu in zip(parameters, noise, products, strict=True):
            if Hu is None:  # another task's head
                continue
            state = self._state_of(parameter)
            state["estimates"] += 1
            # With this weight a running mean is the one that is corrected for its start.
            state["curvature"].lerp_(u.mul_(Hu), (1 - beta2) / (1 - beta2 ** state["estimates"]))
        known = [state["curvature"] for state in self.state.values() if state["estimates"]]
        if known:
            total = torch.stack([curvature.sum() for curvature in known]).sum()
            self._curvatures.append(total / sum(curvature.numel() for curvature in known))
        self._is_measuring = True

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        counts: list[Tensor] = []
        for group in self.param_groups:
            group["updates"] += 1
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [self._state_of(parameter) for parameter in moving]
            rows: list[tuple[Tensor, ...]] = [
                (p, p.grad, s["momentum"], s["curvature"]) for p, s in zip(moving, states, strict=True)
            ]
            for parameters, gradients, momenta, curvatures in _blocks(rows):
                torch._foreach_lerp_(momenta, gradients, 1 - self._config.beta1)
                steps = torch._foreach_div(momenta, torch._foreach_clamp_min(curvatures, self._config.eps))
                if self._is_measuring:
                    counts += [_count_clipped(step, self._config.rho) for step in steps]
                torch._foreach_clamp_min_(steps, -self._config.rho)
                torch._foreach_clamp_max_(steps, self._config.rho)
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, steps, alpha=-group["lr"])
        if counts:
            clipped, moved = torch.stack(counts).sum(0)
            self._clipped.append(clipped / moved.clamp_min(1))
        self._is_measuring = False
        return loss

    def measured(self) -> dict[str, float]:
        """Means over the estimates since the last call.

        ``clipped_fraction`` is the share of elements whose step was cut to the bound, of all that moved, in the
        updates that followed an estimate at once; ``mean_hessian`` the mean of ĥ over the elements that have one.
        """
        logged = {"clipped_fraction": self._clipped, "mean_hessian": self._curvatures}
        means = {name: float(torch.stack(values).mean()) for name, values in logged.items() if values}
        self._clipped, self._curvatures = [], []
        return means

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:  # its first estimate or gradient, which may come late: a thawed layer's, another task's
            state["momentum"] = torch.zeros_like(parameter)
            state["curvature"] = torch.zeros_like(parameter)
            state["estimates"] = 0
        return state


def _blocks(rows: list[tuple[Tensor, ...]]) -> Iterator[tuple[list[Tensor], ...]]:
    """The same tensors in lists to go through at a time: on a GPU all, on a CPU pieces that stay in its cache."""
    if not rows:
        return
    if rows[0][0].device.type != "cpu":
        yield tuple(list(column) for column in zip(*rows, strict=True))
        return
    for row in rows:
        if row[0].numel() <= _CACHED_ELEMENTS:
            yield tuple([tensor] for tensor in row)
            continue
        length = max(1, _CACHED_ELEMENTS // row[0][0].numel())
        for pieces in zip(*(torch.split(tensor, length) for tensor in row), strict=True):
            yield tuple([piece] for piece in pieces)


def _count_clipped(step: Tensor, rho: float) -> Tensor:
    """How many elements are beyond the bound, and how many move at all: [2]."""
    return torch.stack([(step.abs() > rho).sum(), step.count_nonzero()])


def _over_processes(
    products: list[Tensor | None], parameters: list[Tensor], reduce: Callable[[list[Tensor]], None]
) -> list[Tensor | None]:
    """The sum over all processes; None for a parameter that occurs in no process's loss."""
    occurs = torch.tensor([float(product is not None) for product in products], device=parameters[0].device)
    sums = [
        torch.zeros_like(p) if product is None else product.clone(memory_format=torch.contiguous_format)
        for p, product in zip(parameters, products, strict=True)
    ]
    reduce([*sums, occurs])
    return [total if count else None for total, count in zip(sums, occurs.tolist(), strict=True)]
