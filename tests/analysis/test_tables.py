from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtsearch_analysis.tables import METRICS, STATUSES, STUDIES, TABLES, TRIALS, Objective, Table, split_metric
from tests.analysis.run_folders import metric_row, trial_row


@pytest.mark.parametrize("table", [*TABLES, *STUDIES], ids=lambda table: table.name)
def test_columns_are_named_once_and_documented(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert all(column.doc for column in (*table.columns, *table.groups))


def test_statuses_are_those_of_the_run_folder() -> None:
    assert set(STATUSES) == {
        "running",
        "completed",
        "pruned",
        "diverged",
        "infeasible",
        "failed",
        "interrupted",
    }


def test_rows_survive_a_parquet_file_with_their_types_and_metadata(tmp_path: Path) -> None:
    started = datetime(2026, 3, 2, 9, 0, 0, 123_000, tzinfo=UTC)
    row = trial_row(
        3,
        score=0.71,
        seed=2**60 + 1,
        started_at=started,
        **{"best/sentiment.accuracy": 0.5, "config/optimizer.name": "adamw", "config/training.batch_size": 16},
    )
    objective = Objective(task_metrics=("sentiment.accuracy",))
    pq.write_table(TRIALS.from_rows([row], objective.metadata()), tmp_path / "t.parquet")

    back = pq.read_table(tmp_path / "t.parquet")

    TRIALS.check(back.schema, tmp_path / "t.parquet")
    assert {name: value for name, value in back.to_pylist()[0].items() if value is not None} == row
    assert back.schema.field("config/training.batch_size").type == pa.int64()
    assert back.schema.metadata[b"mtsearch_table"] == b"trials"
    assert back.schema.metadata[b"mtsearch_version"] == str(TRIALS.version).encode()
    assert Objective.from_schema(back.schema) == objective


def test_a_table_without_rows_has_the_columns_of_the_contract() -> None:
    assert METRICS.from_rows([]).schema.names == [column.name for column in METRICS.columns]


@pytest.mark.parametrize(
    ("values", "dtype", "written"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        ([True, False, None], pa.bool_(), [True, False, None]),
        (["cls", None, "mean"], pa.string(), ["cls", None, "mean"]),
        (["auto", 8, 0.5], pa.string(), ["auto", "8", "0.5"]),
        ([True, 1, None], pa.string(), ["true", "1", None]),
        ([[256, 64], [], None], pa.string(), ["[256, 64]", "[]", None]),
        ([1, 10**30, 0.5], pa.string(), ["1", "1" + "0" * 30, "0.5"]),
    ],
)
def test_a_config_column_takes_the_type_of_its_values(
    values: list[object], dtype: pa.DataType, written: list[object]
) -> None:
    rows = [trial_row(i, **{"config/x": value}) for i, value in enumerate(values)]
    column = TRIALS.from_rows(rows)["config/x"]
    assert column.type == dtype
    assert column.to_pylist() == written


def test_a_score_that_happens_to_be_whole_is_still_a_float() -> None:
    assert (
        TRIALS.from_rows([trial_row(0, **{"best/sentiment.accuracy": 1})])["best/sentiment.accuracy"].type
        == pa.float64()
    )


def test_a_column_outside_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="column 'colour' is not in the contract"):
        TRIALS.from_rows([trial_row(0, colour="red")])
    with pytest.raises(ValueError, match="groups: none"):
        METRICS.schema([pa.field("config/x", pa.int64())])


def test_a_row_without_what_it_must_have_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has no 'split'"):
        METRICS.from_rows([metric_row("t0000", 1, 0.5), metric_row("t0000", 2, 0.5, split=None)])


def test_a_metric_belongs_to_the_task_before_its_first_dot() -> None:
    assert split_metric("sentiment.accuracy") == ("sentiment", "accuracy")
    assert split_metric("mean_score") == ("", "mean_score")


def test_the_objectives_of_a_search_are_told_apart_and_come_back() -> None:
    objective = Objective("sentiment.accuracy", others={"open_heads": "minimize", "mean_score": "maximize"})
    back = Objective.from_schema(TRIALS.from_rows([], objective.metadata()).schema)
    assert back == objective
    assert list(back.metrics.items()) == [
        ("sentiment.accuracy", "maximize"),
        ("open_heads", "minimize"),
        ("mean_score", "maximize"),
    ]
