from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mtsearch.config.trial import TrialConfig
from mtsearch.errors import ResourceError
from mtsearch.search.checkup import versions
from mtsearch.search.driver import Footprint
from mtsearch.search.readiness import Needs, Readiness, lacks
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.report import Objective


@pytest.fixture
def needs(tmp_path: Path, tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> Needs:
    """What the tiny trial needs, all of which is here."""
    config = TrialConfig.model_validate(tiny_config())
    hashes = preflight([config], Place(None, tiny_data), Objective(), lambda line: None)
    proof = tmp_path / "run" / ".seen"
    proof.parent.mkdir()
    proof.write_text(".seen")
    plugin = tmp_path / "mine.py"
    plugin.write_text("METRICS = ()")
    return Needs(
        proof=str(proof),
        versions=versions(),
        plugins={str(plugin): hashlib.sha256(b"METRICS = ()").hexdigest()},
        configs=(config.model_dump_json(),),
        data_root=str(tiny_data),
        data_hashes=hashes,
        objective=Objective(),
        device="cpu",
    )


def test_fp16_is_refused_where_trials_have_no_gpu_whatever_the_driver_has(
    tmp_path: Path,
    tiny_config: Callable[..., dict[str, Any]],
    tiny_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = TrialConfig.model_validate(tiny_config(training={"precision": "fp16"}))
    hashes = preflight([config], Place(None, tiny_data), Objective(), lambda line: None)
    readiness = Readiness([config], tiny_data, hashes, Objective(), lambda line: None)
    with pytest.raises(ResourceError, match=r"training\.precision: fp16 needs a GPU"):
        readiness.check(tmp_path, Footprint(cpus=1, gpus=0.0, concurrency=1))
    alone = SimpleNamespace(nodes=list, get_runtime_context=lambda: SimpleNamespace(get_node_id=lambda: "here"))
    monkeypatch.setattr("mtsearch.search.readiness.ray", alone)
    readiness.check(tmp_path, Footprint(cpus=1, gpus=0.5, concurrency=1))


def test_what_reads_data_on_a_node_does_not_mind_fp16(needs: Needs) -> None:
    (config,) = (json.loads(config) for config in needs.configs)
    in_fp16 = {**config, "training": {**config["training"], "precision": "fp16"}}
    assert lacks(replace(needs, configs=(json.dumps(in_fp16),))) == ""


def test_a_machine_that_has_everything_lacks_nothing(needs: Needs) -> None:
    assert lacks(needs) == ""
    assert [path.name for path in Path(needs.proof).parent.iterdir()] == [".seen"]


def test_another_build_of_the_same_version_will_do_but_no_other_version(needs: Needs) -> None:
    build = f"{needs.versions['torch'].partition('+')[0]}+cu999"
    assert lacks(replace(needs, versions={**needs.versions, "torch": build})) == ""
    told = lacks(replace(needs, versions={**needs.versions, "transformers": "4.0.0"}))
    assert told == f"it has transformers {needs.versions['transformers']}, but the driver 4.0.0"


def test_a_run_folder_of_its_own_is_told(needs: Needs) -> None:
    Path(needs.proof).unlink()
    assert "must be on storage that every node shares" in lacks(needs)


def test_a_run_folder_that_is_seen_but_cannot_be_written_is_told(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    folder = Path(needs.proof).parent
    assert lacks(needs) == f"it cannot write the run folder {folder}: Read-only file system"


def test_a_gpu_that_torch_does_not_see_is_told(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert lacks(replace(needs, device="cuda")) == f"torch {versions()['torch']} sees no GPU there"


def test_a_plugin_that_is_not_there_or_another_is_told(needs: Needs) -> None:
    (plugin,) = needs.plugins
    for change in (lambda: Path(plugin).write_text("TASKS = ()"), Path(plugin).unlink):
        change()
        assert f"the plugin {plugin}" in lacks(needs)


@pytest.mark.parametrize("code", [None, "TASKS = ()"])
def test_a_plugin_that_is_not_installed_or_another_version_of_it_is_told(
    needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    if code is not None:
        (tmp_path / "installed_elsewhere.py").write_text(code)
    config = needs.configs[0].replace('"plugins":[]', '"plugins":["installed_elsewhere"]')
    there = {"installed_elsewhere": hashlib.sha256(b"METRICS = ()").hexdigest()}
    told = lacks(replace(needs, plugins=there, configs=(config,)))
    assert told.startswith("it does not have the plugin installed_elsewhere as the driver has it; ")


def test_data_that_is_not_there_is_told_by_its_task(needs: Needs, tmp_path: Path) -> None:
    told = lacks(replace(needs, data_root=str(tmp_path)))
    assert "sst5" in told
    assert str(tmp_path) in told


def test_other_data_is_told_by_its_task(needs: Needs) -> None:
    hashes = {asked: "other" if asked[0] == "similarity" else found for asked, found in needs.data_hashes.items()}
    assert lacks(replace(needs, data_hashes=hashes)) == "its data for similarity is other than the driver's"


def test_an_encoder_that_is_not_there_is_told(needs: Needs, tiny_encoder: Path, tmp_path: Path) -> None:
    config = needs.configs[0].replace(str(tiny_encoder), str(tmp_path / "encoder"))
    assert "there is no such folder" in lacks(replace(needs, configs=(config,)))


def test_a_full_disk_is_told(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1_000_000))
    assert lacks(needs) == f"{Path(needs.proof).parent}: only 1 MB are free"


def test_afterwards_the_data_lies_there_tokenised(
    needs: Needs, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tiny_data, tmp_path / "data")
    assert lacks(replace(needs, data_root=str(tmp_path / "data"))) == ""
    assert len(list((tmp_path / "cache" / "tokens").glob("*.arrow"))) == 6  # a split of a task each
