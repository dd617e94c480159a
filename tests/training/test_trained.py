"""A model loaded from its checkpoint says what the trainer measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import DataError, RunError
from mtsearch.training.fit import fit
from mtsearch.training.parts import build
from mtsearch.training.place import Place
from mtsearch.training.report import Report
from mtsearch.training.scoring import score, write_scores
from mtsearch.training.trained import TrainedModel


@pytest.fixture(scope="module")
def trained(
    tiny_config: Callable[..., dict[str, Any]], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("trained")
    config = TrialConfig.model_validate(tiny_config())
    (*_, last) = fit(build(config, Place(folder, tiny_data)))
    return folder / "checkpoints/evaluation-0002", last


def test_its_scores_on_dev_are_the_trainers(trained: tuple[Path, Report], tiny_data: Path) -> None:
    folder, report = trained
    model = TrainedModel(folder)
    for task, metric in (("sentiment", "accuracy"), ("similarity", "pearson")):
        evaluation, _ = model.evaluate(task, "dev", model.data(task, tiny_data))
        assert evaluation.metrics[metric] == pytest.approx(report.scores[f"{task}.{metric}"], abs=1e-6)


def test_its_predictions_on_text_are_those_of_the_evaluation(trained: tuple[Path, Report], tiny_data: Path) -> None:
    folder, _ = trained
    model = TrainedModel(folder)
    data = model.data("paraphrase", tiny_data)
    evaluation, _ = model.evaluate("paraphrase", "dev", data)
    pairs = [(example.texts[0], example.texts[1]) for example in data.splits["dev"].examples]
    predicted = model.predict("paraphrase", pairs)
    assert [p["prediction"] for p in predicted] == [p["prediction"] for p in evaluation.predictions]
    stored = pd.read_parquet(folder / "predictions.parquet").query("task == 'paraphrase'")
    assert stored.prediction.tolist() == [p["prediction"] for p in predicted]


def test_numbers_stay_in_their_range(trained: tuple[Path, Report]) -> None:
    (one,) = TrainedModel(trained[0]).predict("similarity", [("a film", "a film")])
    assert 0.0 <= one["prediction"] <= 5.0


def test_a_checkpoint_runs_no_code_that_it_names(trained: tuple[Path, Report], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "model")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    description = json.loads((tmp_path / "model/model.json").read_text())
    description["config"]["plugins"] = [str(tmp_path / "evil.py")]
    (tmp_path / "model/model.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"this model needs .*evil\.py; name the module yourself"):
        TrainedModel(tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def test_what_was_trained_in_fp16_is_of_use_without_a_gpu(trained: tuple[Path, Report], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "model")
    description = json.loads((tmp_path / "model/model.json").read_text(encoding="utf-8"))
    description["config"]["training"]["precision"] = "fp16"
    (tmp_path / "model/model.json").write_text(json.dumps(description), encoding="utf-8")
    model = TrainedModel(tmp_path / "model", "cpu")
    assert model.accelerator.mixed_precision == "no"
    assert len(model.predict("sentiment", ["a fine film"])) == 1


def test_no_texts_give_no_predictions(trained: tuple[Path, Report]) -> None:
    assert TrainedModel(trained[0]).predict("sentiment", []) == []


def test_tasks_without_the_split_are_named_and_left_out(trained: tuple[Path, Report], tiny_data: Path) -> None:
    model = TrainedModel(trained[0])
    test = score(model, "test", (), tiny_data)
    assert test.metrics == {}
    assert test.predictions.empty
    assert [line.split(":")[0] for line in test.left_out] == ["sentiment", "paraphrase", "similarity"]
    assert all(line.endswith("has only train, dev") for line in test.left_out)
    dev = score(model, "dev", (), tiny_data)
    assert dev.left_out == []
    assert dev.mean_score == pytest.approx(trained[1].scores["mean_score"], abs=1e-6)


def test_scores_are_written_as_json_and_parquet(trained: tuple[Path, Report], tiny_data: Path, tmp_path: Path) -> None:
    write_scores(score(TrainedModel(trained[0]), "dev", ["sentiment"], tiny_data), tmp_path / "out")
    written = json.loads((tmp_path / "out/scores.json").read_text())
    assert list(written["metrics"]) == ["sentiment"]
    assert len(pd.read_parquet(tmp_path / "out/predictions.parquet")) == 24


def test_a_pair_task_refuses_single_texts(trained: tuple[Path, Report]) -> None:
    with pytest.raises(DataError, match=r"paraphrase takes 2 text\(s\), but got 1"):
        TrainedModel(trained[0]).predict("paraphrase", ["alone"])


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"must hold model\.json"):
        TrainedModel(tmp_path)


def test_truncated_weights_are_refused(trained: tuple[Path, Report], tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        content = (trained[0] / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-100] if name.endswith("safetensors") else content)
    with pytest.raises(RunError, match="the weights of this checkpoint cannot be used"):
        TrainedModel(tmp_path)
