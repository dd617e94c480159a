"""What the grammar says for a meaning."""

from __future__ import annotations

import pytest

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.grammar import Grammar
from mtsearch.data.sample.meaning import (
    GAP,
    WHEN,
    WHERE,
    WHO,
    Advice,
    Attachment,
    Contrast,
    Event,
    Meaning,
    Question,
    Recommendation,
    Thing,
)

CHEF, NURSE, CAKE = Thing("chef"), Thing("nurse"), Thing("cake", "a")
BAKING = Event("bake", agent=Thing("nurse"), patient=CAKE)


def sayings(meaning: Meaning) -> set[str]:
    return {Grammar(Chance(str(seed))).derive(meaning).text() for seed in range(60)}


@pytest.mark.parametrize(
    ("meaning", "texts"),
    [
        (BAKING, {"The nurse baked a cake.", "A cake was baked by the nurse."}),
        (
            Event("give", agent=NURSE, patient=Thing("ticket", "a"), recipient=Thing("Omar", ""), tense="future"),
            {
                "The nurse will give Omar a ticket.",
                "The nurse will give a ticket to Omar.",
                "A ticket will be given to Omar by the nurse.",
            },
        ),
        (
            Event("bake", agent=Thing("nurse", "two", plural=True), patient=CAKE, tense="progressive", negated=True),
            {
                "Two nurses are not baking a cake.",
                "Two nurses aren't baking a cake.",
                "A cake is not being baked by two nurses.",
                "A cake isn't being baked by two nurses.",
            },
        ),
        (
            Contrast(Event("sing", agent=NURSE), Event("dance", agent=Thing("Omar", ""))),
            {
                "The nurse sang, but Omar danced.",
                "Although the nurse sang, Omar danced.",
                "Though the nurse sang, Omar danced.",
                "Omar danced, although the nurse sang.",
                "Omar danced, though the nurse sang.",
            },
        ),
        (
            Question(Event("bake", agent=WHO, patient=CAKE)),
            {
                "Who baked a cake?",
                "By whom was a cake baked?",
                "Do you know who baked a cake?",
                "Do you know by whom a cake was baked?",
                "Does anyone know who baked a cake?",
                "Does anyone know by whom a cake was baked?",
                "Can you tell me who baked a cake?",
                "Can you tell me by whom a cake was baked?",
            },
        ),
    ],
)
def test_the_ways_to_say_a_meaning_are_exactly_these(meaning: Meaning, texts: set[str]) -> None:
    assert sayings(meaning) == texts


@pytest.mark.parametrize(
    ("meaning", "text"),
    [
        (Question(BAKING), "Did the nurse bake a cake?"),
        (Question(Event("bake", agent=NURSE, patient=CAKE, time=WHEN)), "When did the nurse bake a cake?"),
        (Question(Event("swim", agent=NURSE, place=WHERE, tense="habitual")), "Where does the nurse swim?"),
        (Question(Event("bake", agent=NURSE, patient=Thing("pie", "which"))), "Which pie did the nurse bake?"),
        (Question(Event("thank", agent=Thing("chef", "which"), patient=NURSE)), "By which cook was the nurse thanked?"),
        (Advice(Event("tune", agent=None, patient=Thing("piano", "a"))), "How can I tune a piano?"),
        (
            Advice(Event("tune", agent=None, patient=Thing("piano", "a"))),
            "What is the best way to tune a piano?",
        ),
        (Advice(Event("tune", agent=None, patient=Thing("piano", "a"))), "What should I do to tune a piano?"),
        (
            Recommendation(Thing("novel", "a", attachment=Attachment("about", Thing("chess", "")))),
            "Which novels about chess would you suggest?",
        ),
        (
            Recommendation(Thing("novel", "a", attachment=Attachment("about", Thing("chess", "")))),
            "What are some good novels about chess?",
        ),
        (
            Event("laugh", agent=Thing("chef", clause=Event("bake", agent=GAP, patient=CAKE))),
            "The chef who baked a cake laughed.",
        ),
        (
            Event("eat", agent=NURSE, patient=Thing("cake", clause=Event("bake", agent=CHEF, patient=GAP))),
            "The nurse ate the cake baked by the chef.",
        ),
        (
            Event("eat", agent=NURSE, patient=Thing("cake", clause=Event("bake", agent=CHEF, patient=GAP))),
            "The nurse ate the cake that the chef baked.",
        ),
    ],
)
def test_this_is_one_way_to_say_it(meaning: Meaning, text: str) -> None:
    assert text in sayings(meaning)


def test_a_question_about_a_negated_event_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negated"):
        Question(Event("bake", agent=NURSE, patient=CAKE, negated=True))
