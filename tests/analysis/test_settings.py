from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.settings import Range, Setting, searched_settings
from tests.analysis.run_folders import trial_row, write_tables

SPACE: dict[str, Any] = {
    "encoder": {"dropout": {"uniform": [0.0, 0.4]}},
    "training": {"gradient_clip": {"choice": [0.25, 1.0, None]}, "batch_size": {"choice": [16, 32]}},
    "optimizer": {
        "choice": [
            {"name": "adamw", "lr": {"loguniform": [1e-5, 1e-3]}, "beta": 0.9},
            {"label": "s", "value": {"name": "sophiah", "lr": {"loguniform": [1e-4, 1e-2]}}},
        ]
    },
    "head_lr": {"same_as": "encoder.dropout"},
}


def _run(folder: Path, settings: list[dict[str, Any]], space: dict[str, Any] | None = None) -> Run:
    rows = [
        trial_row(i, 0.5, **{f"config/{name}": value for name, value in one.items()}) for i, one in enumerate(settings)
    ]
    write_tables(folder, rows, [])
    if space is not None:
        (folder / "resolved.yaml").write_text(yaml.safe_dump(space))
    return load_run(folder)


def test_a_setting_has_the_range_of_the_space_and_not_that_of_its_values(tmp_path: Path) -> None:
    run = _run(tmp_path, [{"encoder.dropout": 0.1}, {"encoder.dropout": 0.2}], SPACE)
    assert searched_settings(run) == [Setting("config/encoder.dropout", Range(0.0, 0.4))]


def test_ranges_of_several_branches_are_spanned(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        [{"optimizer.name": "adamw", "optimizer.lr": 1e-4}, {"optimizer.name": "sophiah", "optimizer.lr": 1e-3}],
        SPACE,
    )
    assert searched_settings(run)[1] == Setting("config/optimizer.lr", Range(1e-5, 1e-2, is_log=True))


def test_a_link_has_the_range_of_what_it_stands_for(tmp_path: Path) -> None:
    run = _run(tmp_path, [{"head_lr": 0.1}, {"head_lr": 0.2}], SPACE)
    assert searched_settings(run) == [Setting("config/head_lr", Range(0.0, 0.4))]


def test_null_is_an_option_where_the_space_has_it_and_an_absence_elsewhere(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        [{"training.gradient_clip": 1.0, "rho": 2}, {"training.gradient_clip": 0.25, "rho": 3}, {"other": 1}],
        SPACE,
    )
    clip, rho = searched_settings(run)[:2]
    assert clip.values(run.trials).tolist() == ["1", "0.25", "null"]
    assert clip.options(run.trials) == ["0.25", "1", "null"]
    assert rho.values(run.trials).isna().tolist() == [False, False, True]


def test_what_an_option_brings_with_it_is_no_setting_of_its_own(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        [{"optimizer.name": "adamw", "optimizer.beta": 0.9}, {"optimizer.name": "sophiah", "optimizer.k": 1}] * 2,
        SPACE,
    )
    assert [one.name for one in searched_settings(run)] == ["optimizer.name"]


def test_many_numbers_without_a_space_are_a_range_and_few_are_options(tmp_path: Path) -> None:
    run = _run(tmp_path, [{"lr": 10.0**-i, "k": i % 3} for i in range(8)])
    lr, k = searched_settings(run)
    assert lr.range == Range(1e-7, 1.0, is_log=True)
    assert k.range is None
    assert k.options(run.trials) == ["0", "1", "2"]


def test_with_a_word_beside_a_range_all_values_are_options(tmp_path: Path) -> None:
    space = {"k": {"choice": ["auto", {"int": [1, 8]}]}}
    (k,) = searched_settings(_run(tmp_path, [{"k": value} for value in ("auto", 2, 2, 7)], space))
    assert k.range is None


def test_a_range_says_where_on_it_a_value_lies() -> None:
    assert Range(0, 10).share(pd.Series([0, 5, 10])).tolist() == [0.0, 0.5, 1.0]
    log = Range(1e-4, 1.0, is_log=True)
    assert log.share(pd.Series([1e-4, 1e-2, 1.0])).tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert log.at(0.25) == pytest.approx(1e-3)
    assert log.share(pd.Series([0.0, 1.0, None])).isna().tolist() == [True, False, True]


@pytest.mark.parametrize(
    "node",
    [
        {"uniform": 3},
        {"uniform": ["a", "b"]},
        {"uniform": [1]},
        {"loguniform": [0, 1]},
        {"uniform": [1, 0]},
        {"choice": 5},
    ],
)
def test_a_space_that_mtsearch_did_not_write_is_refused_in_one_line(tmp_path: Path, node: dict[str, Any]) -> None:
    run = _run(tmp_path, [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}], {"optimizer": {"lr": node}})
    with pytest.raises(ValueError, match=r"resolved\.yaml: not the search space that mtsearch wrote: ") as refused:
        searched_settings(run)
    assert "\n" not in str(refused.value)
