"""Questions about contexts: what is asked, and which answers are accepted."""

from __future__ import annotations

import json
from itertools import count

import pytest

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.examples import Sentence, draw_sentences
from mtsearch.data.sample.grammar import Grammar
from mtsearch.data.sample.meaning import Attachment, Attribute, Contrast, Event, Meaning, Question, State, Thing, pair
from mtsearch.data.sample.questions import CONTEXT_SENTENCES, Asked, ask, squad

NURSE, OMAR = Thing("nurse"), Thing("Omar", "")
IN_LIMA = Attachment("in", Thing("Lima", ""))
BAKING = Event("bake", agent=NURSE, patient=Thing("cake", "a"), place=IN_LIMA, time="on Monday")
SINGING = Event("sing", agent=OMAR, place=Attachment("in", Thing("park")), tense="future", time="tomorrow")


def say(meaning: Meaning, text: str = "") -> Sentence:
    """A sentence with this meaning; the one that reads like this, if it matters."""
    said = (Sentence(meaning, Grammar(Chance(str(seed))).derive(meaning)) for seed in count())
    return next(sentence for sentence in said if not text or sentence.text == text)


def asked_of(*context: Sentence, times: int = 60) -> dict[str, tuple[str, ...]]:
    """Everything that is ever asked about a context, with the answers' texts."""
    asked: list[Asked] = []
    for seed in range(times):
        asked += ask(context, Chance(str(seed)))
    text = " ".join(sentence.text for sentence in context)
    assert all(text[start:].startswith(answer) for each in asked for answer, start in each.answers)
    return {each.text: tuple(answer for answer, _ in each.answers) for each in asked}


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("Who baked a cake in Lima on Monday?", ("The nurse", "nurse")),
        ("By whom was a cake baked in Lima on Monday?", ("The nurse", "nurse")),
        ("What did the nurse bake in Lima on Monday?", ("a cake", "cake")),
        ("Where did the nurse bake a cake on Monday?", ("in Lima", "Lima")),
        ("When did the nurse bake a cake in Lima?", ("on Monday", "Monday")),
    ],
)
def test_each_part_of_an_event_is_asked_for(question: str, answers: tuple[str, ...]) -> None:
    asked = asked_of(say(BAKING, "The nurse baked a cake on Monday in Lima."), say(SINGING))
    assert asked[question] == answers


def test_an_agent_after_by_is_named_without_it() -> None:
    asked = asked_of(say(BAKING, "A cake was baked by the nurse in Lima on Monday."))
    assert asked["Who baked a cake in Lima on Monday?"] == ("the nurse", "nurse")


@pytest.mark.parametrize(
    ("thing", "texts"),
    [
        (
            Thing("nurse", attributes=(Attribute("young"),), attachment=Attachment("from", Thing("Oslo", ""))),
            ("The young nurse from Oslo", "The young nurse", "young nurse"),
        ),
        (Thing("nurse", "two", plural=True), ("Two nurses",)),
        (Thing("Mira Halvorn", ""), ("Mira Halvorn",)),
        (pair(Thing("chef"), OMAR), ("Omar and the chef",)),
    ],
)
def test_an_answer_may_leave_out_the_article_and_what_is_said_of_it(thing: Thing, texts: tuple[str, ...]) -> None:
    sentence = say(Event("bake", agent=thing, patient=Thing("cake", "a")), f"{texts[0]} baked a cake.")
    assert asked_of(sentence)["Who baked a cake?"] == texts


@pytest.mark.parametrize(
    ("time", "text"), [("this afternoon", "this afternoon"), ("now", "at the moment"), ("today", "today")]
)
def test_a_time_is_given_as_it_is_said(time: str, text: str) -> None:
    sentence = say(Event("sing", agent=OMAR, tense="progressive", time=time), f"Omar is singing {text}.")
    assert asked_of(sentence)["When is Omar singing?"] == (text,)


def test_what_is_not_said_or_said_of_others_has_no_answer() -> None:
    asked = asked_of(say(Event("bake", agent=NURSE, patient=Thing("cake", "a"))), times=400)
    assert asked["When did the nurse bake a cake?"] == ()
    assert asked["Who baked a pie?"] == ()
    assert asked["Who will bake a cake?"] == ()
    assert asked["Who baked a cake?"][1] == "nurse"


def test_what_was_not_so_has_no_answer() -> None:
    baking = Event("bake", agent=NURSE, patient=Thing("cake", "a"), negated=True)
    asked = asked_of(say(baking))
    assert "Who baked a cake?" in asked
    assert set(asked.values()) == {()}


def test_a_question_that_two_sentences_could_answer_is_not_asked() -> None:
    other = Event("bake", agent=OMAR, patient=Thing("pie", "a"))
    assert asked_of(say(BAKING), say(other)) == {}
    assert asked_of(say(BAKING), say(Contrast(other, Event("dance", agent=OMAR)))) == {}


@pytest.mark.parametrize(
    "meaning",
    [
        Event("watch", agent=Thing("we", ""), patient=Thing("film")),
        Event("love", agent=Thing("critic", plural=True), patient=Thing("film")),
        State(Thing("film"), (Attribute("good"),)),
    ],
)
def test_nothing_is_asked_about_the_speaker_or_about_opinions(meaning: Meaning) -> None:
    assert asked_of(say(meaning)) == {}


def test_about_a_third_of_the_questions_have_no_answer() -> None:
    sentences = list(draw_sentences(Chance("questions"), 200, set()))
    article = json.loads(squad(sentences, "title", "seed"))["data"][0]
    impossible = [item["is_impossible"] for paragraph in article["paragraphs"] for item in paragraph["qas"]]
    assert len(impossible) > 150
    assert 0.28 < sum(impossible) / len(impossible) < 0.42


def test_contexts_are_the_sentences_that_do_not_ask_in_their_order() -> None:
    sentences = list(draw_sentences(Chance("contexts"), 60, set()))
    article = json.loads(squad(sentences, "title", "seed"))["data"][0]
    contexts = " ".join(paragraph["context"] for paragraph in article["paragraphs"])
    told = [sentence.text for sentence in sentences if not sentence.text.endswith("?")]
    assert len(told) < len(sentences)
    assert contexts == " ".join(told)
    assert not any(isinstance(sentence.meaning, Question) for sentence in sentences if sentence.text in told)
    assert len(article["paragraphs"]) == -(-len(told) // CONTEXT_SENTENCES)
