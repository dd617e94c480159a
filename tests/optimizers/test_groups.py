"""Parameter groups: rates by part and depth, decay by shape, frozen parameters kept."""

from __future__ import annotations

import pytest

from mtsearch.optimizers import AdamW, SophiaH
from mtsearch.optimizers.groups import parameter_groups
from tests.optimizers.models import SmallModel


def rates(layer_decay: float) -> dict[tuple[str, int], float]:
    groups = parameter_groups(SmallModel(), 1.0, 5.0, 0.1, layer_decay)
    return {(group["part"], group["depth"]): group["lr"] for group in groups}


def test_each_layer_learns_slower_than_the_one_above_and_embeddings_slowest() -> None:
    assert rates(0.5) == {("encoder", 0): 0.25, ("encoder", 1): 0.5, ("encoder", 2): 1.0, ("head", 3): 5.0}


def test_without_layer_decay_all_layers_learn_alike() -> None:
    assert rates(1.0) == {("encoder", 0): 1.0, ("encoder", 1): 1.0, ("encoder", 2): 1.0, ("head", 3): 5.0}


def test_biases_and_norms_do_not_decay() -> None:
    for group in parameter_groups(SmallModel(), 1.0, 1.0, 0.1, 1.0):
        for name in group["names"]:
            spared = "norm" in name or name.endswith("bias")
            assert group["weight_decay"] == (0.0 if spared else 0.1), name


def test_every_parameter_is_in_one_group_frozen_or_not() -> None:
    model = SmallModel()
    model.encoder.requires_grad_(False)
    groups = parameter_groups(model, 1.0, 1.0, 0.1, 1.0)
    assert sorted(name for group in groups for name in group["names"]) == sorted(dict(model.named_parameters()))
    named = dict(model.named_parameters())
    assert all(named[n] is p for group in groups for n, p in zip(group["names"], group["params"], strict=True))


def test_groups_come_from_bottom_to_top() -> None:
    depths = [group["depth"] for group in parameter_groups(SmallModel(), 1.0, 1.0, 0.1, 1.0)]
    assert depths == sorted(depths)


@pytest.mark.parametrize("kind", [AdamW, SophiaH])
def test_every_optimizer_gives_heads_their_own_rate_and_layers_their_decay(kind: type[AdamW] | type[SophiaH]) -> None:
    optimizer = kind(lr=1e-3, head_lr=1e-2, layer_decay=0.5).build(SmallModel(), seed=0)
    found = {(group["part"], group["depth"]): group["lr"] for group in optimizer.param_groups}
    assert found == {("encoder", 0): 2.5e-4, ("encoder", 1): 5e-4, ("encoder", 2): 1e-3, ("head", 3): 1e-2}
    same = kind(lr=1e-3).build(SmallModel(), seed=0)
    assert {group["lr"] for group in same.param_groups} == {1e-3}
