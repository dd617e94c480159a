"""L0 regularisation of attention heads by hard concrete gates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from mtsearch.config.base import Frozen, NameOrPath
from mtsearch.model.extension import Host, Role
from mtsearch.pruning.contract import CLOSED_AT_MOST, HeadGates, RunningPruning

__all__ = ["L0", "HardConcreteGates", "noiseless", "open_probability", "sampled"]

TEMPERATURE, LEFT, RIGHT = 0.33, -0.1, 1.1  # β, l and r of the hard concrete distribution

_SHIFT = TEMPERATURE * math.log(-LEFT / RIGHT)  # where between closed and open the stretched sample crosses zero


class L0(Frozen):
    """A gate on every attention head, closed by an L0 penalty (Louizos et al. 2018, arXiv 1712.01312).

    ::

        s = σ((logit u + α) / β),  u ~ U(0, 1)          in an evaluation s = σ(α)
        z = min(1, max(0, s (r - l) + l))               β = 0.33, l = -0.1, r = 1.1
        P(z > 0) = σ(α - β log(-l / r))

    z multiplies the context vectors of an attention head before the layer's output projection: one draw for each
    attention head and batch while training. Added to the tasks' losses is ``strength`` times the mean over the
    layers of the expected number of open attention heads of a layer, Σ P(z > 0) / N; or, for ``target_sparsity`` t
    and the expected share s of closed ones, λ₁ (s - t) + λ₂ (s - t)², whose multipliers start at 0 and climb by
    gradient ascent at the gates' own rate (Wang et al. 2020, arXiv 1910.04732; CoFi, arXiv 2204.00408). The penalty
    is no part of loss weighting, surgery or clipping.

    With a target, evaluations close the attention heads of the lowest α, as many as are expected to be closed, as
    CoFi does; else a gate that is open half of the time in training would be ajar in every evaluation, and far more
    attention heads open than were asked for.

    The gates' α learn by an Adam of their own without decay or schedule, and so move by about ``lr`` in an update,
    however strong the penalty is. With a strength an attention head is closed in an evaluation once α is below -2.39,
    and one that starts open with 0.95 starts at α = 2.15: with ``lr`` 1e-3 nothing can close before update 4,540. A
    run of U updates (of gates of a task's own: that serve the task) wants ``lr`` at about 20 / U, or an
    ``initial_open_ratio`` nearer to 0.5, at which α starts at -0.79. A target wants 40 / U, and some 600 updates for
    each set of gates: in fewer its multipliers overshoot.

    As in any trial, the best evaluation is that of the best score, and its weights are those that are exported: it may
    be an early one, with more attention heads open than in the end. The constraint ``open_heads <= 0.5`` in
    ``search.constraints`` has it be the best of those with at most half of them open.
    """

    name: Literal["l0"] = "l0"
    strength: float | None = Field(default=None, ge=0)
    """Factor of the expected number of open attention heads in a layer; null where a target sparsity replaces it.

    On MiniLM with three sentence tasks 0.001 closed few attention heads, 0.01 half of them, and 0.1 all.
    """
    target_sparsity: float | None = Field(default=None, gt=0, lt=1)
    """Share of the attention heads to be closed; null leaves it to the strength."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs over which the strength, or the target, rises from 0."""
    initial_open_ratio: float = Field(default=0.95, gt=0, lt=1)
    """The probability that a gate is not wholly closed, P(z > 0), at the start."""
    lr: float = Field(default=1e-3, gt=0, le=1)
    """Learning rate of the gates and of the multipliers, per update: about how far α moves in one."""
    scope: Literal["shared", "per_task"] = "shared"
    """One set of gates for all tasks, or one for each, which only its own task's updates move."""
    mode: Literal["dynamic", "static"] = "dynamic"
    """Prune while training from the start, or prune a trained model (``source``) with its task heads frozen."""
    source: NameOrPath | None = Field(default=None, min_length=1)
    """The trained model of the static mode: a checkpoint, or a run folder, whose best trial's checkpoint is taken."""

    @model_validator(mode="after")
    def _one_thing_decides_how_many(self) -> L0:
        if self.strength is None and self.target_sparsity is None:
            raise ValueError("one of strength and target_sparsity must be given, but got neither")
        if self.strength is not None and self.target_sparsity is not None:
            raise ValueError("target_sparsity replaces strength, but got both; leave one out")
        return self

    @model_validator(mode="after")
    def _static_pruning_has_a_source(self) -> L0:
        if self.mode == "static" and self.source is None:
            raise ValueError("mode static prunes a trained model; name its run folder or checkpoint as source")
        if self.mode == "dynamic" and self.source is not None:
            raise ValueError("mode dynamic starts anew and takes no source; leave it out, or choose mode static")
        return self

    def build(self, host: Host) -> HeadGates:
        """The gates."""
        return HardConcreteGates(self, host)

    def check(self, updates_per_epoch: Sequence[int], share_of_task: float) -> list[str]:
        """Whether the gates have the time to close, and the strength to become whole."""
        warnings = []
        closing = math.ceil((self.initial_alpha - _alpha_of_gate(CLOSED_AT_MOST)) / self.lr)
        share, whose = (share_of_task, " of each task") if self.scope == "per_task" else (1.0, "")
        updates = round(share * sum(updates_per_epoch))
        if closing > updates:
            warnings.append(
                f"pruning.lr: no attention head is likely to close: on its way from initial_open_ratio "
                f"{self.initial_open_ratio:g} a gate takes about {closing:,} updates at lr {self.lr:g}, and there are "
                f"{updates:,}{whose}; take a larger lr, or a smaller initial_open_ratio"
            )
        if self.warmup_epochs > len(updates_per_epoch):
            warnings.append(
                f"pruning.warmup_epochs: the penalty is whole after {self.warmup_epochs:g} epochs, and there are "
                f"{len(updates_per_epoch)}"
            )
        return warnings

    @property
    def initial_alpha(self) -> float:
        """The α at which a gate is open with probability ``initial_open_ratio``."""
        return math.log(self.initial_open_ratio / (1 - self.initial_open_ratio)) + _SHIFT


def sampled(alpha: Tensor, noise: Tensor) -> Tensor:
    """The gates z of a training pass.

    Args:
        alpha: of any shape.
        noise: of the same shape, uniform in [0, 1); 0 closes the gate.
    """
    return _stretched(torch.sigmoid((torch.logit(noise) + alpha) / TEMPERATURE))


def noiseless(alpha: Tensor) -> Tensor:
    """The gates z of an evaluation."""
    return _stretched(torch.sigmoid(alpha))


def open_probability(alpha: Tensor) -> Tensor:
    """The probability that a sampled gate is not wholly closed, P(z > 0)."""
    return torch.sigmoid(alpha - _SHIFT)


def _stretched(s: Tensor) -> Tensor:
    return (s * (RIGHT - LEFT) + LEFT).clamp(0, 1)


def _alpha_of_gate(z: float) -> float:
    """The α whose gate in an evaluation is z, in (0, 1)."""
    s = (z - LEFT) / (RIGHT - LEFT)
    return math.log(s / (1 - s))


class HardConcreteGates(nn.Module):
    """The gates; their parameters are ``alphas.TASK``, or ``alphas.shared``, [N, H] each.

    All gates of a pass are drawn before its first layer, from the generators that dropout draws from: what replays
    those draws the same gates.

    Args:
        config: the method.
        host: the encoder.

    Raises:
        EncoderError: the encoder is of a family whose attention heads we do not know.
    """

    lowest_depth = 1

    def __init__(self, config: L0, host: Host) -> None:
        super().__init__()
        layers = host.sublayers("pruning")
        self.tasks: tuple[str, ...] = host.tasks if config.scope == "per_task" else ("",)
        self._config = config
        self._serving = host.serving
        self._num_heads = layers[0].num_heads
        self._of_pass_NH: Tensor | None = None
        size = len(layers), self._num_heads
        self.alphas = nn.ParameterDict(
            {task or "shared": nn.Parameter(torch.full(size, config.initial_alpha)) for task in self.tasks}
        )
        host.encoder.register_forward_pre_hook(self._begin)
        host.encoder.register_forward_hook(self._end)
        self._layers_of: defaultdict[nn.Module, list[int]] = defaultdict(list)
        for number, layer in enumerate(layers):
            self._layers_of[layer.attention_output].append(number)
        for module in self._layers_of:
            module.register_forward_pre_hook(self._multiply)

    def alpha(self, task: str) -> Tensor:
        """A task's parameter, or the one that all share."""
        alpha: Tensor = self.alphas["shared" if self.tasks == ("",) else task]
        return alpha

    def evaluated(self, task: str) -> Tensor:
        return self._of_evaluation(self.alpha(task).detach())

    def start(self, updates_per_epoch: Sequence[int]) -> RunningPruning:
        return _RunningL0(self._config, self, updates_per_epoch)

    def roles(self) -> Mapping[str, Role]:
        return {f"alphas.{task or 'shared'}": Role(task=task or None, is_stepped_elsewhere=True) for task in self.tasks}

    def penalty(self) -> Tensor | None:
        """Nothing: what the gates cost does not depend on the rows, and is added in their own step."""
        return None

    def measured(self) -> Iterable[tuple[str, str, float]]:
        """Nothing: their training measures them."""
        return ()

    def _of_evaluation(self, alpha_NH: Tensor) -> Tensor:
        gates_NH = noiseless(alpha_NH)
        if self._config.target_sparsity is None:
            return gates_NH
        num_closed = (1 - open_probability(alpha_NH)).sum().round()
        ranks_NH = alpha_NH.flatten().argsort(stable=True).argsort().view_as(alpha_NH)
        return gates_NH * (ranks_NH >= num_closed)

    def _begin(self, encoder: nn.Module, args: Any) -> None:
        self._of_pass_NH = None
        if self._serving.is_under_way:
            alpha_NH = self.alpha(self._serving.task)
            if self.training:
                self._of_pass_NH = sampled(alpha_NH, torch.rand_like(alpha_NH))
            else:
                self._of_pass_NH = self._of_evaluation(alpha_NH)

    def _end(self, encoder: nn.Module, args: Any, output: Any) -> None:
        self._of_pass_NH = None  # and with it its graph

    def _multiply(self, projection: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._of_pass_NH is None:
            return None
        context_BLD, *rest = args
        layer = self._layers_of[projection][self._serving.nth_call(self, projection)]
        gates_H1 = self._of_pass_NH[layer, :, None].to(context_BLD.dtype)
        context_BLHD = context_BLD.view(*context_BLD.shape[:-1], self._num_heads, -1)
        return (context_BLHD * gates_H1).flatten(-2), *rest


class _RunningL0:
    def __init__(self, config: L0, gates: HardConcreteGates, updates_per_epoch: Sequence[int]) -> None:
        self.gates = gates
        self._config = config
        self._warmup_updates = _updates_within(updates_per_epoch, config.warmup_epochs)
        self._share = 0.0  # of the strength or the target, in the last update
        groups: list[dict[str, Any]] = [{"params": list(gates.parameters())}]
        self._multipliers: dict[str, Tensor] = {}
        if config.target_sparsity is not None:
            some = gates.alpha(gates.tasks[0])
            self._multipliers = {task: some.new_zeros(2).requires_grad_() for task in gates.tasks}
            groups.append({"params": list(self._multipliers.values()), "maximize": True})
        self._adam = torch.optim.Adam(groups, lr=config.lr)

    def step(self, tasks: Sequence[str], updates_done: int, scaler: torch.amp.GradScaler | None) -> None:
        self._share = min(1.0, (updates_done + 1) / max(1.0, self._warmup_updates))
        if scaler is not None:
            scaler.unscale_(self._adam)
        served = [task for task in self.gates.tasks if task in ("", *tasks)]
        torch.stack([self._penalty(task) for task in served]).sum().backward()  # type: ignore[no-untyped-call]
        if scaler is not None:
            scaler.step(self._adam)  # unless the gradient overflowed
        else:
            self._adam.step()
        self._adam.zero_grad()

    def _penalty(self, task: str) -> Tensor:
        open_NH = open_probability(self.gates.alpha(task))
        if self._config.target_sparsity is None:
            assert self._config.strength is not None
            return open_NH.sum(1).mean() * (self._share * self._config.strength)
        distance = (1 - open_NH.mean()) - self._share * self._config.target_sparsity
        linear, quadratic = self._multipliers[task].unbind()
        return linear * distance + quadratic * distance.square()

    def measured(self) -> Iterator[tuple[str, str, float]]:
        """The expected share of open attention heads, and what bears on it.

        That is ``pruning_strength``, or ``target_sparsity`` with its multipliers ``lambda1`` and ``lambda2``.
        """
        open_ratios = {t: float(open_probability(self.gates.alpha(t).detach()).mean()) for t in self.gates.tasks}
        yield "", "expected_open_heads", sum(open_ratios.values()) / len(open_ratios)
        yield from ((task, "expected_open_heads", ratio) for task, ratio in open_ratios.items() if task)
        if self._config.strength is not None:
            yield "", "pruning_strength", self._share * self._config.strength
        if self._config.target_sparsity is not None:
            yield "", "target_sparsity", self._share * self._config.target_sparsity
        for task, multipliers in self._multipliers.items():
            linear, quadratic = multipliers.tolist()
            yield task, "lambda1", linear
            yield task, "lambda2", quadratic

    def tensors(self) -> dict[str, Tensor]:
        names = list(self._named())
        moments = {
            f"{names[number]}.{key}": tensor
            for number, state in self._adam.state_dict()["state"].items()
            for key, tensor in state.items()
        }
        multipliers = {f"multipliers.{task or 'shared'}": x.detach() for task, x in self._multipliers.items()}
        return {**moments, **multipliers}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        numbers = {name: number for number, name in enumerate(self._named())}
        states: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        for full_name, tensor in tensors.items():
            name, _, key = full_name.rpartition(".")
            if name in numbers:
                states[numbers[name]][key] = tensor
        self._adam.load_state_dict({"state": dict(states), "param_groups": self._adam.state_dict()["param_groups"]})
        with torch.no_grad():
            for task, multipliers in self._multipliers.items():
                multipliers.copy_(tensors[f"multipliers.{task or 'shared'}"])

    def _named(self) -> Iterator[str]:
        """The names of what Adam steps, in its order."""
        yield from (name for name, _ in self.gates.named_parameters())
        yield from (f"multipliers.{task or 'shared'}" for task in self._multipliers)


def _updates_within(updates_per_epoch: Sequence[int], epochs: float) -> float:
    """The updates in so many epochs; beyond the last one epochs are as long as that."""
    whole = min(int(epochs), len(updates_per_epoch) - 1)
    return sum(updates_per_epoch[:whole]) + (epochs - whole) * updates_per_epoch[whole]
