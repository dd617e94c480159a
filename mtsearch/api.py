"""mtsearch in Python: what the commands do, also in a notebook."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtsearch.errors import ConfigError, DataError, RunError

if TYPE_CHECKING:
    from mtsearch.config.load import Source
    from mtsearch.config.space import SearchSpace
    from mtsearch.search.observer import Observer
    from mtsearch.search.replication import Replication
    from mtsearch.search.simulation import Outlook
    from mtsearch.search.status import RunStatus
    from mtsearch.search.tuner import Outcome
    from mtsearch.training.card import Origin
    from mtsearch.training.export import Exported
    from mtsearch.training.trained import TrainedModel

__all__ = [
    "checkpoint_of",
    "data_folder",
    "export",
    "load",
    "recorded_data_folder",
    "replicate",
    "search",
    "simulate",
    "status",
    "stop",
    "train",
]

_LONGEST_NAME = 200  # of a run: a folder's may have 255 bytes


def search(
    space: Source | SearchSpace,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    runs: str | Path = "runs",
    data: str | Path | None = None,
    more_trials: int = 0,
    more_seconds: float = 0.0,
    warm_start: str | Path | None = None,
    address: str | None = None,
    nodes: int = 1,
    observer: Observer | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Search a space, or go on with a search: ``mtsearch run``.

    Args:
        space: a YAML file, the name of a shipped space, or plain data.
        overrides: ``KEY=VALUE``, as after ``--set``.
        name: of the run folder under ``runs``; None takes the space's.
        runs: the folder of run folders.
        data: the folder of data sets; None takes ``MTSEARCH_DATA``, and without that the hub or the sample corpus.
        more_trials: so many more than the search had when it was last finished, or than the space asks for. Asked for
            again before they are done, it adds none.
        more_seconds: so much more time than it had taken when its time was last spent, or than the space grants.
        warm_start: an earlier run's folder: its best points are tried first, and its trials are told to the search
            algorithm where the spaces agree.
        address: of a Ray cluster; None starts Ray here, unless a connection exists.
        nodes: so many must have joined the cluster before the search begins.
        observer: told of every event.
        say: told what was found before the first trial, a line at a time.

    Returns:
        What the search came to; the tables lie in its ``folder``.

    Raises:
        MtsearchError: anything that a person has to put right, in one line.
    """
    from mtsearch.search.extension import Request, refuse_run
    from mtsearch.search.readiness import Readiness
    from mtsearch.search.tuner import run_search
    from mtsearch.training.place import Place
    from mtsearch.training.preflight import preflight
    from mtsearch.training.report import Objective

    loaded, text = _loaded(space, overrides)
    folder = run_folder(runs, loaded.name if name is None else name)
    refuse_run(loaded, folder, Request(more_trials, more_seconds))
    root = data_folder(data)
    objective = Objective.of(loaded.search)
    configs = _one_at_a_time(loaded)
    hashes = preflight(configs, Place(None, root), objective, say or _unheard)
    return run_search(
        loaded,
        folder,
        data_root=root,
        observer=observer,
        address=address,
        num_nodes=nodes,
        readiness=Readiness(configs, root, hashes, objective, say or _unheard),
        space_text=text,
        extra_trials=more_trials,
        extra_seconds=more_seconds,
        data_hashes=hashes,
        warm_start=None if warm_start is None else Path(warm_start),
    )


def replicate(
    folder: str | Path,
    *,
    top: int | None = None,
    seeds: int | None = None,
    singles: bool | None = None,
    data: str | Path | None = None,
    plugins: Sequence[str] = (),
    address: str | None = None,
    observer: Observer | None = None,
    say: Callable[[str], None] | None = None,
) -> Replication:
    """Train the best configs of a search with other seeds and score them on test, or go on: ``mtsearch replicate``.

    What came of it is told by ``replication_table``, ``replication_tests`` and ``replication_verdict`` of
    :mod:`mtsearch_analysis`.

    Args:
        folder: a run folder.
        top: how many of the best configs; None takes what its space asks for, or 3.
        seeds: how many seeds each; None takes what its space asks for, or 5.
        singles: whether to train each task of the winner alone, too; None takes what its space says, or does.
        data: the folder of data sets; None takes the one that the search had.
        plugins: the modules that it was searched with; a run folder runs no code by itself.
        address: as for :func:`search`.
        observer: as for :func:`search`.
        say: as for :func:`search`.

    Raises:
        MtsearchError: anything that a person has to put right, in one line.
    """
    from mtsearch.config.search import Replicate
    from mtsearch.search.readiness import Readiness
    from mtsearch.search.replication import replicate_run
    from mtsearch.training.place import Place
    from mtsearch.training.preflight import preflight
    from mtsearch.training.report import Objective

    for option, number in (("--top", top), ("--seeds", seeds)):
        if number is not None and number < 1:
            raise RunError(f"{option}: must be at least 1, but got {number}")
    folder = Path(folder)
    space = _space_of(folder, plugins)
    given = {"top": top, "seeds": seeds, "singles": singles}
    wanted = {name: value for name, value in given.items() if value is not None}
    asked = (space.search.replicate or Replicate()).model_copy(update=wanted)
    root = data_folder(data or recorded_data_folder(folder / "trials"))
    configs, objective = _one_at_a_time(space), Objective.of(space.search)
    hashes = preflight(configs, Place(None, root), objective, say or _unheard)
    readiness = Readiness(configs, root, hashes, objective, say or _unheard)
    return replicate_run(
        space,
        folder,
        asked,
        data_root=root,
        data_hashes=hashes,
        observer=observer,
        address=address,
        readiness=readiness,
    )


def simulate(
    folder: str | Path,
    arms: Sequence[str] = (),
    *,
    seeds: int = 20,
    trials: int = 16,
    slots: int = 4,
    plugins: Sequence[str] = (),
) -> list[Outlook]:
    """What other algorithms and schedulers would have made of a run's learning curves: ``mtsearch simulate``.

    Args:
        folder: a run folder with completed trials; best with many, drawn at random and not stopped early.
        arms: ``ALGORITHM+SCHEDULER``, such as ``tpe+asha``; none takes five common ones.
        seeds: simulated searches of each.
        trials: the budget, in examples: what so many trials take that are not stopped.
        slots: trials at a time.
        plugins: the modules that the run was made with.

    Raises:
        MtsearchError: anything that a person has to put right, in one line.
    """
    from mtsearch.search.simulation import DEFAULT_ARMS, arm_of, compare_arms, read_curves

    for name, value in (("--seeds", seeds), ("--trials", trials), ("--slots", slots)):
        if value < 1:
            raise RunError(f"{name}: must be at least 1, but got {value}")
    folder = Path(folder)
    curves = read_curves(folder)
    compared = [arm_of(arm) for arm in arms] or DEFAULT_ARMS
    return compare_arms(_space_of(folder, plugins), curves, compared, seeds=seeds, trials=trials, slots=slots)


def _space_of(folder: Path, plugins: Sequence[str]) -> SearchSpace:
    """The space that a run was made for.

    Raises:
        RunError: there is no such run, or it needs plugins.
    """
    from mtsearch.config.load import load_space
    from mtsearch.config.syntax import written
    from mtsearch.config.yaml12 import parse

    path = folder / "resolved.yaml"
    try:
        named = written(parse(path.read_text(encoding="utf-8"), str(path))).get("plugins")
    except OSError as error:
        raise RunError(f"{folder}: must be a run folder, but it holds no readable {path.name}") from error
    if named and not plugins:
        raise RunError(
            f"{path}: this run needs {', '.join(named)}; name the module yourself, with plugins=[..] or --plugin, "
            "since loading it runs its code"
        )
    return load_space(path, [f"plugins={json.dumps(list(plugins))}"] if plugins else ())


def train(
    config: Source | SearchSpace,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    runs: str | Path = "runs",
    data: str | Path | None = None,
    observer: Observer | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Train one config, in this process and without a search: ``mtsearch train``.

    The run folder is that of a search of one trial, with the same tables; an unfinished one is gone on with. With
    ``resources: auto`` the trial has all cores of this machine, and one GPU if there is one.

    Args:
        config: a YAML file without domains, or plain data; other arguments as for :func:`search`.
        overrides: as for :func:`search`.
        name: as for :func:`search`.
        runs: as for :func:`search`.
        data: as for :func:`search`.
        observer: as for :func:`search`.
        say: as for :func:`search`.

    Raises:
        MtsearchError: anything that a person has to put right, in one line.
    """
    from mtsearch.config.schedulers import NoScheduler
    from mtsearch.config.search import Resources, SearchConfig
    from mtsearch.search.cluster import this_machine
    from mtsearch.search.extension import Request, refuse_run
    from mtsearch.search.tuner import run_search
    from mtsearch.training.place import Place
    from mtsearch.training.precision import check_precision
    from mtsearch.training.preflight import preflight
    from mtsearch.training.report import Objective

    loaded, text = _loaded(config, overrides)
    single = loaded.single_config()
    machine = this_machine()
    whole = Resources(cpus=int(machine["CPU"]), gpus=min(1, machine["GPU"]))
    resources = whole if loaded.resources == "auto" else loaded.resources
    objective = Objective.of(loaded.search)
    # Of the search section only what is best counts: no budget ends a single training, and its weights stay.
    search = SearchConfig(
        trials=1,
        scheduler=NoScheduler(),
        metric=objective.metric,
        scored_tasks=objective.scored_tasks,
        constraints=objective.constraints,
        trackers=loaded.search.trackers,
    )
    one = replace(loaded, search=search, resources=resources)
    folder = run_folder(runs, loaded.name if name is None else name)
    refuse_run(one, folder, Request(in_process=True))
    root = data_folder(data)
    check_precision(single.training.precision, "cuda" if resources.gpus else "cpu")
    hashes = preflight([single], Place(None, root), objective, say or _unheard)
    return run_search(
        one,
        folder,
        data_root=root,
        observer=observer,
        space_text=text,
        in_process=True,
        data_hashes=hashes,
    )


def status(folder: str | Path) -> RunStatus:
    """One look at a run, also while it runs, on whichever machine: ``mtsearch status``.

    Args:
        folder: the run folder.

    Raises:
        RunError: it is no run folder, or its events are damaged.
    """
    from mtsearch.search.status import look

    return look(Path(folder))


def stop(folder: str | Path, *, wait: bool = False) -> bool:
    """Ask a run's driver to stop in good order, on whichever machine it is: ``mtsearch stop``.

    Args:
        folder: the run folder.
        wait: until it is gone; else only until it has taken up the request, or some seconds have passed.

    Returns:
        Whether it has taken it up.

    Raises:
        RunError: it is no run folder, no driver runs it, or it cannot be written.
    """
    from mtsearch.search.status import stop as ask

    return ask(Path(folder), wait)


def load(folder: str | Path, trial: str = "best", *, plugins: Sequence[str] = ()) -> TrainedModel:
    """A trained model that predicts on text: ``load("runs/baseline").predict("sentiment", ["a fine film"])``.

    Args:
        folder: a run folder, a checkpoint in one, or an export.
        trial: which trial of a run folder; its best checkpoint is taken.
        plugins: the modules that the model was trained with. A checkpoint names them, but runs no code by itself.

    Raises:
        RunError: there is no such run, trial or checkpoint, its weights were not kept, it needs plugins, or the
            files of an export do not fit together.
    """
    import torch

    from mtsearch.training.trained import TrainedModel

    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedModel(checkpoint_of(Path(folder), trial), device, plugins)


def export(
    folder: str | Path,
    out: str | Path,
    trial: str = "best",
    *,
    plugins: Sequence[str] = (),
    force: bool = False,
) -> Exported:
    """Write a trained model as a folder that needs nothing else: ``mtsearch export``.

    Attention heads whose gates are closed are cut out of the encoder, and open gates are multiplied into its weights.
    The folder holds safetensors, the tokenizer, a manifest and a model card; :func:`load` takes it.

    Args:
        folder: a run folder, or a checkpoint in one.
        out: the folder to write, new or empty.
        trial: which trial of a run folder; its best checkpoint is taken.
        plugins: as for :func:`load`.
        force: replace an export that is there.

    Raises:
        RunError: there is no such model, its weights were not kept, or ``out`` holds something else.
        OSError: ``out`` cannot be written.
    """
    from mtsearch.training.export import export as write

    checkpoint = checkpoint_of(Path(folder), trial)
    return write(checkpoint, Path(out), _origin(checkpoint), plugins=plugins, force=force)


def _origin(checkpoint: Path) -> Origin:
    """What the run folder around a checkpoint tells of it."""
    from mtsearch.training.card import Origin
    from mtsearch_analysis import load_run

    checkpoint = checkpoint.resolve()
    folder = next((parent for parent in checkpoint.parents if (parent / "environment.json").is_file()), None)
    if folder is None:
        return Origin()
    try:
        run = load_run(folder)
        place, trial, *_ = checkpoint.relative_to(folder).parts
        (row,) = run.trials[run.trials["trial_id"] == trial].to_dict("records")
        evaluation = int(checkpoint.name.rpartition("-")[2])
    except (OSError, ValueError):  # its tables are gone, or it is not of a trial in them
        return Origin()
    environment = run.environment or {}
    if place == "retrained":  # on train and dev, for which the tables have no scores
        return Origin(folder.name, f"{trial} retrained", evaluation, environment=environment)
    metrics = run.metrics
    of_it = metrics[
        (metrics["trial_id"] == trial) & (metrics["evaluation"] == evaluation) & (metrics["split"] == "dev")
    ]
    return Origin(
        folder.name,
        trial,
        evaluation,
        {f"{task}.{metric}": value for task, metric, value in of_it[["task", "metric", "value"]].to_numpy().tolist()},
        {name: row[name] for name in ("seconds", "gpu_seconds", "examples_seen")},
        environment,
    )


def checkpoint_of(folder: Path, trial: str = "best") -> Path:
    """The checkpoint that a run folder and a trial's id mean; the folder of a checkpoint or an export means itself.

    Raises:
        RunError: there is none.
    """
    if (folder / "model.json").is_file() or (folder / "manifest.json").is_file():
        return folder
    from mtsearch.config.inside import path_inside
    from mtsearch_analysis import best_trials, load_run

    try:
        run = load_run(folder)
    except (OSError, ValueError) as error:
        raise RunError(str(error)) from error
    if trial == "best":
        ranking = best_trials(run, n=1)
        if ranking.empty:
            raise RunError(f"{folder}: no trial of this run has a score yet; name one with --trial")
        if len(ranking) > 1:
            winners = _few([f"{row['trial_id']} ({row['tasks']})" for row in ranking.to_dict("records")])
            raise RunError(
                f"{folder}: trials with different tasks are scored apart, so no one is best of all; name one with "
                f"--trial, such as the best of its tasks: {winners}"
            )
        if ranking["is_admissible"].eq(False).fillna(False).iloc[0]:
            raise RunError(
                f"{folder}: no trial of this run meets its constraints; name one with --trial, such as the one with "
                f"the best score: {ranking['trial_id'].iloc[0]}"
            )
        trial = str(ranking["trial_id"].iloc[0])
    rows = run.trials[run.trials["trial_id"] == trial]
    if rows.empty:
        raise RunError(f"{folder}: there is no trial {trial!r}; there are {_few(run.trials['trial_id'].tolist())}")
    checkpoint = rows["checkpoint"].iloc[0]
    if not isinstance(checkpoint, str):
        kept = run.trials[run.trials["checkpoint"].notna()]["trial_id"].tolist()
        raise RunError(
            f"{folder}: the weights of {trial} were not kept (search.keep.best); there are those of {_few(kept)}; "
            f"train it again with mtsearch train {folder} --trial {trial}"
        )
    return path_inside(folder, checkpoint)


def recorded_data_folder(checkpoint: Path) -> str | None:
    """The folder of data sets that the run of a checkpoint was given; None if it was given none, or is not there."""
    for folder in checkpoint.resolve().parents:
        path = folder / "environment.json"
        if path.is_file():
            try:
                recorded = json.loads(path.read_text(encoding="utf-8"))["data_root"]
            except (ValueError, TypeError, KeyError, RecursionError):  # damaged, or of an older version
                return None
            return recorded if isinstance(recorded, str) else None
    return None


def data_folder(data: str | Path | None) -> Path | None:
    """The folder of data sets: ``data``, else ``MTSEARCH_DATA``, else None.

    Raises:
        DataError: it is named but not there.
    """
    named = data or os.environ.get("MTSEARCH_DATA")
    if not named:
        return None
    root = Path(os.path.expanduser(named))
    if not root.is_dir():
        source = "--data" if data else "MTSEARCH_DATA"
        raise DataError(f"{source}: must name a folder of data sets, but there is no folder {str(named)!r}")
    return root.resolve()


def run_folder(runs: str | Path, name: str) -> Path:
    """The run folder of that name; names cannot leave the folder of run folders.

    Raises:
        RunError: the name is a path, or the folder cannot be written.
    """
    is_one_line = name.isprintable() and 0 < len(name) <= _LONGEST_NAME
    if not is_one_line or name != Path(name).name or name.startswith("."):
        raise RunError(
            f"--name: must be a plain name of at most {_LONGEST_NAME} characters, no slash or leading dot, but "
            f"got {name!r}"
        )
    folder = Path(runs) / name
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(f"{folder}: the run folder must be writable, but {existing} is not; choose another --runs")
    return folder


def _loaded(source: Source | SearchSpace, overrides: Sequence[str]) -> tuple[SearchSpace, str | None]:
    from mtsearch.config.load import load_space, locate
    from mtsearch.config.space import SearchSpace

    if isinstance(source, SearchSpace):
        if overrides:
            raise ConfigError("overrides: a space that is already loaded takes none; give them to load_space")
        return source, None
    space = load_space(source, overrides)
    if isinstance(source, str):
        source = locate(source)
    return space, source.read_text(encoding="utf-8") if isinstance(source, Path) else None


def _one_at_a_time(space: SearchSpace) -> list[Any]:
    """The default trial, and one for each option of each choice and each end of each range.

    Among them is every encoder and data set, and whatever an encoder may refuse. A further set of the same tasks is
    left out.
    """
    from mtsearch.config.space import Infeasible

    forced: list[dict[str, Any]] = [{}]
    for dimension in space.dimensions():
        forced += [dimension.params_with(value) for value in dimension.domain.extremes]
    configs = []
    seen: set[tuple[str, str, str]] = set()
    for values in forced:
        try:
            draw = space.draw(lambda d, values=values: values.get(d.name, d.domain.middle))  # type: ignore[misc]
            config = space.config(draw)
        except Infeasible:
            continue  # told in the table, if it is ever drawn
        rest = config.model_dump_json(exclude={"tasks"})
        tasks = {(name, task.model_dump_json(), rest) for name, task in config.tasks.items()}
        if not tasks <= seen:
            seen |= tasks
            configs.append(config)
    return configs


def _unheard(line: str) -> None:
    """Nobody wants to be told."""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
