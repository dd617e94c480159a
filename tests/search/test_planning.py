"""What a plan says, worked by hand."""

from __future__ import annotations

import pytest

from mtsearch.search.planning import expected_evaluations
from mtsearch.training.probe import Probe


def test_a_trial_that_is_never_stopped_has_all_its_evaluations() -> None:
    assert expected_evaluations((), 1.0, 10) == 10


def test_each_rung_lets_its_share_go_on() -> None:
    # all do the first, a third the second and third, a ninth the last three
    assert expected_evaluations((1, 3), 3.0, 6) == pytest.approx(1 + 2 / 3 + 3 / 9)


def test_a_trials_seconds_are_its_pretraining_its_epochs_and_its_evaluations() -> None:
    probed = Probe(5.0, 10.0, 2.0, num_epochs=4, num_evaluations=8, weight_bytes=1)
    assert probed.seconds(8) == 5 + 4 * 10 + 8 * 2
    assert probed.seconds(2) == 5 + 1 * 10 + 2 * 2
