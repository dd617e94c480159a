"""Inflection, by examples of every rule and of its exceptions."""

from __future__ import annotations

import pytest

from mtsearch.data.sample import morphology
from mtsearch.data.sample.lexicon import NAMES, NOUNS, QUALITIES, VERBS


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("film", "films"),
        ("match", "matches"),
        ("party", "parties"),
        ("boy", "boys"),
        ("child", "children"),
        ("tomato", "tomatoes"),
    ],
)
def test_plurals(noun: str, plural: str) -> None:
    assert morphology.plural(noun) == plural


@pytest.mark.parametrize(
    ("verb", "third", "past", "participle", "gerund"),
    [
        ("repair", "repairs", "repaired", "repaired", "repairing"),
        ("slice", "slices", "sliced", "sliced", "slicing"),
        ("carry", "carries", "carried", "carried", "carrying"),
        ("play", "plays", "played", "played", "playing"),
        ("watch", "watches", "watched", "watched", "watching"),
        ("regret", "regrets", "regretted", "regretted", "regretting"),
        ("visit", "visits", "visited", "visited", "visiting"),
        ("review", "reviews", "reviewed", "reviewed", "reviewing"),
        ("swim", "swims", "swam", "swum", "swimming"),
        ("write", "writes", "wrote", "written", "writing"),
        ("have", "has", "had", "had", "having"),
    ],
)
def test_verb_forms(verb: str, third: str, past: str, participle: str, gerund: str) -> None:
    assert morphology.third_person(verb) == third
    assert morphology.past(verb) == past
    assert morphology.participle(verb) == participle
    assert morphology.gerund(verb) == gerund


@pytest.mark.parametrize(
    ("word", "article"),
    [("film", "a"), ("orchestra", "an"), ("useful", "a"), ("unhelpful", "an"), ("umbrella", "an"), ("Old", "an")],
)
def test_the_article_goes_by_sound(word: str, article: str) -> None:
    assert morphology.indefinite_article(word) == article


def test_whatever_goes_with_something_is_in_the_lexicon() -> None:
    for verb in VERBS.values():
        if verb.group != "solo":
            assert set(verb.objects) <= set(NOUNS), verb.words
    assert not set(NOUNS) & set(NAMES)


@pytest.mark.parametrize("table", [NOUNS, VERBS, QUALITIES])
def test_a_concept_is_named_by_its_first_word(table: dict[str, object]) -> None:
    for concept, entry in table.items():
        assert entry.words[0] == concept  # type: ignore[attr-defined]
