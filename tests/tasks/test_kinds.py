"""Sentence and pair tasks: labels, targets, losses and decoding, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from mtsearch.data.examples import Example
from mtsearch.errors import DataError
from mtsearch.tasks import Classification, PairClassification, PairRegression, Regression
from mtsearch.tasks.contract import Encoded, Inventory, Logits


def examples(labels: list[Any]) -> list[Example]:
    return [Example(str(i), ("text",), label, i + 2) for i, label in enumerate(labels)]


def classification(**settings: Any) -> Classification:
    return Classification.model_validate({"kind": "classification", "data": "x", **settings})


def regression(**settings: Any) -> Regression:
    return Regression.model_validate({"kind": "regression", "data": "x", **settings})


class TestClassification:
    def test_the_inventory_counts_the_training_labels(self) -> None:
        inventory = classification().inventory(examples(["b", "a", "b"]))
        assert inventory.labels == ("a", "b")
        assert inventory.counts == (1, 2)
        assert Inventory.from_json(inventory.to_json()) == inventory

    def test_one_class_is_not_enough(self) -> None:
        with pytest.raises(DataError, match="needs at least two classes, but the training split has only 'a'"):
            classification().inventory(examples(["a", "a"]))

    def test_a_label_that_training_never_showed_is_named_with_its_line(self) -> None:
        task = classification()
        inventory = task.inventory(examples(["a", "b"]))
        with pytest.raises(DataError, match=r"line 2: the label must be one of .*\(a, b\), but got 'c'"):
            task.encode_targets(examples(["c"]), inventory)

    @pytest.mark.parametrize(
        ("raw", "label"), [("1.0", "1"), ("1", "1"), (" 0.0 ", "0"), ("1.5", "1.5"), ("v1.0", "v1.0")]
    )
    def test_whole_numbers_are_one_class_however_written(self, raw: str, label: str) -> None:
        assert classification().wanted.read_label(raw) == label

    @pytest.mark.parametrize(("raw", "reason"), [("", "the label is empty"), ("7", "must be one of 0, 1, but got '7'")])
    def test_labels_out_of_range_are_refused_with_the_reason(self, raw: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            classification(labels=["0", "1"]).wanted.read_label(raw)

    def test_loss_and_weight_are_sums(self) -> None:
        task, inventory = classification(), Inventory(("a", "b"), (1, 1))
        logits = Logits(torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]))
        targets = {"label": torch.tensor([0, 0])}
        # -log 1/2 - log 3/4
        assert float(task.loss(logits, targets, inventory)) == pytest.approx(math.log(2) + math.log(4 / 3))
        assert float(task.loss_weight(targets, inventory)) == 2

    def test_balanced_classes_weigh_by_the_inverse_of_their_share(self) -> None:
        task, inventory = classification(class_weights="balanced"), Inventory(("a", "b"), (3, 1))
        targets = {"label": torch.tensor([0, 1])}
        # weights 4 / (2·3) and 4 / (2·1)
        assert float(task.loss_weight(targets, inventory)) == pytest.approx(2 / 3 + 2)
        uniform = Logits(torch.zeros(2, 2))
        assert float(task.loss(uniform, targets, inventory)) == pytest.approx((2 / 3 + 2) * math.log(2))

    def test_label_smoothing_spreads_the_target(self) -> None:
        task, inventory = classification(label_smoothing=0.2), Inventory(("a", "b"), (1, 1))
        logits = Logits(torch.tensor([[math.log(3), 0.0]]))
        expected = -(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4))
        assert float(task.loss(logits, {"label": torch.tensor([0])}, inventory)) == pytest.approx(expected)

    def test_decoding_gives_the_best_class_and_all_probabilities(self) -> None:
        (one,) = classification().decode(Logits(torch.tensor([[0.0, math.log(3)]])), Inventory(("no", "yes"), (1, 1)))
        assert one["prediction"] == "yes"
        assert one["probabilities"] == pytest.approx([0.25, 0.75])


class TestRegression:
    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            ("abc", "must be a number, but got 'abc'"),
            ("5.1", r"in \[0.0, 5.0\], but got '5.1'"),
            ("nan", "finite"),
            ("-1", "in"),
        ],
    )
    def test_what_is_no_number_in_range_is_refused(self, raw: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            regression(low=0.0, high=5.0).wanted.read_label(raw)

    def test_low_must_be_below_high(self) -> None:
        with pytest.raises(ValidationError, match=r"low < high must hold, but got low=5.0, high=1.0"):
            regression(low=5.0, high=1.0)

    def test_the_loss_is_of_the_standardised_target_and_decoding_undoes_it(self) -> None:
        task = regression(low=0.0, high=5.0)
        inventory = task.inventory(examples([1.0, 3.0]))  # mean 2, deviation 1
        logits = Logits(torch.tensor([0.5, 9.0]))
        targets = {"value": torch.tensor([2.0, 5.0])}
        assert float(task.loss(logits, targets, inventory)) == pytest.approx(0.5**2 + (9 - 3) ** 2)
        assert [p["prediction"] for p in task.decode(logits, inventory)] == [2.5, 5.0]  # 11 is clipped

    def test_constant_targets_do_not_divide_by_zero(self) -> None:
        assert regression().inventory(examples([2.0, 2.0])).numbers["deviation"] == 1.0


class TestPairs:
    def encoded(self) -> tuple[Encoded, Encoded]:
        torch.manual_seed(1)
        mask = torch.ones(3, 4, dtype=torch.bool)
        return Encoded(torch.randn(3, 4, 6), mask), Encoded(torch.randn(3, 4, 6), mask)

    @pytest.mark.parametrize("kind", [PairClassification, PairRegression])
    def test_siamese_heads_do_not_depend_on_the_order_of_a_pair(self, kind: Any) -> None:
        task = kind.model_validate({"data": "x", "pair": "siamese"})
        head = task.build_head(6, "mean", Inventory(("a", "b"), (1, 1), {"mean": 0.0, "deviation": 1.0})).eval()
        a, b = self.encoded()
        assert torch.allclose(head(a, b).values, head(b, a).values)

    def test_cosine_predicts_high_for_equal_texts(self) -> None:
        task = PairRegression.model_validate({"data": "x", "pair": "cosine", "low": 0.0, "high": 5.0})
        inventory = Inventory(numbers={"mean": 2.0, "deviation": 1.5})
        head = task.build_head(6, "mean", inventory).eval()
        a, _ = self.encoded()
        assert [p["prediction"] for p in task.decode(head(a, a), inventory)] == pytest.approx([5.0] * 3, abs=1e-5)

    def test_cosine_without_a_range_is_an_error(self) -> None:
        with pytest.raises(ValidationError, match=r"pair: cosine needs low and high > 0, but got low=None, high=None"):
            PairRegression.model_validate({"data": "x", "pair": "cosine"})

    def test_a_joint_pair_is_one_sequence(self) -> None:
        assert PairClassification.model_validate({"data": "x"}).layout == "pair"
        assert PairClassification.model_validate({"data": "x", "pair": "siamese"}).layout == "siamese"
