"""The report as a browser has it: drawn, without errors, and a click on a trial shows its curves."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from mtsearch_analysis.best import best_trials
from mtsearch_analysis.live import LiveServer
from mtsearch_analysis.load import Run, load_run, load_runs
from mtsearch_analysis.report import write_report
from tests.analysis.run_folders import write_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "google-chrome", "chrome"))), reason="there is no Chrome or Chromium"
    ),
]

# Figures are drawn when they come near to the screen, so each is scrolled to.
DRAW_ALL = """(async () => {
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  for (const place of document.querySelectorAll("figure .plot")) {
    place.scrollIntoView();
    for (let i = 0; i < 200 && !place.querySelector(".main-svg"); i++) await pause(50);
  }
  return [...document.querySelectorAll("figure .plot")].filter((p) => !p.querySelector(".main-svg")).map((p) => p.id);
})()"""
CLICK_TRIAL = """(async () => {
  document.querySelector(`tr[data-trial="%s"] button`).click();
  for (let i = 0; i < 200 && !document.querySelector("#trial-plot .scatterlayer .trace"); i++) {
    await new Promise((done) => setTimeout(done, 50));
  }
  const dialog = document.getElementById("trial");
  const shown = {
    open: dialog.open,
    title: document.getElementById("trial-title").textContent,
    names: document.getElementById("trial-plot").data.map((line) => line.name),
    values: document.getElementById("trial-plot").data[0].y,
    rows: document.querySelectorAll("#trial-scores tbody tr").length,
  };
  document.getElementById("trial-close").click();
  return { ...shown, closed: !dialog.open };
})()"""
CLICK_POINT = """(async () => {
  const place = document.getElementById("curves");
  place.emit("plotly_click", { points: [{ text: "%s" }] });
  for (let i = 0; i < 200 && !document.getElementById("trial").open; i++) {
    await new Promise((done) => setTimeout(done, 50));
  }
  const shown = document.getElementById("trial-title").textContent;
  document.getElementById("trial-close").click();
  return shown;
})()"""
SORT_AND_OPEN = """(async () => {
  document.querySelectorAll("#trials-table thead button")[2].click();
  document.querySelectorAll("#trials-table thead button")[2].click();
  document.getElementById("trials-scroller").scrollTo(70, 150);
  document.querySelector("details").open = true;
  document.querySelector(`tr[data-trial="t0003"] button`).click();
  for (let i = 0; i < 200 && !document.getElementById("trial").open; i++) {
    await new Promise((done) => setTimeout(done, 50));
  }
})()"""
VIEW = """(async () => {
  for (let i = 0; i < 200 && !document.getElementById("trial").open; i++) {
    await new Promise((done) => setTimeout(done, 50));
  }
  const scroller = document.getElementById("trials-scroller");
  return {
    scores: [...document.querySelectorAll("#trials-table tbody tr")].map((row) => row.cells[2].textContent),
    sort: document.querySelector("#trials-table th[aria-sort]")?.getAttribute("aria-sort"),
    scrolled: [scroller.scrollLeft, scroller.scrollTop],
    unfolded: document.querySelector("details").open,
    trial: document.getElementById("trial-title").textContent,
  };
})()"""
RELOAD = "reload"
WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth - innerWidth"


def _look(url: str, scripts: list[str], width_px: int = 1440, dark: bool = False) -> tuple[list[Any], list[str]]:
    """What each script gives in the page, and what the browser had to complain of."""
    from choreographer import Browser

    async def look() -> tuple[list[Any], list[str]]:
        complaints: list[str] = []

        async def complain(event: Any) -> None:
            complaints.append(json.dumps(event["params"])[:500])

        async with Browser(headless=True) as browser:
            tab = await browser.create_tab("about:blank")
            for domain in ("Runtime", "Log", "Page"):
                await tab.send_command(f"{domain}.enable")
            for kind in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                tab.subscribe(kind, complain, repeating=True)
            size = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": width_px < 500}
            await tab.send_command("Emulation.setDeviceMetricsOverride", params=size)
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            await tab.send_command("Emulation.setEmulatedMedia", params={"features": scheme})
            loaded = tab.subscribe_once("Page.loadEventFired")
            await tab.send_command("Page.navigate", params={"url": url})
            await asyncio.wait_for(loaded, 60)
            results = []
            for script in scripts:
                if script == RELOAD:
                    loaded = tab.subscribe_once("Page.loadEventFired")
                    await tab.send_command("Page.reload")
                    await asyncio.wait_for(loaded, 60)
                    continue
                given = {"expression": script, "awaitPromise": True, "returnByValue": True}
                answer = await tab.send_command("Runtime.evaluate", params=given)
                assert "exceptionDetails" not in answer["result"], answer
                results.append(answer["result"]["result"].get("value"))
            return results, complaints

    return asyncio.run(look())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(write_run(tmp_path_factory.mktemp("runs") / "baseline", num_trials=60))


@pytest.mark.parametrize(("width_px", "dark"), [(1440, False), (390, True)])
def test_every_figure_is_drawn_without_a_complaint_and_fits_the_screen(
    run: Run, tmp_path: Path, width_px: int, dark: bool
) -> None:
    path = write_report(run, tmp_path / "report.html")
    (undrawn, too_wide), complaints = _look(path.as_uri(), [DRAW_ALL, WIDER_THAN_THE_SCREEN], width_px, dark)
    assert undrawn == []
    assert too_wide <= 0
    assert complaints == []


def test_a_click_on_a_trial_shows_its_curves(run: Run, tmp_path: Path) -> None:
    winner = best_trials(run, n=1).iloc[0]["trial_id"]
    rows = run.metrics[(run.metrics["trial_id"] == winner) & (run.metrics["metric"] == "mean_score")]
    path = write_report(run, tmp_path / "report.html")
    scripts = [DRAW_ALL, CLICK_TRIAL % winner, CLICK_POINT % f"<b>{winner}</b><br>0.5"]
    (_, shown, title), complaints = _look(path.as_uri(), scripts)
    assert shown["open"]
    assert shown["closed"]
    assert shown["title"] == title == f"Trial {winner}"
    assert shown["names"] == ["mean_score", *run.task_metrics]
    assert shown["values"] == pytest.approx(rows.sort_values("evaluation")["value"].tolist(), abs=1e-5)
    assert shown["rows"] == len(rows)
    assert complaints == []


def test_a_live_page_that_is_loaded_again_is_as_its_reader_had_it(tmp_path: Path) -> None:
    server = LiveServer(write_run(tmp_path / "run", num_trials=30, running=True))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        (_, before, after), complaints = _look(server.url, [SORT_AND_OPEN, VIEW, RELOAD, VIEW])
    finally:
        server.close()
        thread.join()
    scores = [float(score) for score in before["scores"] if score != "–"]
    assert scores == sorted(scores)
    assert before["sort"] == "ascending"
    assert before["scrolled"] == [70, 150]
    assert before["unfolded"]
    assert before["trial"] == "Trial t0003"
    assert after == before
    assert complaints == []


def test_a_comparison_is_drawn_too(run: Run, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", num_trials=12, seed=5)
    path = write_report(load_runs([run.path, other]), tmp_path / "comparison.html")
    (undrawn, too_wide), complaints = _look(path.as_uri(), [DRAW_ALL, WIDER_THAN_THE_SCREEN], 390)
    assert undrawn == []
    assert too_wide <= 0
    assert complaints == []
