from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from mtsearch_analysis import wording
from mtsearch_analysis.best import best_trials
from mtsearch_analysis.load import Run, load_run
from mtsearch_analysis.report import write_report
from mtsearch_analysis.tables import Objective
from tests.analysis.run_folders import metric_row, trial_row, write_run, write_tables


class _Page(HTMLParser):
    """What a reader without JavaScript gets: the tables' rows, the text, and what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""
        self.ids: list[str] = []
        self.references: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag in ("th", "td", "script", "style"):
            self._open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if values.get("id") else []
        self.references += [values[name] or "" for name in ("src", "href", "action", "data") if name in values]

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in ("th", "td"):
            self.rows[-1][-1] += data
        if inside not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def report(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(finished_run, tmp_path_factory.mktemp("report") / "r.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(report: str) -> _Page:
    return _Page(report)


def test_it_is_written_into_the_run_folder_and_replaces_the_last_one(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0)], []))
    path = write_report(run)
    assert path == tmp_path / "report" / "index.html"
    path.write_text("old")
    write_report(run)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["index.html"]


def test_the_trials_table_holds_every_trial_with_the_numbers_of_the_table(page: _Page, finished_run: Run) -> None:
    rows = {row[0]: row for row in page.rows}
    for trial in finished_run.trials.to_dict("records"):
        row = rows[trial["trial_id"]]
        assert row[1] == trial["status"]
        assert row[2] == wording.score(trial["score"])
        assert row[3] == wording.score(trial["best/sentiment.accuracy"])
        assert wording.setting(trial["config/optimizer.lr"]) in row
        assert row[-1] == wording.setting(trial["stop_reason"])


def test_the_best_trial_comes_first_in_the_table(page: _Page, finished_run: Run) -> None:
    header = next(i for i, row in enumerate(page.rows) if row[0] == "trial")
    ranked = best_trials(finished_run, n=3)["trial_id"].tolist()
    assert [row[0] for row in page.rows[header + 1 : header + 4]] == ranked


def test_the_winner_is_named_with_its_score_and_lead(page: _Page, finished_run: Run) -> None:
    first, second = best_trials(finished_run, n=2).to_dict("records")
    lead = wording.score(first["score"] - second["score"])
    told = f"The best trial is {first['trial_id']} with mean_score {wording.score(first['score'])}"
    assert told in page.text
    assert f"{lead} better than the runner-up, {second['trial_id']}" in page.text


def test_other_numbers_make_another_report(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.123456), trial_row(1, 0.0987654)], []))
    text = _Page(write_report(run).read_text(encoding="utf-8")).text
    assert "0.1235" in text
    assert "0.0988" in text
    assert "0.0247 better than the runner-up" in text


def test_the_config_can_be_copied_as_yaml(report: str, finished_run: Run) -> None:
    block = re.search(r'<pre id="config"[^>]*>(.*?)</pre>', report, re.DOTALL)
    assert block is not None
    config = yaml.safe_load(block[1])
    winner = best_trials(finished_run, n=1).iloc[0]
    assert config["optimizer"]["lr"] == winner["config/optimizer.lr"]
    assert config["training"]["batch_size"] == winner["config/training.batch_size"]
    assert ("rho" in config["optimizer"]) == (winner["config/optimizer.name"] == "sophiah")


def test_the_trials_own_config_file_is_shown_as_it_is(tmp_path: Path) -> None:
    run = load_run(write_tables(tmp_path, [trial_row(0, 0.5, **{"config/lr": 0.1})], []))
    (tmp_path / "trials" / "t0000").mkdir(parents=True)
    (tmp_path / "trials" / "t0000" / "config.yaml").write_text("lr: 0.1   # as written\n")
    assert "lr: 0.1   # as written" in write_report(run).read_text(encoding="utf-8")


def test_text_from_the_tables_is_escaped(tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script>"
    attribute = '"><img src=x onerror=alert(1)>'
    rows = [
        trial_row(
            i,
            0.5 - i / 10,
            trial_id=f"t{i}{attribute}",
            stop_reason=attack,
            data_hash=attack,
            **{"config/name": f"{attack}{i}", f"config/{attack}": i, f"best/{attack}.accuracy": 0.5},
        )
        for i in range(2)
    ]
    metrics = [metric_row(f"t{i}{attribute}", 1, 0.5) for i in range(2)]
    metrics += [metric_row(f"t{i}{attribute}", 1, 0.5, task=attack, metric="accuracy") for i in range(2)]
    run = load_run(write_tables(tmp_path, rows, metrics))
    (tmp_path / "environment.json").write_text('{"node": "<script>alert(2)</script>"}')
    report = write_report(load_run(run.path)).read_text(encoding="utf-8")
    assert "<script>alert" not in report
    assert "<img src=x" not in report
    assert "&lt;script&gt;alert(1)" in report
    assert _Page(report).text.count(attack) > 4


def unpacked(report: str) -> list[str]:
    """The texts that lie packed in the page: plotly's code, the trials' curves and the figures."""
    packed = re.findall(r'<script type="text/plain" [^>]*>([^<]*)</script>', report)
    return [gzip.decompress(base64.b64decode(text)).decode() for text in packed]


def test_plotly_is_embedded_once_and_the_figures_beside_it(report: str) -> None:
    texts = unpacked(report)
    (plotly,) = [text for text in texts if re.search(r"\* plotly\.js v\d", text)]
    texts.remove(plotly)
    assert report.count("data-plot=") == len(texts) - 1 >= 7
    assert sum("data" in json.loads(text) for text in texts) == len(texts) - 1


def test_the_page_refers_to_nothing_outside_itself(report: str, page: _Page) -> None:
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    own_code = re.sub(r'<script type="text/plain".*?</script>', "", report, flags=re.DOTALL)
    assert len(own_code) < len(report) / 2
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", own_code)
    assert "default-src 'none'" in own_code
    assert "showSendToCloud: false" in own_code


def test_text_stands_out_from_what_is_behind_it_by_light_and_by_dark(report: str) -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", rules)) for rules in re.findall(r":root \{(.*?)\}", report, re.DOTALL)
    )
    for colours in (light, light | dark):
        for text in ("ink", "soft", "link", "worse"):
            for behind in ("page", "panel"):
                low, high = sorted((luminance(colours[text]), luminance(colours[behind])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, behind)  # WCAG 2.2, 1.4.3


def test_every_link_and_label_leads_somewhere(report: str, page: _Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    targets = {reference.removeprefix("#") for reference in page.references}
    targets |= set(re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', report))
    targets |= set(re.findall(r'data-(?:plot|copies)="([^"]+)"', report))
    assert targets <= set(page.ids)


def test_a_running_search_has_a_report(running_run: Run) -> None:
    text = _Page(write_report(running_run).read_text(encoding="utf-8")).text
    assert "while the search was running" in text
    assert "2 running" in text


@pytest.mark.parametrize("rows", [[], [trial_row(0, status="running", evaluations=0, examples_seen=None)]])
def test_a_search_that_has_just_begun_has_a_report(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    run = load_run(write_tables(tmp_path, rows, []))
    assert "no score yet" in _Page(write_report(run).read_text(encoding="utf-8")).text


def test_a_thousand_trials_stay_far_under_ten_megabytes(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path, num_trials=1000))
    assert write_report(run).stat().st_size < 5_000_000


def test_whether_trials_meet_the_constraints_is_in_the_table_and_beside_the_winner(tmp_path: Path) -> None:
    rows = [trial_row(0, 0.9, is_admissible=False), trial_row(1, 0.5, is_admissible=True)]
    page = _Page(write_report(load_run(write_tables(tmp_path, rows, []))).read_text(encoding="utf-8"))
    trials = [row for row in page.rows if row[1:2] in (["status"], ["completed"])]
    assert [row[3] for row in trials] == ["meets the constraints", "yes", "no"]
    assert "Meets the constraints" in page.text


def test_a_search_with_several_objectives_shows_its_front(tmp_path: Path) -> None:
    objective = Objective(others={"open_heads": "minimize"})
    rows = [
        trial_row(0, 0.5, pareto=True, **{"best/mean_score": 0.5, "best/open_heads": 0.25, "config/lr": 0.1}),
        trial_row(1, 0.4, pareto=False, **{"best/mean_score": 0.4, "best/open_heads": 0.5, "config/lr": 0.2}),
    ]
    metrics = [metric_row("t0000", 1, 0.5), metric_row("t0001", 1, 0.4)]
    run = load_run(write_tables(tmp_path, rows, metrics, objective))
    page = _Page(write_report(run).read_text(encoding="utf-8"))
    assert ["trial", "mean_score ↑", "open_heads ↓", "lr"] in page.rows
    assert ["t0000", "0.5000", "0.2500", "0.1"] in page.rows
    assert "pareto-0" in page.ids
    trials = [row for row in page.rows if row[1:2] in (["status"], ["completed"])]
    assert [row[4] for row in trials] == ["on the front", "yes", "no"]


def test_before_the_first_report_the_front_is_empty(tmp_path: Path) -> None:
    objective = Objective(others={"open_heads": "minimize"})
    run = load_run(write_tables(tmp_path, [trial_row(0, status="running")], [], objective))
    assert "No trial has completed yet." in _Page(write_report(run).read_text(encoding="utf-8")).text


def test_one_objective_has_no_section_for_a_front(page: _Page) -> None:
    assert "front" not in page.ids


def test_trials_that_are_scored_on_their_own_tasks_are_reported_without_one_best(tmp_path: Path) -> None:
    rows = [
        trial_row(number, score, tasks=tasks, **{"best/a.f1": score, "best/mean_score": score})
        for number, (tasks, score) in enumerate([("a", 0.5), ("a+b", 0.25), ("a+b", 0.75)])
    ]
    metrics = [metric_row(row["trial_id"], 1, row["score"]) for row in rows]
    metrics += [metric_row(row["trial_id"], 1, row["score"], task="a", metric="f1") for row in rows]
    run = load_run(write_tables(tmp_path, rows, metrics, Objective(task_metrics=("a.f1",))))
    text = write_report(run).read_text(encoding="utf-8")
    page = _Page(text)
    assert "one for each set of tasks" in page.text
    assert any("best of its tasks" in packed for packed in unpacked(text))
    for claim in ("Best trial", "Best so far", "Settings and scores", "The best trial is"):
        assert claim not in page.text
    assert [row[0] for row in page.rows if row[0].startswith("t00")] == ["t0000", "t0002", "t0001"]
