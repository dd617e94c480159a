"""What there is to say: draws meanings at random from what goes together in the lexicon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.lexicon import (
    ACTS,
    DOMAINS,
    MANNERS,
    NAMES,
    NOUNS,
    NUMERALS,
    POLAR_NOUNS,
    PREPOSITIONS,
    TIMES,
    TOPICS,
    VERBS,
    Domain,
    Topic,
    kind_of,
    neutral_qualities,
    polar_qualities,
    verbs_of,
)
from mtsearch.data.sample.meaning import (
    GAP,
    WHAT,
    WHEN,
    WHERE,
    WHO,
    Advice,
    Attachment,
    Attribute,
    Belief,
    Clause,
    Conjunction,
    Contrast,
    Event,
    Participant,
    Question,
    Recommendation,
    Remark,
    State,
    Statement,
    Tense,
    Thing,
    pair,
)

CHOICES = (  # what one asks recommendations of
    *("book", "film", "novel", "documentary", "course", "restaurant", "hotel", "museum", "cafe"),
    *("camera", "bicycle", "telescope", "guitar"),
)

_Judged: TypeAlias = Literal["past", "habitual"]  # the tenses of opinions

_I, _WE, _EVERYONE = (Thing(pronoun, determiner="") for pronoun in ("I", "we", "everyone"))
_AUDIENCES = ("critic", "visitor", "student", "child", "tourist", "journalist")
_WITHOUT_PLACE = frozenset({"building", "area", "finding", "event"})  # kinds of what is done where it is
_TENSES: tuple[tuple[float, Tense], ...] = (
    (0.5, "past"),
    (0.25, "progressive"),
    (0.1, "habitual"),
    (0.15, "future"),
)
_MANNERLY = frozenset({"transfer", "solo"})  # groups of verbs that say what can be done quickly, proudly ...


def names(kind: str) -> tuple[str, ...]:
    """The names of a kind: person, city, organization, institution."""
    return tuple(concept for concept, name in NAMES.items() if name.kind == kind)


def nouns(kind: str) -> tuple[str, ...]:
    """The common nouns of a kind."""
    return tuple(concept for concept, noun in NOUNS.items() if noun.kind == kind)


class Content:
    """Draws meanings.

    Args:
        chance: makes every choice.
        extended: say also what the labelled layers never say, or seldom: institutions named after cities and people,
            acts called by their verb ("a visit"), and feelings to a degree.
    """

    def __init__(self, chance: Chance, *, extended: bool = False) -> None:
        self._chance = chance
        self._extended = extended

    # --- things ---

    def _thing(self, concept: str, *, known: float = 0.5, detail: float = 0.35, clauses: bool = False) -> Thing:
        """A thing of this concept: ``known`` is the weight of "the", ``detail`` the chance of a quality."""
        if concept in NAMES:
            return Thing(concept, determiner="")
        mass, kind = NOUNS[concept].mass, NOUNS[concept].kind
        form = self._chance.weighted(((known, "the"), (0.35, "a"), (0.1, "bare"), (0.08, "number")))
        if mass:
            thing = Thing(concept, determiner="the" if form == "the" else "some")
        elif form == "number":
            thing = Thing(concept, determiner=self._chance.pick(NUMERALS), plural=True)
        elif form == "bare":
            thing = Thing(concept, determiner="", plural=True)
        else:
            thing = Thing(concept, determiner=form, plural=form == "the" and self._chance.happens(0.15))
        if (qualities := neutral_qualities(kind)) and self._chance.happens(detail):
            thing = replace(thing, attributes=(Attribute(self._chance.pick(qualities)),))
        if self._chance.happens(detail * 0.6):
            return replace(thing, attachment=self._attachment(kind, plural=thing.plural))
        if clauses and form == "the" and not thing.plural and self._chance.happens(detail * 0.5):
            return replace(thing, clause=self._relative_clause(concept))
        return thing

    def _attachment(self, kind: str, *, plural: bool = False) -> Attachment | None:
        city = Thing(self._chance.pick(names("city")), determiner="")
        if kind == "person":
            garment = self._chance.pick(nouns("garment"))
            color = Attribute(self._chance.pick(neutral_qualities("garment")))
            worn = Thing(garment, determiner="" if plural else "a", plural=plural, attributes=(color,))
            dressed = Attachment("in", worn)
            origin = Attachment("from", self._institution() if self._extends(0.4) else city)
            return self._chance.pick((dressed, origin))
        if kind == "work":
            return Attachment("about", self._subject())
        if kind == "building":
            area = Thing(self._chance.pick(("harbor", "park", "river", "airport", "market")))
            return self._chance.pick((Attachment("in", city), Attachment("near", area)))
        return None

    def _extends(self, probability: float) -> bool:
        """Whether to say something here that the labelled layers do not."""
        return self._extended and self._chance.happens(probability)

    def _institution(self) -> Thing:
        return Thing(self._chance.pick(names("institution")), determiner="")

    def _subject(self) -> Thing:
        """What a book or a lecture can be about."""
        if self._chance.happens(0.5):
            return Thing(self._chance.pick(nouns("subject")), determiner="")
        several = self._chance.pick((*nouns("finding"), *nouns("animal")))
        return Thing(several, determiner="", plural=True)

    def _relative_clause(self, concept: str) -> Event | None:
        domain = self._domain()
        if kind_of(concept) == "person":
            event = self._deed(domain, GAP)
            return replace(event, tense="past")
        verbs = [verb for verb in VERBS if VERBS[verb].group == "deed" and concept in VERBS[verb].objects]
        if not verbs:
            return None
        agent = self._someone(domain, detail=0.0)
        return Event(self._chance.pick(verbs), agent=agent, patient=GAP)

    def _domain(self) -> Domain:
        return self._chance.pick(tuple(DOMAINS.values()))

    def _someone(self, domain: Domain, *, detail: float = 0.3, clauses: bool = False) -> Thing:
        if self._chance.happens(0.22):
            return Thing(self._chance.pick(names("person")), determiner="")
        return self._thing(self._chance.pick(domain.people), known=1.2, detail=detail, clauses=clauses)

    def _doers(self, domain: Domain) -> Participant:
        if self._chance.happens(0.08):
            one, other = self._someone(domain, detail=0.0), self._someone(domain, detail=0.0)
            if one.concept != other.concept:
                return pair(one, other)
        return self._someone(domain, clauses=True)

    def _place(self, domain: Domain) -> Attachment:
        if self._extends(0.25):
            return Attachment("at", self._institution())
        if self._chance.happens(0.4):
            return Attachment("in", Thing(self._chance.pick(names("city")), determiner=""))
        concept = self._chance.pick(domain.places)
        return Attachment(PREPOSITIONS[concept], Thing(concept))

    # --- events ---

    def _deed(self, domain: Domain, agent: Participant) -> Event:
        verb = self._chance.pick(domain.deeds)
        objects = ACTS[verb] if verb in ACTS and self._extends(0.8) else VERBS[verb].objects
        return Event(verb, agent=agent, patient=self._thing(self._chance.pick(objects)))

    def event(self, domain: Domain | None = None) -> Event:
        """Someone does something, with or without a time, a place and a manner."""
        domain = domain or self._domain()
        agent = self._doers(domain)
        group = self._chance.weighted(((0.55, "deed"), (0.2, "contact"), (0.12, "transfer"), (0.13, "solo")))
        if group == "deed":
            if domain in (DOMAINS["science"], DOMAINS["work"]) and self._chance.happens(0.15):
                agent = Thing(self._chance.pick(names("organization")), determiner="")
            event = self._deed(domain, agent)
        else:
            event = Event(self._chance.pick(verbs_of(group)), agent=agent)
            if group == "contact":
                event = replace(event, patient=self._other(domain, agent))
            elif group == "transfer":
                gift = self._thing(self._chance.pick(VERBS[event.predicate].objects))
                event = replace(event, patient=gift, recipient=self._other(domain, agent))
        return self._circumstances(event, domain)

    def _other(self, domain: Domain, agent: Participant) -> Thing:
        """Someone who is not (one of) the agent."""
        taken = {agent.concept} if isinstance(agent, Thing) else {agent.first.concept, agent.second.concept}
        while True:
            other = self._someone(domain)
            if other.concept not in taken:
                return other

    def _circumstances(self, event: Event, domain: Domain) -> Event:
        tense = self._chance.weighted(_TENSES)
        verb = VERBS[event.predicate]
        event = replace(event, tense=tense, negated=self._chance.happens(0.08))
        if self._chance.happens(0.45):
            event = replace(event, time=self._chance.pick(tuple(TIMES[tense])))
        if verb.group == "solo":
            area = self._chance.pick(verb.objects)
            event = replace(event, place=Attachment(PREPOSITIONS[area], Thing(area)))
        elif self._chance.happens(0.35) and not self._is_place(event.patient):
            event = replace(event, place=self._place(domain))
        if (verb.skill or verb.group in _MANNERLY) and not event.negated and self._chance.happens(0.25):
            event = replace(event, manner=self._chance.pick(tuple(MANNERS)))
        return event

    @staticmethod
    def _is_place(patient: Participant | None) -> bool:
        return isinstance(patient, Thing) and kind_of(patient.concept) in _WITHOUT_PLACE

    def statement(self) -> Event | Contrast:
        """An event, or two in contrast."""
        if self._chance.happens(0.9):
            return self.event()
        domain = self._domain()
        return Contrast(self.event(domain), self.event(domain))

    # --- questions ---

    def question(self) -> Question | Advice | Recommendation:
        """A question of any form."""
        forms: tuple[tuple[float, Callable[[], Question | Advice | Recommendation]], ...] = (
            (0.5, self._event_question),
            (0.28, self._advice),
            (0.22, self._recommendation),
        )
        return self._chance.weighted(forms)()

    def _event_question(self) -> Question:
        domain = self._domain()
        event = replace(self.event(domain), negated=False)
        asked = self._chance.weighted(((0.3, "agent"), (0.2, "patient"), (0.15, "time"), (0.15, "place"), (0.2, "")))
        if asked == "agent":
            which = Thing(self._chance.pick(domain.people), determiner="which")
            return Question(replace(event, agent=self._chance.pick((WHO, which))))
        if asked == "patient" and isinstance(event.patient, Thing) and event.recipient is None:
            kind = kind_of(event.patient.concept)
            pronoun = WHO if kind == "person" else WHAT
            if event.patient.concept in NAMES:
                return Question(replace(event, patient=pronoun))
            which = Thing(event.patient.concept, determiner="which")
            return Question(replace(event, patient=self._chance.pick((pronoun, which))))
        if asked == "time":
            return Question(replace(event, time=WHEN))
        if asked == "place":
            return Question(replace(event, place=WHERE))
        return Question(event)

    def _advice(self) -> Advice:
        verb = self._chance.pick([concept for concept, verb in VERBS.items() if verb.skill])
        patient = self._thing(self._chance.pick(VERBS[verb].objects), known=0.2, detail=0.5)
        event = Event(verb, agent=None, patient=patient)
        if self._chance.happens(0.35):
            event = replace(event, manner=self._chance.pick(("quickly", "carefully", "quietly")))
        if self._chance.happens(0.3) and not self._is_place(patient):
            city = Thing(self._chance.pick(names("city")), determiner="")
            event = replace(event, place=Attachment("in", city))
        return Advice(event)

    def _recommendation(self) -> Recommendation:
        concept = self._chance.pick(CHOICES)
        kind = NOUNS[concept].kind
        thing = Thing(concept, determiner="a", attachment=self._attachment(kind))
        if concept == "course":
            thing = replace(thing, attachment=Attachment("about", self._subject()))
        if thing.attachment is None or self._chance.happens(0.4):
            thing = replace(thing, attributes=(Attribute(self._chance.pick(neutral_qualities(kind))),))
        return Recommendation(thing)

    # --- opinions ---

    def opinion(self) -> Statement:
        """A verdict on something, strong or mild, plain, mixed or in contrast; or a fact about it."""
        topic = self._chance.pick(TOPICS)
        topic = replace(topic, wholes=(self._chance.pick(topic.wholes),))  # a sentence is about one of them
        tense = self._tense()
        sign = self._chance.pick((-1, 1))
        form = self._chance.weighted(
            (
                (0.4, "judgement"),
                (0.14, "contrast"),
                (0.1, "conjunction"),
                (0.06, "belief"),
                (0.16, "remark"),
                (0.14, "neutral"),
            )
        )
        if form == "judgement":
            return self._judgement(topic, sign, tense)
        parts = self._chance.shuffled(topic.parts)  # two clauses have no part in common, and one has the whole
        topic, aside = replace(topic, parts=tuple(parts[1:])), replace(topic, wholes=(), parts=(parts[0],))
        if form == "contrast":
            neutral = self._chance.happens(0.15)
            first = self._neutral(topic, tense) if neutral else self._judgement(topic, -sign, tense)
            return Contrast(first, self._judgement(aside, sign, tense))
        if form == "conjunction":
            neutral, mixed = self._chance.happens(0.25), self._chance.happens(0.35)
            first = self._neutral(topic, tense) if neutral else self._judgement(topic, sign, tense)
            return Conjunction(first, self._judgement(aside, -sign if mixed else sign, tense))
        if form == "belief":
            holder = self._chance.pick((_I, _WE, self._audience()))
            return Belief(holder, self._quality_judgement(topic, sign, tense), negated=self._chance.happens(0.3))
        if form == "remark":
            return Remark(self._remarked(topic, sign))
        return self._neutral(topic, tense)

    def _tense(self) -> _Judged:
        return "past" if self._chance.happens(0.5) else "habitual"

    def _strength(self) -> int:
        return 2 if self._chance.happens(0.4) else 1

    def _audience(self) -> Thing:
        return Thing(self._chance.pick(_AUDIENCES), plural=True)

    def _whole(self, topic: Topic, *, detail: float = 0.4) -> Thing:
        thing = Thing(self._chance.pick(topic.wholes), determiner=self._chance.pick(("the", "the", "this")))
        if not self._chance.happens(detail):
            return thing
        if self._chance.happens(0.5):
            return replace(thing, attachment=self._attachment(NOUNS[thing.concept].kind))
        dealings = [verb for verb in topic.dealings if thing.concept in VERBS[verb].objects]
        agent = self._chance.pick((_I, _WE, Thing(self._chance.pick(names("person")), determiner="")))
        return replace(thing, determiner="the", clause=Event(self._chance.pick(dealings), agent=agent, patient=GAP))

    def _part(self, topic: Topic, *, determiner: str = "the", detail: float = 0.6) -> Thing:
        part = Thing(self._chance.pick(topic.parts), determiner=determiner)
        if NOUNS[part.concept].mass and determiner == "a":
            part = replace(part, determiner="")
        if topic.wholes and self._chance.happens(detail):
            part = replace(part, attachment=Attachment(topic.joint, self._whole(topic, detail=0.15)))
        return part

    def _target(self, topic: Topic) -> Thing:
        return self._whole(topic) if topic.wholes and self._chance.happens(0.45) else self._part(topic)

    def _polar(self, concept: str, polarity: float) -> Attribute:
        kind = kind_of(concept) if self._chance.happens(0.5) else ""  # what goes with all is said more often
        return Attribute(self._chance.pick(polar_qualities(kind, polarity)))

    def _judgement(self, topic: Topic, sign: int, tense: _Judged) -> Clause:
        """A verdict on the topic's whole or on a part of it; on a part, if the topic has no wholes."""
        forms: tuple[tuple[float, Callable[[Topic, int, _Judged], Clause]], ...] = (
            (0.56, self._quality_judgement),
            (0.14, self._feeling),
            (0.12, self._effect),
            (0.08 if topic.wholes else 0, self._shaping),
            (0.12 if topic.wholes else 0, self._possession),
        )
        return self._chance.weighted(forms)(topic, sign, tense)

    def _quality_judgement(self, topic: Topic, sign: int, tense: _Judged) -> State:
        """It is (not) so."""
        negated = self._chance.happens(0.12)
        sign = -sign if negated else sign
        subject, strength = self._target(topic), self._strength()
        if self._chance.happens(0.15):
            verdicts = [noun for noun in nouns("verdict") if POLAR_NOUNS[noun] == sign * strength]
            verdict = Thing(self._chance.pick(verdicts), determiner="a")
            return State(subject, verdict=verdict, tense=tense, negated=negated)
        attribute = self._polar(subject.concept, sign * strength)
        other = self._polar(subject.concept, sign * strength)
        if not negated and other != attribute and self._chance.happens(0.3):
            return State(subject, (attribute, other), tense=tense)
        graded = replace(attribute, degree=self._degree(sign, strength, negated=negated))
        return State(subject, (graded,), tense=tense, negated=negated)

    def _degree(self, sign: int, strength: int, *, negated: bool) -> str:
        if negated:
            return self._chance.weighted(((0.5, ""), (0.3, "particularly"), (0.2, "very"))) if strength == 1 else ""
        if strength == 2:
            return self._chance.weighted(((0.7, ""), (0.3, "absolutely")))
        mild = "fairly" if sign > 0 else "slightly"
        return self._chance.weighted(((0.5, ""), (0.18, "very"), (0.1, "extremely"), (0.22, mild)))

    def _feeling(self, topic: Topic, sign: int, tense: _Judged) -> Event:
        """People love it, or not."""
        holder = self._chance.pick((_I, _WE, _EVERYONE, self._audience()))
        things = tuple(part for part in topic.parts if kind_of(part) not in ("person", "crew"))
        felt = self._target(replace(topic, parts=things or topic.parts))
        return self._felt("feel", sign, Event("", agent=holder, patient=felt, tense=tense))

    def _effect(self, topic: Topic, sign: int, tense: _Judged) -> Event:
        """It delights people, or does not."""
        audience = self._chance.pick((_I, _WE, self._audience()))
        return self._felt("affect", sign, Event("", agent=self._target(topic), patient=audience, tense=tense))

    def _felt(self, group: str, sign: int, event: Event) -> Event:
        negated = self._chance.happens(0.12)
        polarity = (-sign if negated else sign) * self._strength()
        if negated and event.agent == _EVERYONE:  # "everyone did not" has two readings
            event = replace(event, agent=_WE)
        predicate = self._chance.pick([verb for verb in verbs_of(group) if VERBS[verb].polarity == polarity])
        is_graded = abs(polarity) == 1 and self._chance.happens(0.7 if self._extended else 0.2)
        degree = "really" if is_graded else ""
        return replace(event, predicate=predicate, negated=negated, degree=degree)

    def _shaping(self, topic: Topic, sign: int, tense: _Judged) -> Event:
        """One part ruins or saves the whole."""
        part, whole = self._part(topic, determiner="a", detail=0.0), self._whole(topic)
        part = replace(part, attributes=(self._polar(part.concept, sign),))
        if self._chance.happens(0.4):
            whole = replace(whole, attributes=(self._polar(whole.concept, -sign),))
        predicate = self._chance.pick([verb for verb in verbs_of("shape") if VERBS[verb].polarity * sign > 0])
        return Event(predicate, agent=part, patient=whole, tense=tense)

    def _possession(self, topic: Topic, sign: int, tense: _Judged) -> Event:
        """It has charm, no charm, a clever script, or a clever script and a weak ending."""
        whole = self._whole(topic)
        if self._chance.happens(0.4):
            virtue = Thing(self._chance.pick(nouns("virtue")), determiner="no" if sign < 0 else "")
            if sign > 0:
                virtue = replace(virtue, attributes=(self._polar("", 1),))
            return Event("have", agent=whole, patient=virtue, tense=tense)
        part = self._qualified_part(topic, sign)
        if self._chance.happens(0.35):
            other = self._qualified_part(topic, -sign)
            if other.concept != part.concept:
                return Event("have", agent=whole, patient=pair(part, other), tense=tense)
        return Event("have", agent=whole, patient=part, tense=tense)

    def _qualified_part(self, topic: Topic, sign: int) -> Thing:
        part = self._part(topic, determiner="a", detail=0.0)
        return replace(part, attributes=(self._polar(part.concept, sign * self._strength()),))

    def _remarked(self, topic: Topic, sign: int) -> Thing:
        whole = Thing(self._chance.pick(topic.wholes), determiner="a")
        first, other = self._polar(whole.concept, sign * self._strength()), self._polar(whole.concept, sign)
        attributes: tuple[Attribute, ...] = (first,)
        if self._chance.happens(0.35):
            attributes = (replace(other, degree=self._degree(sign, 1, negated=False)),)
        elif first != other and self._chance.happens(0.4):
            attributes = (first, other)
        attachment = self._attachment(NOUNS[whole.concept].kind) if self._chance.happens(0.6) else None
        if self._chance.happens(0.3):
            attachment = Attachment("with", self._qualified_part(topic, self._chance.pick((-1, 1))))
        return replace(whole, attributes=attributes, attachment=attachment)

    def _neutral(self, topic: Topic, tense: _Judged) -> Event:
        """What happened, without a verdict."""
        whole = self._whole(topic, detail=0.2)
        if self._chance.happens(0.4):
            dealings = [verb for verb in topic.dealings if whole.concept in VERBS[verb].objects]
            whole = replace(whole, clause=None)
            time = self._chance.pick(tuple(TIMES["past"])) if self._chance.happens(0.7) else ""
            return Event(self._chance.pick(dealings), agent=self._chance.pick((_I, _WE)), patient=whole, time=time)
        fact = self._chance.pick(topic.facts)
        if fact == "follow":
            hero = Thing(self._chance.pick(nouns("person")), determiner=self._chance.pick(NUMERALS), plural=True)
            place = Attachment("in", Thing(self._chance.pick(names("city")), determiner=""))
            return Event(fact, agent=whole, patient=hero, place=place, tense=tense)
        if fact == "cover":
            return Event(fact, agent=whole, patient=self._subject(), tense=tense)
        if fact == "stand":
            area = Thing(self._chance.pick(("harbor", "park", "river", "airport", "market")))
            return Event(fact, agent=whole, place=Attachment("near", area), tense=tense)
        when: Tense = "habitual" if fact == "open" else "past" if tense == "past" else "future"
        return Event(fact, agent=whole, tense=when, time=self._chance.pick(tuple(TIMES[when])))
