"""Constituency trees: labelled phrases that nest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, WantedWords
from mtsearch.data.windows import Window
from mtsearch.errors import DataError
from mtsearch.tasks.biaffine import PairScorer
from mtsearch.tasks.contract import Decoded, Encoded, Inventory, Logits
from mtsearch.tasks.decoding.chart import best_brackets, log_partition
from mtsearch.tasks.distances import symmetric_kl
from mtsearch.tasks.words import (
    IGNORED,
    WordsConfig,
    WordVectors,
    inventory_of,
    labelled_spans,
    num_targets,
    numbers,
    ragged,
    shown_words,
)

__all__ = ["Constituency", "SpanChart"]

Constituent = tuple[int, int, str]

_CHAIN = " "  # between the labels of phrases over the same words, the upper one first; no label has it in it
_UNKNOWN_TAG = "XX"  # part of speech in the trees that are written: it is not predicted
_ESCAPES = {"(": "-LRB-", ")": "-RRB-"}


class SpanChart(Frozen):
    """A score for each span, and one for each of its labels, from the vectors of its first and last word."""

    span_size: int = Field(default=500, gt=0)
    """Width of the projections of the first and of the last word, for whether the span is a phrase."""
    label_size: int = Field(default=100, gt=0)
    """The same, for the labels."""
    dropout: float = Field(default=0.33, ge=0, lt=1)
    """After the projections."""


class _ChartHead(nn.Module):
    def __init__(self, words: WordsConfig, config: SpanChart, input_size: int, num_labels: int) -> None:
        super().__init__()
        self.words = WordVectors(words)
        self.span = PairScorer(input_size, config.span_size, 1, config.dropout)
        self.label = PairScorer(input_size, config.label_size, num_labels, config.dropout)

    def forward(self, sequence: Encoded) -> Logits:
        words_BWD, mask_BW = self.words(sequence)
        labels_BWWC = self.span(words_BWD, words_BWD) + self.label(words_BWD, words_BWD)
        pairs_BWW = mask_BW.unsqueeze(1) & mask_BW.unsqueeze(2)
        # No phrase scores 0; how much more a phrase does is what is learned.
        return Logits(nn.functional.pad(labels_BWWC, (1, 0)), pairs_BWW.triu())


class Constituency(WordsConfig):
    """Phrases, by a tree CRF over labelled spans.

    A tree is a binary one whose spans have a label or none; its score is the sum of theirs, and without a label it is
    0. Phrases over the same words are one label (``S VP``). The loss is the negative log likelihood of all binary
    trees that have the gold phrases with their labels and no others, whatever way they are made binary; CKY finds the
    best tree.

    Source: Zhang et al. 2020 (arXiv 2008.03736) for the tree CRF over biaffine scores, Stern et al. 2017 (arXiv
    1705.03919) for spans without a label; unlike either, ways of making a tree binary are summed over.
    """

    kind: Literal["constituency"] = "constituency"
    metrics: tuple[str, ...] = Field(
        default=("bracket_f1", "bracket_precision", "bracket_recall"), min_length=1, strict=False
    )
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: SpanChart = SpanChart()
    """The task head."""

    @property
    def wanted(self) -> WantedWords:
        """Words, and a tree: their parts of speech and the phrases."""
        return WantedWords(("tree",), _read_tree)

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The labels of the training split's phrases, with their counts."""
        inventory = inventory_of(label for example in train for _, _, label in _chains(example.label[1]))
        if not inventory.labels:
            raise DataError(
                f"data set {self.data.source}: the training split must have phrases, but its trees have none; check "
                "the data"
            )
        return inventory

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """Labels that the training split lacks."""
        known = set(inventory.labels)
        labels = (label for example in examples for _, _, label in _chains(example.label[1]))
        return Counter(label for label in labels if label not in known)

    def window(self, example: Example, first: int, end: int) -> Example:
        """Those words, and the phrases within them."""
        tags, constituents = example.label
        inside = tuple((a - first, b - first, label) for a, b, label in constituents if first <= a and b <= end)
        return shown_words(example, first, end, (tags[first:end], inside))

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Columns ``starts``, ``lasts`` (words) and ``labels`` of the phrases, and ``words``: 1 for each."""
        number = numbers(inventory.labels)
        chains = [list(_chains(example.label[1])) for example in examples]
        return {
            "starts": ragged([start for start, _, _ in spans] for spans in chains),
            "lasts": ragged([end - 1 for _, end, _ in spans] for spans in chains),
            "labels": ragged([number(label) for _, _, label in spans] for spans in chains),
            "words": ragged([1] * len(example.words or ()) for example in examples),
        }

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Scores of labelled spans."""
        return _ChartHead(self, self.head, hidden_size, len(inventory.labels))

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Negative log likelihood, summed over sentences."""
        scores_BWWC = logits.values.float()
        assert logits.mask is not None
        mask_BW = logits.mask.any(-1)
        free_BWW = scores_BWWC.logsumexp(-1)
        # Given the gold tree, a span has its label; others have none, and those that cross a phrase are not there.
        starts_BS, lasts_BS, labels_BS = (targets[name] for name in ("starts", "lasts", "labels"))
        gold_BWW = scores_BWWC[..., 0].masked_fill(_crossing(starts_BS, lasts_BS, len(mask_BW[0])), -torch.inf)
        row, span = (starts_BS != IGNORED).nonzero(as_tuple=True)
        places = row, starts_BS[row, span], lasts_BS[row, span]
        labels = labels_BS[row, span]
        of_labels = scores_BWWC[places].gather(-1, (labels.clamp(min=0) + 1).unsqueeze(-1)).squeeze(-1)
        # A phrase whose label train lacks may have any.
        gold_BWW = gold_BWW.index_put(places, torch.where(labels == IGNORED, free_BWW[places], of_labels))
        return (log_partition(free_BWW, mask_BW) - log_partition(gold_BWW, mask_BW)).sum()

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of words."""
        return num_targets(targets, "words")

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of each span's own distribution over labels and none, summed over spans."""
        return symmetric_kl(logits, reference)

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """The phrases of each row's best tree; parts of speech are not predicted."""
        assert logits.mask is not None
        best_BWW, label_BWW = logits.values.float().max(-1)
        found = best_brackets(best_BWW, logits.mask.any(-1))
        decoded: list[Decoded] = []
        for spans in labelled_spans(found, label_BWW):
            phrases = [
                (start, end, label)
                for start, end, number in spans
                if number
                for label in inventory.labels[number - 1].split(_CHAIN)
            ]
            decoded.append({"prediction": ((), phrases)})
        return decoded

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """What of each window's phrases lies in the words that belong to it, side by side."""
        if len(windows) == 1:
            return predictions[0]
        merged: list[Constituent] = []
        for one, window in zip(predictions, windows, strict=True):
            for start, end, label in one["prediction"][1]:
                begin, after = max(start + window.first, window.own_first), min(end + window.first, window.own_end)
                if begin < after:
                    merged.append((begin, after, label))
        return {"prediction": ((), merged)}

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """The tree in brackets under ROOT, with XX for parts of speech."""
        _, constituents = prediction["prediction"]
        return f"(ROOT {' '.join(_bracketed(example.words or (), constituents))})"


def _chains(constituents: Iterable[Constituent]) -> Iterator[Constituent]:
    """Phrases, those over the same words as one, from constituents in pre-order."""
    chains: dict[tuple[int, int], list[str]] = {}
    for start, end, label in constituents:
        chains.setdefault((start, end), []).append(label)
    return ((start, end, _CHAIN.join(labels)) for (start, end), labels in chains.items())


def _crossing(starts_BS: Tensor, lasts_BS: Tensor, num_words: int) -> Tensor:
    """[B, W, W]: True for spans [i, j] that cross one of these."""
    at = torch.arange(num_words, device=starts_BS.device)
    first, last = at[:, None], at[None, :]
    starts, lasts = starts_BS[..., None, None], lasts_BS[..., None, None]
    begins_before = (first < starts) & (starts <= last) & (last < lasts)
    ends_behind = (starts < first) & (first <= lasts) & (lasts < last)
    return ((begins_before | ends_behind) & (starts >= 0)).any(1)


def _bracketed(words: Sequence[str], constituents: Iterable[Constituent]) -> list[str]:
    """The tree's parts, side by side, from constituents in pre-order."""
    parts: list[str] = []
    opening: list[list[str]] = [[] for _ in words]
    closing = [0] * len(words)
    for start, end, label in constituents:
        opening[start].append(label)
        closing[end - 1] += 1
    depth = 0
    for place, word in enumerate(words):
        leaf = f"({_UNKNOWN_TAG} {_ESCAPES.get(word, word)})"
        text = "".join(f"({label} " for label in opening[place]) + leaf + ")" * closing[place]
        if depth:
            parts[-1] += f" {text}"
        else:
            parts.append(text)
        depth += len(opening[place]) - closing[place]
    return parts


def _read_tree(raw: Any, words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Constituent, ...]]:
    tags, constituents = raw
    if len(tags) != len(words):
        raise ValueError(f"the tree must have as many words as the sentence ({len(words)}), but has {len(tags)}")
    phrases = tuple((int(start), int(end), str(label)) for start, end, label in constituents)
    around: list[tuple[int, int]] = [(0, len(words))]
    for start, end, label in phrases:
        while around and around[-1][1] <= start:
            around.pop()
        if not around or not around[-1][0] <= start < end <= around[-1][1]:
            raise ValueError(
                f"phrases must nest, outer before inner, within the {len(words)} words, but {label} is [{start}, {end})"
            )
        if label.split() != [label]:
            raise ValueError(f"a phrase's label must be text without spaces, but is {label!r}")
        around.append((start, end))
    return tuple(tags), phrases
