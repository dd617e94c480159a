"""The command line: every command reads its arguments and calls one function.

What a command needs is imported inside it, so that ``mtsearch --help`` need not wait for torch or Ray.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from mtsearch import __version__
from mtsearch.errors import DataError, MtsearchError, RunError
from mtsearch.launching.commands import launch
from mtsearch.options import AddressOption, DataOption, FromOption, NameOption, RunsOption, SetOption, SpaceArgument
from mtsearch.terminal import Terminal

if TYPE_CHECKING:
    from mtsearch.search.status import RunStatus
    from mtsearch.search.tuner import Outcome
    from mtsearch_analysis import Run

__all__ = ["app", "main"]

app = typer.Typer(
    name="mtsearch",
    help="Search the hyperparameters of multi-task transformer training: Ray Tune places trials, Optuna proposes "
    "them, ASHA stops the weak ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(launch)
console = Terminal()
_LINES = 1024  # of standard input that are predicted together
_STORAGE_FAILED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)

ModelArgument = Annotated[Path, typer.Argument(help="A run folder, a checkpoint in one, or an export.")]
TrialOption = Annotated[str, typer.Option(help="Which trial of a run folder.")]
PluginOption = Annotated[
    list[str] | None,
    typer.Option(help="A module that the model was trained with; loading it runs its code. May be repeated."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; it may still be running.")]


@app.command()
def run(
    space: SpaceArgument,
    set_: SetOption = None,
    name: NameOption = None,
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
    trials: Annotated[
        str | None, typer.Option(metavar="+N", help="So many more than when it was last finished.")
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="+T", help="So much more time, likewise, such as +2h.")] = None,
    from_: FromOption = None,
    address: AddressOption = None,
    nodes: Annotated[int, typer.Option(min=1, help="With --address: wait until so many nodes have joined.")] = 1,
) -> None:
    """Search a space; on the folder of an unfinished run of the same space, go on with it."""
    from mtsearch.api import run_folder, search
    from mtsearch.config.load import load_space
    from mtsearch.console import Watch, print_pairs, search_lines

    loaded = load_space(space, set_ or ())
    folder = run_folder(runs, loaded.name if name is None else name)
    print_pairs(console, search_lines(loaded, folder))
    with Watch(console) as watch:
        outcome = search(
            space,
            overrides=set_ or (),
            name=name,
            runs=runs,
            data=data,
            more_trials=_more(trials),
            more_seconds=_longer(time),
            warm_start=from_,
            address=address,
            nodes=nodes,
            observer=watch,
            say=watch.say,
        )
    _conclude(outcome, "mtsearch run", loaded.search.copy_to)


@app.command()
def replicate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    top: Annotated[int | None, typer.Option(help="So many of the best configs; 3 if the space does not say.")] = None,
    seeds: Annotated[int | None, typer.Option(help="So many seeds each; 5 if the space does not say.")] = None,
    singles: Annotated[
        bool | None, typer.Option("--singles/--no-singles", help="Each task of the winner alone, too; the default.")
    ] = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    address: AddressOption = None,
) -> None:
    """Train the best configs of a run with other seeds and score them on test; go on with it if it was stopped."""
    from mtsearch.api import replicate as train_again
    from mtsearch.console import Watch, print_pairs

    with Watch(console) as watch:
        replication = train_again(
            run_folder,
            top=top,
            seeds=seeds,
            singles=singles,
            data=data,
            plugins=plugin or (),
            address=address,
            observer=watch,
            say=watch.say,
        )
    _conclude_replication(run_folder)
    print_pairs(console, [("report", str(_report([run_folder])))])
    if replication.stopped is not None:
        print_pairs(console, [("go on", f"{replication.stopped}; the same command takes it up where it stopped")])
        raise typer.Exit(130)


@app.command()
def check(space: SpaceArgument, set_: SetOption = None) -> None:
    """Validate a space; print its dimensions, its conditionals and its size."""
    from mtsearch.config.load import load_space
    from mtsearch.config.words import algorithm_in_words, scheduler_in_words
    from mtsearch.console import dimension_table, dimensions_text, grid_text, objective_text

    loaded = load_space(space, set_ or ())
    points = loaded.size()
    how_many = "uncountably many points" if points is None else f"{points:,} point{'s' if points != 1 else ''}"
    console.print(f"{space}: valid; {dimensions_text(loaded)}, {how_many}")
    console.print(f"for {objective_text(loaded.objectives)}", soft_wrap=True)
    if loaded.grid_size is not None:
        tried = grid_text(loaded.grid_size, loaded.num_trials())
        console.print(f"by grid: {tried}, one trial each")
    else:
        console.print(f"by {algorithm_in_words(loaded)}", soft_wrap=True)
    console.print(scheduler_in_words(loaded), soft_wrap=True)
    if loaded.plugins:
        plugins = f"with the code of {', '.join(loaded.plugins)}, which has been run"
        console.print(plugins, soft_wrap=True)
    if loaded.dimensions():
        console.print(dimension_table(loaded))
    if loaded.refused_share:
        share = f"{loaded.refused_share:.0%} of random draws break a rule across fields; they are never run"
        console.print(share)


@app.command()
def plan(
    space: SpaceArgument,
    set_: SetOption = None,
    data: DataOption = None,
    address: AddressOption = None,
) -> None:
    """Say what a run would do: trials, resources, concurrency, disk, and an estimate of time from a short probe."""
    from mtsearch.api import data_folder
    from mtsearch.config.load import load_space
    from mtsearch.console import plan_lines, print_pairs
    from mtsearch.search.planning import plan_search
    from mtsearch.training.place import Place

    loaded = load_space(space, set_ or ())
    print_pairs(console, plan_lines(plan_search(loaded, Place(None, data_folder(data)), address)))


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file without open values; or, with --trial, a run folder.")],
    trial: Annotated[str | None, typer.Option(help="Repeat this trial of the run folder.")] = None,
    plugin: PluginOption = None,
    set_: SetOption = None,
    name: NameOption = None,
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Train one config without a search: the same trainer, the same tables."""
    from mtsearch.api import train as train_one
    from mtsearch.console import Watch, print_pairs

    repeated = None
    if trial is not None:
        from mtsearch.repeat import Repeated

        repeated = Repeated.of(Path(config), trial, plugin or ())
        data = data or repeated.data_root
        print_pairs(console, repeated.differences())
    with Watch(console) as watch:
        outcome = train_one(
            config if repeated is None else repeated.config,
            overrides=set_ or (),
            name=repeated.name if repeated is not None and name is None else name,
            runs=runs,
            data=data,
            observer=watch,
            say=watch.say,
        )
    _conclude(outcome, "mtsearch train")
    if repeated is not None:
        print_pairs(console, repeated.compared(outcome))


@app.command()
def evaluate(
    model: ModelArgument,
    trial: TrialOption = "best",
    split: Annotated[str, typer.Option(help="dev or test.")] = "test",
    task: Annotated[list[str] | None, typer.Option(help="Only this task. May be repeated.")] = None,
    plugin: PluginOption = None,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="Write scores.json and predictions.parquet here.")] = None,
) -> None:
    """Score a trained model on a split; tasks whose data has no such split are named and left out."""
    from mtsearch.api import checkpoint_of, data_folder, load, recorded_data_folder
    from mtsearch.console import print_pairs, score_lines
    from mtsearch.training.scoring import score, write_scores

    if split not in ("dev", "test"):
        raise RunError(f"--split: must be dev or test, but got {split!r}")
    checkpoint = checkpoint_of(model, trial)
    chosen: Literal["dev", "test"] = "dev" if split == "dev" else "test"
    root = data_folder(data or recorded_data_folder(checkpoint))
    scores = score(load(checkpoint, plugins=plugin or ()), chosen, task or (), root)
    if not scores.metrics:
        raise DataError(f"--split {split}: no task's data has such a split; {'; '.join(scores.left_out)}")
    print_pairs(console, [("model", f"{checkpoint}, on {split}"), *score_lines(scores)])
    print_pairs(console, [("left out", line) for line in scores.left_out])
    if out is not None:
        with _writing(out):
            write_scores(scores, out)


@app.command()
def predict(
    model: ModelArgument,
    task: Annotated[str, typer.Option(help="The task to predict.")],
    trial: TrialOption = "best",
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each text, whatever the task.")] = False,
    plugin: PluginOption = None,
) -> None:
    """Read texts from standard input, one a line, and print what the model says of each.

    It is printed in the usual format of the kind of task: CoNLL-U for tags and dependencies, CoNLL columns for
    entities, brackets for constituents, else a line of JSON. The two texts of a pair, or a question and the text that
    it is asked about, are parted by a tab; words by white space.
    """
    from mtsearch.api import load

    loaded = load(model, trial, plugins=plugin or ())
    is_of_words = loaded.layout(task) == "words"  # an unknown task is told before anything is waited for
    number = 1
    while lines := _lines(number):
        texts = [tuple(line.split() if is_of_words else line.split("\t")) for line in lines]
        if as_json:
            told = [json.dumps(one, ensure_ascii=False) for one in loaded.predict(task, texts, first=number)]
        else:
            told = loaded.render(task, texts, first=number)
        sys.stdout.write("".join(f"{text}\n" for text in told))
        sys.stdout.flush()
        number += len(lines)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a checkpoint in one.")],
    out: Annotated[Path, typer.Option(help="The folder to write: new or empty.")],
    trial: TrialOption = "best",
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
    plugin: PluginOption = None,
) -> None:
    """Write a trained model as a folder that needs nothing else, without the attention heads that are closed."""
    from mtsearch.api import export as write
    from mtsearch.console import export_lines, print_pairs

    with _writing(out):
        print_pairs(console, export_lines(write(model, out, trial, plugins=plugin or (), force=force)))


@app.command()
def simulate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run with many trials that ran to their end.")],
    arm: Annotated[
        list[str] | None, typer.Option(help="ALGORITHM+SCHEDULER, such as tpe+asha. May be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Simulated searches of each.")] = 20,
    trials: Annotated[int, typer.Option(help="The budget: the examples of so many trials that are not stopped.")] = 16,
    slots: Annotated[int, typer.Option(help="Trials at a time.")] = 4,
    plugin: PluginOption = None,
) -> None:
    """Replay a run's learning curves: which algorithm and scheduler would have found as good a trial for less?"""
    from mtsearch.api import simulate as replay
    from mtsearch.console import outlook_table

    outlooks = replay(run_folder, arm or (), seeds=seeds, trials=trials, slots=slots, plugins=plugin or ())
    console.print("best score at shares of the budget, with the 95% interval of its mean over seeds", soft_wrap=True)
    console.print(outlook_table(outlooks), soft_wrap=True)


@app.command()
def status(
    run_folder: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say how far a run is: its driver, budgets, best trial and running trials; also from another machine."""
    from mtsearch.api import status as look

    shown = look(run_folder)
    if as_json:
        sys.stdout.write(json.dumps(shown.to_json(), indent=1) + "\n")
    else:
        _print_status(shown)


@app.command()
def watch(
    run_folder: RunArgument,
    web: Annotated[bool, typer.Option("--web", help="As a page in the browser, on this machine alone.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 0,
) -> None:
    """Follow a run that is running, as mtsearch run shows it; Ctrl-C leaves it running."""
    from mtsearch.console import Watch
    from mtsearch.search.status import follow, look

    try:
        if web:
            _serve(run_folder, port)
        else:
            with Watch(console) as shown:
                follow(run_folder, shown, shown.catch_up)
    except KeyboardInterrupt:
        pass  # only the watching ends
    _print_status(look(run_folder))


@app.command()
def stop(
    run_folder: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has stopped.")] = False,
) -> None:
    """Have a run stop as with Ctrl-C: running trials are interrupted, and can be gone on with."""
    from mtsearch.api import status as look
    from mtsearch.api import stop as ask
    from mtsearch.console import print_pairs

    has_begun = ask(run_folder, wait=wait)
    if wait:
        _print_status(look(run_folder))
    else:
        told = "it interrupts its trials and leaves" if has_begun else "it will when it next looks for requests"
        print_pairs(console, [("asked", f"the driver of {run_folder} to stop; {told}")])


@app.command()
def top(
    run_folder: RunArgument,
    num: Annotated[int, typer.Option("-n", min=1, help="So many at most.")] = 10,
    metric: Annotated[str | None, typer.Option(help="Rank by this, such as similarity.pearson.")] = None,
    by: Annotated[
        Literal["score", "task"], typer.Option(help="By the score, or by each task's main metric.")
    ] = "score",
) -> None:
    """List the best trials with their scores and what varies between them."""
    from mtsearch.overview import print_top
    from mtsearch_analysis import best_trials

    found = _read_run(run_folder)
    if by == "task" and metric is not None:
        raise RunError("--by task: ranks by each task's main metric, and takes no --metric; leave one out")
    names = found.task_metrics if by == "task" else (metric or found.main_metric,)
    for i, name in enumerate(names):
        try:
            rows = best_trials(found, n=num, metric=name)
        except ValueError as error:
            raise RunError(f"--metric: {error}") from error
        if rows.empty:
            raise RunError(f"{run_folder}: no trial has a {name} yet; mtsearch status {run_folder} says how far it is")
        if i:
            console.print()
        print_top(console, rows.to_dict("records"), name, found.task_metrics, found.varied_columns)


@app.command()
def report(
    run_folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; several are compared.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The file; otherwise RUN/report/index.html, or comparison.html beside the first of several."),
    ] = None,
    format_: Annotated[
        Literal["html", "md", "latex"],
        typer.Option("--format", help="A page with figures, or Markdown or LaTeX with the words and the tables."),
    ] = "html",
    figures: Annotated[Path | None, typer.Option(help="Write the figures here too, as PNG and PDF.")] = None,
) -> None:
    """Write the report: what was searched, what won and what to try next, with the trials, their curves and tables."""
    page = _report(run_folders, out, format_, figures)
    console.print(str(page), soft_wrap=True)


@app.command()
def doctor(
    runs: RunsOption = Path("runs"),
    address: AddressOption = None,
    shared: Annotated[Path | None, typer.Option(help="A folder that every node of the cluster is to see.")] = None,
) -> None:
    """Check Python, torch, GPUs, Ray, disk, locks and the hub, and say what to do about what is not right."""
    from mtsearch.console import print_finding
    from mtsearch.doctor import examine

    failed = False
    for finding in examine(runs, address, shared):
        print_finding(console, finding)
        failed |= finding.verdict == "failure"
    if failed:
        raise typer.Exit(1)


@app.command()
def spaces() -> None:
    """List the shipped spaces."""
    from mtsearch.config.load import shipped_spaces
    from mtsearch.console import print_pairs

    print_pairs(console, [(name, _first_sentence(path)) for name, path in shipped_spaces().items()])


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="Write it here rather than to standard output.")] = None,
) -> None:
    """Print the JSON Schema of a space file, with which editors complete and check YAML."""
    from mtsearch.config.json_schema import json_schema

    text = json.dumps(json_schema(), indent=1) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        with _writing(out):
            out.write_text(text, encoding="utf-8")


def _version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before a command."""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"--out: {path} must be writable, but got: {error.strerror}") from error


def _lines(first: int) -> list[str]:
    """The next of standard input; none at its end."""
    try:
        return [line.rstrip("\r\n") for line in itertools.islice(sys.stdin, _LINES)]
    except UnicodeDecodeError as error:
        raise RunError(f"standard input: must be UTF-8, but after line {first - 1}: {error}") from error


def _more(trials: str | None) -> int:
    if trials is None:
        return 0
    if not re.fullmatch(r"\+[1-9]\d*", trials):
        raise RunError(
            f"--trials: must be +N, so many trials more, but got {trials!r}; --set search.trials=N sets them all"
        )
    return int(trials)


def _longer(time: str | None) -> float:
    if time is None:
        return 0.0
    from mtsearch.config.search import seconds

    try:
        if not time.startswith("+"):
            raise ValueError(time)
        return seconds(time[1:])
    except ValueError:
        raise RunError(
            f"--time: must be +T, so much more time, such as +2h or +30m, but got {time!r}; "
            "--set search.time=T sets it all"
        ) from None


def _print_status(shown: RunStatus) -> None:
    from mtsearch.api import recorded_data_folder
    from mtsearch.overview import print_status

    print_status(console, shown, recorded_data_folder(shown.folder / "events.jsonl"))


def _conclude(outcome: Outcome, command: str, copy_to: str | None = None) -> None:
    """What has come of it, where to look next and where the copies are, and the exit code of an interrupted run."""
    from mtsearch.console import print_outcome, print_pairs
    from mtsearch_analysis import early_order_verdict, task_set_table

    has_winner = outcome.best is not None or bool(outcome.best_of_tasks)
    page = _report([outcome.folder]) if has_winner or outcome.nearest is not None else None
    run = _read_run(outcome.folder)
    print_outcome(console, outcome, page, command, task_set_table(run).to_dict("records"))
    if verdict := early_order_verdict(run):
        print_pairs(console, [("early order", verdict)])
    _conclude_replication(Path(os.path.relpath(outcome.folder)))
    if copy_to is not None:
        print_pairs(console, [("copied", _copied(outcome.folder, copy_to))])
    if not outcome.is_finished:
        raise typer.Exit(130)
    if not has_winner:  # every trial failed, or broke a constraint: the command has not done what it was asked
        raise typer.Exit(1)


def _copied(folder: Path, url: str) -> str:
    """Where the copies of a run are, its report now among them."""
    from mtsearch.search.copies import copy_report

    try:
        return copy_report(folder, url)
    except (OSError, ValueError) as error:
        return f"not the report: {error}"


def _conclude_replication(folder: Path) -> None:
    """What the best configs reach with other seeds, if they were tried."""
    from mtsearch.console import print_replication
    from mtsearch_analysis import replication_table, replication_verdict

    run = _read_run(folder)
    if len(run.replications):
        rows = replication_table(run).to_dict("records")
        print_replication(console, rows, replication_verdict(run), folder / "replications.parquet")


def _report(
    folders: Sequence[Path],
    out: Path | None = None,
    format_: Literal["html", "md", "latex"] = "html",
    figures: Path | None = None,
) -> Path:
    from mtsearch_analysis import load_runs, write_report

    try:
        return write_report(load_runs(folders), out, format_, figures)
    except (ImportError, OSError, ValueError) as error:
        raise RunError(str(error)) from error


def _serve(folder: Path, port: int) -> None:
    from mtsearch.console import print_pairs
    from mtsearch.search.status import look
    from mtsearch_analysis.live import LiveServer

    look(folder)  # refuses what is no run folder
    try:
        server = LiveServer(folder, port)
    except OSError as error:
        raise RunError(f"--port: {port} must be free, but got: {error.strerror}") from error
    print_pairs(console, [("page", server.url), ("ends", "with Ctrl-C; the run goes on")])
    server.serve()


def _read_run(folder: Path) -> Run:
    from mtsearch_analysis import load_run

    try:
        return load_run(folder)
    except (OSError, ValueError) as error:
        raise RunError(str(error)) from error


def _first_sentence(path: Path) -> str:
    """Of the comment that a space begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ").strip() for line in comment).split(". ")[0].rstrip(".") + "."


def main() -> None:
    """The ``mtsearch`` command: a person's mistake is one line and exit code 2."""
    try:
        app()
    except MtsearchError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in _STORAGE_FAILED:
            raise  # a fault of ours
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror}; put that right, and the same command goes on", MtsearchError.exit_code)


def _fail(message: str, exit_code: int) -> NoReturn:
    Terminal(stderr=True).print(f"error: {message}", style="red", soft_wrap=True)
    sys.exit(exit_code)
