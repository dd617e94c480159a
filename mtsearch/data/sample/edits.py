"""Small changes that change a meaning: what makes hard negatives, and pairs that are similar to a degree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.content import CHOICES, names, nouns
from mtsearch.data.sample.lexicon import (
    DOMAINS,
    MANNERS,
    NAMES,
    NOUNS,
    NUMERALS,
    PREPOSITIONS,
    TIMES,
    VERBS,
    kind_of,
    neutral_qualities,
    verbs_of,
)
from mtsearch.data.sample.meaning import (
    Advice,
    Attachment,
    Attribute,
    Contrast,
    Event,
    Question,
    Recommendation,
    Tense,
    Thing,
    is_asked,
)

_PLACES = tuple(dict.fromkeys(place for domain in DOMAINS.values() for place in domain.places))
_TENSES: tuple[Tense, ...] = ("past", "progressive", "habitual", "future")


def edited_statement(statement: Event | Contrast, chance: Chance) -> Event | Contrast | None:
    """The statement with one thing changed: who, what, when, where, how, whether, or who did it to whom.

    Returns:
        A statement of the same form that differs, or None if the change drawn does not apply.
    """
    if isinstance(statement, Event):
        return _edited_event(statement, chance, tuple(_EDITS))
    side = chance.pick(("concession", "main"))
    clause = statement.main if side == "main" else statement.concession
    event = _edited_event(clause, chance, tuple(_EDITS)) if isinstance(clause, Event) else None
    if event is None:
        return None
    return replace(statement, main=event) if side == "main" else replace(statement, concession=event)


def edited_question(
    question: Question | Advice | Recommendation, chance: Chance
) -> Question | Advice | Recommendation | None:
    """The question with one thing changed in what it asks about.

    Returns:
        A question of the same form that differs, or None if the change drawn does not apply.
    """
    if isinstance(question, Recommendation):
        other = chance.happens(0.5)
        thing = _other_thing(question.thing, chance, CHOICES) if other else _other_detail(question.thing, chance)
        return None if thing is None else replace(question, thing=thing)
    excluded = ("negation", "tense") if isinstance(question, Advice) else ("negation",)
    kinds = tuple(kind for kind in _EDITS if kind not in excluded)
    event = _edited_event(question.event, chance, kinds)
    return None if event is None else replace(question, event=event)


def _edited_event(event: Event, chance: Chance, kinds: tuple[str, ...]) -> Event | None:
    return _EDITS[chance.pick(kinds)](event, chance)


# --- things ----------------------------------------------------------------------------------------------------


def _other_thing(thing: Thing, chance: Chance, among: tuple[str, ...] = ()) -> Thing | None:
    """Another of the same kind (and from ``among``, if given), with the same details."""
    kind = kind_of(thing.concept)
    if thing.concept in NAMES:
        options = [name for name in names(kind) if name != thing.concept]
    else:
        mass = NOUNS[thing.concept].mass
        options = [noun for noun in nouns(kind) if noun != thing.concept and NOUNS[noun].mass == mass]
    options = [option for option in options if not among or option in among]
    return replace(thing, concept=chance.pick(options), clause=None) if options else None


def _other_detail(thing: Thing, chance: Chance) -> Thing | None:
    """The same thing with another quality, of another place, about another subject, or in another number."""
    if thing.attachment is not None and chance.happens(0.6):
        tied = _other_thing(thing.attachment.thing, chance)
        return None if tied is None else replace(thing, attachment=replace(thing.attachment, thing=tied))
    if thing.attributes:
        (attribute,) = thing.attributes
        qualities = [each for each in neutral_qualities(kind_of(thing.concept)) if each != attribute.quality]
        return replace(thing, attributes=(Attribute(chance.pick(qualities)),)) if qualities else None
    if thing.determiner in NUMERALS:
        return replace(thing, determiner=chance.pick([word for word in NUMERALS if word != thing.determiner]))
    return None


# --- events ----------------------------------------------------------------------------------------------------


def _swap(event: Event, chance: Chance) -> Event | None:
    """Who did it to whom."""
    del chance
    agent, other = event.agent, event.recipient if event.recipient is not None else event.patient
    if not isinstance(agent, Thing) or not isinstance(other, Thing) or is_asked(agent) or is_asked(other):
        return None
    if kind_of(agent.concept) != "person" or kind_of(other.concept) != "person" or agent == other:
        return None
    if event.recipient is not None:
        return replace(event, agent=other, recipient=agent)
    return replace(event, agent=other, patient=agent)


def _agent(event: Event, chance: Chance) -> Event | None:
    if not isinstance(event.agent, Thing) or is_asked(event.agent):
        return None
    agent = chance.pick((_other_thing, _other_detail))(event.agent, chance)
    taken = [part.concept for part in (event.patient, event.recipient) if isinstance(part, Thing)]
    return None if agent is None or agent.concept in taken else replace(event, agent=agent)


def _patient(event: Event, chance: Chance) -> Event | None:
    patient = event.patient
    if not isinstance(patient, Thing) or is_asked(patient):
        return None
    if chance.happens(0.4):
        other = _other_detail(patient, chance)
    else:
        other = _other_thing(patient, chance, VERBS[event.predicate].objects)
    if other is None or (isinstance(event.agent, Thing) and other.concept == event.agent.concept):
        return None
    return replace(event, patient=other)


def _predicate(event: Event, chance: Chance) -> Event | None:
    """Another verb of the same group that can be done to the same thing, in the same place."""
    group = VERBS[event.predicate].group
    involved = event.patient if group == "deed" else event.place.thing if group == "solo" and event.place else None
    if group in ("deed", "solo") and not (isinstance(involved, Thing) and not is_asked(involved)):
        return None
    verbs = [verb for verb in verbs_of(group) if verb != event.predicate]
    if isinstance(involved, Thing):
        verbs = [verb for verb in verbs if involved.concept in VERBS[verb].objects]
    return replace(event, predicate=chance.pick(verbs)) if verbs else None


def _negation(event: Event, chance: Chance) -> Event | None:
    del chance
    return replace(event, negated=not event.negated, manner="")


def _tense(event: Event, chance: Chance) -> Event | None:
    if is_asked(event.time):
        return None
    tense = chance.pick([tense for tense in _TENSES if tense != event.tense])
    return replace(event, tense=tense, time=chance.pick(tuple(TIMES[tense])) if event.time else "")


def _time(event: Event, chance: Chance) -> Event | None:
    if not event.time or is_asked(event.time):
        return None
    return replace(event, time=chance.pick([time for time in TIMES[event.tense] if time != event.time]))


def _place(event: Event, chance: Chance) -> Event | None:
    if event.place is None or is_asked(event.place):
        return None
    concept, areas = event.place.thing.concept, VERBS[event.predicate].objects
    if concept in NAMES:
        other = _other_thing(event.place.thing, chance)
        return None if other is None else replace(event, place=replace(event.place, thing=other))
    options = areas if VERBS[event.predicate].group == "solo" else _PLACES
    place = chance.pick([option for option in options if option != concept])
    return replace(event, place=Attachment(PREPOSITIONS[place], Thing(place)))


def _manner(event: Event, chance: Chance) -> Event | None:
    if not event.manner:
        return None
    return replace(event, manner=chance.pick([manner for manner in MANNERS if manner != event.manner]))


_EDITS: Mapping[str, Callable[[Event, Chance], Event | None]] = {
    "swap": _swap,
    "agent": _agent,
    "patient": _patient,
    "predicate": _predicate,
    "negation": _negation,
    "tense": _tense,
    "time": _time,
    "place": _place,
    "manner": _manner,
}
