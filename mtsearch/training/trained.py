"""A trained model from its checkpoint or export: predictions on text, and scores on a split."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from accelerate import Accelerator

from mtsearch.config.plugins import load_tables
from mtsearch.config.schema import trial_schema
from mtsearch.config.trial import TrialConfig
from mtsearch.data.batching import Batch, EncodedSplit
from mtsearch.data.examples import DataSet, Example
from mtsearch.data.piece_tags import PieceTags, Tagger
from mtsearch.data.resolve import load_data
from mtsearch.data.source import SplitName
from mtsearch.data.tokens import TokenTable, tokenise_uncached
from mtsearch.data.windows import text_words
from mtsearch.errors import DataError, MtsearchError, RunError
from mtsearch.model.encoder import find_encoder, load_tokenizer
from mtsearch.tags import Columns, ExportedTags
from mtsearch.tasks.contract import Inventory, Layout, TaskKind
from mtsearch.training.assembly import build_model
from mtsearch.training.checkpoint import load_weights, read_description
from mtsearch.training.evaluate import Evaluation, evaluate, predict, prediction_table
from mtsearch.training.exported import MANIFEST, TAGGER, encoder_source, is_export, load_exported, read_manifest
from mtsearch.training.place import Place
from mtsearch.training.precision import OneCpu, build_accelerator, choose_precision
from mtsearch.training.rows import row_examples
from mtsearch.training.tagging import TrialTags, tag_rows

__all__ = ["TrainedModel", "find_tagger"]

_BATCH_SIZE = 64
_LOG = logging.getLogger(__name__)


class TrainedModel:
    """A model as a trial left it.

    Args:
        folder: a checkpoint, with ``model.safetensors`` and ``model.json``; or an export, which needs nothing else.
        device: where to run it.
        plugins: the modules that it was trained with; a checkpoint runs no code by itself.
        beside_a_trial: whether it shares the process with a trial: it then runs on the CPU in fp32, and leaves the
            trial's number format and device alone.

    Attributes:
        description: what the folder says of itself.
        config: the trial's.
        data_hashes: of the data that each task was trained on.
        inventories: what each task learned from its training split.
        tags: what the tags are that the encoder sees beside words; None where it sees none.
        model: the encoder and the task heads.
        tokenizer: the encoder's.
        accelerator: number format and device.

    Raises:
        RunError: the folder is neither, or is damaged.
        EncoderError: the encoder's configuration or tokenizer is no longer to be had.
    """

    def __init__(
        self,
        folder: Path,
        device: Literal["cpu", "cuda"] = "cpu",
        plugins: Sequence[str] = (),
        *,
        beside_a_trial: bool = False,
    ) -> None:
        exported = is_export(folder)
        self.description = description = read_manifest(folder) if exported else read_description(folder)
        try:
            named = description["config"]["plugins"]
            if named and not plugins:
                raise RunError(
                    f"{folder}: this model needs {', '.join(named)}; name the module yourself, with plugins=[..] "
                    "or --plugin, since loading it runs its code"
                )
            schema = trial_schema(tuple(plugins))
            self.config: TrialConfig = schema.model_validate({**description["config"], "plugins": list(plugins)})
            self.data_hashes: dict[str, str] = description["data"]
            told = description["inventories"]
            self.inventories = {name: Inventory.from_json(told[name]) for name in self.config.tasks}
            self.tags = TrialTags.from_json(description.get("tags"))
        except MtsearchError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            file = folder / (MANIFEST if exported else "model.json")
            reason = str(error).splitlines()[0]
            raise RunError(f"{file}: must describe a model of this version, but: {reason}") from error
        if exported and isinstance(self.config.tags, ExportedTags):
            own = self.config.tags.model_copy(update={"folder": str(folder / TAGGER)})
            self.config = self.config.model_copy(update={"tags": own})
        self.accelerator: Accelerator | OneCpu
        if beside_a_trial:
            self.accelerator = OneCpu()
        else:
            asked = self.config.training.precision
            # What was trained on a GPU may be used where there is none.
            precision = choose_precision("fp32" if (asked, device) == ("fp16", "cpu") else asked, device)
            self.accelerator = build_accelerator(precision, Place(None, None, device=device))
        if exported:
            source = encoder_source(folder, description)
            self.model = load_exported(folder, description, self.config, self.inventories, self.tags)
        else:
            source = find_encoder(self.config.encoder.model, self.config.encoder.revision)
            self.model = build_model(self.config, self.inventories, self.tags)
            load_weights(folder, self.model)
        self.model.to(self.accelerator.device).eval()
        self.tokenizer = load_tokenizer(source)

    def predict(
        self, task: str, texts: Sequence[str] | Sequence[tuple[str, ...]], first: int = 1
    ) -> list[dict[str, Any]]:
        """What the model says of texts, of pairs of texts, or of sentences given as words.

        Args:
            task: the task's name.
            texts: sentences; pairs for a task on pairs; a question and its context for one on questions. For a task on
                words each is the tuple of its words, or a text that is split at white space.
            first: the number that errors tell the first text by.

        Returns:
            One dict per text: ``prediction`` and what the task's decoding adds (``probabilities`` by class).

        Raises:
            DataError: an unknown task, another number of texts than it takes, or a text without words.
        """
        return self._predict(task, self._examples(task, texts, first))

    def render(self, task: str, texts: Sequence[str] | Sequence[tuple[str, ...]], first: int = 1) -> list[str]:
        """What the model says of texts, each in the usual format of the kind of task: CoNLL-U, brackets, JSON lines.

        Args:
            task: as for :meth:`predict`, which raises the same.
            texts: as there.
            first: as there.
        """
        examples = self._examples(task, texts, first)
        kind = self._kind(task)
        predictions = self._predict(task, examples)
        return [kind.render(example, told) for example, told in zip(examples, predictions, strict=True)]

    def _examples(self, task: str, texts: Sequence[str] | Sequence[tuple[str, ...]], first: int) -> list[Example]:
        kind = self._kind(task)
        num_texts = kind.wanted.num_texts
        examples = []
        for number, text in enumerate(texts, start=first):
            row, words = (text,) if isinstance(text, str) else tuple(text), None
            if kind.layout == "words":
                words = tuple(text.split()) if isinstance(text, str) else row
                row = (" ".join(words),)
            if len(row) != num_texts:
                raise DataError(f"text {number}: {task} takes {num_texts} text(s), but got {len(row)}")
            if kind.layout in ("words", "question") and not text_words(row[-1]):
                raise DataError(f"text {number}: {task} takes texts with words, but got {row[-1]!r}; leave it out")
            examples.append(Example(str(number), row, None, number, words))
        return examples

    def _predict(self, task: str, examples: Sequence[Example]) -> list[dict[str, Any]]:
        if not examples:
            return []
        return predict(
            self.model,
            self._kind(task),
            self.inventories[task],
            self._encoded(task, examples),
            examples,
            self._batch,
            self.accelerator,
            _BATCH_SIZE,
        ).predictions

    def layout(self, task: str) -> Layout:
        """How a task's texts become input rows.

        Raises:
            DataError: the task is unknown.
        """
        return self._kind(task).layout

    def data(self, task: str, data_root: Path | None) -> DataSet:
        """A task's data set.

        Args:
            task: the task's name.
            data_root: the folder given by ``--data`` or ``MTSEARCH_DATA``; None if neither was.

        Raises:
            DataError: the task is unknown, or its data set missing or broken.
        """
        kind = self._kind(task)
        return load_data(kind.data, kind.wanted, data_root)

    def evaluate(self, task: str, split: SplitName, data: DataSet) -> tuple[Evaluation, pd.DataFrame]:
        """A task's scores on a split, and every example's prediction.

        Args:
            task: the task's name.
            split: one that ``data`` has.
            data: from :meth:`data`.

        Raises:
            DataError: a label that the model does not know.
        """
        kind = self._kind(task)
        examples = data.splits[split].examples
        evaluation = evaluate(
            self.model,
            kind,
            self.inventories[task],
            self._encoded(task, examples, with_targets=True),
            examples,
            load_tables(self.config.plugins).metrics,
            self._batch,
            self.accelerator,
            _BATCH_SIZE,
        )
        return evaluation, prediction_table(task, split, examples, evaluation.predictions)

    def _batch(self, split: EncodedSplit, rows: npt.NDArray[np.int64]) -> Batch:
        return split.batch(rows).to(self.accelerator.device)

    def _kind(self, task: str) -> TaskKind:
        if task not in self.config.tasks:
            raise DataError(f"task: must be one of {', '.join(self.config.tasks)}, but got {task!r}")
        return cast(TaskKind, self.config.tasks[task])

    def _encoded(self, task: str, examples: Sequence[Example], *, with_targets: bool = False) -> EncodedSplit:
        kind = self._kind(task)
        tokens = tokenise_uncached(
            examples,
            self.tokenizer,
            kind.layout,
            self.config.encoder.max_length,
            with_places=self.tags is not None,
        )
        tags = None if self.tags is None else self._tagged(task, examples, tokens, self.tags, is_cached=with_targets)
        targets: dict[str, pa.Array] = {}
        if with_targets:
            targets = kind.encode_targets(row_examples(kind, examples, tokens), self.inventories[task])
        return EncodedSplit(task, tokens, targets, self.tokenizer.pad_token_id, tags)

    def _tagged(
        self, task: str, examples: Sequence[Example], tokens: TokenTable, known: TrialTags, *, is_cached: bool
    ) -> PieceTags:
        tagger = find_tagger(self.config, is_cached=is_cached)
        assert tagger is not None
        if tagger.identity() != known.source:
            _LOG.warning("tags: the model was trained with others than those by %s", tagger.describe())
        return tag_rows(tagger, task, examples, self._kind(task).layout, tokens).renumbered(known.names)


@dataclass(frozen=True)
class _Export:
    """An export that gives a trial its tags."""

    folder: Path
    content_hash: str
    kinds: Mapping[str, str] = field(compare=False)  # by the hash
    plugins: tuple[str, ...]

    def predict(self, task: str, texts: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
        return _beside_a_trial(self.folder, self.plugins).predict(task, texts)


@lru_cache
def _open(folder: Path, plugins: tuple[str, ...]) -> _Export:
    """The export in a folder; a process looks once."""
    if not is_export(folder):
        raise RunError(f"{folder}: must be a folder that mtsearch export wrote, but has no {MANIFEST}; check the path")
    config = read_manifest(folder)["config"]
    if config["tags"]["name"] == Columns().name:
        raise RunError(f"{folder}: was trained with gold tags (tags.name: columns), and predicts on no text without")
    # The manifest has the hashes of all other files.
    content_hash = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:16]
    return _Export(folder.resolve(), content_hash, {task: of["kind"] for task, of in config["tasks"].items()}, plugins)


@lru_cache(maxsize=2)
def _beside_a_trial(folder: Path, plugins: tuple[str, ...]) -> TrainedModel:
    return TrainedModel(folder, plugins=plugins, beside_a_trial=True)


def find_tagger(config: TrialConfig, *, is_cached: bool) -> Tagger | None:
    """What gives a trial's texts their tags; None if the encoder sees none.

    Args:
        config: the trial.
        is_cached: whether it may keep on disk what it told of a text.

    Raises:
        ConfigError: what it needs is not there.
    """
    return config.tags.tagger(is_cached=is_cached, open_export=partial(_open, plugins=config.plugins))
