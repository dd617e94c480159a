from __future__ import annotations

import errno
import fcntl
import json
import math
import multiprocessing
import os
import resource
import signal
import threading
import time
from dataclasses import replace
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any

import pytest

from mtsearch.errors import RunError
from mtsearch.search.events import (
    EVENTS,
    EventLog,
    EventReader,
    Infeasible,
    Retrained,
    Retried,
    RunEnded,
    Suggested,
    Warned,
    is_locked,
    read_events,
)
from tests.search.conftest import Story


def a_story() -> Story:
    story = Story().begun().suggested(0).started(0).reported(0, 1, 0.5)
    story.events.append(
        Infeasible(time=9.0, trial_id="t0001", number=1, params={"a": None, "b": True}, reason="no", start=0)
    )
    story.events.append(Retried(time=9.5, trial_id="t0000", attempt=1, reason="its worker died", micro_batch_size=None))
    story.stopped(0, "completed")
    story.events.append(Retrained(time=10.0, trial_id="t0000", checkpoint="retrained/x"))
    story.events.append(Warned(time=10.5, text="the database does not answer"))
    story.events.append(RunEnded(time=11.0, reason="done"))
    return story


def test_every_kind_of_event_reads_back_as_it_was_written(tmp_path: Path) -> None:
    events = a_story().events
    with EventLog(tmp_path) as log:
        for event in events:
            log.append(event)
        assert list(read_events(tmp_path)) == events  # while it is open, too


def test_what_is_read_has_its_keys_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    tasks = {"mood": {"kind": "classification", "metrics": ["accuracy"], "data": "sst5"}}
    config = {"name": "tiny", "optimizer": {"lr": 1}, "training": {"epochs": 2, "seed": 1}, "tasks": tasks}
    events = Story().begun().suggested(0).reported(0, 1, 0.5).events
    with EventLog(tmp_path) as log:
        for event in events:
            log.append(replace(event, config=config) if isinstance(event, Suggested) else event)
    _, suggested, reported = read_events(tmp_path)
    assert json.dumps(suggested.config) == json.dumps(config)
    assert list(reported.report) == list(events[2].report)


def test_a_torn_last_line_is_cut_and_the_next_event_stands_on_its_own_line(tmp_path: Path) -> None:
    first, second = Story().begun().suggested(0).events
    third = Warned(time=3.0, text="the database does not answer")
    with EventLog(tmp_path) as log:
        log.append(first)
        log.append(second)
    path = tmp_path / EVENTS
    for torn in (path.read_bytes()[:-7], path.read_bytes()[:-1], path.read_bytes() + b"\0\0\0\0\n"):
        path.write_bytes(torn)
        kept = list(read_events(tmp_path))
        with EventLog(tmp_path) as log:
            log.append(third)
        assert list(read_events(tmp_path)) == [*kept, third]
        assert kept in ([first], [first, second])
        path.write_bytes(b"")
        with EventLog(tmp_path) as log:
            log.append(first)
            log.append(second)


def test_an_event_of_a_newer_version_is_refused_and_stays(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append(a_story().events[0])
    path = tmp_path / EVENTS
    for newer in (b'{"event":"merged"}\n', path.read_bytes().replace(b'{"event"', b'{"hue":1,"event"')):
        path.write_bytes(content := path.read_bytes() + newer)
        for _ in range(2):
            with EventLog(tmp_path), pytest.raises(RunError, match=rf"{EVENTS}:2: .* a newer mtsearch wrote it"):
                list(read_events(tmp_path))
        assert path.read_bytes() == content
        path.write_bytes(content.splitlines(keepends=True)[0])


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        for event in a_story().events[:3]:
            log.append(event)
    lines = (tmp_path / EVENTS).read_bytes().splitlines(keepends=True)
    (tmp_path / EVENTS).write_bytes(lines[0] + b'{"event":"?"}\n' + lines[2])
    with pytest.raises(RunError, match=rf"{EVENTS}:2: every line must be an event"):
        list(read_events(tmp_path))


def changed(event: dict[str, Any], place: str, value: Any) -> None:
    """Set what stands at ``report.scores``, or remove it where there is no value."""
    *path, last = place.split(".")
    for key in path:
        event = event[key]
    if value is None:
        del event[last]
    else:
        event[last] = value


@pytest.mark.parametrize(
    ("line", "place", "value", "told"),
    [
        (1, "identity.plugins", 3, "identity.plugins: Input should be"),
        (1, "pid", 10**20, "pid: Input should be less than"),
        (1, "constraints", ["score = 1"], "constraints.0: must be METRIC >= NUMBER"),
        (1, "budgets", {"time": "long"}, "budgets.time: Input should be a valid number"),
        (2, "event", "merged", "event must be one of run_started, .*'merged'"),
        (2, "hue", 1, "suggested has no field 'hue'"),
        (2, "time", 1e300, "time: Input should be less than"),
        (2, "trial_id", "../t0000", r"trial_id: must stay in the run folder, but is '\.\./t0000'"),
        (2, "config.tasks.sentiment.metrics", [], "config.tasks.sentiment.metrics: .* at least 1 item"),
        (2, "config.training", None, "config.training: Field required"),
        (4, "report.evaluation", None, "report.evaluation: Field required; "),
        (4, "report.scores", {"mean_score": "high"}, "report.scores.mean_score: Input should be a valid number"),
        (4, "report.score", math.nan, "a number must be finite, but one is NaN"),
        (4, "report.best_evaluation", 7, "report: best_evaluation must be at most evaluation, 1, but is 7"),
        (4, "report.measurements", [{"task": ""}], "report.measurements.0.split: Field required"),
        (4, "data", {"mood": {"hash": "a", "where": "b"}}, "data must be of tasks of t0000, but 'mood' is none"),
        (5, "trial_id", "t0007", "t0007 must have been suggested before"),
        (6, "status", "bored", "status: Input should be 'completed'"),
    ],
)
def test_an_event_of_another_shape_is_refused_with_its_line_and_field(
    tmp_path: Path, line: int, place: str, value: Any, told: str
) -> None:
    story = Story().begun().suggested(0).started(0).reported(0, 1, 0.5).reported(0, 2, 0.6).stopped(0, "completed")
    with EventLog(tmp_path) as log:
        for event in story.events:
            log.append(event)
    events = [json.loads(text) for text in (tmp_path / EVENTS).read_text().splitlines()]
    changed(events[line - 1], place, value)
    (tmp_path / EVENTS).write_text(content := "".join(json.dumps(event) + "\n" for event in events))
    with pytest.raises(RunError, match=rf"{EVENTS}:{line}: every line must be an event .*: {told}"):
        list(read_events(tmp_path))
    assert (tmp_path / EVENTS).read_text() == content


@pytest.mark.parametrize(
    ("order", "line", "told"),
    [
        ((1, 2, 3), 1, "the first event must be run_started"),
        ((0, 2), 2, "t0000 must have been suggested before"),
        ((0, 1, 1), 3, "number must be 1, the trials before it, but is 0"),
        ((0, 1, 2, 3, 3), 5, "report.evaluation must be above 1"),
        ((0, 1, 2, 4, 4), 5, "t0000 must still run, but has ended before"),
        ((0, 1, 2, 4, 3), 5, "t0000 must still run, but has ended before"),
    ],
)
def test_an_event_that_cannot_follow_those_before_it_is_refused_with_its_line(
    tmp_path: Path, order: tuple[int, ...], line: int, told: str
) -> None:
    events = Story().begun().suggested(0).started(0).reported(0, 1, 0.5).stopped(0, "completed").events
    with EventLog(tmp_path) as log:
        for i in order:
            log.append(events[i])
    with pytest.raises(RunError, match=rf"{EVENTS}:{line}: .*{told}"):
        list(read_events(tmp_path))


def test_half_a_character_in_a_reason_is_read_as_a_question_mark(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append(Story().begun().events[0])
        log.append(Warned(time=1.0, text="no such file: caf\udce9"))
    *_, warned = read_events(tmp_path)
    assert isinstance(warned, Warned)
    assert warned.text == "no such file: caf?"


def test_a_number_that_is_not_finite_is_written_as_null(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        for event in Story().begun().suggested(0).reported(0, 1, math.nan, outcome="diverged").events:
            log.append(event)
    text = (tmp_path / EVENTS).read_text()
    assert "NaN" not in text
    assert '"score":null' in text


def hold(folder: Path, is_held: Flag) -> None:
    with EventLog(folder) as log:
        log.append(Story().begun().events[0])
        is_held.set()
        time.sleep(600)


def test_a_second_driver_is_refused_until_the_first_is_gone_even_by_a_crash(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    is_held = context.Event()
    first = context.Process(target=hold, args=(tmp_path, is_held))
    first.start()
    try:
        assert is_held.wait(300)
        with pytest.raises(RunError, match=r"one driver at a time .* \(process 1 on here\)"):
            EventLog(tmp_path)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        first.join(300)
        with EventLog(tmp_path):
            assert len(list(read_events(tmp_path))) == 1
    finally:
        first.kill()
        first.join(300)


def test_a_driver_that_is_refused_before_its_first_event_leaves_nothing_new_behind(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for folder in (tmp_path / "runs" / "x", tmp_path / "new" / "x"):
        with pytest.raises(RunError, match="no cluster"), EventLog(folder):
            raise RunError("no cluster")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert not list((tmp_path / "runs").iterdir())


def test_a_driver_that_is_refused_leaves_what_was_there_before(tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("begun", b'{"event":"x"}\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / EVENTS).write_bytes(content)
        with EventLog(tmp_path / name):
            pass
        assert (tmp_path / name / EVENTS).read_bytes() == content
    with EventLog(tmp_path / "run"):
        (tmp_path / "run" / "space.yaml").write_text("name: x")
    assert (tmp_path / "run" / EVENTS).is_file()  # or it would be no run folder, and nobody's


def test_a_driver_that_waited_for_one_that_is_refused_writes_where_others_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, held = EventLog(tmp_path / "run"), fcntl.flock

    def leave_first(file: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", held)
        first.__exit__(None, None, None)
        held(file, operation)

    monkeypatch.setattr(fcntl, "flock", leave_first)
    with EventLog(tmp_path / "run") as log:
        log.append(Story().begun().events[0])
        assert len(list(read_events(tmp_path / "run"))) == 1


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="must be writable"):
        EventLog(tmp_path / "file" / "run")


def test_a_full_disk_is_told_in_one_line_and_leaves_the_events_readable(tmp_path: Path) -> None:
    first, second, *_ = a_story().events
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with EventLog(tmp_path) as log:
        log.append(first)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / EVENTS).stat().st_size + 20, limits[1]))
        try:
            with pytest.raises(RunError, match="make room and run again"):
                log.append(second)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.append(second)
    assert list(read_events(tmp_path)) == [first, second]


def test_a_reader_gives_each_event_once_as_it_is_written_and_a_torn_one_when_it_is_whole(tmp_path: Path) -> None:
    first, second, third, *_ = a_story().events
    with EventLog(tmp_path) as log:
        log.append(first)
        reader = EventReader(tmp_path)
        assert list(reader.new()) == [first]
        assert list(reader.new()) == []
        log.append(second)
        log.append(third)
    whole = (tmp_path / EVENTS).read_bytes()
    (tmp_path / EVENTS).write_bytes(whole[:-7])
    assert list(reader.new()) == [second]
    (tmp_path / EVENTS).write_bytes(whole)
    assert list(reader.new()) == [third]


def test_a_damaged_line_is_told_with_its_number_also_to_whoever_follows(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        for event in a_story().events[:2]:
            log.append(event)
    reader = EventReader(tmp_path)
    assert len(list(reader.new())) == 2
    with (tmp_path / EVENTS).open("ab") as file:
        file.write(b"{damaged}\n{}\n")
    with pytest.raises(RunError, match=r"events\.jsonl:3: every line must be an event"):
        list(reader.new())


def test_whoever_looks_sees_the_drivers_lock_and_keeps_no_driver_out(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append(Story().begun().events[0])
        assert is_locked(tmp_path) is True
    assert is_locked(tmp_path) is False
    with EventLog(tmp_path):  # what looked has let go
        pass


def test_a_driver_waits_for_somebody_who_only_looks(tmp_path: Path) -> None:
    (tmp_path / EVENTS).touch()
    looking = (tmp_path / EVENTS).open("rb")
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, looking.close).start()
    with EventLog(tmp_path):
        assert is_locked(tmp_path) is True


def test_without_locks_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with EventLog(tmp_path):
        monkeypatch.setattr(fcntl, "flock", no_locks)
        assert is_locked(tmp_path) is None


def test_events_of_an_older_version_say_nothing_of_budgets(tmp_path: Path) -> None:
    begun = Story().begun().events[0]
    with EventLog(tmp_path) as log:
        log.append(begun)
    line = json.loads((tmp_path / EVENTS).read_text())
    for name in ("metric", "budgets", "command"):
        del line[name]
    (tmp_path / EVENTS).write_text(json.dumps(line) + "\n")
    assert list(read_events(tmp_path)) == [begun]
