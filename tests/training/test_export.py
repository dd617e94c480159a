"""An exported folder is the trained model, without the attention heads that are closed, and needs nothing else."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import RunError
from mtsearch.model.encoder import find_encoder
from mtsearch.training import export as export_module
from mtsearch.training.card import Origin
from mtsearch.training.checkpoint import save_checkpoint
from mtsearch.training.evaluate import evaluate_trial, prediction_table
from mtsearch.training.export import Exported, export
from mtsearch.training.exported import SEAL, seal, sha256
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.trained import TrainedModel
from tests.model.test_encoder import FAMILIES
from tests.model.test_layers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

OPEN, HALF, SHUT = 9.0, 0.0, -9.0  # values of α: gates of 1, 0.5 and 0
UNEVEN = [[OPEN, SHUT], [HALF, OPEN]]
ONE_LAYER_EMPTY = [[SHUT, SHUT], [OPEN, HALF]]
ALL_OPEN = [[OPEN, HALF], [HALF, OPEN]]
FP32 = {"precision": "fp32"}

Make = Callable[..., Path]


def of(parts: Parts, folder: Path, alphas: dict[str, list[list[float]]]) -> Path:
    """The checkpoint of a trial that has not been trained, with these gates."""
    if alphas:
        gates = parts.state.model.extensions["pruning"].alphas
        for task, values in alphas.items():
            gates[task].data.copy_(torch.tensor(values))  # type: ignore[index]
    parts.state.progress.finished = "enough"
    tables = [
        prediction_table(name, "dev", task.examples["dev"], evaluate_trial(parts, task).predictions)
        for name, task in parts.tasks.items()
    ]
    save_checkpoint(folder, parts.state, [], parts.description(), pd.concat(tables))
    return folder


@pytest.fixture(scope="module")
def make(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A checkpoint with gates as they are given; keyword arguments replace sections of the config."""

    def checkpoint(alphas: dict[str, list[list[float]]], **sections: Any) -> Path:
        pruning = {"name": "l0", "strength": 0.1, "scope": "shared" if "shared" in alphas else "per_task"}
        settings = {"training": FP32, **({"pruning": pruning} if alphas else {}), **sections}
        config = TrialConfig.model_validate(tiny_config(**settings))
        return of(build(config, Place(None, tiny_data)), tmp_path_factory.mktemp("trial") / "evaluation-0001", alphas)

    return checkpoint


@pytest.fixture(scope="module")
def uneven(make: Make) -> Path:
    """A checkpoint with one attention head closed."""
    return make({"shared": UNEVEN})


@pytest.fixture(scope="module")
def template(uneven: Path) -> Path:
    return export(uneven, uneven.with_name("out"), Origin()).folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """An export of it, to be spoilt."""
    return shutil.copytree(template, tmp_path / "out")


def family(name: str, tiny_encoder: Path, folder: Path) -> Path:
    """A tiny encoder of the family, beside the tiny tokenizer."""
    tiny(name, vocab_size=200).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_encoder / file, folder)
    return folder


def logits(model: TrainedModel, tiny_data: Path) -> dict[str, torch.Tensor]:
    """Of all dev examples of each task."""
    found = {}
    for task in model.config.tasks:
        examples = model.data(task, tiny_data).splits["dev"].examples
        batch = model._encoded(task, examples).batch(np.arange(len(examples)))
        with torch.inference_mode():
            found[task] = model.model(batch).values
    return found


def assert_same(checkpoint: Path, exported: Exported, tiny_data: Path) -> None:
    expected = logits(TrainedModel(checkpoint), tiny_data)
    given = logits(TrainedModel(exported.folder), tiny_data)
    assert given.keys() == expected.keys()
    for task, values in expected.items():
        torch.testing.assert_close(given[task], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alphas", [UNEVEN, ONE_LAYER_EMPTY, ALL_OPEN, [[SHUT, SHUT]] * 2])
def test_its_logits_are_those_of_the_gated_model(
    make: Make, tiny_data: Path, tmp_path: Path, alphas: list[list[float]]
) -> None:
    checkpoint = make({"shared": alphas})
    exported = export(checkpoint, tmp_path / "out", Origin())
    assert exported.cut is not None
    assert exported.cut.is_folded
    assert exported.cut.kept == tuple(tuple(i for i, a in enumerate(layer) if a > SHUT) for layer in alphas)
    assert exported.parameters[0] > exported.parameters[1]  # the gates' own, at least
    assert_same(checkpoint, exported, tiny_data)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "bert"])
def test_its_logits_are_those_of_the_gated_model_in_every_family(
    name: str, make: Make, tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    encoder = {"model": str(family(name, tiny_encoder, tmp_path / name)), "max_length": 32}
    checkpoint = make({"shared": UNEVEN}, encoder=encoder)
    exported = export(checkpoint, tmp_path / "out", Origin())
    assert exported.cut is not None
    # ALBERT's layers share their weights, and each of these heads is open in one of them.
    assert exported.cut.num_kept == (4 if name == "albert" else 3)
    assert exported.cut.is_folded == (name != "albert")
    assert_same(checkpoint, exported, tiny_data)


def test_a_model_that_lost_heads_in_training_is_the_same_without_them(
    tiny_config: Callable[..., dict[str, Any]], tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    encoder = tiny("bert", vocab_size=200, num_hidden_layers=3, num_attention_heads=4)
    encoder.save_pretrained(tmp_path / "encoder")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_encoder / file, tmp_path / "encoder")
    config = tiny_config(
        encoder={"model": str(tmp_path / "encoder")},
        training={**FP32, "epochs": 6},
        pruning={"name": "l0", "target_sparsity": 0.5, "lr": 0.1, "warmup_epochs": 2},
    )
    list(fit(build(TrialConfig.model_validate(config), Place(tmp_path / "trial", tiny_data))))
    checkpoint = tmp_path / "trial/checkpoints/evaluation-0006"
    exported = export(checkpoint, tmp_path / "out", Origin())
    assert exported.cut is not None
    assert len(set(map(len, exported.cut.kept))) > 1  # other numbers in other layers
    assert 0 < exported.cut.num_kept < 12
    assert_same(checkpoint, exported, tiny_data)


def test_gates_of_each_task_multiply_at_run_time(make: Make, tiny_data: Path, tmp_path: Path) -> None:
    alphas = {
        "sentiment": [[OPEN, SHUT], [SHUT, OPEN]],
        "paraphrase": [[HALF, SHUT], [SHUT, OPEN]],
        "similarity": [[OPEN, SHUT], [OPEN, SHUT]],
    }
    checkpoint = make(alphas)
    exported = export(checkpoint, tmp_path / "out", Origin())
    assert exported.cut is not None
    assert (exported.cut.kept, exported.cut.is_folded) == (((0,), (0, 1)), False)
    assert_same(checkpoint, exported, tiny_data)


def test_experts_and_adapters_go_along(make: Make, tiny_data: Path, tmp_path: Path) -> None:
    checkpoint = make(
        {"shared": UNEVEN},
        adapters={"name": "pal", "rank": 8, "attention_heads": 2},
        experts={"name": "feed_forward", "num_experts": 2},
    )
    exported = export(checkpoint, tmp_path / "out", Origin())
    assert_same(checkpoint, exported, tiny_data)
    assert "It is then without" not in (exported.folder / "README.md").read_text()  # heads are cut: it does not load


def test_tags_go_along(make: Make, tiny_gold: dict[str, Any], tiny_data: Path, tmp_path: Path) -> None:
    tags = {"name": "columns", "layers": "pos"}
    checkpoint = make({"shared": UNEVEN}, tags=tags, tasks=tiny_gold)
    exported = export(checkpoint, tmp_path / "out", Origin())
    assert any(name.startswith("extensions.tags.") for name in load_file(exported.folder / "heads.safetensors"))
    assert "they come from columns (section tags)" in (exported.folder / "README.md").read_text()
    assert_same(checkpoint, exported, tiny_data)


def test_it_needs_nothing_but_its_folder(make: Make, tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    checkpoint = make({"shared": UNEVEN}, encoder={"model": str(tmp_path / "encoder"), "max_length": 32})
    export(checkpoint, tmp_path / "out", Origin())
    expected = TrainedModel(checkpoint).predict("sentiment", ["a good film ."])
    shutil.rmtree(tmp_path / "encoder")
    shutil.rmtree(checkpoint)
    find_encoder.cache_clear()
    (tmp_path / "out").rename(tmp_path / "moved")
    given = TrainedModel(tmp_path / "moved").predict("sentiment", ["a good film ."])
    assert given[0]["prediction"] == expected[0]["prediction"]
    assert given[0]["probabilities"] == pytest.approx(expected[0]["probabilities"], abs=1e-5)


@pytest.mark.parametrize("alphas", [{}, {"shared": ALL_OPEN}])
def test_transformers_alone_loads_it_where_no_head_was_cut(
    make: Make, tmp_path: Path, alphas: dict[str, list[list[float]]]
) -> None:
    folder = export(make(alphas), tmp_path / "out", Origin()).folder
    encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    ours = TrainedModel(folder)
    inputs = AutoTokenizer.from_pretrained(folder)(["a good film .", "bad"], padding=True, return_tensors="pt")
    with torch.no_grad():
        given = encoder.eval()(**inputs).last_hidden_state
        assert torch.equal(given, ours.model.encoder(**inputs).last_hidden_state)
    card = (folder / "README.md").read_text()
    assert "also loads with transformers" in card
    assert ("All 4 attention heads are left" in card) == bool(alphas)


def test_transformers_alone_does_not_load_it_where_heads_were_cut(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="size"):
        AutoModel.from_pretrained(folder, add_pooling_layer=False)
    assert "cannot be loaded with transformers alone" in (folder / "README.md").read_text()


def test_the_manifest_tells_what_was_kept_and_what_the_files_are(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"]) == ("mtsearch export", 1)
    assert manifest["kept_attention_heads"] == [[0], [0, 1]]
    assert manifest["latency"]["ratio"] > 0
    assert sorted({*manifest["sha256"], "manifest.json", "README.md"}) == sorted(p.name for p in folder.iterdir())
    assert all(sha256(folder / name) == told for name, told in manifest["sha256"].items())
    tensors = load_file(folder / "heads.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"heads"}
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    assert set(manifest["config"]["tasks"]) == set(manifest["inventories"]) == set(manifest["data"])


# What may be wrong with an export, told in one line.


def change_manifest(folder: Path, **values: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def write_with_weights(folder: Path, **values: Any) -> None:
    """Another manifest, which the weights were written with."""
    change_manifest(folder, **values)
    manifest = json.loads((folder / "manifest.json").read_text())
    save_file(load_file(heads := folder / "heads.safetensors"), heads, metadata={SEAL: seal(manifest)})
    change_manifest(folder, sha256={**manifest["sha256"], heads.name: sha256(heads)})


def refused(folder: Path, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        TrainedModel(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "heads.safetensors", "config.json", "tokenizer.json"])
def test_a_file_that_was_changed_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-9] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, rf"{name}: is not the file that manifest\.json was written for; export the model again")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kept_attention_heads": [[1], [0, 1]]}, r"manifest\.json: is not as it was written with the weights"),
        ({"kept_attention_heads": None}, r"manifest\.json: is not as it was written with the weights"),
        ({"data": {}}, r"manifest\.json: is not as it was written with the weights; export the model again"),
        ({"version": 2}, "version 2 of the export format, but this mtsearch reads up to 1; install a newer one"),
        ({"version": "later"}, "must be that of an mtsearch export, but reading it gave: invalid literal"),
        ({"format": "other"}, "must be that of an mtsearch export, but reading it gave: its format is 'other'"),
        ({"sha256": {}}, r"sha256 must tell of model\.safetensors and heads\.safetensors"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(folder: Path, values: dict[str, Any], message: str) -> None:
    change_manifest(folder, **values)
    refused(folder, message)


@pytest.mark.parametrize("section", ["config", "inventories"])
def test_a_model_of_another_version_is_refused(folder: Path, section: str) -> None:
    write_with_weights(folder, **{section: {}})
    refused(folder, r"manifest\.json: must describe a model of this version")


def test_a_damaged_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    refused(folder, "must be that of an mtsearch export, but reading it gave: Expecting")


def rewrite(folder: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Other weights, of which the manifest knows."""
    manifest = json.loads((folder / "manifest.json").read_text())
    save_file(tensors, folder / name, metadata={SEAL: seal(manifest)})
    change_manifest(folder, sha256={**manifest["sha256"], name: sha256(folder / name)})


@pytest.mark.parametrize("kept", [[[0], [0, 2]], [[0]], [[0], [1, 0]]])
def test_heads_that_the_encoder_does_not_have_are_refused(folder: Path, kept: list[list[int]]) -> None:
    write_with_weights(folder, kept_attention_heads=kept)
    refused(folder, "kept_attention_heads must fit the encoder: ")


def test_kept_heads_that_are_not_the_weights_are_refused(folder: Path) -> None:
    write_with_weights(folder, kept_attention_heads=[[0], [0]])
    refused(
        folder,
        r"must hold the tensors of the model that manifest\.json describes, but 7 differ: "
        r"encoder\.layer\.1\.attention\.output\.dense\.weight should be \[32, 16\], and is \[32, 32\]",
    )


@pytest.mark.parametrize("change", ["shape", "missing", "extra"])
def test_shapes_that_do_not_match_are_refused(folder: Path, change: str) -> None:
    tensors = load_file(folder / "heads.safetensors")
    name = next(iter(sorted(tensors)))
    if change == "extra":
        tensors["heads.other"] = torch.zeros(2)
    elif change == "shape":
        tensors[name] = torch.zeros(3, 5)
    else:
        del tensors[name]
    rewrite(folder, "heads.safetensors", tensors)
    told = {"extra": r"heads\.other should be absent, and is \[2\]", "shape": r"and is \[3, 5\]", "missing": "absent"}
    refused(folder, rf"heads\.safetensors: must hold .*, but 1 differ: .*{told[change]}")


def test_a_pickle_is_not_loaded(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refused(
        folder, r"must hold model\.safetensors, but does not \(pytorch_model\.bin may be a pickle, .*never loaded\)"
    )


def test_a_missing_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    refused(folder, r"must hold tokenizer\.json, but does not")


def test_an_export_is_not_exported_again(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is an export already; copy it"):
        export(folder, tmp_path / "again", Origin())


# Where it is written.


def test_what_is_there_is_kept_unless_it_is_an_export_and_force_is_given(
    make: Make, folder: Path, tmp_path: Path
) -> None:
    checkpoint = make({"shared": ALL_OPEN})
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(RunError, match=r"must be new or empty, but holds an export; --force replaces it"):
        export(checkpoint, folder, Origin())
    assert (folder / "manifest.json").read_bytes() == before
    export(checkpoint, folder, Origin(), force=True)
    assert json.loads((folder / "manifest.json").read_text())["kept_attention_heads"] == [[0, 1], [0, 1]]

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(RunError, match=r"must be new or empty, but holds something else; choose another folder"):
        export(checkpoint, tmp_path / "mine", Origin(), force=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="must be new or empty"):
        export(checkpoint, tmp_path / "mine/thesis.txt", Origin(), force=True)

    (tmp_path / "empty").mkdir()
    TrainedModel(export(checkpoint, tmp_path / "empty", Origin()).folder)


def test_it_appears_complete_or_not_at_all(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = make({})

    def fail(*_: Any) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(export_module, "model_card", fail)
    with pytest.raises(OSError, match="no space left"):
        export(checkpoint, tmp_path / "place/out", Origin())
    assert list((tmp_path / "place").iterdir()) == []


# The model card.


def test_the_card_tells_tasks_scores_data_and_costs(uneven: Path, tmp_path: Path) -> None:
    origin = Origin(
        "baseline",
        "t0003",
        1,
        {},
        {"seconds": 4321.0, "gpu_seconds": 0.0, "examples_seen": 5000},
        {
            "hardware": {"processor": "x86_64", "platform": "Linux"},
            "resources": {"cpus": 2, "gpus": 0.0},
            "versions": {"torch": "2.13.0"},
            "data": {"sentiment": {"origin": "data folder", "where": "/secret", "hash": "0"}},
        },
    )
    exported = export(uneven, tmp_path / "out", origin)
    card = (exported.folder / "README.md").read_text()
    description = json.loads((uneven / "model.json").read_text())
    for told in (
        "(run baseline, trial t0003 at evaluation 1)",
        f"| sentiment | classification | 0, 4 | sst5 | data folder | {description['data']['sentiment']} |",
        "| similarity | pair_regression | a number | stsb | not known |",
        "3 of 4 attention heads are left",
        "| 1 | 1 | 0 |",
        "| seconds of the trial | 4,321 |",
        "| examples trained on | 5,000 |",
        "torch 2.13.0",
        "strength: 0.1",
        'mtsearch.load("FOLDER")',
    ):
        assert told in card, told
    assert "/secret" not in card
    predictions = pd.read_parquet(uneven / "predictions.parquet")
    of_task = predictions[predictions["task"] == "sentiment"]
    accuracy = float((of_task["gold"] == of_task["prediction"]).mean())
    # Wilson's interval, (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n), written out.
    z2 = 1.959964**2
    middle, half = accuracy + z2 / 48, math.sqrt(z2 * accuracy * (1 - accuracy) / 24 + (z2 / 48) ** 2)
    low, high = (middle - half) / (1 + z2 / 24), (middle + half) / (1 + z2 / 24)
    assert f"| sentiment.accuracy | {accuracy:.4f} | {low:.4f} to {high:.4f} | 24 |" in card
    score = exported.scores["similarity.pearson"]
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1]
    assert exported.scores["similarity.spearman"].interval is None


def test_without_predictions_the_run_tells_the_scores(make: Make, tmp_path: Path) -> None:
    checkpoint = make({})
    (checkpoint / "predictions.parquet").unlink()
    card = (export(checkpoint, tmp_path / "out", Origin()).folder / "README.md").read_text()
    assert "Not known: neither the predictions nor the tables" in card
    known = Origin(scores={"sentiment.accuracy": 0.5})
    card = (export(checkpoint, tmp_path / "out2", known).folder / "README.md").read_text()
    assert "| sentiment.accuracy | 0.5000 |  |  |" in card
    assert "the predictions were not kept" in card
