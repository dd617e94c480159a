"""Named entities: labelled spans of words that do not overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, WantedWords
from mtsearch.data.windows import Window
from mtsearch.errors import DataError
from mtsearch.tasks.biaffine import PairScorer
from mtsearch.tasks.bio import all_tags, spans_of, tags_of
from mtsearch.tasks.contract import Decoded, Encoded, Inventory, Logits
from mtsearch.tasks.decoding.paths import bio_transitions
from mtsearch.tasks.decoding.spans import best_spans, greedy_spans
from mtsearch.tasks.distances import symmetric_kl
from mtsearch.tasks.tagging import TagHead, best_tags, tag_loss
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
    word_targets,
)

__all__ = ["BiaffineSpans", "BioTags", "Ner"]

Span = tuple[int, int, str]


class BiaffineSpans(Frozen):
    """A score for each label of each span, from the vectors of its first and last word.

    Source: Yu et al. 2020 (arXiv 2005.07150), without its own encoder.
    """

    name: Literal["biaffine"] = "biaffine"
    size: int = Field(default=150, gt=0)
    """Width of the projections of the first and of the last word."""
    dropout: float = Field(default=0.33, ge=0, lt=1)
    """After the projections."""
    decoding: Literal["greedy", "best"] = "greedy"
    """``greedy`` takes spans in the order of their scores, unless they overlap one that was taken; ``best`` takes those
    that do not overlap with the highest sum of scores."""


class BioTags(Frozen):
    """A BIO tag for each word; decoding keeps to sequences that are well formed."""

    name: Literal["bio"] = "bio"
    crf: bool = True
    """Whether tags are scored by their neighbours too."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before the output layer."""


class _SpanHead(nn.Module):
    def __init__(self, words: WordsConfig, config: BiaffineSpans, input_size: int, num_labels: int) -> None:
        super().__init__()
        self.words = WordVectors(words)
        self.score = PairScorer(input_size, config.size, num_labels + 1, config.dropout)  # 0: no entity

    def forward(self, sequence: Encoded) -> Logits:
        words_BWD, mask_BW = self.words(sequence)
        pairs_BWW = mask_BW.unsqueeze(1) & mask_BW.unsqueeze(2)
        return Logits(self.score(words_BWD, words_BWD), pairs_BWW.triu())


class Ner(WordsConfig):
    """Named entities, or other labelled spans that do not overlap."""

    kind: Literal["ner"] = "ner"
    metrics: tuple[str, ...] = Field(default=("span_f1", "span_precision", "span_recall"), min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: Annotated[BiaffineSpans | BioTags, Field(discriminator="name")] = BiaffineSpans()
    """The task head."""

    @property
    def wanted(self) -> WantedWords:
        """Words, and a BIO tag for each; other schemes (IOB1, BIOES) are read too."""
        return WantedWords(("ner_tags", "ner", "entities", "tags", "label", "labels"), _read_spans)

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The labels of the training split's spans, with their counts."""
        inventory = inventory_of(label for example in train for _, _, label in example.label)
        if not inventory.labels:
            raise DataError(
                f"data set {self.data.source}: the training split must have entities, but all its tags are O; check "
                "the label's column"
            )
        return inventory

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """Labels that the training split lacks."""
        known = set(inventory.labels)
        return Counter(label for example in examples for _, _, label in example.label if label not in known)

    def window(self, example: Example, first: int, end: int) -> Example:
        """Those words, and the spans within them."""
        inside = tuple((a - first, b - first, label) for a, b, label in example.label if first <= a and b <= end)
        return shown_words(example, first, end, inside)

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Columns ``starts``, ``lasts`` (words) and ``labels`` of the spans, and ``tags``: BIO tags of the words."""
        label_number, tag_number = numbers(inventory.labels), numbers(all_tags(inventory.labels))
        return {
            "starts": ragged([start for start, _, _ in example.label] for example in examples),
            "lasts": ragged([end - 1 for _, end, _ in example.label] for example in examples),
            "labels": ragged([label_number(label) for _, _, label in example.label] for example in examples),
            "tags": ragged(
                [tag_number(tag) for tag in tags_of(example.label, len(example.words or ()))] for example in examples
            ),
        }

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Scores of spans, or of BIO tags."""
        if isinstance(self.head, BiaffineSpans):
            return _SpanHead(self, self.head, hidden_size, len(inventory.labels))
        tags = TagHead(dropout=self.head.dropout, crf=self.head.crf)
        return tags.build(self, hidden_size, len(all_tags(inventory.labels)))

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Cross entropy summed over all spans, or over the words' tags."""
        num_words = logits.values.shape[1]
        if isinstance(self.head, BioTags):
            return tag_loss(logits, word_targets(targets, "tags", num_words))
        assert logits.mask is not None
        classes_BWW = torch.where(logits.mask, 0, IGNORED)
        row, span = (targets["starts"] != IGNORED).nonzero(as_tuple=True)
        starts, lasts, labels = (targets[name][row, span] for name in ("starts", "lasts", "labels"))
        # A span whose label train lacks has no target.
        classes_BWW[row, starts, lasts] = torch.where(labels == IGNORED, IGNORED, labels + 1)
        scores = logits.values.float().flatten(0, 2)
        return functional.cross_entropy(scores, classes_BWW.flatten(), ignore_index=IGNORED, reduction="sum")

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of words."""
        return num_targets(targets, "tags")

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of the distributions of all spans, or of the words' own tags, summed."""
        return symmetric_kl(logits, reference)

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """The entities of each row."""
        if isinstance(self.head, BioTags):
            tags = all_tags(inventory.labels)
            paths = best_tags(logits, *bio_transitions(tags))
            return [{"prediction": spans_of([tags[tag] for tag in path])} for path in paths]
        scores_BWWC = logits.values.float()
        best_BWW, label_BWW = scores_BWWC[..., 1:].max(-1)
        # By how much the best label scores higher than none: positive where a span is an entity.
        gain_BWW = best_BWW - scores_BWWC[..., 0]
        assert logits.mask is not None
        choose = greedy_spans if self.head.decoding == "greedy" else best_spans
        found = choose(gain_BWW.masked_fill(~logits.mask, float("-inf")), logits.mask.any(-1))
        return [
            {"prediction": [(start, end, inventory.labels[number]) for start, end, number in spans]}
            for spans in labelled_spans(found, label_BWW)
        ]

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """The entities whose middle word is each window's own; of two that overlap the earlier one.

        An entity that any of the windows shows whole is thereby one of a window that does.
        """
        merged: list[Span] = []
        for one, window in zip(predictions, windows, strict=True):
            for start, end, label in one["prediction"]:
                begin, after = start + window.first, end + window.first
                if (begin + after - 1) // 2 in window.own and (not merged or merged[-1][1] <= begin):
                    merged.append((begin, after, label))
        return {"prediction": merged}

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """CoNLL columns: a word, a tab and its BIO tag on each line, and a blank line."""
        words = example.words or ()
        tags = tags_of(prediction["prediction"], len(words))
        return "\n".join([*(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)), ""])


def _read_spans(raw: Any, words: tuple[str, ...]) -> tuple[Span, ...]:
    """Spans from tags, or from ``[start, end, label]`` in words as JSON lines may have them."""
    if all(isinstance(one, list | tuple) and len(one) == 3 for one in raw):
        spans = sorted((int(start), int(end), str(label)) for start, end, label in raw)
        if any(not 0 <= start < end <= len(words) for start, end, _ in spans):
            raise ValueError(f"a span must be [start, end, label] within the {len(words)} words, but they are {spans}")
        for (first, end, _), (start, after, _) in pairwise(spans):
            if start < end:
                raise ValueError(f"entities must not overlap, but [{first}, {end}) and [{start}, {after}) do")
        return tuple(spans)
    if len(raw) != len(words):
        raise ValueError(f"the tags must be as many as the words ({len(words)}), but are {len(raw)}")
    return tuple(spans_of([str(tag) for tag in raw]))
