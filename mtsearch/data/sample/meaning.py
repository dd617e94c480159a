"""What a sentence says, apart from how it says it: two sentences with equal meanings are paraphrases.

::

    Meaning
    ├── Statement
    │   ├── Event             someone does something (to something, for someone; where, when, how)
    │   ├── State             something is so
    │   ├── Conjunction       both
    │   ├── Contrast          this, although that
    │   ├── Belief            someone thinks so
    │   └── Remark            what a thing!
    ├── Question              an event of which one part is asked for, or whether it is so
    ├── Advice                how to do something
    └── Recommendation        which thing of this kind to choose

Everything is frozen and compared by value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, TypeAlias, TypeVar

from mtsearch.data.sample.lexicon import VERBS, kind_of

T = TypeVar("T")
Tense = Literal["past", "progressive", "habitual", "future"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A quality, to a degree ("" for none)."""

    quality: str
    degree: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A thing after a preposition."""

    preposition: str
    thing: Thing


@dataclass(frozen=True, slots=True)
class Thing:
    """Someone or something.

    Args:
        concept: a noun, a name, a pronoun, or one of who, what, where (asked for) and GAP's.
        determiner: the, a, this, no, which, a numeral, or "" (names, pronouns, bare plurals).
        plural: more than one.
        attributes: its qualities, in the order in which they are said.
        attachment: what a preposition ties to it.
        clause: an event in which it plays the part that is GAP there.
    """

    concept: str
    determiner: str = "the"
    plural: bool = False
    attributes: tuple[Attribute, ...] = ()
    attachment: Attachment | None = None
    clause: Event | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two things together; their order says nothing, so ``pair`` puts them in one order."""

    first: Thing
    second: Thing


Participant: TypeAlias = Thing | Pair


@dataclass(frozen=True, slots=True)
class Event:
    """Someone does something.

    Args:
        predicate: a verb's concept.
        agent: who does it (or feels it); None only in Advice.
        patient: to what or whom.
        recipient: for whom, with verbs of transfer.
        tense: when it is, seen from now.
        negated: it is not so.
        degree: how much.
        manner: how, a concept of MANNERS or "".
        place: where.
        time: a concept of TIMES[tense], "when" if asked for, or "".
    """

    predicate: str
    agent: Participant | None
    patient: Participant | None = None
    recipient: Participant | None = None
    tense: Tense = "past"
    negated: bool = False
    degree: str = ""
    manner: str = ""
    place: Attachment | None = None
    time: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The subject has all of the attributes, or (if there are none) is what ``verdict`` says."""

    subject: Thing
    attributes: tuple[Attribute, ...] = ()
    verdict: Thing | None = None
    tense: Literal["past", "habitual"] = "habitual"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Both are so."""

    first: Event | State
    second: Event | State


@dataclass(frozen=True, slots=True)
class Contrast:
    """The main thing is so, although the concession is."""

    concession: Event | State
    main: Event | State


@dataclass(frozen=True, slots=True)
class Belief:
    """The holder thinks (or does not think) that it is so."""

    holder: Thing
    content: Event | State
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """The thing, pointed out."""

    thing: Thing


@dataclass(frozen=True, slots=True)
class Question:
    """Asks for the part of the event that is asked for, or, if none is, whether it is so.

    Raises:
        ValueError: the event is negated; the grammar has no rule for such questions.
    """

    event: Event

    def __post_init__(self) -> None:
        if self.event.negated:
            raise ValueError(f"the event of a question must not be negated, but got {self.event}")


@dataclass(frozen=True, slots=True)
class Advice:
    """Asks how one does what the event, which has no agent, says."""

    event: Event


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Asks which thing of this description is good."""

    thing: Thing


Clause: TypeAlias = Event | State
Statement: TypeAlias = Event | State | Conjunction | Contrast | Belief | Remark
Meaning: TypeAlias = Statement | Question | Advice | Recommendation

GAP = Thing("gap", determiner="")
WHO = Thing("who", determiner="")
WHAT = Thing("what", determiner="")
WHERE = Attachment("", Thing("where", determiner=""))
WHEN = "when"


def pair(one: Thing, other: Thing) -> Pair:
    """The two things together, in an order that does not depend on how they were given."""
    first, second = sorted((one, other), key=lambda thing: thing.concept)
    return Pair(first, second)


def is_asked(part: Participant | Attachment | str | None) -> bool:
    """Whether this part of an event is what the question is about."""
    if isinstance(part, Attachment):
        return part == WHERE
    if isinstance(part, Thing):
        return part in (WHO, WHAT) or part.determiner == "which"
    return part == WHEN


# --- similarity ------------------------------------------------------------------------------------------------

_RELATED = 0.35  # two nouns of one kind, two verbs of one group
_WEIGHTS = {"predicate": 3.0, "agent": 2.5, "patient": 2.5, "recipient": 1.0, "place": 1.0, "time": 0.7, "manner": 0.5}
_CONTRADICTION = 0.55  # what is left of the similarity when only one of the two is negated


def similarity(one: Statement, other: Statement) -> float:
    """How much of their meaning two statements share, from 0 (nothing) to 1 (all).

    Clauses are compared part by part (predicate, agent, patient ... in decreasing weight); a thing of the same kind
    earns some credit. A statement of two clauses is compared clause by clause, under the best match.
    """
    return _matched(_clauses(one), _clauses(other), _clause_similarity)


def _matched(ones: Sequence[T], others: Sequence[T], share: Callable[[T, T], float]) -> float:
    """The mean share under the best one-to-one match; what has no partner counts as 0."""
    if len(ones) < len(others):
        ones, others = others, ones
    return max(sum(map(share, order, others)) for order in permutations(ones, len(others))) / len(ones)


def _clauses(statement: Statement) -> tuple[Event, ...]:
    match statement:
        case Event():
            return (statement,)
        case Conjunction(first, second) | Contrast(first, second):
            return (*_clauses(first), *_clauses(second))
        case _:
            raise TypeError(f"similarity compares events and pairs of events, not {type(statement).__name__}")


def _clause_similarity(one: Event, other: Event) -> float:
    shares = {
        "predicate": _concept_similarity(one.predicate, other.predicate),
        "agent": _participant_similarity(one.agent, other.agent),
        "patient": _participant_similarity(one.patient, other.patient),
        "recipient": _participant_similarity(one.recipient, other.recipient),
        "place": _attachment_similarity(one.place, other.place),
        "time": _concept_similarity(one.time, other.time),
        "manner": _concept_similarity(one.manner, other.manner),
    }
    said = {part: share for part, share in shares.items() if share is not None}
    total = sum(_WEIGHTS[part] * share for part, share in said.items()) / sum(_WEIGHTS[part] for part in said)
    if one.tense != other.tense:
        total *= 0.9
    return total * _CONTRADICTION if one.negated != other.negated else total


def _concept_similarity(one: str, other: str) -> float | None:
    """None when neither says anything."""
    if not one and not other:
        return None
    if one == other:
        return 1.0
    if one in VERBS and other in VERBS:
        return _RELATED if VERBS[one].group == VERBS[other].group else 0.0
    return 0.0


def _participant_similarity(one: Participant | None, other: Participant | None) -> float | None:
    if one is None and other is None:
        return None
    if one is None or other is None:
        return 0.0
    return _matched(_things(one), _things(other), _thing_similarity)


def _things(participant: Participant) -> tuple[Thing, ...]:
    return (participant.first, participant.second) if isinstance(participant, Pair) else (participant,)


def _thing_similarity(one: Thing, other: Thing) -> float:
    related = _RELATED if kind_of(one.concept) == kind_of(other.concept) else 0.0
    share = 1.0 if one.concept == other.concept else related
    if (one.plural, one.determiner) != (other.plural, other.determiner):
        share *= 0.9
    details = (*_details(one), *_details(other))
    common = sum(detail in _details(other) for detail in _details(one)) * 2
    return share * (1 - 0.35 * (1 - common / len(details))) if details else share


def _details(thing: Thing) -> tuple[object, ...]:
    rest = (thing.attachment, thing.clause)
    return (*thing.attributes, *(detail for detail in rest if detail is not None))


def _attachment_similarity(one: Attachment | None, other: Attachment | None) -> float | None:
    if one is None and other is None:
        return None
    if one is None or other is None:
        return 0.0
    return _thing_similarity(one.thing, other.thing)
