"""What somebody else has made, pointed at: it is read or refused, and runs no code. See docs/SECURITY.md."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from typer.testing import CliRunner

from mtsearch import api
from mtsearch.cli import app
from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace
from mtsearch.config.trial import Encoder, TrialConfig
from mtsearch.data.finding import find
from mtsearch.data.source import DataSource
from mtsearch.errors import ConfigError, DataError, EncoderError, MtsearchError, PluginError, RunError
from mtsearch.model.encoder import find_encoder, load_encoder, load_tokenizer
from mtsearch.repeat import Repeated
from mtsearch.search import events
from mtsearch.search.events import EVENTS, EventLog, read_events
from mtsearch.search.links import refuse_links
from mtsearch.search.results import Tables
from mtsearch.search.state import RunState
from mtsearch.search.stopping import ask_to_stop
from mtsearch.search.tuner import run_search
from mtsearch.search.warm_start import read_warm_start
from mtsearch.training.checkpoint import load_state, load_weights
from mtsearch.training.exported import SEAL, read_manifest, seal, sha256
from mtsearch.training.parts import build
from mtsearch.training.place import Place
from mtsearch.training.trained import TrainedModel
from mtsearch_analysis import load_run, write_report
from tests.analysis.run_folders import metric_row, trial_row, write_tables
from tests.search.conftest import Story
from tests.search.test_driver import Drive

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

DEEP = "[" * 200_000
ALIASES = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise("abcdefghijk")
)
"""A billion values in eleven lines."""


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self._mark), "w"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there once strange code has run."""
    return tmp_path / "code-was-run"


@pytest.fixture
def code(tmp_path: Path, mark: Path) -> Path:
    """A plugin that leaves the mark."""
    path = tmp_path / "strange.py"
    path.write_text(f"open({str(mark)!r}, 'w').close()\nMETRICS = ()\n", encoding="utf-8")
    return path


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


@pytest.fixture
def export(tiny_tagger: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_tagger, tmp_path / "export"))


@pytest.fixture
def checkpoint(tiny_tagger: Path, tmp_path: Path) -> Path:
    """Of a trial that has finished."""
    (found,) = (tiny_tagger.parent / "trial" / "checkpoints").glob("*0002")
    return Path(shutil.copytree(found, tmp_path / "checkpoint"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a search whose driver was killed."""
    folder = tmp_path / "runs" / "films"
    story = Story().begun(trials=2, rungs=None).suggested(0).started(0).reported(0, 1, 0.5)
    with EventLog(folder) as log:
        for event in story.events:
            log.append(event)
    return folder


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def vouch(export: Path, name: str) -> None:
    """Have an export's manifest tell of a file as it is."""
    edit(export / "manifest.json", lambda content: content["sha256"].update({name: sha256(export / name)}))


def edit_event(run: Path, kind: str, **changes: Any) -> None:
    """Change the events of a kind; of a mapping, only what is given."""
    lines = [json.loads(line) for line in (run / EVENTS).read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["event"] == kind:
            line |= {
                name: {**line[name], **value} if isinstance(value, dict) else value for name, value in changes.items()
            }
    (run / EVENTS).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


# Pickles


def write_pickle(path: Path, mark: Path) -> None:
    torch.save({"weight": Bomb(mark)}, path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_an_encoder_s_pickled_weights_are_not_loaded(encoder: Path, mark: Path, name: str) -> None:
    (encoder / "model.safetensors").unlink()
    write_pickle(encoder / name, mark)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(find_encoder(str(encoder)), Encoder(max_length=32))
    assert not mark.exists()


def test_an_encoder_s_index_cannot_name_a_pickle(encoder: Path, mark: Path) -> None:
    (encoder / "model.safetensors").rename(encoder / "whole.safetensors")
    write_pickle(encoder / "part.bin", mark)
    names = load_file(encoder / "whole.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "part.bin")}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(find_encoder(str(encoder)), Encoder(max_length=32))
    assert not mark.exists()


def test_a_checkpoint_s_pickled_weights_are_not_loaded(checkpoint: Path, mark: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    write_pickle(checkpoint / "model.safetensors", mark)
    with pytest.raises(RunError, match="the weights of this checkpoint cannot be used"):
        load_weights(checkpoint, torch.nn.Linear(1, 1))
    with pytest.raises(MtsearchError):
        TrainedModel(checkpoint)
    assert not mark.exists()


def test_a_trial_s_pickled_state_is_not_loaded(checkpoint: Path, mark: Path, tmp_path: Path) -> None:
    config = json.loads((checkpoint / "model.json").read_text(encoding="utf-8"))["config"]
    parts = build(TrialConfig.model_validate(config), Place(tmp_path / "trial", None))
    edit(checkpoint / "state.json", lambda state: state["progress"].update(finished=""))
    write_pickle(checkpoint / "state.safetensors", mark)
    with pytest.raises(RunError, match="the state of this checkpoint cannot be read"):
        load_state(checkpoint, parts.state)
    assert not mark.exists()


def test_an_export_s_pickled_weights_are_not_loaded_even_where_the_manifest_vouches_for_them(
    export: Path, mark: Path
) -> None:
    write_pickle(export / "model.safetensors", mark)
    vouch(export, "model.safetensors")
    with pytest.raises(RunError):
        api.load(export)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["trials.parquet", "metrics.parquet", "resolved.yaml", "environment.json", EVENTS])
def test_a_run_folder_s_files_are_never_unpickled(run: Path, mark: Path, name: str, tmp_path: Path) -> None:
    (run / name).write_bytes(pickle.dumps(Bomb(mark)))
    (run / "study.journal").write_bytes(pickle.dumps(Bomb(mark)))
    for read in (
        load_run,
        api.status,
        lambda folder: Repeated.of(folder, "t0000"),
        lambda folder: list(read_events(folder)),
    ):
        with suppress(MtsearchError, OSError, ValueError):  # events that end in what is no line are as if torn there
            read(run)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["train.npy", "train.pkl", "train.csv"])
def test_data_is_never_unpickled(tmp_path: Path, mark: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with (folder / name).open("wb") as file:
        if name.endswith("npy"):
            np.save(file, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
        else:
            pickle.dump(Bomb(mark), file)
    shutil.copy(folder / name, folder / name.replace("train", "dev"))
    config = {"name": "x", "tasks": {"mood": {"kind": "classification", "data": str(folder)}}}
    with pytest.raises(DataError):
        build(TrialConfig.model_validate(config), Place(tmp_path / "trial", None))
    assert not mark.exists()


# Code that comes along


def test_an_encoder_s_own_code_is_not_run(encoder: Path, code: Path) -> None:
    shutil.copy(code, encoder / "strange.py")
    classes = {"AutoConfig": "strange.Config", "AutoModel": "strange.Model", "AutoTokenizer": [None, "strange.Fast"]}
    for name in ("config.json", "tokenizer_config.json"):
        edit(encoder / name, lambda content: content.update(auto_map=classes))
    source = find_encoder(str(encoder))
    load_tokenizer(source)
    load_encoder(source, Encoder(max_length=32))  # by the code that transformers has for a BERT
    edit(encoder / "config.json", lambda content: content.update(model_type="strange"))
    with pytest.raises(EncoderError):
        load_encoder(source, Encoder(max_length=32))
    assert not (code.parent / "code-was-run").exists()


def name_an_attention(folder: Path, name: str) -> None:
    """In ``config.json``: a kernel of the hub's, or what transformers takes from there where it is not installed."""
    edit(folder / "config.json", lambda content: content.update(attn_implementation=name))
    if AutoConfig.from_pretrained(folder)._attn_implementation is None:
        pytest.skip("this version of transformers takes no attention from config.json")


@pytest.mark.parametrize("name", ["stranger/kernel", "flash_attention_2"])
def test_an_encoder_cannot_have_code_fetched_for_its_attention(encoder: Path, name: str) -> None:
    name_an_attention(encoder, name)
    with pytest.raises(EncoderError, match=rf"must bring no code, .* names '{name}' as attn_implementation"):
        load_encoder(find_encoder(str(encoder)), Encoder(max_length=32))


def test_an_encoder_cannot_have_code_fetched_for_its_weights(encoder: Path) -> None:
    edit(encoder / "config.json", lambda content: content.update(quantization_config={"quant_method": "mxfp4"}))
    with pytest.raises(EncoderError, match=r"must have weights that can be trained, .* has a quantization_config"):
        load_encoder(find_encoder(str(encoder)), Encoder(max_length=32))


def test_an_export_cannot_have_code_fetched_for_its_attention(export: Path) -> None:
    name_an_attention(export, "stranger/kernel")
    vouch(export, "config.json")
    with pytest.raises(RunError, match="must bring no code"):
        api.load(export)


def test_a_run_folder_runs_no_code_by_itself(run: Path, code: Path, mark: Path) -> None:
    (run / "resolved.yaml").write_text(f"name: films\nplugins: [{code}]\n", encoding="utf-8")
    with pytest.raises(PluginError, match=r"resolved\.yaml:2:10: plugins: this run needs .*if you trust that, name it"):
        load_space(run / "resolved.yaml")
    with pytest.raises(RunError, match="loading it runs its code"):
        api.replicate(run)
    (run / "environment.json").write_text("{}", encoding="utf-8")
    (run / "trials" / "t0000").mkdir(parents=True)
    shutil.copy(run / "resolved.yaml", run / "trials" / "t0000" / "config.yaml")
    with pytest.raises(RunError, match="loading it runs its code"):
        Repeated.of(tables(run), "t0000")
    assert not mark.exists()


@pytest.mark.parametrize("place", ["trials/t0000/config.yaml", "retrained/t0000/config.yaml"])
def test_a_recorded_config_runs_no_code_by_itself(run: Path, code: Path, mark: Path, place: str) -> None:
    (run / place).parent.mkdir(parents=True)
    (run / place).write_text(f"name: films\nplugins: [{code}]\n", encoding="utf-8")
    with pytest.raises(PluginError, match="if you trust that, name it yourself"):
        load_space(run / place)
    assert not mark.exists()


def test_a_model_runs_no_code_by_itself(checkpoint: Path, export: Path, code: Path, mark: Path) -> None:
    edit(checkpoint / "model.json", lambda it: it["config"].update(plugins=[str(code)]))
    with pytest.raises(RunError, match="loading it runs its code"):
        api.load(checkpoint)
    edit(export / "manifest.json", lambda it: it["config"].update(plugins=[str(code)]))
    heads = load_file(export / "heads.safetensors")
    manifest = json.loads((export / "manifest.json").read_text(encoding="utf-8"))
    save_file(heads, export / "heads.safetensors", {SEAL: seal(manifest)})  # by somebody who knows how it is sealed
    vouch(export, "heads.safetensors")
    with pytest.raises(RunError, match="loading it runs its code"):
        api.load(export)
    assert not mark.exists()


def test_a_recorded_trial_s_config_names_no_code_to_its_worker(
    run: Path, make_space: Callable[..., SearchSpace], code: Path
) -> None:
    edit_event(run, "suggested", config={"plugins": [str(code)]})
    drive = Drive(make_space(), run)
    assignment = drive.driver.assignment(drive.state.trials["t0000"])
    drive.close()
    assert assignment.config["plugins"] == []


def test_a_run_that_is_started_from_names_no_code(
    run: Path, make_space: Callable[..., SearchSpace], code: Path, mark: Path
) -> None:
    tasks = {"sentiment": {"kind": "classification", "data": "sst5"}}
    edit_event(run, "suggested", config={"name": "films", "tasks": tasks, "plugins": [str(code)]})
    with pytest.raises(RunError):
        read_warm_start(run, make_space(), {})
    assert not mark.exists()


@pytest.mark.parametrize(
    "plugin", ["strange_script.py", "strange_package", "strange_package.inner", "antigravity", "os"]
)
def test_a_space_runs_no_module_that_is_no_plugin(
    tmp_path: Path, mark: Path, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda _: mark.touch())  # what antigravity does
    (tmp_path / "strange_package").mkdir()
    for place in ("strange_script.py", "strange_package/__init__.py", "strange_package/inner.py"):
        (tmp_path / place).write_text(f"open({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    (tmp_path / "space.yaml").write_text(f"plugins: [{plugin}]\n", encoding="utf-8")
    with pytest.raises(PluginError, match=r"space\.yaml:1:10: plugins: .* must define what it adds, .* it was not run"):
        load_space(tmp_path / "space.yaml")
    assert not mark.exists()


def test_a_config_loads_no_plugins_but_those_that_its_schema_was_made_with(code: Path, mark: Path) -> None:
    config = {"tasks": {"mood": {"kind": "classification", "data": "sst5"}}, "plugins": [str(code)]}
    with pytest.raises(ValueError, match=r"must be those that were named \(none\), but got \['.*strange\.py'\]"):
        TrialConfig.model_validate_json(json.dumps(config))
    assert not mark.exists()


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [true]", "!!python/name:os.system", "!!python/module:os", "!custom x"]
)
def test_yaml_makes_no_objects(run: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "space.yaml").write_text(f"name: {text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is refused, as all are"):
        load_space(tmp_path / "space.yaml")
    with pytest.raises(ConfigError, match="is refused, as all are"):
        load_space("quick", [f"name={text}"])
    (run / "resolved.yaml").write_text(f"name: {text}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_run(tables(run))


def tables(run: Path) -> Path:
    """The run folder, with its tables."""
    written, state = Tables(run, {"mean_score": "maximize"}), RunState()
    for event in read_events(run):
        state.apply(event)
        written.add(event)
    written.refresh(state, now=True)
    return run


# Ways out of the folder


@pytest.mark.parametrize("trial_id", ["../../x", "/etc", "..", "a/../../b", ""])
@pytest.mark.parametrize(
    ("kind", "name"), [("suggested", "trial_id"), ("suggested", "parent"), ("reported", "checkpoint")]
)
def test_an_event_cannot_name_what_is_outside(run: Path, kind: str, name: str, trial_id: str) -> None:
    with (run / EVENTS).open("a", encoding="utf-8") as file:
        file.write('{"event": "warned", "time": 9.0, "text": "not the last line"}\n')
    edit_event(run, kind, **{name: trial_id})
    with pytest.raises(RunError, match=f"{name}: must stay in the run folder, but is"):
        list(read_events(run))


def test_a_table_cannot_name_a_checkpoint_outside(run: Path, checkpoint: Path) -> None:
    path = tables(run) / "trials.parquet"
    table = pq.read_table(path)
    column = table.schema.get_field_index("checkpoint")
    for outside in (str(checkpoint), "../../checkpoint"):
        pq.write_table(table.set_column(column, table.schema.field(column), pa.array([outside])), path)
        with pytest.raises(RunError, match="what a run folder names must be in it"):
            api.load(run, "t0000")


def test_a_manifest_cannot_name_files_outside(export: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine", encoding="utf-8")
    edit(export / "manifest.json", lambda it: it["sha256"].update({"../secret": sha256(tmp_path / "secret")}))
    with pytest.raises(RunError, match=r"must hold \.\./secret, but does not"):
        read_manifest(export)


@pytest.mark.parametrize("place", ["events.jsonl", "trials/t0000/attempt-1", ".space.yaml.tmp", "trials"])
def test_no_driver_writes_through_a_link(
    run: Path, make_space: Callable[..., SearchSpace], tmp_path: Path, place: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if place.endswith((".jsonl", ".tmp")):
        elsewhere.write_bytes((run / EVENTS).read_bytes() + b"my last line")
    else:
        (elsewhere / "checkpoints" / "mine").mkdir(parents=True)
    (run / place).parent.mkdir(parents=True, exist_ok=True)
    (run / place).unlink(missing_ok=True)
    (run / place).symlink_to(elsewhere)
    for begin in (lambda: run_search(make_space(), run), lambda: refuse_links(run)):
        with pytest.raises(RunError, match="no link in a run folder may lead out of it"):
            begin()
    assert (
        (elsewhere / "checkpoints" / "mine").is_dir() if elsewhere.is_dir() else b"mine" not in elsewhere.read_bytes()
    )


@pytest.mark.parametrize("place", ["report", "report/.index.html.PID.partial"])
def test_no_report_is_written_through_a_link(tmp_path: Path, place: str) -> None:
    folder = write_tables(tmp_path / "films", [trial_row(0, 0.5)], [metric_row("t0000", 1, 0.5)])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("mine", encoding="utf-8")
    link = folder / place.replace("PID", str(os.getpid()))
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(mine if place == "report" else mine / "index.html")
    with pytest.raises(ValueError, match="a link that leads out of it") if place == "report" else nullcontext():
        write_report(load_run(folder))
    assert (mine / "index.html").read_text(encoding="utf-8") == "mine"


def test_no_request_to_stop_is_written_through_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (run / ".stop_request.json.tmp").symlink_to(tmp_path / "mine")
    ask_to_stop(run)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("way", ["../../mine", "link"])
def test_a_report_shows_no_file_from_outside(tmp_path: Path, way: str) -> None:
    folder = write_tables(
        tmp_path / "films", [trial_row(0, 0.5, trial_id=way)], [metric_row(way, 1, 0.5), metric_row(way, 2, 0.5)]
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("my secret", encoding="utf-8")
    (folder / "trials").mkdir()
    (folder / "trials" / "link").symlink_to(tmp_path / "mine")
    assert "my secret" not in write_report(load_run(folder), tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_folder_may_be_reached_by_a_link_and_hold_such_as_stay_in_it(run: Path, tmp_path: Path) -> None:
    (run / "wandb" / "run-1").mkdir(parents=True)
    (run / "wandb" / "latest-run").symlink_to("run-1")
    (tmp_path / "link").symlink_to(run)
    refuse_links(tmp_path / "link")


@pytest.mark.parametrize(
    "source",
    ["http://example.org/data", "https://example.org/x.zip", "file:///etc", "s3://bucket/data", "hub:http://x"],
)
def test_data_is_not_fetched_from_an_address(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it was asked for"))
    with pytest.raises(DataError):
        build(
            TrialConfig.model_validate({"name": "x", "tasks": {"mood": {"kind": "classification", "data": source}}}),
            Place(None, None),
        )


@pytest.mark.parametrize("name", ["http://example.org/model", "https://example.org/a/b"])
def test_an_encoder_is_not_fetched_from_an_address(name: str) -> None:
    with pytest.raises(EncoderError, match="cannot be loaded"):
        find_encoder(name)


@pytest.mark.parametrize("name", ["data.zip", "data.tar.gz"])
def test_archives_are_not_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,b\n", encoding="utf-8")
    kind = "zip" if name.endswith("zip") else "gztar"
    archive = shutil.make_archive(str(tmp_path / "data"), kind, tmp_path, "train.csv")
    with pytest.raises(DataError, match="this is one file"):
        find(DataSource(source=archive), None)


# Bombs


def test_aliases_that_stand_for_a_billion_values_are_refused_at_once(run: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(ALIASES, encoding="utf-8")
    with pytest.raises(ConfigError, match="aliases expand to more than"):
        load_space(tmp_path / "space.yaml")
    (run / "resolved.yaml").write_text(ALIASES, encoding="utf-8")
    with pytest.raises(ValueError, match="has an alias"):
        load_run(tables(run))
    with pytest.raises(MtsearchError):
        api.simulate(run)


def test_a_giant_space_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "space.yaml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match="is larger than 10 MB"):
        load_space(tmp_path / "space.yaml")


@pytest.mark.parametrize("name", ["resolved.yaml", "environment.json"])
def test_a_giant_file_of_a_run_is_refused_unread(run: Path, name: str) -> None:
    with (tables(run) / name).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="is larger than 10 MB"):
        load_run(run)


def test_a_hole_in_the_events_takes_no_memory(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_LONGEST_LINE", 10_000)
    with (run / EVENTS).open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(RunError, match="every line must be an event"):
        list(read_events(run))


def test_nesting_without_end_is_refused(run: Path, export: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(DEEP, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_space(tmp_path / "space.yaml")
    (export / "manifest.json").write_text(DEEP, encoding="utf-8")
    (checkpoint / "model.json").write_text(DEEP, encoding="utf-8")
    for model in (export, checkpoint):
        with pytest.raises(RunError):
            api.load(model)
    (tables(run) / "environment.json").write_text(DEEP, encoding="utf-8")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_run(run)
    (run / EVENTS).write_text(f"{DEEP}\n{DEEP}\n", encoding="utf-8")
    with pytest.raises(RunError, match="every line must be an event"):
        list(read_events(run))


@pytest.mark.parametrize(
    "header",
    [
        (2**62).to_bytes(8, "little") + b"{}",  # a header of 4 exabytes
        (60).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,',  # of a terabyte
        b"",
    ],
)
def test_a_header_that_promises_too_much_takes_no_memory(checkpoint: Path, header: bytes) -> None:
    (checkpoint / "model.safetensors").write_bytes(header)
    with pytest.raises(RunError, match="the weights of this checkpoint cannot be used"):
        load_weights(checkpoint, torch.nn.Linear(1, 1))


# Terminals and pages


def test_a_terminal_shows_what_a_run_says_and_obeys_none_of_it(run: Path) -> None:
    strange = "[/x]\x1b]0;title\x07\x1b[2J"
    (run / EVENTS).unlink()
    story = Story().begun(trials=2).suggested(0, params={strange: strange}, tasks=strange)
    story = story.started(0).reported(0, 1, 0.5).suggested(1).stopped(1, "failed", strange)
    with EventLog(run) as log:
        for event in story.events:
            log.append(event)
    edit_event(run, "started", node=strange)
    tables(run)
    for command in ("status", "watch", "top"):
        done = CliRunner().invoke(app, [command, str(run)])
        assert done.exit_code == 0, done.output
        assert not {"\x1b", "\x07"} & {*done.output}, command
        assert "[/x]" in done.output, command


def test_a_report_shows_what_a_run_says_and_does_not_run_it(tmp_path: Path) -> None:
    script = "</script><script>alert(1)</script>"
    trial = trial_row(0, 0.5, trial_id=script, stop_reason=script, node=script, **{"config/optimizer.name": script})
    metrics = [metric_row(script, 1, 0.5, task=script), metric_row(script, 1, 0.5)]
    folder = write_tables(tmp_path / script.replace("/", "_"), [trial], metrics)
    (folder / "resolved.yaml").write_text(json.dumps({"name": script, script: [script]}), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps({script: {script: script}}), encoding="utf-8")
    page = write_report(load_run(folder), tmp_path / "report").read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<script>alert" not in page
