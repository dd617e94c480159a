"""Semantic roles: the predicates of a sentence, and each one's arguments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, WantedWords
from mtsearch.data.windows import Window
from mtsearch.errors import DataError
from mtsearch.tasks.bio import all_tags, spans_of
from mtsearch.tasks.contract import Decoded, Encoded, Inventory, Logits, Reading
from mtsearch.tasks.decoding.paths import best_paths, bio_transitions
from mtsearch.tasks.distances import at_least_single, symmetric_kl
from mtsearch.tasks.words import (
    IGNORED,
    WordsConfig,
    WordVectors,
    inventory_of,
    num_targets,
    numbers,
    ragged,
    shown_words,
    word_targets,
)

__all__ = ["BioArguments", "Srl"]

Argument: TypeAlias = tuple[int, int, str]
Proposition: TypeAlias = tuple[int, tuple[Argument, ...]]

_GIVEN = "with_gold_predicates"
_MARK_SIZE = 0.2  # of its numbers, at first: the states' are about 1
_IMPOSSIBLE = -1e4  # the score of a predicate where there is no word


class BioArguments(Frozen):
    """Whether each word is a predicate; and for each predicate a BIO tag of every word, as a part of its arguments.

    For the tags the encoder's upper layers read the sentence once more for each predicate, whose tokens are marked by a
    learned vector. A word's tag depends on its vector and the predicate's.
    """

    reread_layers: int = Field(default=3, ge=0)
    """How many of the encoder's highest layers read the sentence for each predicate; with 0 it is read once for all."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before each linear layer."""


class _RoleHead(nn.Module):
    def __init__(self, words: WordsConfig, config: BioArguments, input_size: int, num_tags: int) -> None:
        super().__init__()
        self.reread_layers = config.reread_layers
        self.words = WordVectors(words)
        self.predicate = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(input_size, 1))
        if config.reread_layers:  # else it would be a parameter without a gradient
            self.mark = nn.Parameter(_MARK_SIZE * torch.randn(input_size))
        self.tag = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(2 * input_size, input_size),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(input_size, num_tags),
        )

    def reading(self, sequence: Encoded) -> Reading:
        predicates_BW, mask_BW, _ = self._predicates(sequence)
        row, predicate = self._is_read(sequence, predicates_BW, mask_BW).nonzero(as_tuple=True)
        assert sequence.word_ids_BL is not None  # by the layout
        is_marked_NL = sequence.word_ids_BL[row] == predicate.unsqueeze(1)
        return Reading(row, is_marked_NL.unsqueeze(-1) * self.mark)

    def forward(self, sequence: Encoded, again: Encoded | None = None) -> Logits:
        predicates_BW, mask_BW, words_BWD = self._predicates(sequence)
        is_read_BW = self._is_read(sequence, predicates_BW, mask_BW)
        row, predicate = is_read_BW.nonzero(as_tuple=True)
        words_NWD = words_BWD[row]
        if again is not None:
            words_NWD, _ = self.words(again)
            words_NWD = functional.pad(words_NWD, (0, 0, 0, mask_BW.shape[1] - words_NWD.shape[1]))
        of_predicate_NWD = words_NWD[torch.arange(len(row), device=row.device), predicate].unsqueeze(1)
        tags_NWT = self.tag(torch.cat([words_NWD, of_predicate_NWD.expand_as(words_NWD)], -1))
        values_BPWT = tags_NWT.new_zeros(*mask_BW.shape, *tags_NWT.shape[1:]).index_put((row, predicate), tags_NWT)
        mask_BPW = is_read_BW.unsqueeze(2) & mask_BW.unsqueeze(1)
        return Logits(values_BPWT, mask_BPW, {"predicates": predicates_BW})

    def _predicates(self, sequence: Encoded) -> tuple[Tensor, Tensor, Tensor]:
        """The score of each word as a predicate [B, W], which words there are [B, W], and their vectors [B, W, D]."""
        words_BWD, mask_BW = self.words(sequence)
        return self.predicate(words_BWD).squeeze(-1).masked_fill(~mask_BW, _IMPOSSIBLE), mask_BW, words_BWD

    def _is_read(self, sequence: Encoded, predicates_BW: Tensor, mask_BW: Tensor) -> Tensor:
        """[B, W]: True for words whose arguments are scored: gold predicates and, unless it trains, predicted ones."""
        is_given_BW = _is_given(sequence.targets, mask_BW)
        return is_given_BW if self.training else is_given_BW | (predicates_BW > 0)


class Srl(WordsConfig):
    """Predicates, and the arguments of each.

    Arguments are learned from gold predicates. They are decoded by Viterbi for predicted predicates (``srl_f1``), and
    where gold ones are known for those too (``srl_f1_gold_predicates``).

    Source: spans as BIO tags and their decoding after He et al. 2017 (P17-1044); an encoder that is told of the
    predicate after Shi & Lin 2019 (arXiv 1904.05255), here its upper layers alone, so that finding predicates and the
    other tasks need one pass of it.
    """

    kind: Literal["srl"] = "srl"
    metrics: tuple[str, ...] = Field(
        default=("srl_f1", "srl_f1_gold_predicates", "predicate_f1"), min_length=1, strict=False
    )
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: BioArguments = BioArguments()
    """The task head."""

    @property
    def reread_layers(self) -> int:
        """As the task head says."""
        return self.head.reread_layers

    @property
    def wanted(self) -> WantedWords:
        """Words, and all propositions."""
        return WantedWords(("propositions",), _read_propositions)

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The labels of the training split's arguments, with their counts."""
        inventory = inventory_of(label for example in train for label in _labels(example))
        if not inventory.labels:
            raise DataError(
                f"data set {self.data.source}: the training split must have arguments, but has none; check the data"
            )
        return inventory

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """Labels that the training split lacks."""
        known = set(inventory.labels)
        return Counter(label for example in examples for label in _labels(example) if label not in known)

    def window(self, example: Example, first: int, end: int) -> Example:
        """Those words, and what within them are predicates and their arguments."""
        inside = tuple(
            (
                predicate - first,
                tuple((a - first, b - first, label) for a, b, label in arguments if first <= a and b <= end),
            )
            for predicate, arguments in example.label
            if first <= predicate < end
        )
        return shown_words(example, first, end, inside)

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Column ``predicates`` (words); of each argument ``of`` (number of its predicate), ``starts``, ``lasts``,
        ``labels``; and ``words``: 1 for each."""
        number = numbers(inventory.labels)
        arguments = [
            [(of, argument) for of, (_, own) in enumerate(example.label) for argument in own] for example in examples
        ]
        return {
            "predicates": ragged([predicate for predicate, _ in example.label] for example in examples),
            "of": ragged([of for of, _ in own] for own in arguments),
            "starts": ragged([start for _, (start, _, _) in own] for own in arguments),
            "lasts": ragged([end - 1 for _, (_, end, _) in own] for own in arguments),
            "labels": ragged([number(label) for _, (_, _, label) in own] for own in arguments),
            "words": ragged([1] * len(example.words or ()) for example in examples),
        }

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Scores of predicates, and of each word's tags for each predicate."""
        return _RoleHead(self, self.head, hidden_size, len(all_tags(inventory.labels)))

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Cross entropy of what is a predicate, and of the words' tags for each gold predicate, summed."""
        scores_BW = logits.others["predicates"].float()
        is_word_BW = word_targets(targets, "words", scores_BW.shape[1]) != IGNORED
        row, place = (targets["predicates"] != IGNORED).nonzero(as_tuple=True)
        predicate = targets["predicates"][row, place]
        is_predicate_BW = torch.zeros_like(scores_BW)
        is_predicate_BW[row, predicate] = 1.0
        of_predicates = functional.binary_cross_entropy_with_logits(scores_BW, is_predicate_BW, reduction="none")
        tags_BPW = _tags(targets, scores_BW.shape[1]).masked_fill(~is_word_BW.unsqueeze(1), IGNORED)
        of_tags = functional.cross_entropy(
            logits.values[row, predicate].float().flatten(0, 1),
            tags_BPW[row, place].flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )
        return of_predicates[is_word_BW].sum() + of_tags

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of words."""
        return num_targets(targets, "words")

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of each word's distributions, as a predicate and as a part of each one's arguments.

        Arguments are compared where both were read for the same predicate, which counts as much as it is likely to be
        one, in the mean of both outputs.
        """
        assert logits.mask is not None
        assert reference.mask is not None
        mask_BW, both = _is_word(logits), (logits, reference)
        predicates = [at_least_single(one.others["predicates"]).masked_fill(~mask_BW, 0.0) for one in both]
        of_predicates = symmetric_kl(
            *(Logits(functional.pad(one.unsqueeze(-1), (1, 0)), mask_BW) for one in predicates)
        )
        weight_BP = (predicates[0].sigmoid() + predicates[1].sigmoid()) / 2
        is_masked = ~(logits.mask & reference.mask).unsqueeze(-1)
        shares = [at_least_single(one.values).masked_fill(is_masked, 0.0).log_softmax(-1) for one in both]
        of_pairs_BPW = ((shares[0].exp() - shares[1].exp()) * (shares[0] - shares[1])).sum(-1)
        return of_predicates + (of_pairs_BPW * weight_BP.unsqueeze(-1)).sum()

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """The propositions of each row; with targets also ``with_gold_predicates``."""
        mask_BW = _is_word(logits)
        is_predicted_BW = logits.others["predicates"] > 0
        is_given_BW = _is_given(targets or {}, mask_BW)
        row, predicate = (is_predicted_BW | is_given_BW).nonzero(as_tuple=True)
        tags = all_tags(inventory.labels)
        arguments: dict[tuple[int, int], tuple[Argument, ...]] = {}
        if len(row):
            scores_NWT = logits.values[row, predicate].float()
            allowed_TT, allowed_starts_T = (one.to(scores_NWT.device) for one in bio_transitions(tags))
            paths_NW, _ = best_paths(
                scores_NWT,
                torch.zeros_like(allowed_TT, dtype=torch.float).masked_fill(~allowed_TT, -torch.inf),
                torch.zeros_like(allowed_starts_T, dtype=torch.float).masked_fill(~allowed_starts_T, -torch.inf),
                scores_NWT.new_zeros(len(tags)),
                mask_BW[row],
            )
            for at, path in zip(zip(row.tolist(), predicate.tolist(), strict=True), paths_NW.tolist(), strict=True):
                arguments[at] = spans_of([tags[tag] for tag in path if tag >= 0])

        def propositions(chosen_BW: Tensor) -> list[list[Proposition]]:
            return [
                [(word, arguments[number, word]) for word, is_chosen in enumerate(of_row) if is_chosen]
                for number, of_row in enumerate(chosen_BW.tolist())
            ]

        decoded: list[Decoded] = [{"prediction": own} for own in propositions(is_predicted_BW)]
        if targets is not None:
            for one, given in zip(decoded, propositions(is_given_BW), strict=True):
                one[_GIVEN] = given
        return decoded

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """The propositions of the predicates that belong to each window."""
        return {
            key: [
                (predicate + window.first, [(a + window.first, b + window.first, label) for a, b, label in arguments])
                for one, window in zip(predictions, windows, strict=True)
                for predicate, arguments in one[key]
                if predicate + window.first in window.own
            ]
            for key in predictions[0]
        }

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """A line of JSON: the words, and each predicate (from 0) with its arguments, ends exclusive."""
        propositions = [
            {"predicate": predicate, "arguments": [[start, end, label] for start, end, label in arguments]}
            for predicate, arguments in prediction["prediction"]
        ]
        return json.dumps({"tokens": example.words, "propositions": propositions}, ensure_ascii=False)


def _is_given(targets: Mapping[str, Tensor], mask_BW: Tensor) -> Tensor:
    """[B, W]: True for gold predicates."""
    is_given_BW = torch.zeros_like(mask_BW)
    if "predicates" in targets:
        row, place = (targets["predicates"] != IGNORED).nonzero(as_tuple=True)
        is_given_BW[row, targets["predicates"][row, place]] = True
    return is_given_BW


def _is_word(logits: Logits) -> Tensor:
    """[B, W]: True for words."""
    return logits.others["predicates"] > _IMPOSSIBLE / 2


def _labels(example: Example) -> Iterator[str]:
    return (label for _, arguments in example.label for _, _, label in arguments)


def _tags(targets: Mapping[str, Tensor], num_words: int) -> Tensor:
    """[B, P, W]: the number of each word's BIO tag for each gold predicate."""
    row, place = (targets["of"] != IGNORED).nonzero(as_tuple=True)
    of, starts, lasts, labels = (targets[name][row, place] for name in ("of", "starts", "lasts", "labels"))
    tags_BPW = starts.new_zeros(*targets["predicates"].shape, num_words)
    at = torch.arange(num_words, device=starts.device)
    argument, word = ((at >= starts.unsqueeze(1)) & (at <= lasts.unsqueeze(1))).nonzero(as_tuple=True)
    inside = 2 * labels[argument] + 1 + (word != starts[argument])
    tags_BPW[row[argument], of[argument], word] = inside.masked_fill(labels[argument] == IGNORED, IGNORED)
    return tags_BPW


def _read_propositions(raw: Any, words: tuple[str, ...]) -> tuple[Proposition, ...]:
    propositions = []
    for predicate, arguments in raw:
        own = sorted((int(start), int(end), str(label)) for start, end, label in arguments)
        _check_within(predicate, own, len(words))
        propositions.append((int(predicate), tuple(own)))
    propositions.sort(key=lambda proposition: proposition[0])
    for (first, _), (second, _) in pairwise(propositions):
        if first == second:
            raise ValueError(f"word {first} must be one predicate, but is two")
    return tuple(propositions)


def _check_within(predicate: int, arguments: Iterable[Argument], num_words: int) -> None:
    end_before = 0
    for start, end, label in arguments:
        if not end_before <= start < end <= num_words:
            raise ValueError(
                f"the arguments of word {predicate} must be spans within the {num_words} words that do not overlap, "
                f"but {label} is [{start}, {end})"
            )
        end_before = end
    if not 0 <= predicate < num_words:
        raise ValueError(f"a predicate must be one of the {num_words} words, but is {predicate}")
