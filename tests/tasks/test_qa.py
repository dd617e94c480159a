"""Questions: where answers are, what is left of them in windows, the best span, no answer, words without tokens."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.data.batching import EncodedSplit
from mtsearch.data.examples import Example
from mtsearch.data.tokens import TokenTable, tokenise_uncached
from mtsearch.data.windows import text_words, windows_of
from mtsearch.tasks.contract import Encoded, Inventory, Logits
from mtsearch.training.rows import row_examples
from tests.data.families import FAMILIES, build_tokenizer
from tests.tasks.structures import targets_of, task_of

TASK = task_of("qa")
SOME, ALL = Inventory(numbers={"unanswerable": 0.5}), Inventory(numbers={"unanswerable": 0.0})
CONTEXT = "the film was very good, not bad at all"


def example(context: str, *answers: str | tuple[str, int], question: str = "was it?") -> Example:
    placed = tuple((answer, context.index(answer)) if isinstance(answer, str) else answer for answer in answers)
    return Example("1", (question, context), placed, 1)


def targets(*examples: Example) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in targets_of(TASK, examples, SOME).items()}


def logits(firsts: list[float], lasts: list[float], has_token: list[bool] | None = None) -> Logits:
    """Of one row: the scores of no answer, and of each word."""
    mask = torch.tensor([[True, *(has_token or [True] * (len(firsts) - 1))]])
    return Logits(torch.tensor([[firsts, lasts]]).transpose(1, 2), mask)


def answer(task: Any, one: Logits, context: str, inventory: Inventory = ALL) -> dict[str, Any]:
    windows = windows_of([(0, len(text_words(context)))])
    told: dict[str, Any] = task.merge(task.decode(one, inventory), windows, example(context))
    return told


# Targets


def test_targets_are_the_answers_first_and_last_word_counted_from_one() -> None:
    found = targets(example(CONTEXT, "very good"), example(CONTEXT, "the"), example(CONTEXT), example(CONTEXT, "all"))
    assert found == {"first": [4, 1, 0, 10], "last": [5, 1, 0, 10]}


def test_of_several_answers_the_first_one_is_learned() -> None:
    assert targets(example(CONTEXT, "good", "very good")) == {"first": [5], "last": [5]}


@pytest.mark.parametrize(
    ("context", "found", "words"),
    [
        ("東京は大きい。", "大きい", (4, 6)),
        ("in 1990s' films", "1990", (2, 2)),
        ("in 1990s' films", "s' film", (3, 5)),
        ("unbelievable story", "believ", (1, 1)),
        ("well - known .", " - ", (2, 2)),
        ("tab\tand  space", "tab\tand", (1, 2)),
    ],
)
def test_an_answer_that_begins_or_ends_inside_a_word_has_the_whole_word(
    context: str, found: str, words: tuple[int, int]
) -> None:
    assert targets(example(context, found)) == {"first": [words[0]], "last": [words[1]]}


def test_the_inventory_knows_the_share_of_questions_without_answers() -> None:
    inventory = TASK.inventory([example(CONTEXT, "good"), example(CONTEXT), example(CONTEXT), example(CONTEXT)])
    assert inventory.numbers == {"unanswerable": 0.75}
    assert not TASK.unknown_labels([example(CONTEXT, "good")], inventory)


def test_a_window_shows_the_answers_within_it() -> None:
    row = example(CONTEXT, "the", "very good", "good, not bad")
    shown = TASK.window(row, 3, 7)  # very good , not
    assert shown.texts == ("was it?", "very good, not")
    assert shown.label == (("very good", 0),)
    assert TASK.window(row, 3, 8).label == (("very good", 0), ("good, not bad", 5))
    assert TASK.window(row, 2, 2).texts == ("was it?", "")


# The loss


def test_undecided_scores_cost_the_logarithm_of_the_number_of_words_and_no_answer() -> None:
    rows = [example(CONTEXT, "good"), example("not bad")]
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[1, 3:] = False
    columns = targets_of(TASK, rows, SOME)
    loss = TASK.loss(Logits(torch.zeros(2, 11, 2), mask), columns, SOME)
    assert float(loss) == pytest.approx(math.log(11) + math.log(3))
    assert float(TASK.loss_weight(columns, SOME)) == 2


def test_the_loss_is_the_mean_of_those_of_first_and_last_word() -> None:
    one = logits([0.0, math.log(2), 0.0], [math.log(3), 0.0, math.log(4)])
    loss = TASK.loss(one, targets_of(TASK, [example("not bad", "not bad")], SOME), SOME)
    assert float(loss) == pytest.approx(-(math.log(2 / 4) + math.log(4 / 8)) / 2)


def test_a_word_without_a_token_is_part_of_the_one_before_it() -> None:
    # The token 1990s is two words; the answer's last one is the second of them.
    row = example("in 1990s", "1990s")
    one = logits([0.0, 0.0, 5.0, 9.0], [0.0, 0.0, 5.0, 9.0], [True, True, False])
    alone = logits([0.0, 0.0, 5.0], [0.0, 0.0, 5.0])
    columns = targets_of(TASK, [row], SOME)
    expected = TASK.loss(alone, {"first": torch.tensor([2]), "last": torch.tensor([2])}, SOME)
    torch.testing.assert_close(TASK.loss(one, columns, SOME), expected)
    assert answer(TASK, one, "in 1990s")["prediction"] == "1990s"
    assert answer(TASK, logits([0.0] * 4, [0.0, 5.0, 0.0, 0.0], [True, True, False]), "in 1990s")["prediction"] == "in"


def test_a_word_before_all_tokens_is_no_target() -> None:
    row = example("\u200b bad", "\u200b bad")
    one = logits([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [False, True])
    last_alone = -(torch.tensor([1.0, 3.0]).log_softmax(0)[1]) / 2
    torch.testing.assert_close(TASK.loss(one, targets_of(TASK, [row], SOME), SOME), last_alone)


# The answer


def test_the_best_span_ends_behind_its_beginning() -> None:
    told = answer(TASK, logits([0.0, 1.0, 5.0, 0.0], [0.0, 5.0, 1.0, 2.0]), "a b c")
    assert told["prediction"] == told["best_answer"] == "b c"  # 5 + 2, where b .. a had 5 + 5


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000))
def test_the_best_span_is_that_of_a_plain_loop(num_words: int, longest: int, seed: int) -> None:
    task = task_of("qa", longest_answer=longest)
    values = torch.randn(1, num_words + 1, 2, generator=torch.Generator().manual_seed(seed))
    spans = [(i, j) for i in range(num_words) for j in range(i, min(num_words, i + longest))]
    first, last = max(spans, key=lambda span: float(values[0, span[0] + 1, 0] + values[0, span[1] + 1, 1]))
    context = " ".join("abcdef"[:num_words])
    told = answer(task, Logits(values, torch.ones(1, num_words + 1, dtype=torch.bool)), context)
    assert told["prediction"] == " ".join("abcdef"[first : last + 1])


def test_there_is_no_answer_where_that_scores_higher_by_more_than_the_threshold() -> None:
    one = logits([3.0, 1.0], [3.0, 2.0])  # no answer 6, the best span 3
    told = answer(TASK, one, "bad", SOME)
    assert told == {"prediction": "", "best_answer": "bad", "no_answer": pytest.approx(3.0)}
    assert answer(task_of("qa", no_answer_threshold=3.5), one, "bad", SOME)["prediction"] == "bad"
    assert answer(task_of("qa", no_answer_threshold=2.5), one, "bad", SOME)["prediction"] == ""
    assert answer(TASK, logits([1.0, 2.0], [1.0, 2.0]), "bad", SOME)["prediction"] == "bad"


def test_where_all_training_questions_have_answers_all_get_one() -> None:
    assert answer(TASK, logits([9.0, 0.0], [9.0, 0.0]), "bad", ALL)["prediction"] == "bad"


def test_of_several_windows_the_best_span_counts_and_the_least_score_of_no_answer() -> None:
    parts = [
        TASK.decode(logits([1.0, 2.0, 0.0], [1.0, 2.0, 0.0]), SOME)[0],  # a: 4, none: 2
        TASK.decode(logits([9.0, 0.0, 3.0], [9.0, 0.0, 3.0]), SOME)[0],  # c: 6, none: 18
    ]
    told = TASK.merge(parts, windows_of([(0, 2), (1, 3)]), example("a b c"))
    assert told == {"prediction": "c", "best_answer": "c", "no_answer": pytest.approx(2.0 - 6.0)}


def test_a_batch_is_its_rows_whatever_stands_in_the_padding() -> None:
    torch.manual_seed(0)
    head = TASK.build_head(8, "mean", SOME).eval()
    word_ids = torch.tensor([[-1, -1, 0, 1, 1, 3, -1], [-1, -1, 0, 1, -1, -1, -1]])
    mask = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])
    tokens = torch.randn(2, 7, 8).masked_fill(~mask.unsqueeze(-1), 1e3).requires_grad_()
    batch = head(Encoded(tokens, mask, word_ids))
    columns = {"first": torch.tensor([1, 0]), "last": torch.tensor([3, 0])}
    loss = TASK.loss(batch, columns, SOME)
    decoded = TASK.decode(batch, SOME)
    alone = torch.zeros(())
    for row, length in enumerate((7, 5)):
        one = head(
            Encoded(tokens[row : row + 1, :length], mask[row : row + 1, :length], word_ids[row : row + 1, :length])
        )
        alone = alone + TASK.loss(one, {name: column[row : row + 1] for name, column in columns.items()}, SOME)
        (own,) = TASK.decode(one, SOME)
        assert own == {name: pytest.approx(value) for name, value in decoded[row].items()}
    torch.testing.assert_close(loss, alone)
    loss.backward()  # type: ignore[no-untyped-call]
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()
    assert not tokens.grad[~mask].any()
    assert json.loads(json.dumps(decoded)) == decoded


def test_the_distance_passes_over_words_without_tokens() -> None:
    first, second = (logits([x, 1.0, x, 2.0], [0.0, x, 1.0, 1.0], [True, False, True]) for x in (0.0, 1.0))
    third = Logits(second.values.clone(), second.mask)
    third.values[0, 2] = torch.nan
    assert float(TASK.distance(first, first, SOME)) == 0
    distance = TASK.distance(first, second, SOME)
    assert float(distance) > 0
    torch.testing.assert_close(TASK.distance(first, third, SOME), distance)


# Through the tokenizer


def sure(table: TokenTable, columns: dict[str, Tensor]) -> list[Logits]:
    """Of each row: the target words score high, or the word before where they have no token."""
    found = []
    for row in range(len(table.example)):
        words = table.columns["words"]
        own = set(words.values[words.offsets[row] : words.offsets[row + 1]].tolist())
        has_token = [word in own for word in range(max(own, default=-1) + 1)] or [False]
        values = torch.zeros(1, len(has_token) + 1, 2)
        for side, name in enumerate(("first", "last")):
            target = int(columns[name][row])
            while target and (target > len(has_token) or not has_token[target - 1]):
                target -= 1
            values[0, target, side] = 50.0 if target else 40.0  # beside an answer, none is the lesser choice
        found.append(Logits(values, torch.tensor([[True, *has_token]])))
    return found


def predicted(task: Any, family: str, asked: Example, max_length: int) -> tuple[str, TokenTable]:
    """What comes out where each row is sure of the answer that it shows."""
    table = tokenise_uncached([asked], build_tokenizer(family), "question", max_length)
    rows = row_examples(task, [asked], table)
    columns = EncodedSplit("task", table, task.encode_targets(rows, SOME), 0).targets(np.arange(len(rows)))
    parts = []
    for one, first, last in zip(sure(table, columns), columns["first"], columns["last"], strict=True):
        (part,) = task.decode(one, SOME)
        parts.append(part)
        own = {"first": first.unsqueeze(0), "last": last.unsqueeze(0)}
        assert float(task.loss(one, own, SOME)) == pytest.approx(0, abs=1e-3)
    told = task.merge(parts, table.windows(range(len(rows))), asked)
    return told["prediction"], table


LONG = " ".join(f"the {name} was very good, not bad at all." for name in "abcdefghijklmnopqrst")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["the a", "h was very good", "at all. the i was", "t was very good, not bad"])
def test_an_answer_comes_back_from_the_windows_of_a_long_context(family: str, text: str) -> None:
    told, table = predicted(TASK, family, example(LONG, text), 40)
    assert len(table.example) > 3
    assert told == text


@pytest.mark.parametrize("family", FAMILIES)
def test_where_no_window_shows_an_answer_there_is_none(family: str) -> None:
    assert predicted(TASK, family, example(LONG), 40)[0] == ""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("it was 1990s film", "1990s"),
        ("it's the film, was it's bad", "it's"),
        ("東京は大きい。とても大きい。", "とても大きい"),
        ("東京は大きい。とても大きい。", "東京"),
        ("\u200bthe film was bad", "film was"),
        ("the film was bad\u200b", "bad\u200b"),
        ("naïve Zoë was bad", "Zoë was"),
        ("the 🙂🙂 film", "🙂🙂 film"),
        ("very, very (bad).", "(bad)."),
    ],
)
def test_an_answer_of_whole_tokens_comes_back_as_it_was(family: str, context: str, text: str) -> None:
    assert predicted(TASK, family, example(context, text), 64)[0] == text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_that_is_cut_is_answered_all_the_same(family: str) -> None:
    asked = example(LONG, "h was very good", question="was it very good, " * 20)
    told, table = predicted(TASK, family, asked, 40)
    assert table.num_cut == 1
    assert told == "h was very good"


def test_a_prediction_is_written_as_json() -> None:
    line = TASK.render(example("not bad"), {"prediction": "", "best_answer": "bad", "no_answer": 2.5})
    assert json.loads(line) == {"question": "was it?", "answer": "", "best_answer": "bad", "no_answer": 2.5}
