"""SMART's smoothness-inducing adversarial regularisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.data.batching import Batch, Inputs
from mtsearch.errors import ConfigError
from mtsearch.regularizers.contract import MeanPenalty, RunningRegularizer
from mtsearch.regularizers.replay import RandomState
from mtsearch.tasks.contract import Inventory, Logits, TaskKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Smart"]

_UNMOVED_STEP = 1e-3  # in logits: far above single precision's rounding, and still where the distance is quadratic


class Smart(Frozen):
    """Smoothness-inducing adversarial regularisation (Jiang et al. 2020, arXiv 1911.03437, section 3.1).

    weight · Σ distance(f(x + δ), f(x)) over the rows x, where δ is a small change of the word embeddings that moves
    the output f far: from noise, ``num_steps`` steps up the gradient of the distance. The distance is the task
    kind's: symmetric KL divergence for classes, squared error for numbers. δ itself is a constant; parameters
    learn from both sides of the distance.

    The perturbed passes draw the dropout masks that the clean pass drew. Fresh masks, as in the authors' code, would
    make the distance one between two draws of dropout, beside which the effect of δ is small, and would send the
    ascent after it. Passes in eval mode would need a clean pass of their own with its graph: 3.7 times the
    arithmetic of a plain step, against 2.7.

    Where we follow the authors' code (github.com/namisan/mt-dnn) rather than the paper: the gradient is divided by
    its norm token by token, not over the sequence; δ does not contain the noise that the first step starts from;
    and there is no projection, since δ cannot leave the ball of radius num_steps · step_size. Where we follow
    neither: the code takes each term's second distribution as constant, we the whole derivative.

    It costs an update one more pass forward and back for the penalty, and for each step one forward and half of one
    back, without the parameters' gradients.
    """

    weight: float = Field(default=1.0, ge=0)
    """What the distance is multiplied by (λ); 0 is plain training."""
    step_size: float = Field(default=1e-3, gt=0)
    """How far one step moves a token's embedding, in ``norm`` (η)."""
    noise_std: float = Field(default=1e-5, gt=0)
    """Standard deviation of the noise that the ascent starts from (σ); without noise the distance is flat."""
    num_steps: int = Field(default=1, ge=1, le=10)
    """Ascent steps."""
    norm: Literal["linf", "l2"] = "linf"
    """The norm by which a token's gradient is divided: the largest component, or the Euclidean length."""

    def build(self) -> RunningRegularizer:
        """The regulariser; it has no state of its own."""
        return _RunningSmart(self)


class _RunningSmart:
    name = "smart"

    def __init__(self, config: Smart) -> None:
        self._config = config
        self._mean = MeanPenalty()

    def penalty(
        self,
        model: nn.Module,
        batch: Batch,
        kind: TaskKind,
        inventory: Inventory,
        logits: Logits,
        random: RandomState,
    ) -> Tensor:
        clean = logits.detached()
        embeddings = _word_embeddings(model)
        # Two sequences per row go through the encoder in one pass.
        mask_BL = (batch.inputs[0] if len(batch.inputs) == 1 else Inputs.stack(batch.inputs)).mask_BL
        mask_BL1, weight = mask_BL.unsqueeze(-1), embeddings.weight
        noise_BLD = torch.randn(*mask_BL.shape, weight.shape[1], dtype=weight.dtype, device=weight.device)
        start = self._config.noise_std * mask_BL1 * noise_BLD
        delta_BLD = torch.zeros_like(start)
        for _ in range(self._config.num_steps):
            start = start.detach().requires_grad_()
            with _added(start, embeddings), random.replayed():
                perturbed: Logits = model(batch)
            gradient_BLD = _ascent(kind, inventory, perturbed, clean, start)
            start = delta_BLD = delta_BLD + self._config.step_size * mask_BL1 * self._normalised(gradient_BLD)
        with _added(delta_BLD, embeddings), random.replayed():
            perturbed = model(batch)
        penalty = self._config.weight * kind.distance(perturbed, logits, inventory)
        self._mean.add(penalty, len(batch.rows))
        return penalty

    def _normalised(self, gradient_BLD: Tensor) -> Tensor:
        order = 2 if self._config.norm == "l2" else float("inf")
        norm_BL1 = torch.linalg.vector_norm(gradient_BLD, order, dim=-1, keepdim=True)
        return _where_usable(norm_BL1, gradient_BLD / norm_BL1)

    def after_update(self, model: nn.Module) -> None:
        """Nothing is kept from one update to the next."""

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """There are none."""

    def measured(self) -> dict[str, float]:
        mean = self._mean.take()
        return {} if mean is None else {"smart_penalty": mean}


def _word_embeddings(model: nn.Module) -> nn.Embedding:
    encoder = cast("PreTrainedModel", model.get_submodule("encoder"))
    return cast(nn.Embedding, encoder.get_input_embeddings())


@contextmanager
def _added(delta_BLD: Tensor, embeddings: nn.Module) -> Iterator[None]:
    """Within it the word embeddings of every pass are moved by ``delta_BLD``."""

    def move(module: nn.Module, arguments: tuple[Any, ...], embedded_BLD: Tensor) -> Tensor:
        return embedded_BLD + delta_BLD

    handle = embeddings.register_forward_hook(move)
    try:
        yield
    finally:
        handle.remove()


def _ascent(kind: TaskKind, inventory: Inventory, perturbed: Logits, clean: Logits, start: Tensor) -> Tensor:
    """The gradient of the distance at ``start``, each row's by a factor of its own; zero where it has none.

    So close to the clean output the distance is of the order of 1e-10, and its gradient would vanish on its way back
    through half precision. Rows do not depend on one another and only the gradient's direction counts, so each row's
    gradient is brought to length 1 at the logits, before it goes back. No parameter's gradient is computed.
    """
    scores = perturbed.of_rows
    here = [_at_least_single(one.detach()).requires_grad_() for one in scores]
    there = [_at_least_single(one) for one in clean.of_rows]
    # Half precision may round the noise away and leave a row's output as it was (in bf16 every other regression row).
    # Noise leads the output anywhere, so such a row takes a direction at random here.
    unmoved_B = _by_rows([a == b for a, b in zip(here, there, strict=True)]).all(1)
    there = [one + _UNMOVED_STEP * torch.randn_like(one) * _like_rows(unmoved_B, one) for one in there]
    distance = kind.distance(perturbed.with_rows(here), clean.with_rows(there), inventory)
    by_scores = torch.autograd.grad(distance, here, materialize_grads=True)
    norm_B = torch.linalg.vector_norm(_by_rows(by_scores), dim=1)
    directions = [
        _where_usable(norm, gradient / norm).to(one.dtype)
        for one, gradient in zip(scores, by_scores, strict=True)
        for norm in [_like_rows(norm_B, gradient)]
    ]
    (gradient,) = torch.autograd.grad(scores, start, directions, allow_unused=True)
    if gradient is None:
        raise ConfigError(
            "regularizers.smart: needs the way back from the logits to the word embeddings, but the encoder's lower "
            "layers run without autograd or from a cache; switch that off, or smart"
        )
    return gradient


def _at_least_single(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _by_rows(many: Sequence[Tensor]) -> Tensor:
    """All of each row in [B, N]."""
    return torch.cat([one.reshape(len(one), -1) for one in many], 1)


def _like_rows(one_B: Tensor, many: Tensor) -> Tensor:
    """[B] in the shape of [B, ..] with ones for the rest."""
    return one_B.reshape(-1, *(1,) * (many.ndim - 1))


def _where_usable(norm: Tensor, divided: Tensor) -> Tensor:
    """``divided`` where the norm that it was divided by is positive and finite, else 0."""
    return torch.where((norm > 0) & norm.isfinite(), divided, 0.0)
