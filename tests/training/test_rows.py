"""What a trial makes of its training data, and that dev and test stay as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtsearch.augmentation import Eda, NoAugmentation
from mtsearch.config.trial import TrialConfig
from mtsearch.data.examples import Example
from mtsearch.errors import ConfigError, RunError
from mtsearch.training.checkpoint import latest_checkpoint
from mtsearch.training.fit import fit
from mtsearch.training.parts import Parts, TaskParts, load_task
from mtsearch.training.place import Place
from mtsearch.training.preflight import preflight
from mtsearch.training.report import Objective
from mtsearch.training.rows import change_rows
from tests.training.trials import numbers

EDA = {"name": "eda", "num_augmented": 2, "synonyms": "shipped"}
SHORT = {"training": {"drop_longest": 0.25}}
EXAMPLES = [Example(f"x{i}", ("a good film",), "1", i) for i in range(8)]

LoadTask = Callable[..., TaskParts]


@pytest.fixture
def load(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> LoadTask:
    """A task of a trial with these sections."""

    def one(name: str = "sentiment", *, train_on: tuple[Any, ...] = ("train",), **sections: Any) -> TaskParts:
        config = TrialConfig.model_validate(tiny_config(**sections))
        return load_task(name, config.tasks[name], config, Place(None, tiny_data), train_on)

    return one


def ids_of(task: TaskParts, split: Any) -> np.ndarray[Any, Any]:
    return task.splits[split].tokens.columns["ids"].values


def test_without_either_a_task_is_as_it_was_read(load: LoadTask) -> None:
    task = load()
    assert task.changes is None
    assert task.splits["train"].num_examples == len(task.data.splits["train"].examples) == 48


def test_a_class_that_would_be_lost_with_the_longest_is_told(load: LoadTask, tmp_path: Path) -> None:
    rows = [f"{i}\tx{i}\t{'a very long film' if i == 9 else 'a film'}\t{int(i == 9)}" for i in range(10)]
    for split in ("train", "dev"):
        text = "\n".join(["\tid\tsentence\tsentiment", *rows])
        (tmp_path / f"ids-sst-{split}.csv").write_text(text, encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"training\.drop_longest: must leave examples of every class, but leaves none of '1' in one"
    ):
        load(
            "one",
            tasks={"one": {"kind": "classification", "data": str(tmp_path)}},
            training={"drop_longest": 0.1},
        )


def test_copies_and_what_is_left_out_are_counted(load: LoadTask) -> None:
    task = load(augmentation=EDA, **SHORT)
    assert task.changes is not None
    assert (task.changes.num_dropped, task.changes.num_augmented) == (12, 72)
    assert task.splits["train"].num_examples == 36 + 72
    assert task.changes.describe() == "+ 72 augmented (eda, shipped synonyms), 12 longest dropped"


@pytest.mark.parametrize("name", ["sentiment", "paraphrase", "similarity"])
def test_dev_never_changes(load: LoadTask, name: str) -> None:
    plain, changed = load(name), load(name, augmentation=EDA, **SHORT)
    assert np.array_equal(ids_of(plain, "dev"), ids_of(changed, "dev"))
    assert plain.examples["dev"] == changed.examples["dev"]
    assert not np.array_equal(ids_of(plain, "train"), ids_of(changed, "train"))


def test_of_train_and_dev_only_train_is_changed(load: LoadTask) -> None:
    both = ("train", "dev")
    plain, alone, changed = load(train_on=both), load(augmentation=EDA), load(augmentation=EDA, train_on=both)
    assert changed.splits["train"].num_examples == 3 * 48 + 24
    assert changed.changes == alone.changes
    end = len(ids_of(load(), "dev"))
    assert np.array_equal(ids_of(changed, "train")[-end:], ids_of(plain, "train")[-end:])


def test_the_data_that_is_found_is_the_same_with_and_without(load: LoadTask) -> None:
    plain, changed = load(), load(augmentation=EDA)
    assert plain.data.content_hash == changed.data.content_hash


def test_settings_and_seed_decide_the_rows(load: LoadTask) -> None:
    def rows(seed: int = 7, **fields: Any) -> str:
        changes = load(augmentation={**EDA, **fields}, training={"seed": seed}).changes
        assert changes is not None
        return changes.content_hash

    assert rows() == rows()
    assert len({rows(), rows(seed=8), rows(alpha=0.5), rows(num_augmented=3)}) == 4


def test_class_weights_go_by_what_is_trained_on(load: LoadTask) -> None:
    plain, balanced = load(), load(augmentation={"name": "eda", "balance": 1.0, "synonyms": "shipped"})
    assert plain.inventory.labels == balanced.inventory.labels == ("0", "4")
    assert balanced.inventory.counts == (max(plain.inventory.counts),) * 2


def test_numbers_keep_the_scale_of_the_whole_training_split(load: LoadTask) -> None:
    assert load("similarity", **SHORT).inventory == load("similarity").inventory


def test_only_the_named_tasks_are_augmented(load: LoadTask) -> None:
    only = {**EDA, "tasks": ["paraphrase"]}
    assert load("sentiment", augmentation=only).changes is None
    assert load("paraphrase", augmentation=only).splits["train"].num_examples == 3 * 48


def test_a_task_that_is_not_there_cannot_be_named(tiny_config: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"augmentation.tasks: must be tasks of the trial \(sentiment, .*'sentimnet'"):
        TrialConfig.model_validate(tiny_config(augmentation={**EDA, "tasks": ["sentimnet"]}))


@pytest.mark.parametrize(
    ("layout", "label"), [("words", ("NOUN", "VERB")), ("words", "1"), ("pair", {"start": 0, "end": 3})]
)
def test_a_task_whose_labels_belong_to_words_is_never_augmented(layout: Any, label: Any) -> None:
    examples = [Example("x", ("a good film",), label, 1)]
    rows, changes = change_rows("pos", examples, layout, Eda(synonyms="shipped"), 0.0, 13)
    assert rows == tuple(examples)
    assert changes.describe() == "+ 0 augmented (its labels belong to words)"
    with pytest.raises(ConfigError, match=r"augmentation.tasks: .*the labels of 'pos' belong to words"):
        change_rows("pos", examples, layout, Eda(synonyms="shipped", tasks=("pos",)), 0.0, 13)


def test_only_what_stays_is_copied() -> None:
    rows, _ = change_rows("task", EXAMPLES, "single", Eda(synonyms="shipped", num_augmented=1), 0.5, 13)
    assert [row.id for row in rows] == ["x0", "x1", "x2", "x3", "x0+eda1", "x1+eda1", "x2+eda1", "x3+eda1"]


def test_a_share_of_less_than_one_example_is_told_as_nothing() -> None:
    _, changes = change_rows("task", EXAMPLES, "single", NoAugmentation(), 0.1, 13)
    assert changes.describe() == "0 longest dropped"


def test_it_is_said_once_before_a_search(tiny_config: Callable[..., dict[str, Any]], tiny_data: Path) -> None:
    lines: list[str] = []
    plain, changed = (
        TrialConfig.model_validate(tiny_config(schedule={"name": "linear"}, **sections))
        for sections in ({}, {"augmentation": {**EDA, "tasks": ["sentiment"]}})
    )
    preflight([plain, changed, changed], Place(None, tiny_data), Objective(), lines.append)
    own = [line for line in lines if line.startswith("sentiment: ")]
    assert len(own) == 2
    assert own[1] == "sentiment: + 96 augmented (eda, shipped synonyms)"


def test_the_sampler_draws_from_the_copies_too(start: Callable[..., Parts]) -> None:
    plain, changed = (
        start(sampler={"name": "proportional"}, training={"batch_size": 8}, **sections)
        for sections in ({}, {"augmentation": {**EDA, "tasks": ["sentiment"]}})
    )
    assert plain.plan.updates_per_epoch == (18, 18)
    assert changed.plan.updates_per_epoch == (30, 30)


def test_trials_that_differ_in_augmentation_alone_differ(start: Callable[..., Parts]) -> None:
    sections: dict[str, Any] = {"training": {"epochs": 1}}
    plain, one, other = (
        numbers(list(fit(start(**sections, augmentation=augmentation))))
        for augmentation in ({"name": "none"}, EDA, {**EDA, "alpha": 0.4})
    )
    assert plain != one != other != plain


def test_an_interrupted_trial_goes_on_with_the_same_rows(start: Callable[..., Parts], tmp_path: Path) -> None:
    whole = list(fit(start(tmp_path / "whole", augmentation=EDA, **SHORT)))
    cut = fit(start(tmp_path / "cut", augmentation=EDA, **SHORT))
    next(cut)
    cut.close()
    resumed = list(fit(start(resume=latest_checkpoint(tmp_path / "cut"), augmentation=EDA, **SHORT)))
    assert numbers(resumed) == numbers(whole)


def test_other_synonyms_than_training_began_with_are_refused(start: Callable[..., Parts], tmp_path: Path) -> None:
    next(fit(start(tmp_path, augmentation=EDA)))
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    description = json.loads((checkpoint / "model.json").read_text())
    description["changes"]["paraphrase"] = "of another WordNet"
    (checkpoint / "model.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"tasks.paraphrase: going on needs the augmented copies that training began"):
        start(resume=checkpoint, augmentation=EDA)
