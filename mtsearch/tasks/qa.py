"""Questions whose answers are stretches of a text, or are not in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.config.base import Frozen
from mtsearch.data.examples import Example, Wanted
from mtsearch.data.windows import Window, text_words
from mtsearch.model.words import WordPooling
from mtsearch.tasks.contract import Decoded, Encoded, Inventory, Layout, Logits, TaskConfig
from mtsearch.tasks.distances import at_least_single, symmetric_kl
from mtsearch.tasks.words import IGNORED

__all__ = ["AnswerHead", "Qa"]

Answer: TypeAlias = tuple[str, int]


class AnswerHead(Frozen):
    """From a word's vector to scores for the answer's first and last word; the first token's stand for no answer."""

    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before the output layer."""


class _AnswerHead(nn.Module):
    def __init__(self, pieces: Literal["mean", "first"], config: AnswerHead, input_size: int) -> None:
        super().__init__()
        self.pool = WordPooling(pieces)
        self.score = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(input_size, 2))

    def forward(self, sequence: Encoded) -> Logits:
        assert sequence.word_ids_BL is not None  # by the layout
        words_BWD, mask_BW = self.pool(sequence.tokens_BLD, sequence.word_ids_BL)
        places = torch.cat([sequence.tokens_BLD[:, :1], words_BWD], 1)
        return Logits(self.score(places), functional.pad(mask_BW, (1, 0), value=True))


class Qa(TaskConfig):
    """Extractive question answering, as in SQuAD 1.1 and 2.0.

    The context comes in windows that overlap by a third of ``encoder.max_length`` (384 is usual, a third is 128),
    each with the question before it. The answer is the span of words, of any window, with the highest sum of the scores
    of its first and last word; there is none where the score of no answer, the least of all windows, is higher by more
    than the threshold.

    Source: Devlin et al. 2019 (arXiv 1810.04805), section 4.2 and 4.3; of words, not tokens.
    """

    kind: Literal["qa"] = "qa"
    metrics: tuple[str, ...] = Field(default=("answer_f1", "exact_match"), min_length=1, strict=False)
    """What is measured; the first is the task's main metric and enters ``mean_score``."""
    head: AnswerHead = AnswerHead()
    """The task head."""
    pieces: Literal["mean", "first"] = "mean"
    """A word's vector: the mean over its tokens, or its first token's."""
    no_answer_threshold: float = 0.0
    """By how much the score of no answer must be higher. Where all training questions have answers, all get one."""
    longest_answer: int = Field(default=30, gt=0)
    """Words of an answer, at most."""

    @property
    def layout(self) -> Layout:
        """The question and the context in one sequence; the context's words."""
        return "question"

    @property
    def wanted(self) -> Wanted:
        """A question, a context, and the answers in it."""
        return Wanted(2, _read_answers, structured=True)

    def inventory(self, train: Sequence[Example]) -> Inventory:
        """The share of the training questions that have no answer."""
        return Inventory(numbers={"unanswerable": sum(not example.label for example in train) / len(train)})

    def unknown_labels(self, examples: Sequence[Example], inventory: Inventory) -> Counter[str]:
        """There are no labels."""
        return Counter()

    def window(self, example: Example, first: int, end: int) -> Example:
        """Those words of the context, and the answers within them."""
        question, context = example.texts
        bounds = text_words(context)
        begin, after = (bounds[first][0], bounds[end - 1][1]) if first < end else (0, 0)
        inside = tuple(
            (text, start - begin) for text, start in example.label if begin <= start and start + len(text) <= after
        )
        return replace(example, texts=(question, context[begin:after]), label=inside)

    def encode_targets(self, examples: Sequence[Example], inventory: Inventory) -> dict[str, pa.Array]:
        """Columns ``first`` and ``last``: of the first gold answer the words, from 1; 0 where there is none."""
        found = [_answer_words(example) for example in examples]
        return {
            name: pa.array([words[side] for words in found], pa.int64()) for side, name in enumerate(("first", "last"))
        }

    def build_head(self, hidden_size: int, pooling: str, inventory: Inventory) -> nn.Module:
        """Scores of first and last words."""
        return _AnswerHead(self.pieces, self.head, hidden_size)

    def loss(self, logits: Logits, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The mean of the cross entropies of first and last word, summed over rows.

        A word without a token of its own (of ``1990s`` the ``s``, where that is one token) is part of the word before
        it, which stands for it.
        """
        scores_BWC = _finite(logits)
        assert logits.mask is not None
        places = torch.arange(scores_BWC.shape[1], device=scores_BWC.device)
        with_token_BW = torch.where(logits.mask, places, 0).cummax(1).values
        total = scores_BWC.new_zeros(())
        for side, name in enumerate(("first", "last")):
            word_B = targets[name]
            target_B = with_token_BW.gather(1, word_B.clamp(max=len(places) - 1).unsqueeze(1)).squeeze(1)
            target_B = target_B.masked_fill((target_B == 0) & (word_B > 0), IGNORED)
            total = total + functional.cross_entropy(
                scores_BWC[..., side], target_B, ignore_index=IGNORED, reduction="sum"
            )
        return total / 2

    def loss_weight(self, targets: Mapping[str, Tensor], inventory: Inventory) -> Tensor:
        """The number of rows."""
        return torch.tensor(float(len(targets["first"])))

    def distance(self, logits: Logits, reference: Logits, inventory: Inventory) -> Tensor:
        """Symmetric KL divergence of the distributions of first and of last words, halved, summed over rows."""
        both = [Logits(_finite(one).transpose(1, 2)) for one in (logits, Logits(reference.values, logits.mask))]
        return symmetric_kl(*both) / 2

    def decode(
        self, logits: Logits, inventory: Inventory, targets: Mapping[str, Tensor] | None = None
    ) -> list[Decoded]:
        """Of each row the best span of words, with the words behind it that are part of its last one, and scores.

        The span goes on to the next word with a token of its own; ``end`` is None where there is none.
        """
        scores_BWC = _finite(logits)
        assert logits.mask is not None
        firsts_BW, lasts_BW = scores_BWC[:, 1:, 0], scores_BWC[:, 1:, 1]
        spans_BWW = firsts_BW.unsqueeze(2) + lasts_BW.unsqueeze(1)
        num_words = spans_BWW.shape[1]
        is_span_WW = torch.ones(num_words, num_words, dtype=torch.bool, device=spans_BWW.device).triu()
        is_span_WW = is_span_WW.tril(self.longest_answer - 1)
        best_B, place_B = spans_BWW.masked_fill(~is_span_WW, -torch.inf).flatten(1).max(-1)
        none_B = scores_BWC[:, 0].sum(-1)
        first_B, last_B = place_B // num_words, place_B % num_words
        is_behind_BW = torch.arange(num_words, device=last_B.device) > last_B.unsqueeze(1)
        is_next_BW = is_behind_BW & logits.mask[:, 1:]
        end_B = torch.where(is_next_BW.any(1), is_next_BW.int().argmax(1), -1)
        columns = (first_B, end_B, best_B, none_B)
        return [
            {
                "first": first,
                "end": end if end >= 0 else None,
                "score": score,
                "no_answer_score": none,
                "always": not inventory.numbers["unanswerable"],
            }
            for first, end, score, none in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def merge(self, predictions: Sequence[Decoded], windows: Sequence[Window], example: Example) -> Decoded:
        """The best window's answer, unless there is none; and by how much no answer scores higher."""
        best = max(range(len(predictions)), key=lambda number: predictions[number]["score"])
        no_answer = min(one["no_answer_score"] for one in predictions) - predictions[best]["score"]
        context = example.texts[1]
        bounds = text_words(context)
        first, end = predictions[best]["first"] + windows[best].first, windows[best].end
        if predictions[best]["end"] is not None:
            end = predictions[best]["end"] + windows[best].first
        answer = context[bounds[first][0] : bounds[end - 1][1]]
        is_answered = predictions[best]["always"] or no_answer <= self.no_answer_threshold
        return {"prediction": answer if is_answered else "", "best_answer": answer, "no_answer": no_answer}

    def render(self, example: Example, prediction: Mapping[str, Any]) -> str:
        """A line of JSON: the question, its answer, the best one, and by how much no answer scores higher."""
        told = {"question": example.texts[0], "answer": prediction["prediction"]}
        told |= {name: prediction[name] for name in ("best_answer", "no_answer")}
        return json.dumps(told, ensure_ascii=False)


def _finite(logits: Logits) -> Tensor:
    """The scores [B, 1 + W, 2], with next to no probability where there is no word."""
    assert logits.mask is not None
    return at_least_single(logits.values).masked_fill(~logits.mask.unsqueeze(-1), -1e4)


def _answer_words(example: Example) -> tuple[int, int]:
    if not example.label:
        return 0, 0
    text, start = example.label[0]
    touched = [
        word
        for word, (begin, end) in enumerate(text_words(example.texts[1]), start=1)
        if begin < start + len(text) and end > start
    ]
    return (touched[0], touched[-1]) if touched else (0, 0)


def _read_answers(raw: Any) -> tuple[Answer, ...]:
    return tuple((str(text), int(start)) for text, start in raw)
