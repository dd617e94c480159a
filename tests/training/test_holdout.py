from __future__ import annotations

import random

import pytest

from mtsearch.data.examples import Example
from mtsearch.errors import ConfigError
from mtsearch.training.holdout import hold_out


def examples(*texts: str) -> list[Example]:
    return [Example(str(line), (text,), "yes", line) for line, text in enumerate(texts, start=1)]


NUMBERED = examples(*(f"text {number}" for number in range(2000)))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_two_parts_are_all_of_dev_in_its_order_at_about_the_ratio(ratio: float) -> None:
    dev, holdout = hold_out("a", NUMBERED, ratio)
    assert sorted((*dev, *holdout), key=lambda one: one.line) == NUMBERED
    assert [one.line for one in dev] == sorted(one.line for one in dev)
    assert [one.line for one in holdout] == sorted(one.line for one in holdout)
    assert len(holdout) / len(NUMBERED) == pytest.approx(ratio, abs=0.03)  # 2.7 standard deviations at 0.5


def test_where_an_example_goes_depends_neither_on_its_place_nor_on_the_others() -> None:
    _, held = hold_out("a", NUMBERED, 0.3)
    some = random.Random(0).sample(NUMBERED, 200)
    _, held_of_some = hold_out("a", some, 0.3)
    assert list(held_of_some) == [one for one in some if one in held]


def test_a_larger_ratio_holds_out_the_same_and_more() -> None:
    small, large = ({one.id for one in hold_out("a", NUMBERED, ratio)[1]} for ratio in (0.2, 0.4))
    assert small < large


def test_examples_with_the_same_texts_stay_together_whatever_their_labels_and_numbers() -> None:
    doubled = [
        Example(f"{one.id}-{label}", texts, label, one.line)
        for one in NUMBERED[:300]
        for label, texts in (("yes", ("Is it?", *one.texts)), ("no", (one.texts[0].upper() + " ", "is  it?")))
    ]
    dev, holdout = hold_out("a", doubled, 0.5)
    assert {one.id.split("-")[0] for one in dev}.isdisjoint(one.id.split("-")[0] for one in holdout)


@pytest.mark.parametrize(("ratio", "what"), [(1e-6, "none"), (1 - 1e-6, "all")])
def test_a_part_without_examples_is_told_in_one_line(ratio: float, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"search\.holdout_ratio: .* the 3 of dev of a {ratio:g} holds out {what};"):
        hold_out("a", examples("one", "two", "three"), ratio)
