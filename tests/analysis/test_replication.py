from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from scipy import stats

from mtsearch_analysis import (
    delta_m_table,
    joint_pairs,
    joint_table,
    load_run,
    replication_table,
    replication_tests,
    replication_verdict,
    write_report,
)
from mtsearch_analysis.load import Run
from mtsearch_analysis.tables import REPLICATIONS, Objective
from tests.analysis.run_folders import trial_row, write_tables

OBJECTIVE = Objective(task_metrics=("a.accuracy", "b.accuracy"))


def replications(
    config_id: str, dev: list[float], test: list[float] | None = None, **columns: Any
) -> list[dict[str, Any]]:
    """A row per seed; the two tasks' scores are the mean's."""
    trial_id, _, alone = config_id.partition("/")
    tasks = [alone] if alone else ["a", "b"]
    rows = []
    for i, value in enumerate(dev):
        scores = {f"dev/{name}": value for name in ("mean_score", *(f"{task}.accuracy" for task in tasks))}
        if test is not None:
            scores |= {f"test/{name}": test[i] for name in ("mean_score", *(f"{task}.accuracy" for task in tasks))}
        rows.append(
            {
                "config_id": config_id,
                "trial_id": None if trial_id == "start" else trial_id,
                "rank": None,
                "is_start": config_id == "start",
                "alone": alone or None,
                "tasks": "+".join(tasks),
                "seed": 101 + i,
                "status": "completed",
                "stop_reason": "all done",
                "evaluations": 2,
                "is_admissible": None,
                "seconds": 1.0,
                "gpu_seconds": 0.0,
                **scores,
                **columns,
            }
        )
    return rows


def run_of(folder: Path, rows: list[dict[str, Any]], objective: Objective = OBJECTIVE) -> Run:
    scores = {"best/a.accuracy": 0.7, "best/b.accuracy": 0.7, "best/mean_score": 0.7}
    write_tables(folder, [trial_row(n, 0.7, **scores, tasks="a+b") for n in range(3)], [], objective)
    pq.write_table(REPLICATIONS.from_rows(rows), folder / REPLICATIONS.file)
    return load_run(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """t0001 wins on dev; on test it is far better than the start point, and about as good as t0000."""
    return run_of(
        tmp_path / "run",
        [
            *replications("t0000", [0.60, 0.62, 0.61], [0.58, 0.62, 0.60], rank=1),
            *replications("t0001", [0.64, 0.66, 0.65], [0.60, 0.62, 0.61], rank=2),
            *replications("start", [0.40, 0.41, 0.42], [0.40, 0.41, 0.42]),
            *replications("t0001/b", [0.60, 0.60, 0.60], [0.61, 0.62, 0.60]),
            *replications("t0001/a", [0.50, 0.50, 0.50], [0.50, 0.52, 0.51]),
            *replications("t0002", [0.9, 0.9, 0.9], [0.9, 0.9, 0.9]),  # of an earlier replication: no longer compared
        ],
    )


def test_each_config_has_its_mean_with_student_s_interval_on_dev_and_on_test(run: Run) -> None:
    table = replication_table(run)
    assert list(table["config_id"].unique()) == ["t0000", "t0001", "start", "t0001/b", "t0001/a"]
    row = table.query("config_id == 't0000' and split == 'test' and metric == 'mean_score'").iloc[0]
    assert (row["num_seeds"], row["num_failed"], row["rank"]) == (3, 0, 1)
    assert row["mean"] == pytest.approx(0.60)
    assert row["sd"] == pytest.approx(0.02)
    assert row["high"] - row["mean"] == pytest.approx(4.3027 * 0.02 / 3**0.5, abs=1e-5)
    assert set(table[table["config_id"] == "t0001/a"]["metric"]) == {"a.accuracy"}


def test_the_winner_on_dev_is_tested_seed_by_seed_and_corrected_for_all_comparisons(run: Run) -> None:
    tests = replication_tests(run).query("split == 'test'")
    assert list(tests["config_id"].unique()) == ["t0001"]
    assert list(zip(tests["other"], tests["against"], tests["metric"], strict=True)) == [
        ("t0000", "best", "mean_score"),
        ("start", "start", "mean_score"),
        ("t0001/b", "alone", "b.accuracy"),
        ("t0001/a", "alone", "a.accuracy"),
    ]
    start = tests.iloc[1]
    expected = stats.ttest_rel([0.60, 0.62, 0.61], [0.40, 0.41, 0.42]).pvalue
    assert start["difference"] == pytest.approx(0.2)
    assert start["p"] == pytest.approx(expected)
    # a alone differs by exactly 0.1, 0.1, 0.1 up to rounding: the smallest p; the start point has the next
    assert start["p_holm"] == pytest.approx(3 * expected)
    assert list(tests["verdict"]) == ["within noise", "better", "within noise", "better"]


def test_a_config_and_its_tasks_alone_are_pairs_of_joint_and_single_training(run: Run) -> None:
    pairs = joint_pairs(run)
    assert set(pairs["trial_id"]) == {"t0001"}
    of_a = pairs[pairs["task"] == "a"]
    assert of_a[["seed", "split", "alone", "together"]].to_numpy().tolist() == [
        [101, "test", 0.5, 0.6],
        [102, "test", 0.52, 0.62],
        [103, "test", 0.51, 0.61],
    ]
    table = joint_table(pairs).set_index("task")
    tested = replication_tests(run).query("split == 'test' and against == 'alone'").set_index("other")
    for task in ("a", "b"):
        assert table.loc[task, "gain"] == pytest.approx(tested.loc[f"t0001/{task}", "difference"])
        assert table.loc[task, "p"] == pytest.approx(tested.loc[f"t0001/{task}", "p"])
    by_seed = [(0.6 / 0.5 + 0.6 / 0.61) / 2, (0.62 / 0.52 + 1.0) / 2, (0.61 / 0.51 + 0.61 / 0.6) / 2]
    (joint,) = delta_m_table(pairs).to_dict("records")
    assert (joint["num_trials"], joint["delta_m"]) == (3, pytest.approx(sum(by_seed) / 3 - 1))


def test_without_a_test_split_they_are_paired_on_dev(tmp_path: Path) -> None:
    rows = [*replications("t0001", [0.64, 0.66], rank=1), *replications("t0001/b", [0.60, 0.61])]
    pairs = joint_pairs(run_of(tmp_path, rows))
    assert pairs[["task", "split"]].to_numpy().tolist() == [["b", "dev"]] * 2


def test_the_verdict_says_who_wins_by_how_much_and_what_is_noise(run: Run) -> None:
    first, *rest = replication_verdict(run)
    assert first == (
        "t0001 is the best on dev: over 3 seeds its mean_score is 0.6500 ± 0.0248 on dev and 0.6100 ± 0.0248 on test."
    )
    assert rest[0].startswith("On test, t0001 is within noise of t0000 in mean_score (+0.0100 ± 0.02")
    assert rest[1].startswith("On test, t0001 is better than the start point in mean_score (+0.2000 ± ")
    assert rest[2].startswith("On test, t0001 is within noise of b trained alone in b.accuracy (+0.0000 ± ")
    assert rest[3].startswith("On test, t0001 is better than a trained alone in a.accuracy (+0.1000 ± ")
    assert len(rest) == 4


def test_a_run_that_was_not_replicated_has_nothing_to_say(finished_run: Run) -> None:
    assert replication_table(finished_run).empty
    assert replication_tests(finished_run).empty
    assert replication_verdict(finished_run) == []


def test_one_seed_has_no_interval_and_decides_nothing(tmp_path: Path) -> None:
    rows = [*replications("t0000", [0.6], [0.6], rank=1), *replications("start", [0.1], [0.1])]
    run = run_of(tmp_path / "run", rows)
    assert replication_table(run)[["sd", "low", "high"]].isna().all(axis=None)
    assert replication_verdict(run)[1:] == [
        "On test, t0000 cannot be told from the start point in mean_score by one seed (+0.5000)."
    ]


def test_without_test_splits_dev_decides_and_it_says_so(tmp_path: Path) -> None:
    without = "a: there has only train, dev"
    rows = [
        *replications("t0000", [0.6, 0.7], rank=1, without_test=without),
        *replications("start", [0.3, 0.41], without_test=without),
    ]
    told = replication_verdict(run_of(tmp_path / "run", rows))
    assert told[1] == "There is no test score to compare by; on dev, which chose it, the winner is flattered."
    assert told[2].startswith("On dev, t0000 is ")
    assert told[-1] == "Not on test: a: there has only train, dev."


def test_a_seed_that_failed_is_in_no_mean_and_is_told(tmp_path: Path) -> None:
    failed = replications("t0000", [0.0, 0.0, 0.0], rank=1, status="failed", stop_reason="boom")[2]
    failed = {name: value for name, value in failed.items() if not name.startswith("dev/")}
    run = run_of(tmp_path / "run", [*replications("t0000", [0.6, 0.7], [0.6, 0.7], rank=1), failed])
    row = replication_table(run).iloc[0]
    assert (row["num_seeds"], row["num_failed"]) == (2, 1)
    assert row["mean"] == pytest.approx(0.65)
    assert replication_verdict(run)[-1] == "t0000 failed with 1 seed: boom."


def test_where_sets_of_tasks_are_ranked_apart_each_has_its_winner(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trials = [
        trial_row(0, 0.7, tasks="a+b", **{"best/mean_score": 0.7}),
        trial_row(1, 0.9, tasks="a", **{"best/mean_score": 0.9}),
    ]
    write_tables(folder, trials, [], OBJECTIVE)
    rows = [
        *replications("t0000", [0.6, 0.7], [0.6, 0.7], rank=1),
        *replications("t0001", [0.8, 0.9], [0.8, 0.9], rank=1, tasks="a"),
    ]
    pq.write_table(REPLICATIONS.from_rows(rows), folder / REPLICATIONS.file)
    run = load_run(folder)
    assert replication_tests(run).empty
    assert [sentence.split()[0] for sentence in replication_verdict(run)] == ["t0000", "t0001"]


def test_the_report_has_a_section_for_it(run: Run, finished_run: Run, tmp_path: Path) -> None:
    page = write_report(run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<a href="#replication">With other seeds</a>' in page
    assert "On test, t0001 is better than the start point in mean_score" in page
    assert '<th scope="row">t0001/a</th><td>a.<wbr>accuracy</td><td class="number">3</td>' in page
    assert "With other seeds" not in write_report(finished_run, tmp_path / "other.html").read_text(encoding="utf-8")


def test_what_breaks_the_constraints_with_most_seeds_does_not_win(tmp_path: Path) -> None:
    kept, broken = replications("t0000", [0.5, 0.5, 0.5], rank=1), replications("t0001", [0.9, 0.9, 0.9], rank=2)
    for row, keeps in zip([*kept, *broken], [True, False, True, False, True, False], strict=True):
        row["is_admissible"] = keeps
    said = replication_verdict(run_of(tmp_path / "run", [*kept, *broken]))
    assert said[0].startswith("t0000 is the best on dev")
    assert said[1] == "It meets the constraints with 2 of 3 seeds."
