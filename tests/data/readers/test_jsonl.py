"""JSON lines."""

from __future__ import annotations

from mtsearch.data.readers import READERS


def test_the_columns_are_all_keys_and_a_missing_one_is_none() -> None:
    table = READERS["jsonl"](['{"text": "a", "label": 1}', "", '{"label": 0, "text": "b", "id": "x"}'], True)
    assert table.columns == ("text", "label", "id")
    assert list(table.rows) == [(1, ["a", 1, None]), (3, ["b", 0, "x"])]


def test_lines_that_are_no_objects_are_refused() -> None:
    table = READERS["jsonl"](['{"text": "a"}', "{broken", "[1, 2]", "[" * 100_000], True)
    assert [refusal.line for refusal in table.refused] == [2, 3, 4]
    assert "not JSON" in table.refused[0].reason
    assert "must be a JSON object, but is a list" in table.refused[1].reason
