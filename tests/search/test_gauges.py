from __future__ import annotations

import time
import urllib.request

import pytest

from mtsearch.search import gauges
from mtsearch.search.gauges import Gauges, readings
from mtsearch.search.state import fold
from tests.search.conftest import Story


def a_search() -> Story:
    facts = {"peak_memory_bytes": 2e9, "examples_per_second": 40.0}
    story = Story().begun(trials=4, rungs=None)
    story = story.suggested(0).started(0).reported(0, 1, 0.5, facts=facts).stopped(0, "pruned")
    story = story.suggested(1).started(1).reported(1, 1, 0.25, facts={**facts, "peak_memory_bytes": 1e9})
    return story.suggested(2).started(2)


def test_gauges_are_of_the_search_and_of_each_running_trial() -> None:
    found = {(name, *labels.values()): value for name, labels, value in readings(fold(a_search().events))}
    assert {key: value for key, value in found.items() if value} == {
        ("mtsearch_trials", "running"): 2,
        ("mtsearch_trials", "pruned"): 1,
        ("mtsearch_best_score",): 0.5,
        ("mtsearch_examples_per_second",): 40.0,
        ("mtsearch_peak_memory_bytes",): 2e9,
        ("mtsearch_trial_score", "t0001"): 0.25,
        ("mtsearch_trial_epoch", "t0001"): 1.0,
    }
    assert found["mtsearch_trials", "failed"] == 0


def test_before_the_first_trial_only_counts_are_told() -> None:
    names = {name for name, _, _ in readings(fold(Story().begun().events))}
    assert names == {"mtsearch_trials", "mtsearch_examples_per_second", "mtsearch_trials_past_rung"}


def test_trials_are_counted_at_each_rung_that_they_have_passed() -> None:
    story = Story().begun(rungs=(1, 3)).suggested(0).suggested(1).suggested(2)
    for number, evaluations in ((0, 3), (1, 2), (2, 1)):
        story = story.started(number)
        for evaluation in range(1, evaluations + 1):
            story = story.reported(number, evaluation, 0.5)
    story = story.stopped(2, "pruned")
    state = fold(story.events)
    found = {labels["rung"]: value for name, labels, value in readings(state) if name == "mtsearch_trials_past_rung"}
    assert found == {"1": 2, "3": 1}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_ray_exports_the_gauges_and_forgets_a_stopped_trials(
    ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(gauges, "_SECONDS_BETWEEN", 1.0)
    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"

    def lines() -> list[str]:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                text = answer.read().decode()
        except OSError:  # it does not listen yet
            return []
        return [line for line in text.splitlines() if line.startswith("ray_mtsearch_") and 'run="watched"' in line]

    def wait_until(is_so: object, seconds: float = 600.0) -> list[str]:
        give_up_at = time.monotonic() + seconds
        while not is_so(found := lines()):  # type: ignore[operator]
            assert time.monotonic() < give_up_at, found
            time.sleep(1)
        return found

    story = a_search()
    with Gauges("watched") as watched:
        watched.on_event(story.events[-1], fold(story.events))
        found = wait_until(lambda found: any("trial_epoch" in line for line in found))
        values = {line.split("{")[0] + line.split('run="watched"')[1]: None for line in found}
        assert "ray_mtsearch_best_score} 0.5" in values
        assert 'ray_mtsearch_trial_score,trial="t0001"} 0.25' in values
        assert 'ray_mtsearch_trials,status="running"} 2.0' in values
        story = story.stopped(1, "completed")
        watched.on_event(story.events[-1], fold(story.events))
        wait_until(lambda found: found and not any("trial=" in line for line in found))
