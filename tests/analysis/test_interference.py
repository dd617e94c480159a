from __future__ import annotations

from pathlib import Path

import pytest

from mtsearch_analysis.interference import interference_figure, interference_table
from mtsearch_analysis.load import Run, load_run
from tests.analysis.run_folders import trial_row, write_interference, write_tables


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = write_tables(tmp_path, [trial_row(0), trial_row(1)], [])
    rows = [
        ("t0000", 1, "pos", "ner", 0.5, 3),
        ("t0000", 1, "ner", "dep", 0.2, 3),
        ("t0000", 2, "pos", "ner", -0.1, 3),
        ("t0001", 1, "pos", "ner", -0.5, 1),
    ]
    write_interference(folder, rows)
    return load_run(folder)


def test_trials_with_more_measurements_weigh_more(run: Run) -> None:
    table = interference_table(run)
    assert table[["task_a", "task_b", "epoch"]].to_numpy().tolist() == [
        ["pos", "ner", 1.0],
        ["pos", "ner", 2.0],
        ["ner", "dep", 1.0],
    ]
    assert table["cosine"].tolist() == pytest.approx([(0.5 * 3 - 0.5) / 4, -0.1, 0.2])
    assert table["share_negative"].tolist() == [0.5, 1.0, 0.0]
    assert table["num_trials"].tolist() == [2, 1, 1]
    assert table["num_measurements"].tolist() == [4, 3, 3]


def test_one_trial_can_be_looked_at_alone(run: Run) -> None:
    assert interference_table(run, trial_id="t0001")["cosine"].tolist() == [-0.5]
    with pytest.raises(ValueError, match="no trial 't0007'"):
        interference_table(run, trial_id="t0007")


def test_the_map_has_a_row_for_each_pair_and_red_for_conflict(run: Run) -> None:
    (drawn,) = interference_figure(interference_table(run)).data
    assert list(drawn.y) == ["pos – ner", "ner – dep"]
    assert list(drawn.x) == ["1", "2"]
    assert drawn.z[0].tolist() == pytest.approx([0.25, -0.1])
    assert (drawn.zmin, drawn.zmax) == (-0.25, 0.25)


def test_a_run_whose_gradients_were_not_compared_says_what_to_set(tmp_path: Path) -> None:
    table = interference_table(load_run(write_tables(tmp_path, [trial_row(0)], [])))
    assert table.empty
    assert "training.interference_interval" in interference_figure(table).layout.annotations[0].text
