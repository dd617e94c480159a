"""Reports travel between processes and through files."""

from __future__ import annotations

import json

from mtsearch.training.report import Interference, Measurement, Report


def report() -> Report:
    return Report(
        evaluation=2,
        step=20,
        epoch=1.0,
        examples_seen=160,
        seconds=3.5,
        scores={"sentiment.accuracy": 0.5, "mean_score": 0.5},
        score=0.5,
        best_score=0.6,
        best_evaluation=1,
        measurements=(Measurement("", "dev", "mean_score", 0.5),),
        outcome="running",
        reason="",
        facts={"parameters": 100},
        checkpoint="evaluation-0002",
        interference=(Interference("sentiment", "paraphrase", -0.25, 4),),
        warnings=("the disk is full",),
    )


def test_a_report_comes_back_from_json_as_it_was() -> None:
    assert Report.from_json(json.loads(json.dumps(report().to_json()))) == report()


def test_a_report_of_before_interference_was_measured_and_warnings_were_told_is_read() -> None:
    state = report().to_json()
    del state["interference"], state["warnings"]
    assert (Report.from_json(state).interference, Report.from_json(state).warnings) == ((), ())
