"""SMART's perturbation: where it goes, what it costs, and what is learned from it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtsearch.data.batching import Batch
from mtsearch.errors import ConfigError
from mtsearch.model.multitask import MultitaskModel
from mtsearch.regularizers import Smart
from mtsearch.regularizers.replay import RandomState
from mtsearch.tasks import Classification
from mtsearch.tasks.contract import Inventory, Logits, TaskKind
from tests.regularizers.tiny import (
    INVENTORY,
    KINDS,
    assert_is_gradient_of,
    build_batch,
    build_model,
    embedded,
    moved,
    token_mask,
)

CPU = torch.device("cpu")


def penalise(
    smart: Smart, model: MultitaskModel, batch: Batch, kind: TaskKind, *, autocast: bool = False
) -> tuple[Tensor, Tensor]:
    """The penalty of the regulariser, and the perturbation that it was taken at."""
    penalty, *perturbations = penalise_seen(smart, model, batch, kind, autocast=autocast)
    return penalty, perturbations[-1]


def penalise_seen(
    smart: Smart, model: MultitaskModel, batch: Batch, kind: TaskKind, *, autocast: bool = False
) -> list[Tensor]:
    """The penalty of the regulariser, and what each of its passes added to the embeddings."""
    random = RandomState.now(CPU)
    with embedded(model) as seen, torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        logits = model(batch)
        penalty = smart.build().penalty(model, batch, kind, INVENTORY, logits, random)
    return [penalty, *(embedded_BLD - seen[0] for embedded_BLD in seen[1:])]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_perturbation_moves_the_output_further_than_a_random_one_of_its_size(
    name: str, norm: Literal["linf", "l2"]
) -> None:
    kind, smart = KINDS[name], Smart(norm=norm)
    model = build_model(kind)
    order = 2 if norm == "l2" else float("inf")
    adversarial, random_ones = 0.0, 0.0
    for seed in range(6):
        batch = build_batch(kind, seed=seed)
        torch.manual_seed(seed)
        before = RandomState.now(CPU)
        penalty, delta_BLD = penalise(smart, model, batch, kind)
        noise_BLD = torch.randn_like(delta_BLD)
        noise_BLD *= torch.linalg.vector_norm(delta_BLD, order, -1, True) / torch.linalg.vector_norm(
            noise_BLD, order, -1, True
        )
        with before.replayed():
            clean = model(batch)
        with before.replayed(), moved(model, noise_BLD):
            perturbed = model(batch)
        adversarial += penalty.item()
        random_ones += kind.distance(perturbed, clean, INVENTORY).item()
    assert adversarial > 3 * random_ones > 0


@pytest.mark.parametrize("name", KINDS)
def test_every_token_is_moved_by_the_step_and_padding_not_at_all(name: str) -> None:
    kind = KINDS[name]
    batch = build_batch(kind)
    for norm, order in (("linf", float("inf")), ("l2", 2)):
        smart = Smart.model_validate({"norm": norm, "step_size": 0.01})
        _, delta_BLD = penalise(smart, build_model(kind), batch, kind)
        moved_BL = torch.linalg.vector_norm(delta_BLD, order, dim=-1)
        mask_BL = token_mask(batch)
        assert moved_BL.shape == mask_BL.shape
        torch.testing.assert_close(moved_BL[mask_BL], torch.full((int(mask_BL.sum()),), 0.01), rtol=1e-3, atol=0)
        assert not moved_BL[~mask_BL].any()


class Unmasked(nn.Module):
    """Pooling that lets padding have its say."""

    def forward(self, tokens_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        return tokens_BLD.mean(1)


def test_padding_is_not_moved_even_where_the_output_depends_on_it() -> None:
    kind = KINDS["siamese"]
    model, batch = build_model(kind), build_batch(kind)
    model.heads["task"].pool = Unmasked()
    for delta_BLD in penalise_seen(Smart(noise_std=0.1, step_size=0.1), model, batch, kind)[1:]:
        assert torch.equal(delta_BLD.any(-1), token_mask(batch))


def test_more_steps_go_further() -> None:
    kind = KINDS["classification"]
    model, batch = build_model(kind, dropout=0.0), build_batch(kind)
    one, three = (penalise(Smart(num_steps=steps), model, batch, kind)[0].item() for steps in (1, 3))
    assert three > 2 * one


@pytest.mark.parametrize("name", KINDS)
def test_a_step_too_small_for_the_number_format_costs_nothing_under_dropout(name: str) -> None:
    # Exactly nothing: the perturbed pass drew the clean one's dropout masks.
    kind = KINDS[name]
    smart = Smart(step_size=1e-30, noise_std=1e-30)
    penalty, _ = penalise(smart, build_model(kind, dropout=0.4), build_batch(kind), kind)
    assert penalty.item() == 0.0


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_rows_whose_output_the_noise_does_not_move_are_perturbed_all_the_same(name: str, autocast: bool) -> None:
    kind = KINDS[name]
    batch = build_batch(kind)
    smart = Smart(noise_std=1e-30, step_size=0.1)
    penalty, delta_BLD = penalise(smart, build_model(kind), batch, kind, autocast=autocast)
    assert penalty.dtype == torch.float32
    assert 0 < penalty.item() < float("inf")
    assert delta_BLD.abs().amax(-1)[token_mask(batch)].all()


class Unfathomable(Classification):
    """A task whose distance says nothing."""

    kind: Literal["unfathomable"] = "unfathomable"  # type: ignore[assignment]
    factor: float = 0.0

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        return super().distance(logits, reference, inventory) * torch.tensor(self.factor).log()


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0])  # times 0, NaN and -infinity
def test_no_direction_gives_no_perturbation(factor: float) -> None:
    kind = Unfathomable(data="x", factor=factor)
    _, delta_BLD = penalise(Smart(), build_model(kind), build_batch(kind), kind)
    assert not delta_BLD.any()


def test_the_penalty_is_linear_in_its_weight() -> None:
    kind = KINDS["regression"]
    model, batch = build_model(kind), build_batch(kind)
    found = []
    for weight in (1.0, 3.0):
        torch.manual_seed(1)
        found.append(penalise(Smart(weight=weight), model, batch, kind)[0].item())
    assert found[1] == pytest.approx(3 * found[0])


def test_the_ascent_leaves_no_gradient_and_no_hook() -> None:
    kind = KINDS["siamese"]
    model, batch = build_model(kind), build_batch(kind)
    penalty, _ = penalise(Smart(), model, batch, kind)
    assert all(parameter.grad is None for parameter in model.parameters())
    penalty.backward()  # type: ignore[no-untyped-call]
    # A pooled position or segment that no token has gets none; the layers all do.
    assert all(p.grad is not None and p.grad.any() for name, p in model.named_parameters() if ".value." in name)
    assert not model.get_submodule("encoder.embeddings.word_embeddings")._forward_hooks


@pytest.mark.parametrize("name", KINDS)
def test_parameters_learn_from_both_sides_of_the_distance(name: str) -> None:
    kind = KINDS[name]
    model, batch = build_model(kind).double(), build_batch(kind)
    torch.manual_seed(3)
    before = RandomState.now(CPU)
    penalty, delta_BLD = penalise(Smart(step_size=0.1), model, batch, kind)
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(penalty, list(parameters.values()), materialize_grads=True)

    def distance() -> Tensor:
        with before.replayed():
            clean = model(batch)
        with before.replayed(), moved(model, delta_BLD):
            return kind.distance(model(batch), clean, INVENTORY)

    assert distance().item() == pytest.approx(penalty.item(), rel=1e-9)
    assert_is_gradient_of(distance, dict(zip(parameters, found, strict=True)), model)


def test_the_ascent_computes_no_gradient_of_a_weight() -> None:
    kind = KINDS["classification"]
    model, batch, random = build_model(kind), build_batch(kind), RandomState.now(CPU)
    with FlopCounterMode(display=False) as forward:
        logits = model(batch)
    with FlopCounterMode(display=False) as penalty:
        Smart().build().penalty(model, batch, kind, INVENTORY, logits, random)
    # Forward, back to the embeddings alone, and forward again; with the weights' gradients it would be 4.
    assert penalty.get_total_flops() / forward.get_total_flops() == pytest.approx(3, abs=0.2)


def test_the_penalty_depends_on_the_generator_alone_and_moves_it_by_its_noise_alone() -> None:
    kind = KINDS["siamese"]
    model, batch = build_model(kind), build_batch(kind)
    found, after = [], []
    for mode in (True, True, False):
        torch.manual_seed(9)
        random = RandomState.now(CPU)
        logits = model.train(mode)(batch)
        torch.manual_seed(10)
        found.append(Smart().build().penalty(model, batch, kind, INVENTORY, logits, random).item())
        after.append(torch.rand(1))
    assert found[0] == found[1]
    assert after[0] == after[2]  # with dropout or without it


def test_frozen_layers_below_are_gone_through() -> None:
    kind = KINDS["classification"]
    model, batch = build_model(kind), build_batch(kind)
    model.get_submodule("encoder").requires_grad_(False)
    penalty, delta_BLD = penalise(Smart(), model, batch, kind)
    assert penalty.item() > 0
    assert delta_BLD.abs().amax(-1)[token_mask(batch)].all()


def test_layers_without_autograd_are_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["classification"]
    model, batch = build_model(kind), build_batch(kind)
    encoder = model.get_submodule("encoder")
    forward = encoder.forward

    def without_autograd(**inputs: Any) -> Any:
        with torch.no_grad():
            return forward(**inputs)

    monkeypatch.setattr(encoder, "forward", without_autograd)
    with pytest.raises(ConfigError, match=r"regularizers\.smart: needs the way back from the logits"):
        penalise(Smart(), model, batch, kind)
    assert not model.get_submodule("encoder.embeddings.word_embeddings")._forward_hooks
