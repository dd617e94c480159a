"""Head gates in the training loop: what moves them, what must not, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import RunError
from mtsearch.pruning.l0 import noiseless, open_probability
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts
from mtsearch.training.precision import build_accelerator
from mtsearch.training.report import Report
from mtsearch.training.trace import heat_map
from mtsearch.training.updates import start_epoch, train_updates
from tests.training.test_updates import MIXED, TASKS, UNEVEN, FixedWeights, plan, uneven_update
from tests.training.trials import STILL, assert_equal, numbers, snapshot, values

Start = Callable[..., Parts]

L0: dict[str, Any] = {"name": "l0", "strength": 0.5, "lr": 0.05}
PER_TASK = {**L0, "scope": "per_task"}
PLATEAU = {"name": "plateau"}


def gates_of(parts: Parts) -> Any:
    assert parts.state.pruning is not None
    return parts.state.pruning.gates


@contextmanager
def without_noise(parts: Parts) -> Iterator[None]:
    """Inside, training passes have the gates of an evaluation."""
    gates = gates_of(parts)
    train = gates.train
    gates.train = lambda mode=True: train(False)
    yield
    gates.train = train


def gate_gradients(parts: Parts, update: Any) -> dict[str, Tensor]:
    """What the gates' own optimizer was shown in an update."""
    seen: dict[str, Tensor] = {}

    def look(*_: Any) -> None:
        seen.update({name: p.grad.clone() for name, p in gates_of(parts).alphas.items() if p.grad is not None})

    handle = parts.state.pruning._adam.register_step_pre_hook(look)  # type: ignore[union-attr]
    with without_noise(parts):
        train_updates(parts, [update])
    handle.remove()
    return seen


def expected_gradient(parts: Parts, update: Any, factors: dict[str, float], task: str, strength: float) -> Tensor:
    """Of the weighted mean losses, and of the strength times the expected open attention heads of a layer."""
    alpha = gates_of(parts).alpha(task)
    parts.state.model.eval()
    total = strength * open_probability(alpha).sum(1).mean()
    for name in {batch.task for batch in update}:
        own = parts.tasks[name]
        batch = own.splits["train"].batch(np.concatenate([b.rows for b in update if b.task == name]))
        loss = own.kind.loss(parts.state.model(batch), batch.targets, own.inventory)
        total = total + factors[name] * loss / own.kind.loss_weight(batch.targets, own.inventory)
    (gradient,) = torch.autograd.grad(total, [alpha])
    return gradient


@pytest.mark.parametrize("surgery", ["none", "pcgrad"])
@pytest.mark.parametrize("scope", ["shared", "per_task"])
def test_gates_descend_the_weighted_losses_and_their_penalty_past_surgery_and_clipping(
    start: Start, surgery: str, scope: str
) -> None:
    training = {**UNEVEN, "gradient_clip": 1e-6}
    pruning = {**L0, "scope": scope, "initial_open_ratio": 0.6}
    parts = start(**STILL, sampler=MIXED, surgery={"name": surgery}, training=training, pruning=pruning)
    factors = {"sentiment": 0.5, "paraphrase": 2.0, "similarity": 1.0}
    parts.state.weighting = FixedWeights(factors)
    update = uneven_update(parts)
    expected = {
        task or "shared": expected_gradient(parts, update, factors, task, 0.5) for task in gates_of(parts).tasks
    }
    found = gate_gradients(parts, update)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-7)
    assert all(parameter.grad is None for parameter in gates_of(parts).parameters())


def test_the_gates_of_tasks_that_an_update_does_not_serve_stay(start: Start) -> None:
    parts = start(pruning=PER_TASK)
    update = plan(parts)[0]
    (served,) = {batch.task for batch in update}
    before = {task: gates_of(parts).alpha(task).detach().clone() for task in TASKS}
    train_updates(parts, [update])
    moved = {task for task in TASKS if not torch.equal(gates_of(parts).alpha(task), before[task])}
    assert moved == {served}


def test_the_trials_optimizer_does_not_know_the_gates(start: Start) -> None:
    parts = start(pruning=L0)
    stepped = {id(parameter) for group in parts.state.optimizer.param_groups for parameter in group["params"]}
    assert not stepped & {id(parameter) for parameter in gates_of(parts).parameters()}


def passes(parts: Parts) -> list[Tensor]:
    """The gates of each pass of the model from now on."""
    gates, seen = gates_of(parts), []
    parts.state.model.encoder.register_forward_pre_hook(lambda *_: seen.append(gates._of_pass_NH.detach().clone()))
    return seen


def test_smart_draws_the_same_gates_for_its_perturbed_passes(start: Start) -> None:
    parts = start(pruning={**L0, "initial_open_ratio": 0.5}, regularizers={"smart": {"num_steps": 2}})
    seen = passes(parts)
    train_updates(parts, plan(parts)[:2])
    first, second = seen[:4], seen[4:]
    assert len(second) == 4
    assert all(torch.equal(gates, first[0]) for gates in first)
    assert all(torch.equal(gates, second[0]) for gates in second)
    assert not torch.equal(first[0], second[0])


def test_the_momentum_teacher_averages_the_gates_and_draws_none(start: Start) -> None:
    parts = start(pruning={**L0, "initial_open_ratio": 0.6}, regularizers={"proximal": {"momentum": 0.5}})
    alphas = [gates_of(parts).alpha("").detach().clone()]
    updates = plan(parts)
    train_updates(parts, updates[:1])
    alphas.append(gates_of(parts).alpha("").detach().clone())
    seen = passes(parts)
    train_updates(parts, updates[1:2])
    _, teacher = seen
    torch.testing.assert_close(teacher, noiseless((alphas[0] + alphas[1]) / 2))


@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
def test_an_estimate_of_curvature_leaves_the_gates_alone(start: Start, estimator: str) -> None:
    optimizer = {"name": "sophiah", "hessian_interval": 1, "estimator": estimator}
    parts = start(pruning={**L0, "initial_open_ratio": 0.6}, optimizer=optimizer, sampler=MIXED)
    alpha = gates_of(parts).alpha("")
    estimate, seen = parts.state.optimizer.optimizer.estimate_curvature, []

    def look(*arguments: Any) -> None:
        before = alpha.detach().clone(), alpha.grad.clone()
        estimate(*arguments)
        seen.append(torch.equal(alpha, before[0]) and torch.equal(alpha.grad, before[1]))

    parts.state.optimizer.optimizer.estimate_curvature = look
    train_updates(parts, plan(parts)[:2])
    assert seen == [True, True]


def test_measuring_interference_changes_no_bit_of_the_gates(start: Start) -> None:
    def run(interval: int | None) -> tuple[Any, Any]:
        parts = start(pruning=PER_TASK, sampler=MIXED, training={"interference_interval": interval})
        return numbers(list(fit(parts))), snapshot(parts.state.model)

    plain, measured = run(None), run(1)
    assert measured[0] == plain[0]
    assert_equal(measured[1], plain[1])


@pytest.mark.parametrize(
    "pruning",
    [
        {"name": "l0", "target_sparsity": 0.5, "lr": 0.05, "warmup_epochs": 1.0},
        {"name": "l0", "target_sparsity": 0.5, "lr": 0.05, "scope": "per_task"},
        PER_TASK,
    ],
)
def test_a_trial_that_was_interrupted_ends_with_the_same_gates(
    start: Start, pruning: dict[str, Any], tmp_path: Path
) -> None:
    whole = start(pruning=pruning)
    reports = list(fit(whole))
    cut = fit(start(tmp_path, pruning=pruning))
    next(cut)
    cut.close()
    resumed = start(resume=latest_checkpoint(tmp_path), pruning=pruning)
    *_, last = fit(resumed)
    assert numbers([last]) == numbers([reports[-1]])
    assert last.gates == reports[-1].gates
    assert_equal(snapshot(resumed.state.model), snapshot(whole.state.model))


def test_every_report_tells_the_gates_and_how_many_are_open(start: Start) -> None:
    parts = start(pruning=PER_TASK)
    with torch.no_grad():
        gates_of(parts).alpha("sentiment")[0, 1] = -9.0
    first, second = fit(parts)
    for report in (first, second):
        assert report.scores["sentiment.open_heads"] == 0.75
        assert report.scores["paraphrase.open_heads"] == report.scores["similarity.open_heads"] == 1.0
        assert report.scores["open_heads"] == 1.0  # each of them for some task
        assert values(report, "open_heads").keys() == {"", *TASKS}
        assert values(report, "expected_open_heads").keys() == {"", *TASKS}
        assert values(report, "pruning_strength") == {"": 0.5}
        assert list(report.gates) == list(TASKS)
        assert Report.from_json(report.to_json()) == report
    (lowest, upper) = second.gates["sentiment"]
    assert lowest[1] == 0.0
    assert all(0.5 < gate <= 1 for gate in (lowest[0], *upper))
    torch.testing.assert_close(
        torch.tensor(second.gates["similarity"]), gates_of(parts).evaluated("similarity"), atol=1e-6, rtol=0
    )


def test_without_pruning_there_are_no_gates_to_tell(start: Start) -> None:
    (report, _) = fit(start())
    assert report.gates == {}
    assert "open_heads" not in report.scores
    told = report.to_json()
    del told["gates"]  # a report of before there was pruning
    assert Report.from_json(told) == report


def test_a_heat_map_has_a_square_for_each_attention_head_with_the_lowest_layer_at_the_bottom() -> None:
    picture = heat_map([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    assert picture.shape == (2 * 24 + 1, 3 * 24 + 1)
    assert picture[12::24, 12::24].tolist() == [[255, 255, 255], [0, 255, 128]]
    assert set(picture[24].tolist()) == {128}


def test_tensorboard_has_a_picture_of_each_evaluation(start: Start, tmp_path: Path) -> None:
    list(fit(start(tmp_path, pruning=L0)))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["all/gates"]
    assert [image.step for image in events.Images("all/gates")] == [18, 36]
    assert {(image.width, image.height) for image in events.Images("all/gates")} == {(49, 49)}


@pytest.fixture
def source(start: Start, tmp_path: Path) -> Path:
    """The checkpoint of a trial that was trained for an epoch."""
    list(fit(start(tmp_path / "source", training={"epochs": 1})))
    return tmp_path / "source/checkpoints/evaluation-0001"


def static(source: Path | str, **settings: Any) -> dict[str, Any]:
    return {**L0, "mode": "static", "source": str(source), **settings}


def test_static_pruning_starts_from_the_trained_model_and_keeps_its_task_heads(
    start: Start, source: Path, tmp_path: Path
) -> None:
    parts = start(tmp_path / "pruned", pruning=static(source))
    trained = load_file(source / "model.safetensors")
    begun = snapshot(parts.state.model)
    assert_equal({name: begun[name] for name in trained}, trained)
    list(fit(parts))
    ended = snapshot(parts.state.model)
    assert {name for name in ended if torch.equal(ended[name], begun[name])} >= {n for n in ended if "heads." in n}
    assert not torch.equal(ended["extensions.pruning.alphas.shared"], begun["extensions.pruning.alphas.shared"])
    assert not torch.equal(ended[some := "encoder.encoder.layer.1.output.dense.weight"], begun[some])
    assert not any(module.training for module in parts.state.model.heads.modules())

    source.rename(tmp_path / "gone")  # a trial that goes on does not need it
    resumed = start(resume=latest_checkpoint(tmp_path / "pruned"), pruning=static(source))
    assert_equal(snapshot(resumed.state.model), ended)
    assert not any(parameter.requires_grad for parameter in resumed.state.model.heads.parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "sophiah"])
def test_the_gates_can_learn_alone(start: Start, source: Path, optimizer: str) -> None:
    unfreezing = {"name": "layers", "last": 0}
    parts = start(pruning=static(source), unfreezing=unfreezing, optimizer={"name": optimizer})
    begun = snapshot(parts.state.model)
    list(fit(parts))
    ended = snapshot(parts.state.model)
    assert [n for n in ended if not torch.equal(ended[n], begun[n])] == ["extensions.pruning.alphas.shared"]


def test_a_trained_model_may_have_more_tasks_and_its_gates_are_not_taken_over(
    start: Start, tmp_path: Path, tiny_config: Callable[..., dict[str, Any]]
) -> None:
    list(fit(start(tmp_path, training={"epochs": 1}, pruning={**PER_TASK, "initial_open_ratio": 0.3})))
    parts = start(
        tasks={"sentiment": tiny_config()["tasks"]["sentiment"]},
        pruning=static(tmp_path / "checkpoints/evaluation-0001"),
    )
    torch.testing.assert_close(open_probability(gates_of(parts).alpha("")), torch.full((2, 2), 0.95))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"encoder": {"pooling": "cls"}},
            r"must agree with the trial in encoder\.pooling, but .* has mean, the trial cls",
        ),
        ({"tasks": {"other": STILL["tasks"]["sentiment"]}}, "must have every task of the trial, but .* has no other"),
        (
            {"tasks": {"sentiment": {"kind": "regression", "data": "sst5"}}},
            r"in tasks\.sentiment\.kind, but .* has classification, the trial regression",
        ),
        (
            {"tasks": {"sentiment": {"kind": "classification", "data": "sst5", "head": {"hidden_layers": 2}}}},
            r"must be a model of this trial's form, but .* has no heads\.sentiment",
        ),
        ({"adapters": {"name": "pal", "rank": 24}}, r"but .* has no extensions\.adapters\..*that the source has"),
    ],
)
def test_a_model_of_another_form_is_refused(start: Start, source: Path, sections: Any, message: str) -> None:
    with pytest.raises(RunError, match=rf"^pruning\.source: .*{message}"):
        start(pruning=static(source), **sections)


def test_a_source_with_an_extension_that_the_trial_lacks_is_refused(start: Start, tmp_path: Path) -> None:
    list(fit(start(tmp_path, training={"epochs": 1}, adapters={"name": "pal", "rank": 12})))
    with pytest.raises(RunError, match=r"was trained with adapters, which the trial lacks; give the trial the same"):
        start(pruning=static(tmp_path / "checkpoints/evaluation-0001"))


def test_a_source_that_is_not_there_or_damaged_is_refused(start: Start, source: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"pruning\.source: .*nowhere: no such run folder"):
        start(pruning=static("nowhere"))
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"pruning\.source: the weights of .* cannot be read"):
        start(pruning=static(source))


def test_other_data_than_the_sources_is_refused(start: Start, source: Path) -> None:
    description = json.loads((source / "model.json").read_text())
    description["inventories"]["sentiment"]["labels"].reverse()
    (source / "model.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"trained on the trial's data, but .* has other labels of sentiment"):
        start(pruning=static(source))


def test_task_heads_that_stay_as_they_are_are_not_pretrained(tiny_config: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"training\.individual_pretraining: trains task heads, but those of"):
        TrialConfig.model_validate(
            tiny_config(pruning=static("runs/x"), training={"individual_pretraining": {"epochs": 1}})
        )


def test_a_frozen_encoder_is_not_cached_below_its_gates(start: Start) -> None:
    parts = start(pruning=L0, unfreezing={"name": "layers", "last": 0})
    start_epoch(parts)
    assert parts.state.thawing.frozen_prefix == 0


@pytest.mark.parametrize("trains", ["everything", "gates alone"])
def test_gradients_scaled_as_for_fp16_move_the_gates_as_plain_ones_do(
    start: Start, source: Path, trains: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = {"training": {"gradient_clip": None, "epochs": 1}, "pruning": static(source), "schedule": PLATEAU}
    if trains == "gates alone":
        sections["unfreezing"] = {"name": "layers", "last": 0}
    plain = start(**sections)
    reports = list(fit(plain))

    def scaling(*arguments: Any) -> Any:
        accelerator = build_accelerator(*arguments)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=5)
        return accelerator

    monkeypatch.setattr("mtsearch.training.parts.build_accelerator", scaling)
    scaled = start(**sections)
    reports += list(fit(scaled))
    torch.testing.assert_close(gates_of(scaled).alpha(""), gates_of(plain).alpha(""), rtol=1e-4, atol=1e-5)
    assert scaled.accelerator.scaler.get_scale() == 2.0**13  # it has grown three times in 18 updates
    assert reports[0].scores == pytest.approx(reports[1].scores, abs=1e-6)
