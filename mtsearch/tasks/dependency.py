"""Dependency trees: for each word its head and its relation to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, WantedWords
from mtsearch.data.windows import Window
from mtsearch.tasks.biaffine import PairScorer
from mtsearch.tasks.contract import Decoded, Encoded, Inventory, Logits
from mtsearch.tasks.decoding.arborescence import best_trees
from mtsearch.tasks.distances import at_least_single, symmetric_kl
from mtsearch.tasks.tagging import conllu
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

__all__ = ["BiaffineArcs", "Dependency"]

Arc = tuple[int, str]

_UNKNOWN_RELATION = "dep"  # of an arc between windows: in UD an unspecified dependency


class BiaffineArcs(Frozen):
    """Scores of heads, and of relations to them (Dozat & Manning 2017, arXiv 1611.01734)."""

    arc_size: int = Field(default=500, gt=0)
    """Width of the projections of a word as head and as dependent."""
    relation_size: int = Field(default=100, gt=0)
    """The same, for relations."""
    dropout: float = Field(default=0.33, ge=0, lt=1)
    """After the projections."""


class _ArcHead(nn.Module):
    def __init__(self, words: WordsConfig, config: BiaffineArcs, input_size: int, num_relations: int) -> None:
        super().__init__()
        self.words = WordVectors(words)
        self.root = nn.Parameter(torch.zeros(input_size))
        self.arc = PairScorer(input_size, config.arc_size, 1, config.dropout)
        self.relation = PairScorer(input_size, config.relation_size, num_relations, config.dropout)

    def forward(self, sequence: Encoded) -> Logits:
        words_BWD, mask_BW = self.words(sequence)
        heads_BHD = torch.cat([self.root.expand(len(words_BWD), 1, -1), words_BWD], 1)
        is_head_BH = torch.cat([torch.ones_like(mask_BW[:, :1]), mask_BW], 1)
        arcs_BWH = at_least_single(self.arc(words_BWD, heads_BHD).squeeze(-1))
        num_words = mask_BW.shape[1]
        is_itself_WH = torch.eye(num_words, num_words + 1, dtype=torch.bool, device=mask_BW.device).roll(1, 1)
        arcs_BWH = arcs_BWH.masked_fill(~is_head_BH.unsqueeze(1) | is_itself_WH, float("-inf"))
        relations_BWHR = at_least_single(self.relation(words_BWD, heads_BHD))
        joint = arcs_BWH.log_softmax(-1).unsqueeze(-1) + relations_BWHR.log_softmax(-1)
        return Logits(joint.flatten(2), mask_BW)


class Dependency(WordsConfig):
    """Dependency trees with one root, whose arcs may cross.

    The score of a word's head and relation is log p(head) + log p(relation | head). Decoding takes each word's best
    head where that gives a tree with one root, and else the best such tree, on dev and test alike.
    """

    kind: Literal["dependency"] = "dependency"
    metrics: tuple[str, ...] = Field(default=("las", "uas"), min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: BiaffineArcs = BiaffineArcs()
    """The task head."""

    @property
    def wanted(self) -> WantedWords:
        """Words, and for each the number of its head and its relation."""
        return WantedWords(("dependencies",), _read_arcs)

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The relations of the training split, with their counts."""
        return inventory_of(relation for example in train for _, relation in example.label)

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """Relations that the training split lacks."""
        known = set(inventory.labels)
        return Counter(relation for example in examples for _, relation in example.label if relation not in known)

    def window(self, example: Example, first: int, end: int) -> Example:
        """Those words; a head that is not among them is told by -1."""
        arcs = tuple(
            (head - first if first < head <= end else 0 if head == 0 else -1, relation)
            for head, relation in example.label[first:end]
        )
        return shown_words(example, first, end, arcs)

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Columns ``heads`` and ``relations``, of each word."""
        number = numbers(inventory.labels)
        return {
            "heads": ragged([head if head >= 0 else IGNORED for head, _ in example.label] for example in examples),
            "relations": ragged([number(relation) for _, relation in example.label] for example in examples),
        }

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Scores of heads and relations together."""
        return _ArcHead(self, self.head, hidden_size, len(inventory.labels))

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """Cross entropy of the head, and of the relation at the gold head, summed over words."""
        joint_BWHR = self._joint(logits, inventory)
        heads_BW, relations_BW = (word_targets(targets, name, joint_BWHR.shape[1]) for name in ("heads", "relations"))
        row, word = (heads_BW != IGNORED).nonzero(as_tuple=True)
        heads, relations = heads_BW[row, word], relations_BW[row, word]
        of_head = joint_BWHR[row, word, heads]
        # A relation that train lacks is no target, but the head is.
        known = relations != IGNORED
        of_pair = of_head.gather(-1, relations.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return -torch.where(known, of_pair, of_head.logsumexp(-1)).sum()

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of words."""
        return num_targets(targets, "heads")

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of the words' distributions over heads with relations, summed over words."""
        return symmetric_kl(_finite(logits), _finite(reference))

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """The best tree of each row."""
        assert logits.mask is not None
        joint_BWHR = self._joint(logits, inventory)
        heads_BW = best_trees(joint_BWHR.logsumexp(-1), logits.mask)
        index = heads_BW.clamp(min=0)[..., None, None].expand(-1, -1, 1, joint_BWHR.shape[-1])
        relations_BW = joint_BWHR.gather(2, index).squeeze(2).argmax(-1)
        lengths = logits.mask.sum(-1).tolist()
        return [
            {
                "prediction": [
                    (head, inventory.labels[relation])
                    for head, relation in zip(heads[:length], relations[:length], strict=True)
                ]
            }
            for heads, relations, length in zip(heads_BW.tolist(), relations_BW.tolist(), lengths, strict=True)
        ]

    @staticmethod
    def _joint(logits: Logits, inventory: Inventory) -> Tensor:
        values = logits.values
        return values.view(*values.shape[:2], -1, len(inventory.labels))

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """Each word's arc from the window that the word belongs to, made a tree where they are none together."""
        if len(windows) == 1:
            return predictions[0]
        arcs: list[Arc] = join_words(
            [
                [(head + window.first if head else 0, relation) for head, relation in one["prediction"]]
                for one, window in zip(predictions, windows, strict=True)
            ],
            windows,
        )
        root_relation = next(relation for head, relation in predictions[0]["prediction"] if not head)
        # Every window has a root of its own. Of all trees with one root it is the one that keeps the most arcs.
        num_words = len(arcs)
        kept = torch.zeros(1, num_words, num_words + 1)
        kept[0, torch.arange(num_words), torch.arange(1, num_words + 1)] = float("-inf")
        kept[0, torch.arange(num_words), torch.tensor([head for head, _ in arcs])] = 1.0
        (heads,) = best_trees(kept, torch.ones(1, num_words, dtype=torch.bool)).tolist()
        return {
            "prediction": [
                (head, relation if head == before else _UNKNOWN_RELATION if head else root_relation)
                for head, (before, relation) in zip(heads, arcs, strict=True)
            ]
        }

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """CoNLL-U."""
        heads, relations = zip(*prediction["prediction"], strict=True)
        return conllu(example.words or (), {6: heads, 7: relations})


def _finite(logits: Logits) -> Logits:
    """Without -inf, whose differences are no numbers."""
    return Logits(logits.values.clamp(min=-1e4), logits.mask)


def _read_arcs(raw: Any, words: tuple[str, ...]) -> tuple[Arc, ...]:
    arcs = tuple((int(head), str(relation)) for head, relation in raw)
    if len(arcs) != len(words):
        raise ValueError(f"the heads must be as many as the words ({len(words)}), but are {len(arcs)}")
    heads = [head for head, _ in arcs]
    if heads.count(0) != 1:
        raise ValueError(f"one word must be the root (head 0), but {heads.count(0)} are")
    in_tree = {0}
    for word in range(1, len(heads) + 1):
        path: list[int] = []
        while word not in in_tree:
            if word in path:
                raise ValueError(f"the heads must be a tree, but word {word} is below itself")
            path.append(word)
            word = heads[word - 1]
            if not 0 <= word <= len(heads):
                raise ValueError(f"a head must be one of the {len(heads)} words, or 0, but is {word}")
        in_tree.update(path)
    return arcs
