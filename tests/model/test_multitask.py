"""Extensions of the encoder in the model: at work in its passes alone, each parameter in its role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtsearch.data.batching import Batch, Inputs
from mtsearch.model.extension import Host, Role
from mtsearch.model.layers import find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.serving import Serving
from mtsearch.optimizers.groups import parameter_groups
from mtsearch.tasks.contract import Encoded, Logits
from mtsearch.training.thawing import Thawing
from mtsearch.unfreezing import Everything, Layers
from tests.model.test_layers import tiny


class Head(nn.Module):
    """The mean token, scored."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(32, 1)

    def forward(self, sequence: Encoded) -> Logits:
        return Logits(self.score(sequence.tokens_BLD.mean(1)).squeeze(-1))


class Shift(nn.Module):
    """Adds a vector of each task's own to what the lower of two layers gives."""

    lowest_depth = 1

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.by_task = nn.ParameterDict({task: nn.Parameter(torch.ones(32)) for task in host.tasks})
        self.copy = nn.Parameter(torch.zeros(2, 2))
        self.gate = nn.Parameter(torch.zeros(2))

        def add(module: nn.Module, args: Any, output: Any) -> Any:
            if not host.serving.is_under_way:
                return output
            states = output[0] if isinstance(output, tuple) else output
            moved = states + self.by_task[host.serving.task]
            return (moved, *output[1:]) if isinstance(output, tuple) else moved

        host.layers.layers[0].register_forward_hook(add)

    def roles(self) -> Mapping[str, Role]:
        return {
            **{f"by_task.{task}": Role(task=task) for task in self.by_task},
            "copy": Role(depth=1, is_pretrained=True),
            "gate": Role(is_stepped_elsewhere=True),
        }

    def penalty(self) -> Tensor | None:
        return None

    def measured(self) -> Iterable[tuple[str, str, float]]:
        return ()


def build() -> MultitaskModel:
    encoder = tiny("bert")
    host = Host(encoder, find_layers(encoder), Serving(), ("one", "two"), 7)
    return MultitaskModel(
        encoder, {task: Head() for task in host.tasks}, host.layers, {"shift": Shift(host)}, host.serving
    ).eval()


def batch(task: str) -> Batch:
    ids = torch.arange(5, 13).view(2, 4)
    return Batch(task, np.arange(2), (Inputs(ids, torch.ones_like(ids)),), {})


def test_an_extension_knows_the_task_and_leaves_the_bare_encoder_alone() -> None:
    model = build()
    ids = batch("one").inputs[0]
    bare = model.encoder(**ids.arguments()).last_hidden_state
    with torch.no_grad():
        model.extensions["shift"].by_task["one"].zero_()
        plain = MultitaskModel(model.encoder, {"one": model.heads["one"]}).eval()
        assert torch.equal(model(batch("one")).values, plain(batch("one")).values)
        assert not torch.allclose(
            model(batch("two")).values, model.heads["two"](Encoded(bare, ids.mask_BL, None)).values
        )
        model.extensions["shift"].by_task["two"].zero_()
        assert torch.equal(model(batch("two")).values, model.heads["two"](Encoded(bare, ids.mask_BL, None)).values)


def test_each_parameter_of_an_extension_has_its_depth_rate_and_task() -> None:
    model = build()
    assert {name: depth for name, depth in model.depths.items() if "shift" in name} == {
        "extensions.shift.by_task.one": 3,
        "extensions.shift.by_task.two": 3,
        "extensions.shift.copy": 1,
    }
    rates = {
        name: group["lr"]
        for group in parameter_groups(model, lr=1.0, head_lr=2.0, weight_decay=0.0, layer_decay=1.0)
        for name in group["names"]
    }
    assert rates["extensions.shift.by_task.one"] == rates["heads.one.score.weight"] == 2.0
    assert rates["extensions.shift.copy"] == rates["encoder.embeddings.word_embeddings.weight"] == 1.0
    assert "extensions.shift.gate" not in rates
    served = [name for name, _ in model.named_parameters() if model.serves(name, ("two",)) and "encoder." not in name]
    assert served == [
        "extensions.shift.copy",
        "extensions.shift.gate",
        "extensions.shift.by_task.two",
        "heads.two.score.weight",
        "heads.two.score.bias",
    ]


def test_the_tasks_meet_in_the_encoder_and_in_what_they_all_train_of_an_extension() -> None:
    model = build()
    shared = {id(parameter) for parameter in model.shared_parameters}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in shared}
    assert names == {
        "extensions.shift.copy",
        *(f"encoder.{name}" for name, _ in model.encoder.named_parameters()),
    }


def test_nothing_is_kept_of_layers_that_an_extension_changes() -> None:
    model = build()
    thawing = Thawing(model, Layers(first=2), 1)
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "extensions.shift.copy" not in trains
    assert {"extensions.shift.by_task.one", "extensions.shift.gate"} <= trains
    assert (thawing.trainable, thawing.frozen_prefix) == ({2, 3}, 0)
    assert Thawing(build(), Everything(), 1).frozen_prefix is None


def test_an_extension_is_saved_with_the_model(tmp_path: Path) -> None:
    saved = build()
    with torch.no_grad():
        saved.extensions["shift"].by_task["one"].fill_(3.0)
    other = build()
    other.load_state_dict(saved.state_dict())
    assert torch.equal(other(batch("one")).values, saved(batch("one")).values)
