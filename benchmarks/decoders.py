"""The exact decoders on tensors against the same algorithms in plain Python.

Sentences of 25 words, in batches of 64 as an evaluation has them, on one thread; the peer gets its scores as lists, one
sentence after the other, and both give lists. Times are the process's own on the CPU. The sides:

- ``trees``: maximum spanning arborescences with one child of the root, under random scores, where next to no sentence's
  best heads are a tree; ``likely trees`` under scores that prefer a tree, where most are;
- ``brackets``: CKY over the scores of spans;
- ``paths``: Viterbi over 17 tags, as many as UPOS has, and over 95, as semantic roles may have.

Targets: 200 sentences a second, and 5 x the plain Python, for each of them. Both sides must come to the same sums.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import measure
import torch
from torch import Tensor

from mtsearch.tasks.decoding.arborescence import best_trees
from mtsearch.tasks.decoding.chart import best_brackets
from mtsearch.tasks.decoding.paths import best_paths

WORDS = 25
BATCH = 64
BATCHES = 4  # in a round
OF_PLAIN_PYTHON = 32  # sentences in a round
PREFERENCE = 4.0  # of the likely trees' arcs, in standard deviations of the other scores
LEAST_PER_SECOND, RATIO = 200, 5.0

Matrix = list[list[float]]


@dataclass(frozen=True)
class Decoder:
    """A decoder and the plain Python that it is measured against.

    Attributes:
        scores: of all sentences, [B, W, ...].
        batched: gives the structures of a batch.
        plain: gives the structure of one sentence.
        total: the sum of a structure's scores.
    """

    scores: Tensor
    batched: Callable[[Tensor], Sequence[Any]]
    plain: Callable[[Matrix], Any]
    total: Callable[[Tensor, Any], float]

    def per_second(self, _: int) -> float:
        """Sentences a second, in batches."""
        begun = time.process_time()
        for first in range(0, len(self.scores), BATCH):
            self.batched(self.scores[first : first + BATCH])
        return len(self.scores) / (time.process_time() - begun)

    def per_second_plain(self, _: int) -> float:
        """Sentences a second, in plain Python."""
        sentences = self.scores[:OF_PLAIN_PYTHON].tolist()
        begun = time.process_time()
        for sentence in sentences:
            self.plain(sentence)
        return len(sentences) / (time.process_time() - begun)

    def check(self) -> None:
        """That both sides are equally good."""
        sample = self.scores[:OF_PLAIN_PYTHON]
        for scores, found in zip(sample, self.batched(sample), strict=True):
            ours, theirs = self.total(scores, found), self.total(scores, self.plain(scores.tolist()))
            assert math.isclose(ours, theirs, abs_tol=1e-3), (ours, theirs)


def plain_tree(scores: Matrix) -> list[int]:
    """The heads of the best tree: arcs from the root are made so dear that there is one, then Chu-Liu-Edmonds."""
    highest, lowest = max(map(max, scores)), min(map(min, scores))
    dear = len(scores) * (highest - lowest) + 1
    arcs = {
        word: {head: score - dear * (head == 0) for head, score in enumerate(row) if head != word}
        for word, row in enumerate(scores, start=1)
    }
    heads = plain_edmonds(arcs)
    return [heads[word] for word in range(1, len(scores) + 1)]


def plain_edmonds(arcs: dict[int, dict[int, float]]) -> dict[int, int]:
    """The best head of each node, by node and head; node 0 is the root."""
    heads = {node: max(row, key=row.__getitem__) for node, row in arcs.items()}
    cycle = plain_cycle(heads)
    if not cycle:
        return heads
    merged = max(arcs) + 1
    leaving: dict[int, int] = {}  # of each node outside, its best head on the cycle
    contracted: dict[int, dict[int, float]] = {}
    for node, row in arcs.items():
        if node not in cycle:
            outside = {head: score for head, score in row.items() if head not in cycle}
            inside = [head for head in row if head in cycle]
            if inside:
                leaving[node] = max(inside, key=row.__getitem__)
                outside[merged] = row[leaving[node]]
            contracted[node] = outside
    entering: dict[int, tuple[float, int]] = {}  # of each node outside, the best way from it to the cycle
    for node in cycle:
        kept = arcs[node][heads[node]]
        for head, score in arcs[node].items():
            if head not in cycle and (head not in entering or score - kept > entering[head][0]):
                entering[head] = score - kept, node
    contracted[merged] = {head: gain for head, (gain, _) in entering.items()}
    found = plain_edmonds(contracted)
    above = found.pop(merged)
    result = {node: leaving[node] if head == merged else head for node, head in found.items()}
    return result | {node: heads[node] for node in cycle} | {entering[above][1]: above}


def plain_cycle(heads: dict[int, int]) -> set[int]:
    """The nodes of a cycle; none where there is none."""
    seen: set[int] = {0}
    for node in heads:
        way: list[int] = []
        while node not in seen:
            seen.add(node)
            way.append(node)
            node = heads[node]
        if node in way:
            return set(way[way.index(node) :])
    return set()


def plain_brackets(scores: Matrix) -> list[tuple[int, int]]:
    """The spans of the best binary tree."""
    best: dict[tuple[int, int], float] = {}
    splits: dict[tuple[int, int], int] = {}
    for width in range(1, len(scores) + 1):
        for start in range(len(scores) - width + 1):
            end = start + width
            value = 0.0
            if width > 1:
                value, split = max(
                    (best[start, middle] + best[middle, end], middle) for middle in range(start + 1, end)
                )
                splits[start, end] = split
            best[start, end] = scores[start][end - 1] + value
    found, left = [], [(0, len(scores))]
    while left:
        start, end = left.pop()
        found.append((start, end))
        if end - start > 1:
            left += [(splits[start, end], end), (start, splits[start, end])]
    return found


def plain_path(emissions: Matrix, transitions: Matrix) -> list[int]:
    """The best tags, by the tags before and after."""
    into = list(zip(*transitions, strict=True))
    scores, history = emissions[0], []
    for row in emissions[1:]:
        ways = [[score + step for score, step in zip(scores, column, strict=True)] for column in into]
        highest = [max(way) for way in ways]
        history.append([way.index(top) for way, top in zip(ways, highest, strict=True)])
        scores = [top + emission for top, emission in zip(highest, row, strict=True)]
    path = [scores.index(max(scores))]
    for before in reversed(history):
        path.append(before[path[-1]])
    return path[::-1]


def trees(num_sentences: int, preference: float) -> Decoder:
    """Over random scores, those of a random tree's arcs higher by the preference."""
    scores = torch.randn(num_sentences, WORDS, WORDS + 1)
    for sentence in scores:
        order = torch.randperm(WORDS) + 1
        for place, word in enumerate(order.tolist()):
            head = int(order[torch.randint(place, ())]) if place else 0
            sentence[word - 1, head] += preference
    mask = torch.ones(BATCH, WORDS, dtype=torch.bool)

    def total(scores_WH: Tensor, heads: list[int]) -> float:
        assert heads.count(0) == 1
        return float(scores_WH[range(WORDS), heads].sum())

    return Decoder(scores, lambda batch: best_trees(batch, mask[: len(batch)]).tolist(), plain_tree, total)


def share_of_trees(scores_BWH: Tensor) -> float:
    """In how many sentences no word's best head has to change."""
    itself = torch.eye(WORDS, dtype=torch.bool)
    best = scores_BWH.clone()
    best[..., 1:].masked_fill_(itself, -torch.inf)
    mask = torch.ones(scores_BWH.shape[:2], dtype=torch.bool)
    return float((best.argmax(-1) == best_trees(scores_BWH, mask)).all(-1).float().mean())


def brackets(num_sentences: int) -> Decoder:
    """Over random scores of spans."""
    mask = torch.ones(BATCH, WORDS, dtype=torch.bool)

    def total(scores_WW: Tensor, spans: list[tuple[int, int]]) -> float:
        assert len(spans) == 2 * WORDS - 1
        return float(sum(scores_WW[start, end - 1] for start, end in spans))

    scores = torch.randn(num_sentences, WORDS, WORDS)
    return Decoder(scores, lambda batch: best_brackets(batch, mask[: len(batch)]), plain_brackets, total)


def paths(num_sentences: int, num_tags: int) -> Decoder:
    """Over random emissions and transitions, with the ends free."""
    transitions, free = torch.randn(num_tags, num_tags), torch.zeros(num_tags)
    steps = transitions.tolist()
    mask = torch.ones(BATCH, WORDS, dtype=torch.bool)

    def total(emissions_WC: Tensor, tags: list[int]) -> float:
        return float(emissions_WC[range(WORDS), tags].sum()) + sum(steps[a][b] for a, b in itertools.pairwise(tags))

    return Decoder(
        torch.randn(num_sentences, WORDS, num_tags),
        lambda batch: best_paths(batch, transitions, free, free, mask[: len(batch)])[0].tolist(),
        lambda emissions: plain_path(emissions, steps),
        total,
    )


def main() -> None:
    """Measure and print."""
    options = measure.parser(__doc__, rounds=5).parse_args()
    measure.warn_unless_idle()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    num_sentences = BATCH * (1 if options.quick else BATCHES)
    decoders = {
        "trees": trees(num_sentences, preference=0.0),
        "likely trees": trees(num_sentences, PREFERENCE),
        "brackets": brackets(num_sentences),
        "paths, 17 tags": paths(num_sentences, 17),
        "paths, 95 tags": paths(num_sentences, 95),
    }
    sides: dict[str, Callable[[int], float]] = {}
    for name, decoder in decoders.items():
        decoder.check()
        sides |= {name: decoder.per_second, f"{name}, plain Python": decoder.per_second_plain}
        if "trees" in name:
            print(f"{name}: the best heads are a tree in {share_of_trees(decoder.scores):.0%} of the sentences")
    values = measure.interleaved(sides, options.rounds or (1 if options.quick else options.default_rounds))
    print("sentences a second; more is better")
    for name in decoders:
        verdict = "met" if min(values[name]) >= LEAST_PER_SECOND else "MISSED"
        print(f"{name}: at least {min(values[name]):.0f}, target {LEAST_PER_SECOND}: {verdict}")
    targets = [measure.Target(name, f"{name}, plain Python", RATIO) for name in decoders]
    measure.print_ratios(values, targets, less_is_better=False)


if __name__ == "__main__":
    main()
