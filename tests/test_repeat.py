from __future__ import annotations

from typing import Any

from mtsearch.repeat import Repeated


def repeated(**recorded: Any) -> Repeated:
    environment = {"versions": {}, "hardware": {}}
    return Repeated("again", {}, {"trial_id": "t0007", "parent": None, **recorded}, environment)


def test_of_a_trial_that_went_on_with_anothers_weights_it_is_said_that_its_last_config_alone_is_repeated() -> None:
    names = [name for name, _ in repeated().differences()]
    assert names == ["environment"]
    lineage = dict(repeated(parent="t0002", parent_evaluation=3.0).differences())["lineage"]
    assert lineage == (
        "t0007 went on under pbt from evaluation 3 of t0002, with its weights; "
        "here its last config alone is trained, from the start"
    )
