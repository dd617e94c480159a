"""Tags in a trial: the same in all tasks, saved with the model, and the plain trial where they say nothing."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import ConfigError, DataError, RunError
from mtsearch.tags import Columns, Spacy
from mtsearch.training import trained as trained_module
from mtsearch.training.card import Origin
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.export import export
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts, build
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.report import Objective
from mtsearch.training.tagging import TrialTags, learn_tags
from mtsearch.training.trained import TrainedModel
from tests.training.trials import assert_equal, values, weights

Trial = Callable[..., TrialConfig]


@pytest.fixture
def trial(tiny_config: Callable[..., dict[str, Any]], tiny_pipeline: Path) -> Trial:
    """A trial whose texts the tiny pipeline tags."""

    def make(tags: dict[str, Any] | None = None, **sections: Any) -> TrialConfig:
        asked = {"name": "spacy", "pipeline": str(tiny_pipeline), **(tags or {})}
        return TrialConfig.model_validate(tiny_config(tags=asked, **sections))

    return make


def tagged_tokens(parts: Parts, task: str) -> list[str]:
    """The parts of speech of the first training row's tokens."""
    split = parts.tasks[task].splits["train"]
    assert split.tags is not None
    numbers = split.tags.columns["pos"].values[: split.tags.columns["pos"].lengths[0]]
    return [split.tags.names["pos"][number - 1] if number else "" for number in numbers.tolist()]


def test_a_number_means_the_same_tag_in_every_task(trial: Trial, tiny_data: Path) -> None:
    parts = build(trial(), Place(None, tiny_data))
    assert parts.tags is not None
    assert parts.tags.names == {"pos": ("ADJ", "AUX", "DET", "NOUN", "PUNCT"), "entities": ("WORK",)}
    sentence = ["DET", "NOUN", "AUX", "ADJ", "PUNCT"]
    assert tagged_tokens(parts, "sentiment") == ["", *sentence, ""]
    assert tagged_tokens(parts, "paraphrase") == ["", *sentence, "", *sentence, ""]


def test_only_the_layers_that_are_asked_for_reach_the_model(trial: Trial, tiny_data: Path) -> None:
    for layers in ("pos", "entities"):
        parts = build(trial({"layers": layers}), Place(None, tiny_data))
        inputs = parts.tasks["sentiment"].splits["train"].inputs(torch.arange(2).numpy(), 0)
        assert inputs.tags_BLT is not None
        assert inputs.tags_BLT.shape[2] == 1
        assert [name for name, _ in parts.state.model.extensions["tags"].named_parameters()] == [f"by_layer.{layers}"]


def test_a_trial_with_tags_starts_as_the_one_without(
    trial: Trial, tiny_config: Callable[..., dict[str, Any]], tiny_data: Path
) -> None:
    plain = build(TrialConfig.model_validate(tiny_config()), Place(None, tiny_data))
    tagged = build(trial(), Place(None, tiny_data))
    rows = torch.arange(8).numpy()
    for task in plain.tasks:
        logits = [
            parts.state.model.eval()(parts.tasks[task].splits["train"].batch(rows)).values for parts in (plain, tagged)
        ]
        assert torch.equal(*logits)
    assert "extensions" not in {name.split(".")[0] for name in plain.state.model.state_dict()}
    assert plain.tasks["sentiment"].splits["train"].inputs(rows, 0).tags_BLT is None


def test_they_learn_beside_smart_and_below_frozen_layers(trial: Trial, tiny_data: Path, tmp_path: Path) -> None:
    config = trial(regularizers={"smart": {"weight": 0.5}}, unfreezing={"name": "layers", "last": 0})
    before = {k: v.clone() for k, v in build(config, Place(None, tiny_data)).state.model.state_dict().items()}
    first, last = fit(build(config, Place(tmp_path, tiny_data)))
    after = weights(tmp_path / "checkpoints" / str(last.checkpoint))
    moved = {name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved == {"extensions", "heads"}
    assert 0 < values(first, "pos_tag_norm")[""] < values(last, "pos_tag_norm")[""]


def test_tags_from_the_cache_make_the_same_trial(
    trial: Trial, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtsearch.training import parts

    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))
    made = []
    for name in ("first", "second"):
        parts._loaded.cache_clear()
        list(fit(build(trial(), Place(tmp_path / name, tiny_data))))
        made.append(weights(tmp_path / name / "checkpoints/evaluation-0002"))
        monkeypatch.setattr("mtsearch.tags.spacy._loaded", None)
    assert_equal(*made)


@pytest.fixture(scope="module")
def trained(
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tiny_pipeline: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("tagged")
    tags = {"name": "spacy", "pipeline": str(tiny_pipeline), "init_std": 1.0}
    config = TrialConfig.model_validate(tiny_config(tags=tags))
    list(fit(build(config, Place(folder, tiny_data))))
    return folder / "checkpoints/evaluation-0002"


def test_a_trained_model_tags_new_texts_as_it_tagged_its_data(trained: Path, tiny_data: Path) -> None:
    model = TrainedModel(trained)
    data = model.data("paraphrase", tiny_data)
    evaluation, _ = model.evaluate("paraphrase", "dev", data)
    pairs = [(example.texts[0], example.texts[1]) for example in data.splits["dev"].examples]
    assert model.predict("paraphrase", pairs) == evaluation.predictions
    with torch.no_grad():
        for embeddings in model.model.extensions["tags"].parameters():
            embeddings.zero_()
    assert model.predict("paraphrase", pairs) != evaluation.predictions


def test_a_tag_that_the_training_data_did_not_have_is_none(trained: Path) -> None:
    model = TrainedModel(trained)
    assert model.tags is not None
    fewer = {layer: names[:1] for layer, names in model.tags.names.items()}
    known = model.predict("sentiment", ["this film was good ."])
    model.tags = TrialTags(fewer, model.tags.source)  # type: ignore[arg-type]
    assert model.predict("sentiment", ["this film was good ."]) != known


def test_a_model_says_when_another_pipeline_stands_in_for_its_own(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TrainedModel(trained)
    model.predict("sentiment", ["a film"])
    assert caplog.messages == []
    shutil.copytree(trained, tmp_path / "model")
    description = json.loads((tmp_path / "model/model.json").read_text())
    description["tags"]["source"] = "spacy of old"
    (tmp_path / "model/model.json").write_text(json.dumps(description))
    with caplog.at_level(logging.WARNING):
        TrainedModel(tmp_path / "model").predict("sentiment", ["a film"])
    assert "tags: the model was trained with others than those by" in caplog.text


def test_going_on_needs_the_tags_that_training_began_with(
    trial: Trial, tiny_data: Path, tiny_pipeline: Path, tmp_path: Path
) -> None:
    pipeline = tmp_path / "pipeline"
    shutil.copytree(tiny_pipeline, pipeline)
    config = trial({"pipeline": str(pipeline)})
    begun = fit(build(config, Place(tmp_path / "begun", tiny_data)))
    next(begun)
    begun.close()
    checkpoint = latest_checkpoint(tmp_path / "begun")
    assert checkpoint is not None
    description = json.loads((checkpoint / "model.json").read_text())
    description["tags"]["source"] = "spacy of old"
    (checkpoint / "model.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match="tags: going on needs the tags that training began with"):
        build(config, Place(None, tiny_data), resume_from=checkpoint)


def test_a_trained_model_to_start_from_saw_the_same_tags(trial: Trial, trained: Path, tiny_data: Path) -> None:
    pruning = {"name": "l0", "mode": "static", "strength": 1.0, "source": str(trained)}
    build(trial(pruning=pruning), Place(None, tiny_data))
    with pytest.raises(RunError, match=r"pruning\.source: must have seen the trial's tags"):
        build(trial({"layers": "pos"}, pruning=pruning), Place(None, tiny_data))


def test_the_pipeline_and_its_tags_are_told_before_the_first_trial(trial: Trial, tiny_data: Path) -> None:
    lines: list[str] = []
    preflight([trial(), trial({"layers": "pos"})], Place(None, tiny_data), Objective(), lines.append)
    told = [line for line in lines if line.startswith("tags: ")]
    assert len(told) == 3
    assert "by spaCy" in told[0]
    assert told[1:] == [
        "tags: 5 kinds of pos, 1 kinds of entities in the training data",
        "tags: 5 kinds of pos in the training data",
    ]


def test_a_missing_pipeline_is_told_before_the_first_trial(trial: Trial, tiny_data: Path) -> None:
    with pytest.raises(ConfigError, match=r"tags\.pipeline: 'no_such_one' must be an installed pipeline"):
        preflight([trial({"pipeline": "no_such_one"})], Place(None, tiny_data), Objective(), str)


def test_data_without_gold_tags_is_one_line(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> None:
    config = TrialConfig.model_validate(tiny_config(tags={"name": "columns"}))
    with pytest.raises(DataError, match=r"tasks\.sentiment: tags\.name: columns needs gold tags for every text"):
        build(config, Place(None, tiny_data))


def test_a_layer_that_the_data_lacks_is_one_line(
    tiny_config: Callable[..., dict[str, Any]], tiny_gold: dict[str, Any], tiny_data: Path
) -> None:
    config = TrialConfig.model_validate(tiny_config(tags={"name": "columns"}, tasks=tiny_gold))
    with pytest.raises(DataError, match=r"tasks\.sentiment: tags\.layers: .* a tag of entities .* has only pos"):
        build(config, Place(None, tiny_data))


def test_a_layer_without_any_tag_is_one_line(tiny_data: Path, trial: Trial) -> None:
    tags = build(trial(), Place(None, tiny_data)).tasks["sentiment"].train_tags
    none = tags.renumbered({"pos": (), "entities": ()})
    tagger = Columns().tagger(is_cached=False, open_export=Mock())
    assert tagger is not None
    with pytest.raises(DataError, match=r"tags\.layers: pos must be found in the training data, .* leave out pos"):
        learn_tags(Spacy(), tagger, {"sentiment": none})


def test_a_model_of_gold_tags_predicts_on_no_bare_text(
    tiny_config: Callable[..., dict[str, Any]], tiny_gold: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    config = TrialConfig.model_validate(tiny_config(tags={"name": "columns", "layers": "pos"}, tasks=tiny_gold))
    (*_, last) = fit(build(config, Place(tmp_path, tiny_data)))
    model = TrainedModel(tmp_path / "checkpoints/evaluation-0002")
    evaluation, _ = model.evaluate("sentiment", "dev", model.data("sentiment", tiny_data))
    assert evaluation.metrics["accuracy"] == pytest.approx(last.scores["sentiment.accuracy"])
    with pytest.raises(DataError, match=r"tasks\.sentiment: tags\.name: columns needs gold tags for every text"):
        model.predict("sentiment", ["a film"])


@pytest.fixture(scope="module")
def by_export(
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tiny_tagger: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A checkpoint of a model whose texts an export tagged."""
    folder = tmp_path_factory.mktemp("by-export")
    tags = {"name": "exported", "folder": str(shutil.copytree(tiny_tagger, folder / "tagger")), "init_std": 1.0}
    config = TrialConfig.model_validate(tiny_config(tags=tags, training={"precision": "fp32"}))
    list(fit(build(config, Place(folder, tiny_data))))
    return folder / "checkpoints/evaluation-0002"


def test_an_export_tags_the_texts_of_every_task(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tiny_tagger: Path
) -> None:
    tags = {"name": "exported", "folder": str(tiny_tagger)}
    parts = build(TrialConfig.model_validate(tiny_config(tags=tags)), Place(None, tiny_data))
    assert parts.tags is not None
    assert parts.tags.names == {"pos": ("ADJ", "AUX", "DET", "NOUN", "PUNCT"), "entities": ("WORK",)}
    sentence = ["DET", "NOUN", "AUX", "ADJ", "PUNCT"]
    assert tagged_tokens(parts, "sentiment") == ["", *sentence, ""]
    assert tagged_tokens(parts, "paraphrase") == ["", *sentence, "", *sentence, ""]


def test_a_tagger_leaves_the_trials_format_and_device_alone(
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tiny_tagger: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from mtsearch.training import parts, trained

    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))
    parts._loaded.cache_clear()
    trained._beside_a_trial.cache_clear()
    tags = {"name": "exported", "folder": str(tiny_tagger)}
    config = TrialConfig.model_validate(tiny_config(tags=tags, training={"precision": "bf16"}))
    assert build(config, Place(None, tiny_data)).accelerator.mixed_precision == "bf16"
    assert trained._beside_a_trial.cache_info().currsize == 1


def test_its_tags_from_the_cache_make_the_same_trial_without_the_model(
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    tiny_tagger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mtsearch.training import parts

    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))
    made = []
    for name in ("first", "second"):
        parts._loaded.cache_clear()
        tags = {"name": "exported", "folder": str(tiny_tagger)}
        config = TrialConfig.model_validate(tiny_config(tags=tags, training={"epochs": 1}))
        list(fit(build(config, Place(tmp_path / name, tiny_data))))
        made.append(weights(tmp_path / name / "checkpoints/evaluation-0001"))
        monkeypatch.setattr("mtsearch.training.trained._beside_a_trial", None)
    assert_equal(*made)


def test_an_export_takes_the_export_along_that_gives_it_tags(by_export: Path, tmp_path: Path) -> None:
    pairs = [("this film was good .", "this meal wasn't good.")]
    expected = TrainedModel(by_export).predict("paraphrase", pairs)
    out = export(by_export, tmp_path / "out", Origin()).folder
    assert "in the folder `tagger`" in (out / "README.md").read_text()
    moved = out.rename(tmp_path / "moved")
    tagger = by_export.parents[1] / "tagger"
    tagger.rename(tagger.with_name("away"))
    try:
        trained_module._open.cache_clear()
        trained_module._beside_a_trial.cache_clear()
        assert TrainedModel(moved).predict("paraphrase", pairs) == expected
        with pytest.raises(ConfigError, match=r"tags\.folder: .*tagger: must be a folder that mtsearch export wrote"):
            TrainedModel(by_export).predict("paraphrase", pairs)
    finally:
        tagger.with_name("away").rename(tagger)
        trained_module._open.cache_clear()


def test_another_export_in_its_place_is_not_taken_along(by_export: Path, tmp_path: Path) -> None:
    checkpoint = shutil.copytree(by_export, tmp_path / "model")
    description = json.loads((checkpoint / "model.json").read_text())
    description["tags"]["source"] = "mtsearch of old"
    (checkpoint / "model.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"tags\.folder: .* must be the export that the model was trained with"):
        export(checkpoint, tmp_path / "out", Origin())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_export_is_told_before_the_first_trial(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tiny_tagger: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(tiny_tagger, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"")
    for folder, message in (
        (tmp_path / "nowhere", "must be a folder that mtsearch export wrote, but has no manifest.json"),
        (tiny_encoder, "must be a folder that mtsearch export wrote, but has no manifest.json"),
        (damaged, "is not the file that manifest.json was written for"),
    ):
        config = TrialConfig.model_validate(tiny_config(tags={"name": "exported", "folder": str(folder)}))
        with pytest.raises(ConfigError, match=rf"tags\.folder: .*{message}"):
            preflight([config], Place(None, tiny_data), Objective(), str)
