from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from mtsearch_analysis.seeds import seed_spread, seeds_figure, seeds_needed
from mtsearch_analysis.significance import pairs_needed


def scores_of(**configs: list[float]) -> pd.DataFrame:
    """Each config's scores, with seeds 0, 1, 2, .."""
    rows = [
        {"config": config, "seed": seed, "split": "dev", "metric": "mean_score", "value": value}
        for config, values in configs.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_spread_is_pooled_over_configs_around_their_own_means() -> None:
    # Deviations ±1 around 1 and ±2, 0 around 7: (2 + 8) / (1 + 2). Differences over the two common seeds: -5 and -5.
    spread = seed_spread(scores_of(a=[0.0, 2.0], b=[5.0, 7.0, 9.0], c=[1.0]))
    row = spread.iloc[0]
    assert (row["split"], row["metric"], row["num_configs"], row["num_scores"]) == ("dev", "mean_score", 2, 5)
    assert row["sd"] == pytest.approx(math.sqrt(10 / 3))
    assert row["sd_difference"] == 0.0  # a seed moves both alike


def test_independent_configs_have_differences_with_twice_the_variance() -> None:
    rng = np.random.default_rng(0)
    spread = seed_spread(scores_of(**{name: rng.normal(size=400).tolist() for name in "abcd"}))
    assert spread["sd"].iloc[0] == pytest.approx(1, abs=0.05)
    assert spread["sd_difference"].iloc[0] == pytest.approx(math.sqrt(2), abs=0.07)


def test_the_spread_of_differences_is_that_of_every_pair_of_configs_one_by_one() -> None:
    rng = np.random.default_rng(1)
    # Each seed moves all configs; of some configs the training with some seeds failed.
    values = rng.normal(size=(1, 5)) + rng.normal(size=(30, 5))
    values[rng.random(values.shape) < 0.3] = np.nan
    scores = scores_of(**{f"c{i}": of_config.tolist() for i, of_config in enumerate(values)}).dropna()
    differences = [one - other for one, other in combinations(values, 2)]
    known = [pair[np.isfinite(pair)] for pair in differences]
    squares = sum(((pair - pair.mean()) ** 2).sum() for pair in known if len(pair) > 1)
    freedom = sum(len(pair) - 1 for pair in known if len(pair) > 1)
    assert seed_spread(scores)["sd_difference"].iloc[0] == pytest.approx(math.sqrt(squares / freedom), rel=1e-12)


def test_many_configs_take_little_longer_than_few() -> None:
    rng = np.random.default_rng(2)
    scores = scores_of(**{f"c{i}": values.tolist() for i, values in enumerate(rng.normal(size=(3000, 3)))})
    spread = seed_spread(scores)  # by every two of them it would be 4.5 million columns
    assert spread["sd_difference"].iloc[0] == pytest.approx(math.sqrt(2), rel=0.05)


def test_seeds_needed_are_those_of_the_paired_t_test() -> None:
    spread = pd.DataFrame([{"split": "test", "metric": "a.f1", "sd_difference": 0.02}])
    needed = seeds_needed(spread, [0.02, 0.01])
    assert needed[["split", "metric", "difference", "num_seeds"]].to_numpy().tolist() == [
        ["test", "a.f1", 0.02, 10],
        ["test", "a.f1", 0.01, 34],
    ]
    of_six = seeds_needed(spread, [0.02], num_comparisons=6)
    assert of_six["num_seeds"].tolist() == [pairs_needed(1.0, 0.8, 0.05 / 6)]


def test_an_unknown_spread_needs_an_unknown_number() -> None:
    spread = seed_spread(scores_of(a=[0.5], b=[0.6]))
    assert math.isnan(spread["sd_difference"].iloc[0])
    assert seeds_needed(spread)["num_seeds"].isna().all()
    assert "two configs with two seeds" in seeds_figure(seeds_needed(spread)).layout.annotations[0].text


def test_no_comparison_needs_no_seeds() -> None:
    with pytest.raises(ValueError, match="num_comparisons >= 1 must hold, but got num_comparisons=0"):
        seeds_needed(seed_spread(scores_of(a=[0.5, 0.6])), num_comparisons=0)


def test_the_figure_has_a_line_for_each_metric() -> None:
    spread = pd.DataFrame(
        [{"split": "dev", "metric": name, "sd_difference": sd} for name, sd in (("a.f1", 0.02), ("b.f1", 0.04))]
    )
    figure = seeds_figure(seeds_needed(spread, [0.04, 0.02]))
    assert [trace.name for trace in figure.data] == ["a.f1 on dev", "b.f1 on dev"]
    assert list(figure.data[1].x) == [0.02, 0.04]
    assert list(figure.data[1].y) == [34, 10]
