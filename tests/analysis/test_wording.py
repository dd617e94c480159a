from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mtsearch_analysis import wording


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0.4 s"),
        (59.96, "60 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (18_720, "5 h 12 min"),
        (90_000, "1 d 1 h"),
        (math.nan, "–"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


def test_a_score_has_four_places_and_a_count_none() -> None:
    assert wording.score(-0.71934) == "-0.7193"
    assert wording.score(22_713_216.0) == "22,713,216"
    assert wording.score(math.nan) == "–"


def test_a_long_name_is_cut_in_its_middle() -> None:
    assert wording.shortened("sentence-transformers/all-MiniLM-L6-v2", 13) == "senten…-L6-v2"
    assert wording.shortened("as it is", 8) == "as it is"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3.2e-05, "3.2e-05"),
        (0.123456, "0.1235"),
        (64, "64"),
        (np.int64(64), "64"),
        (True, "true"),
        (np.False_, "false"),
        ("adamw", "adamw"),
        (None, "–"),
        (pd.NA, "–"),
    ],
)
def test_settings_are_short(value: object, words: str) -> None:
    assert wording.setting(value) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(950, "950"), (9_999, "9,999"), (12_345, "12.3 thousand"), (22_713_216, "22.7 million"), (2e9, "2 billion")],
)
def test_large_numbers_have_three_digits(number: float, words: str) -> None:
    assert wording.large(number) == words


def test_lists_end_in_and() -> None:
    assert [wording.listing(list(items)) for items in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_counts_agree_with_their_noun() -> None:
    assert wording.count(1, "trial") == "1 trial"
    assert wording.count(1200, "trial") == "1,200 trials"


def test_a_score_has_four_places() -> None:
    assert wording.score(0.71925) == "0.7192"
    assert wording.score(math.nan) == "–"
