"""A tag for each word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, WantedWords
from mtsearch.data.windows import Window
from mtsearch.errors import DataError
from mtsearch.tasks.contract import Decoded, Encoded, Inventory, Logits
from mtsearch.tasks.decoding.paths import best_paths, log_partition, path_scores
from mtsearch.tasks.distances import symmetric_kl
from mtsearch.tasks.words import (
    IGNORED,
    WordsConfig,
    WordVectors,
    inventory_of,
    join_words,
    num_targets,
    numbers,
    ragged,
    shown_words,
    word_targets,
)

__all__ = ["TagHead", "Tagging"]


class TagHead(Frozen):
    """From a word's vector to a score for each tag."""

    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before the output layer."""
    crf: bool = False
    """Whether tags are scored by their neighbours too (a linear-chain CRF: Lafferty et al. 2001)."""

    def build(self, words: WordsConfig, input_size: int, num_tags: int) -> nn.Module:
        """The task head."""
        return _TagHead(words, self, input_size, num_tags)


class _TagHead(nn.Module):
    def __init__(self, words: WordsConfig, config: TagHead, input_size: int, num_tags: int) -> None:
        super().__init__()
        self.words = WordVectors(words)
        self.score = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(input_size, num_tags))
        self.neighbours = nn.ParameterDict(
            {
                "transitions": torch.zeros(num_tags, num_tags),
                "starts": torch.zeros(num_tags),
                "ends": torch.zeros(num_tags),
            }
            if config.crf
            else {}
        )

    def forward(self, sequence: Encoded) -> Logits:
        words_BWD, mask_BW = self.words(sequence)
        return Logits(self.score(words_BWD), mask_BW, shared=dict(self.neighbours))


def tag_loss(logits: Logits, tags_BW: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross entropy, or the CRF's negative log likelihood, summed over the words that have a tag; a scalar.

    Args:
        logits: of a :class:`TagHead`.
        tags_BW: numbers of tags, :data:`IGNORED` for none.
        label_smoothing: without a CRF, the share of the target that is spread over all tags.
    """
    scores_BWC = logits.values.float()
    if "transitions" not in logits.shared:
        scores, tags = scores_BWC.flatten(0, 1), tags_BW.flatten()
        return functional.cross_entropy(
            scores, tags, ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="sum"
        )
    assert logits.mask is not None
    transitions, starts, ends = (logits.shared[name].float() for name in ("transitions", "starts", "ends"))
    neighbours = transitions, starts, ends
    is_unknown_BW = (tags_BW == IGNORED) & logits.mask
    if is_unknown_BW.any():  # then any tag is right there
        is_other_BWC = torch.arange(scores_BWC.shape[-1], device=tags_BW.device) != tags_BW.unsqueeze(-1)
        allowed_BWC = scores_BWC.masked_fill(is_other_BWC & ~is_unknown_BW.unsqueeze(-1), float("-inf"))
        gold_B = log_partition(allowed_BWC, *neighbours, logits.mask)
    else:
        gold_B = path_scores(scores_BWC, *neighbours, logits.mask, tags_BW)
    return (log_partition(scores_BWC, *neighbours, logits.mask) - gold_B).sum()


def best_tags(
    logits: Logits, allowed_CC: Tensor | None = None, allowed_starts_C: Tensor | None = None
) -> list[list[int]]:
    """Each row's best sequence of tags, one for each of its words.

    Args:
        logits: of a :class:`TagHead`.
        allowed_CC: True where the second tag may follow the first one; None allows all.
        allowed_starts_C: True where a sequence may begin with the tag; None allows all.
    """
    scores_BWC, mask_BW = logits.values.float(), logits.mask
    assert mask_BW is not None
    if "transitions" not in logits.shared and allowed_CC is None:
        paths_BW = scores_BWC.argmax(-1)
    else:
        num_tags = scores_BWC.shape[-1]
        transitions_CC, starts_C, ends_C = (
            logits.shared[name].float() if name in logits.shared else scores_BWC.new_zeros(shape)
            for name, shape in (("transitions", (num_tags, num_tags)), ("starts", num_tags), ("ends", num_tags))
        )
        if allowed_CC is not None:
            transitions_CC = transitions_CC.masked_fill(~allowed_CC.to(scores_BWC.device), float("-inf"))
        if allowed_starts_C is not None:
            starts_C = starts_C.masked_fill(~allowed_starts_C.to(scores_BWC.device), float("-inf"))
        paths_BW, _ = best_paths(scores_BWC, transitions_CC, starts_C, ends_C, mask_BW)
    lengths = mask_BW.sum(-1).tolist()
    return [path[:length] for path, length in zip(paths_BW.tolist(), lengths, strict=True)]


class Tagging(WordsConfig):
    """A tag for each word: parts of speech, or any others."""

    kind: Literal["tagging"] = "tagging"
    metrics: tuple[str, ...] = Field(default=("accuracy", "macro_f1"), min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: TagHead = TagHead()
    """The task head."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all tags; no part of a CRF."""

    @property
    def wanted(self) -> WantedWords:
        """Words, and a tag for each."""
        return WantedWords(("upos", "pos", "tags", "pos_tags", "label", "labels"), _read_tags)

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The tags of the training split, with their counts."""
        inventory = inventory_of(tag for example in train for tag in example.label)
        if len(inventory.labels) < 2:
            raise DataError(
                f"data set {self.data.source}: tagging needs at least two tags, but the training split has only "
                f"{', '.join(inventory.labels) or 'none'}; check data.layer or the label's column"
            )
        return inventory

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """Tags that the training split lacks."""
        known = set(inventory.labels)
        return Counter(tag for example in examples for tag in example.label if tag not in known)

    def window(self, example: Example, first: int, end: int) -> Example:
        """Those words with their tags."""
        return shown_words(example, first, end, example.label[first:end])

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Column ``tags``: the number of each word's tag."""
        number = numbers(inventory.labels)
        return {"tags": ragged([number(tag) for tag in example.label] for example in examples)}

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """A score for each tag of each word; of a CRF, those of neighbours too."""
        return self.head.build(self, hidden_size, len(inventory.labels))

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Cross entropy, or the CRF's negative log likelihood, summed over words."""
        return tag_loss(logits, word_targets(targets, "tags", logits.values.shape[1]), self.label_smoothing)

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of words."""
        return num_targets(targets, "tags")

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of the words' own tag distributions, summed over words."""
        return symmetric_kl(logits, reference)

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """The best tags of each row."""
        return [{"prediction": [inventory.labels[tag] for tag in path]} for path in best_tags(logits)]

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """Each word's tag from the window that it belongs to."""
        return {"prediction": join_words([one["prediction"] for one in predictions], windows)}

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """CoNLL-U, with the tags as UPOS (as XPOS where ``data.layer`` says so)."""
        assert example.words is not None
        column = 4 if self.data.layer == "xpos" else 3
        return conllu(example.words, {column: prediction["prediction"]})


def conllu(words: Sequence[str], columns: Mapping[int, Sequence[Any]]) -> str:
    """A sentence in CoNLL-U, with a blank line behind it.

    Args:
        words: its words.
        columns: by number from 0, one entry for each word; the others are ``_``.
    """
    lines = [f"# text = {' '.join(words)}"]
    for place, word in enumerate(words):
        cells = [str(place + 1), word, *["_"] * 8]
        for column, entries in columns.items():
            cells[column] = str(entries[place])
        lines.append("\t".join(cells))
    return "\n".join([*lines, ""])


def _read_tags(raw: Any, words: tuple[str, ...]) -> tuple[str, ...]:
    tags = tuple(raw)
    if len(tags) != len(words):
        raise ValueError(f"the tags must be as many as the words ({len(words)}), but are {len(tags)}")
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip():
            raise ValueError(f"a tag must be text that is not empty, but one is {tag!r}")
    return tags
