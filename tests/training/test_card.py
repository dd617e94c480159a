"""The scores of a model card, from the predictions that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtsearch.config.trial import TrialConfig
from mtsearch.data.examples import Example
from mtsearch.tasks.contract import Inventory
from mtsearch.tasks.metrics import METRICS
from mtsearch.training.card import Score, dev_scores
from mtsearch.training.evaluate import prediction_table

Scores = Callable[..., dict[str, Score]]


@pytest.fixture
def scores(tiny_config: Callable[..., dict[str, Any]], tmp_path: Path) -> Scores:
    """The scores of one task with these metrics: its labels, what was predicted for them, and the task's labels."""

    def of(metrics: list[str], gold: list[Any], predictions: list[dict[str, Any]], *labels: str) -> dict[str, Score]:
        task = {"kind": METRICS[metrics[0]].kinds[0], "data": "x", "metrics": metrics}
        config = TrialConfig.model_validate(tiny_config(tasks={"task": task}))
        examples = [Example(f"x{i}", ("text",), label, i + 1) for i, label in enumerate(gold)]
        prediction_table("task", "dev", examples, predictions).to_parquet(tmp_path / "predictions.parquet")
        return dev_scores(config, {"task": Inventory(labels)}, tmp_path / "predictions.parquet", METRICS, {})

    return of


def predicted(*values: Any) -> list[dict[str, Any]]:
    return [{"prediction": value} for value in values]


def test_an_accuracy_over_examples_has_wilsons_interval(scores: Scores) -> None:
    score = scores(["accuracy"], ["a"] * 10, predicted(*"aaaaaaaaab"), "a", "b")["task.accuracy"]
    assert score.value == 0.9
    assert score.num_examples == 10
    # (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n) with p = 0.9, n = 10, z = 1.95996
    assert score.interval == pytest.approx((0.5958, 0.9821), abs=1e-4)


def test_an_accuracy_over_words_has_the_bootstraps_over_sentences(scores: Scores) -> None:
    """Words of a sentence stand and fall together: Wilson over the 40 words would be (0.35, 0.65)."""
    gold = [("DET",) * 10] * 4
    values = [("DET",) * 10, ("NOUN",) * 10] * 2
    score = scores(["accuracy"], gold, predicted(*values), "DET", "NOUN")["task.accuracy"]
    assert score.value == 0.5
    assert score.interval == (0.0, 1.0)
    assert score.num_examples == 4


def test_a_bootstrap_over_counts_is_that_over_examples(scores: Scores) -> None:
    generator = np.random.default_rng(1)
    gold: list[Any] = [[(0, 1, "A"), (2, 3, "B")] for _ in range(30)]
    values = [[span for span in spans if generator.random() < 0.6] for spans in gold]
    score = scores(["span_recall"], gold, predicted(*values), "A", "B")["task.span_recall"]
    found = np.array([len(spans) for spans in values])
    draws = np.random.default_rng(0).integers(0, 30, (1000, 30))
    assert score.value == pytest.approx(found.sum() / 60)
    assert score.interval == pytest.approx(tuple(np.quantile(found[draws].sum(axis=1) / 60, [0.025, 0.975])))


def test_a_metric_of_another_entry_is_over_that_entry(scores: Scores) -> None:
    gold = [((2, ((0, 2, "A0"),)),), ((1, ((2, 3, "A1"),)),)]
    values = [
        {"prediction": (), "with_gold_predicates": gold[0]},
        {"prediction": gold[1], "with_gold_predicates": gold[1]},
    ]
    found = scores(["srl_f1_gold_predicates", "srl_recall", "predicate_f1"], gold, values, "A0", "A1")
    assert found["task.srl_f1_gold_predicates"].value == 1.0
    assert found["task.srl_recall"].value == 1 / 2
    assert found["task.predicate_f1"].value == pytest.approx(2 / 3)
    assert found["task.srl_f1_gold_predicates"].interval is not None
    assert found["task.srl_recall"].interval is None  # the main metric has one


def test_answers_are_read_as_text(scores: Scores) -> None:
    gold = [(("42", 7),), (), (("true", 0),), (("Denver Broncos", 3),)]
    found = scores(["answer_f1", "exact_match", "no_answer_accuracy"], gold, predicted("42", "", "null", "Denver"))
    assert found["task.exact_match"].value == (1 + 1 + 0 + 0) / 4
    assert found["task.answer_f1"].value == pytest.approx((1 + 1 + 0 + 2 / 3) / 4)
    assert found["task.no_answer_accuracy"].value == 1.0


def test_a_class_that_training_did_not_show_is_wrong(scores: Scores) -> None:
    score = scores(["accuracy"], ["a", "new", "1"], predicted("a", "b", "b"), "a", "b")["task.accuracy"]
    assert score.value == pytest.approx(1 / 3)
