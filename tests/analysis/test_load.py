from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtsearch_analysis import load
from mtsearch_analysis.load import Run, load_run, load_runs
from mtsearch_analysis.tables import INTERFERENCE, METRICS, TRIALS, Objective
from tests.analysis.run_folders import metric_row, trial_row, write_run, write_tables


def test_a_run_holds_what_its_folder_says(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "baseline", num_trials=6)
    run = load_run(str(folder))
    assert run.name == "baseline"
    assert list(run.trials["number"]) == [0, 1, 2, 3, 4, 5]
    assert run.main_metric == "mean_score"
    assert run.direction == "maximize"
    assert run.task_metrics == ("sentiment.accuracy", "paraphrase.accuracy", "similarity.pearson")
    assert run.space is not None
    assert run.space["search"]["scheduler"] == {"name": "asha", "grace": 1}
    assert run.environment is not None
    assert run.environment["hardware"]["cpus"] == 16
    assert not run.is_running


def test_the_objective_is_read_from_the_trials_table(tmp_path: Path) -> None:
    objective = Objective("sentiment.loss", "minimize", ("sentiment.loss",))
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.5)], [], objective))
    assert run.objective == objective
    assert run.direction_of("paraphrase.loss") == "minimize"
    assert run.direction_of("paraphrase.accuracy") == "maximize"
    assert run.direction_of("open_heads") == run.direction_of("latency_ratio") == "minimize"


def test_a_missing_value_turns_no_integer_into_a_float(tmp_path: Path) -> None:
    rows = [trial_row(0, **{"config/k": 10, "rung": 2}), trial_row(1)]
    trials = load_run(write_tables(tmp_path, rows, [])).trials
    assert trials["config/k"][0] == 10
    assert isinstance(trials["config/k"][0], Integral)
    assert trials["config/k"].isna().tolist() == [False, True]
    assert trials["rung"].dtype == pd.Int32Dtype()


def test_a_run_in_progress_loads(running_run: Run) -> None:
    assert running_run.is_running
    assert running_run.trials["ended_at"].isna().sum() == 2


def test_a_run_without_a_score_and_without_optional_files_loads(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, status="running")], []))
    assert run.trials["score"].isna().all()
    assert run.metrics.empty
    assert run.space is None
    assert run.environment is None
    assert run.task_metrics == ()


def test_interference_is_empty_with_its_columns_where_no_gradients_were_compared(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0)], []))
    assert run.interference.empty
    assert list(run.interference.columns) == [column.name for column in INTERFERENCE.columns]


def test_interference_is_read_where_it_is(tmp_path: Path) -> None:
    write_tables(tmp_path, [trial_row(0)], [])
    row = {
        "trial_id": "t0000",
        "step": 10,
        "evaluation": 1,
        "epoch": 1.0,
        "task_a": "sentiment",
        "task_b": "paraphrase",
    }
    row |= {"cosine": -0.25, "num_measurements": 4}
    pq.write_table(INTERFERENCE.from_rows([row]), tmp_path / INTERFERENCE.file)
    assert load_run(tmp_path).interference.iloc[0].to_dict() == row


def test_only_settings_that_differ_are_varied(tmp_path: Path) -> None:
    rows = [
        trial_row(0, **{"config/a": 1, "config/b": 1, "config/only_here": 2}),
        trial_row(1, **{"config/a": 1, "config/b": 3}),
    ]
    run = load_run(write_tables(tmp_path, rows, []))
    assert run.config_columns == ("config/a", "config/b", "config/only_here")
    assert run.varied_columns == ("config/b", "config/only_here")


def test_settings_of_a_task_vary_among_the_trials_that_have_it_and_the_tasks_are_one_setting(tmp_path: Path) -> None:
    rows = [
        trial_row(0, tasks="a", **{"config/tasks.a.kind": "ner", "config/tasks.a.weight": 1.0}),
        trial_row(1, tasks="b", **{"config/tasks.b.kind": "srl", "config/tasks.b.weight": 1.0}),
        trial_row(
            2,
            tasks="a+b",
            **{
                "config/tasks.a.kind": "ner",
                "config/tasks.a.weight": 1.0,
                "config/tasks.b.kind": "srl",
                "config/tasks.b.weight": 2.0,
            },
        ),
    ]
    assert load_run(write_tables(tmp_path, rows, [])).varied_columns == ("tasks", "config/tasks.b.weight")


def test_an_infeasible_trial_has_no_config_and_makes_no_setting_vary(tmp_path: Path) -> None:
    rows = [trial_row(0, **{"config/a": 1}), trial_row(1, status="infeasible")]
    assert load_run(write_tables(tmp_path, rows, [])).varied_columns == ()


def test_a_table_may_be_a_folder_of_part_files(tmp_path: Path) -> None:
    write_tables(tmp_path, [], [metric_row("t0000", 1, 0.5)])
    (tmp_path / TRIALS.file).unlink()
    (tmp_path / TRIALS.file).mkdir()
    parts = [
        [trial_row(0, **{"config/lr": 1, "config/old": "x"})],
        [trial_row(1, **{"config/lr": 0.5, "config/new": True})],
    ]
    for number, rows in enumerate(parts):
        table = TRIALS.from_rows(rows, Objective(metric="sentiment.accuracy").metadata())
        pq.write_table(table, tmp_path / TRIALS.file / f"part-{number}.parquet")
    run = load_run(tmp_path)
    assert run.trials["config/lr"].tolist() == [1.0, 0.5]
    assert run.trials["config/new"].isna().tolist() == [True, False]
    assert run.main_metric == "sentiment.accuracy"


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path / "fold=3", [trial_row(0)], []))
    assert "fold" not in run.trials


def test_a_missing_folder_or_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such run folder; pass the folder that holds trials"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"metrics\.parquet: no metrics table; either"):
        load_run(tmp_path)


def test_a_truncated_table_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_tables(tmp_path, [trial_row(0)], []) / METRICS.file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"metrics\.parquet: not a readable Parquet file") as refused:
        load_run(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_table_that_lost_a_column_is_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, [trial_row(0)], [])
    table = pq.read_table(tmp_path / TRIALS.file).drop_columns(["score", "epoch"])
    pq.write_table(table, tmp_path / TRIALS.file)
    with pytest.raises(ValueError, match="the trials table lacks 'epoch', 'score'"):
        load_run(tmp_path)


def change_column(path: Path, name: str, values: pa.Array) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path)


def test_columns_that_another_program_wrote_in_a_like_type_are_read_as_ours(tmp_path: Path) -> None:
    path = write_tables(tmp_path, [trial_row(0, 0.5), trial_row(1, 0.25)], []) / TRIALS.file
    change_column(path, "trial_id", pa.array(["t0000", "t0001"], pa.large_string()))
    change_column(path, "number", pa.array([0.0, 1.0]))
    change_column(path, "score", pa.array([1, 0]))
    trials = load_run(tmp_path).trials
    assert trials["trial_id"].tolist() == ["t0000", "t0001"]
    assert (trials["number"].dtype, trials["score"].dtype) == ("Int32", "float64")


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("score", ["good", "bad"], r"'score' must be of type double, but is string here; it was changed after"),
        ("number", [0.5, 1.5], r"'number' must be of type int32, but is double here"),
        ("trial_id", ["t0000", None], r"'trial_id' may not be empty, but is in some rows"),
        ("trial_id", ["t0000", "t0000"], r"each trial has one row, but 't0000' has several"),
        ("status", ["completed", "done"], r"a trial's status is one of running, .*, but there is 'done'"),
    ],
)
def test_a_table_that_no_search_wrote_is_refused_in_one_line(
    tmp_path: Path, name: str, values: list[object], told: str
) -> None:
    path = write_tables(tmp_path, [trial_row(0, 0.5), trial_row(1, 0.25)], []) / TRIALS.file
    change_column(path, name, pa.array(values))
    with pytest.raises(ValueError, match=rf"trials\.parquet: {told}") as refused:
        load_run(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mtsearch_task_metrics", "3.5"),
        ("mtsearch_task_metrics", "[1]"),
        ("mtsearch_other_metrics", '{"a": 3}'),
        ("mtsearch_scored_tasks", "x"),
    ],
)
def test_an_objective_that_is_none_is_refused_in_one_line(tmp_path: Path, key: str, value: str) -> None:
    path = write_tables(tmp_path, [trial_row(0, 0.5)], []) / TRIALS.file
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, key.encode(): value}), path)
    with pytest.raises(ValueError, match=r"trials\.parquet: its metadata does not say what the search optimises: "):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("search: 3", "expected a mapping under search, but found int"),
        ("search: {constraints: 3}", "search.constraints: expected a list of texts, but found 3"),
    ],
)
def test_a_space_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    write_tables(tmp_path, [trial_row(0, 0.5)], [])
    (tmp_path / "resolved.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"resolved\.yaml: {told}"):
        load_run(tmp_path)


def test_a_table_of_an_earlier_version_has_nulls_for_what_came_later(tmp_path: Path) -> None:
    write_tables(tmp_path, [trial_row(0, 0.5)], [])
    table = pq.read_table(tmp_path / TRIALS.file).drop_columns(["pareto"])
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"mtsearch_version": b"1"}), tmp_path / TRIALS.file
    )
    trials = load_run(tmp_path).trials
    assert list(trials.columns) == [column.name for column in TRIALS.columns]
    assert trials["pareto"].isna().all()


def test_a_newer_table_is_refused_with_both_versions(tmp_path: Path) -> None:
    write_tables(tmp_path, [trial_row(0)], [])
    newer = replace(TRIALS, version=TRIALS.version + 1).from_rows([trial_row(0)])
    pq.write_table(newer, tmp_path / TRIALS.file)
    told = rf"version {TRIALS.version + 1} of the trials table.*reads up to version {TRIALS.version}; install a newer"
    with pytest.raises(ValueError, match=told):
        load_run(tmp_path)


def test_another_parquet_file_under_the_name_is_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, [trial_row(0)], [])
    pd.DataFrame({"trial_id": ["t0"]}).to_parquet(tmp_path / TRIALS.file)
    with pytest.raises(ValueError, match=r"expected mtsearch's trials table, but its metadata says 'no name'"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "rule"),
    [
        ("resolved.yaml", "a: [1", "not valid YAML"),
        ("resolved.yaml", "- 1", "expected a mapping at the top, but found list"),
        ("environment.json", '{"a": ', "not valid JSON"),
    ],
)
def test_a_broken_description_is_refused_in_one_line(tmp_path: Path, file: str, content: str, rule: str) -> None:
    write_tables(tmp_path, [trial_row(0)], [])
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=f"{file}: {rule}") as refused:
        load_run(tmp_path)
    assert "\n" not in str(refused.value)


def test_several_runs_are_one_table_that_says_whose_row_it_is(tmp_path: Path) -> None:
    first = write_tables(tmp_path / "a", [trial_row(0, 0.5, **{"config/lr": 0.1})], [metric_row("t0000", 1, 0.5)])
    rows = [trial_row(0, 0.25, **{"config/k": 2}), trial_row(1, 0.75, **{"config/k": 3})]
    second = write_tables(tmp_path / "b", rows, [metric_row("t0001", 1, 0.75)])
    runs = load_runs([first, str(second)])
    assert [run.name for run in runs] == list(runs.by_name) == ["a", "b"]
    assert list(runs.trials.columns[:2]) == ["run", "trial_id"]
    assert list(zip(runs.trials["run"], runs.trials["score"], strict=True)) == [("a", 0.5), ("b", 0.25), ("b", 0.75)]
    assert runs.trials["config/lr"].isna().tolist() == [False, True, True]
    assert runs.trials["config/k"].dtype == pd.Int64Dtype()
    assert list(zip(runs.metrics["run"], runs.metrics["value"], strict=True)) == [("a", 0.5), ("b", 0.75)]
    assert runs.gates.empty
    assert "run" in runs.gates


def test_a_setting_that_is_a_word_in_one_run_and_a_number_in_another_is_text(tmp_path: Path) -> None:
    folders = [
        write_tables(tmp_path / str(i), [trial_row(0, **{"config/patience": value})], [])
        for i, value in enumerate(["auto", 3])
    ]
    assert load_runs(folders).trials["config/patience"].tolist() == ["auto", "3"]


def test_a_setting_that_is_null_in_one_run_keeps_its_type_in_the_others(tmp_path: Path) -> None:
    folders = [
        write_tables(tmp_path / str(i), [trial_row(0, **{"config/clip": value})], [])
        for i, value in enumerate([None, 0.25, 1])
    ]
    assert load_runs(folders).trials["config/clip"].tolist() == pytest.approx([float("nan"), 0.25, 1.0], nan_ok=True)
    assert load_runs(folders[:1]).trials["config/clip"].isna().all()


def test_a_setting_that_is_a_truth_value_in_one_run_and_a_number_in_another_is_text(tmp_path: Path) -> None:
    folders = [
        write_tables(tmp_path / str(i), [trial_row(0, **{"config/decay": value})], [])
        for i, value in enumerate([False, 0.25])
    ]
    assert load_runs(folders).trials["config/decay"].tolist() == ["false", "0.25"]


def test_a_search_that_goes_on_between_two_tables_leaves_no_row_without_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables_of(num_trials: int) -> None:
        rows = [trial_row(number, 0.5) for number in range(num_trials)]
        write_tables(tmp_path, rows, [metric_row(row["trial_id"], 1, 0.5) for row in rows])

    read = load._read_piece

    def read_and_go_on(path: Path) -> pa.Table:
        piece = read(path)
        tables_of(2)
        return piece

    tables_of(1)
    monkeypatch.setattr(load, "_read_piece", read_and_go_on)
    run = load_run(tmp_path)
    assert set(run.metrics["trial_id"]) <= set(run.trials["trial_id"])


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    places = ("x/baseline", "y/baseline", "y/quick")
    folders = [write_tables(tmp_path / place, [trial_row(0)], []) for place in places]
    assert list(load_runs(folders).by_name) == ["x/baseline", "y/baseline", "quick"]


def test_no_run_and_a_run_twice_are_refused(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "a", [trial_row(0)], [])
    with pytest.raises(ValueError, match="at least one"):
        load_runs([])
    with pytest.raises(ValueError, match="more than once"):
        load_runs([folder, tmp_path / "b" / ".." / "a"])
