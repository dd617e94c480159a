"""Examples: labels that follow from the meanings, within bounds."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from mtsearch.data.sample import layers
from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.examples import (
    LABEL_NOISE,
    MAX_WORDS,
    MIN_WORDS,
    SIMILARITY_NOISE,
    Draw,
    Example,
    draw_paraphrase,
    draw_sentiment,
    draw_similarity,
    draw_split,
)
from mtsearch.data.sample.meaning import Contrast, Event, similarity


@cache
def drawn(draw: Draw) -> list[Example]:
    return list(draw_split(draw, Chance("examples"), 400, set()))


def test_sentiment_is_read_off_the_tree_but_for_the_noise() -> None:
    examples = drawn(draw_sentiment)
    errors = [example.label - layers.sentiment(example.sentences[0].tree) for example in examples]
    assert 0 < sum(error != 0 for error in errors) / len(errors) < 2 * LABEL_NOISE
    assert {abs(error) for error in errors} <= {0, 1}


def test_no_sentiment_is_rare_and_none_prevails() -> None:
    counts = Counter(example.label for example in drawn(draw_sentiment))
    assert set(counts) == {0, 1, 2, 3, 4}
    assert all(0.1 < count / 400 < 0.33 for count in counts.values())


def test_paraphrases_share_their_meaning_and_the_others_do_not() -> None:
    examples = drawn(draw_paraphrase)
    for example in examples:
        one, other = example.sentences
        assert (one.meaning == other.meaning) == bool(example.label)
        assert one.text != other.text
    assert 0.33 < sum(example.label for example in examples) / len(examples) < 0.47


def test_counting_the_words_in_common_does_not_tell_paraphrases_apart() -> None:
    shares: list[tuple[float, float]] = []
    for example in drawn(draw_paraphrase):
        one, other = (set(layers.words(sentence.tree)) for sentence in example.sentences)
        shares.append((len(one & other) / len(one | other), example.label))
    best = max(sum((share >= bound) == bool(label) for share, label in shares) for bound, _ in shares)
    assert best / len(shares) < 0.85


def test_similarity_is_that_of_the_meanings_but_for_the_noise() -> None:
    examples = drawn(draw_similarity)
    for example in examples:
        one, other = (sentence.meaning for sentence in example.sentences)
        assert isinstance(one, Event | Contrast)
        assert isinstance(other, Event | Contrast)
        assert example.label == pytest.approx(5 * similarity(one, other), abs=SIMILARITY_NOISE + 0.05)
        assert example.label == round(example.label, 1)
    counts = Counter(min(int(example.label), 4) for example in examples)
    assert all(0.03 < counts[unit] / 400 < 0.5 for unit in range(5))


@pytest.mark.parametrize("draw", [draw_sentiment, draw_paraphrase, draw_similarity])
def test_sentences_are_of_readable_length(draw: Draw) -> None:
    for example in drawn(draw):
        for sentence in example.sentences:
            num_words = sum(tag != "PUNCT" for tag in layers.pos(sentence.tree))
            assert MIN_WORDS <= num_words <= MAX_WORDS
            assert sentence.text[0].isupper()
            assert sentence.text[-1] in ".?!"
