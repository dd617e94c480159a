"""Similarity of meanings, and changes to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.content import Content
from mtsearch.data.sample.edits import edited_question, edited_statement
from mtsearch.data.sample.meaning import Attachment, Attribute, Contrast, Event, State, Thing, pair, similarity

OLD = Attribute("old")
REPAIR = Event(
    "repair",
    agent=Thing("engineer"),
    patient=Thing("engine", attributes=(OLD,)),
    time="yesterday",
    place=Attachment("in", Thing("Lisbon", "")),
)


def test_a_statement_shares_all_with_itself_and_nothing_with_a_stranger() -> None:
    stranger = Event("sing", agent=Thing("Lisbon", ""), place=Attachment("in", Thing("park")), tense="future")
    assert similarity(REPAIR, REPAIR) == 1.0
    assert similarity(REPAIR, stranger) == 0.0


def test_each_part_that_is_no_longer_shared_lowers_similarity() -> None:
    values, event = [], REPAIR
    for change in (
        {"time": "last week"},
        {"place": Attachment("in", Thing("garden"))},
        {"agent": Thing("glacier")},
        {"patient": Thing("cake")},
        {"predicate": "thank"},
    ):
        event = replace(event, **change)
        values.append(similarity(REPAIR, event))
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert values[-1] == 0.0


def test_the_main_parts_weigh_more_than_the_circumstances() -> None:
    other_time = replace(REPAIR, time="last week")
    other_thing = replace(REPAIR, patient=Thing("cake"))
    assert similarity(REPAIR, other_time) == pytest.approx(1 - 0.7 / 9.7)
    assert similarity(REPAIR, other_thing) == pytest.approx(1 - 2.5 / 9.7)


def test_something_of_the_same_kind_is_closer_than_something_of_another() -> None:
    plain = replace(REPAIR, patient=Thing("engine"))
    same, other = replace(plain, patient=Thing("pump")), replace(plain, patient=Thing("cake"))
    assert similarity(plain, other) < similarity(plain, same) < 1


def test_details_swaps_and_negation_lower_similarity() -> None:
    plain = replace(REPAIR, patient=Thing("engine"))
    thanks = Event("thank", agent=Thing("chef"), patient=Thing("nurse"))
    swapped = replace(thanks, agent=thanks.patient, patient=thanks.agent)
    assert 0.9 < similarity(REPAIR, plain) < 1
    assert 0.3 < similarity(thanks, swapped) < 0.7
    assert similarity(REPAIR, replace(REPAIR, negated=True)) == pytest.approx(0.55)


def test_two_clauses_are_compared_one_by_one() -> None:
    song = Event("sing", agent=Thing("chef"), place=Attachment("in", Thing("park")), tense="future")
    assert similarity(Contrast(REPAIR, song), Contrast(REPAIR, song)) == 1.0
    assert similarity(Contrast(REPAIR, song), REPAIR) == 0.5


def test_similarity_is_symmetric_and_between_0_and_1() -> None:
    content = Content(Chance("similarity"))
    for _ in range(200):
        one, other = content.statement(), content.statement()
        assert 0 <= similarity(one, other) <= 1
        assert similarity(one, other) == pytest.approx(similarity(other, one))


def test_similarity_of_states_is_refused() -> None:
    with pytest.raises(TypeError, match="not State"):
        similarity(State(Thing("film"), (OLD,)), REPAIR)


def test_a_pair_has_no_order() -> None:
    assert pair(Thing("chef"), Thing("nurse")) == pair(Thing("nurse"), Thing("chef"))


def test_an_edit_changes_the_meaning_and_keeps_its_form() -> None:
    chance = Chance("edits")
    content = Content(chance)
    changed = 0
    for _ in range(300):
        statement, question = content.statement(), content.question()
        for before, after in (
            (statement, edited_statement(statement, chance)),
            (question, edited_question(question, chance)),
        ):
            if after is not None:
                changed += 1
                assert after != before
                assert type(after) is type(before)
    assert changed > 200


def test_an_edit_of_a_statement_keeps_most_of_its_meaning() -> None:
    chance = Chance("small edits")
    content = Content(chance)
    for _ in range(300):
        statement = content.statement()
        changed = edited_statement(statement, chance)
        if changed is not None:
            assert 0.3 < similarity(statement, changed) < 1
