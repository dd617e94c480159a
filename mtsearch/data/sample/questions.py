"""Questions about contexts of several sentences: their answers, and that some have none, follow from the meanings."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from mtsearch.data.sample import layers
from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.edits import edited_question
from mtsearch.data.sample.examples import Sentence
from mtsearch.data.sample.grammar import ROLES, Grammar
from mtsearch.data.sample.lexicon import VERBS, kind_of
from mtsearch.data.sample.meaning import (
    WHAT,
    WHEN,
    WHERE,
    WHO,
    Advice,
    Event,
    Participant,
    Question,
    Recommendation,
    Thing,
)
from mtsearch.data.sample.tree import HEAD, Node

CONTEXT_SENTENCES = 5
_ANSWERED = 2  # questions with an answer about one event, for each without
_ATTEMPTS = 20  # at a change that leaves a question without an answer; most apply
_ASKED_GROUPS = frozenset({"deed", "contact", "transfer", "solo"})  # of verbs that say what happened
_PERSONAL = frozenset({"person", "organization"})  # kinds that one asks for with "who"
_OMITTED = {  # part -> prepositions that an answer may leave out
    "agent": frozenset({"by"}),
    "patient": frozenset[str](),
    "place": frozenset({"in", "at", "on"}),
    "time": frozenset({"in", "on"}),  # "Monday" answers as "on Monday" does; "the moment" does not
}

_Part: TypeAlias = Literal["agent", "patient", "place", "time"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a context.

    Args:
        text: the question.
        answers: the reference answers, each with the index of its first character in the context; none if the
            context does not say.
    """

    text: str
    answers: tuple[tuple[str, int], ...]


def squad(sentences: Sequence[Sentence], title: str, seed: str) -> str:
    """The contexts of these sentences and the questions about them as one article in SQuAD 2.0's JSON.

    Args:
        sentences: told in this order; those that ask are left out.
        title: the article's.
        seed: of the choice of questions.
    """
    told = [each for each in sentences if not isinstance(each.meaning, Question | Advice | Recommendation)]
    paragraphs = []
    for first in range(0, len(told), CONTEXT_SENTENCES):
        context = told[first : first + CONTEXT_SENTENCES]
        text = " ".join(sentence.text for sentence in context)
        items = [
            {
                "question": asked.text,
                "id": hashlib.sha256(f"{text}\n{asked.text}".encode()).hexdigest()[:25],
                "answers": [{"text": answer, "answer_start": start} for answer, start in asked.answers],
                "is_impossible": not asked.answers,
            }
            for asked in ask(context, Chance(f"{seed} {first}"))
        ]
        if items:
            paragraphs.append({"context": text, "qas": items})
    return json.dumps({"version": "v2.0", "data": [{"title": title, "paragraphs": paragraphs}]}, indent=1) + "\n"


def ask(context: Sequence[Sentence], chance: Chance) -> list[Asked]:
    """Questions about the events of a context, about a third of them without an answer there.

    An event is asked about only if no other clause of the context has its predicate, so that no other sentence
    answers a question about it.

    Args:
        context: sentences, told one after the other with a space between them.
        chance: chooses what is asked, and how.
    """
    told = Counter(clause.concept for sentence in context for clause in layers.propositions(sentence.tree))
    questions: dict[str, Asked] = {}
    start = 0
    for sentence in context:
        event = sentence.meaning
        if isinstance(event, Event) and told[event.predicate] == 1 and _can_be_asked(event, sentence.tree):
            said = chance.shuffled(_said(event))
            for part in [] if event.negated else said[:_ANSWERED]:
                text = _question(_asking(event, part), chance)
                questions[text] = Asked(text, tuple(_answers(sentence, part, start)))
            if (unanswered := _unanswered(event, said, frozenset(told), chance)) is not None:
                text = _question(unanswered, chance)
                questions.setdefault(text, Asked(text, ()))
        start += len(sentence.text) + 1
    return list(questions.values())


# --- questions -------------------------------------------------------------------------------------------------


def _can_be_asked(event: Event, tree: Node) -> bool:
    """Whether it says what happened, and of others than the speaker ("Who saw me?")."""
    return VERBS[event.predicate].group in _ASKED_GROUPS and all(leaf.category != "PRP" for leaf in tree.leaves())


def _said(event: Event) -> list[_Part]:
    """What of the event one can ask for and find in the sentence."""
    parts: tuple[tuple[_Part, object], ...] = (
        ("agent", event.agent),
        ("patient", event.patient),
        ("place", event.place),
        ("time", event.time),
    )
    return [part for part, value in parts if value]


def _asking(event: Event, part: _Part) -> Question:
    event = replace(event, negated=False)
    match part:
        case "agent":
            return Question(replace(event, agent=_pronoun(event.agent)))
        case "patient":
            return Question(replace(event, patient=_pronoun(event.patient)))
        case "place":
            return Question(replace(event, place=WHERE))
        case "time":
            return Question(replace(event, time=WHEN))


def _pronoun(asked: Participant | None) -> Thing:
    first = next(iter(_concepts(asked)))
    return WHO if kind_of(first) in _PERSONAL else WHAT


def _question(question: Question, chance: Chance) -> str:
    return Grammar(chance).derive(question).text()


def _unanswered(event: Event, said: Sequence[_Part], told: frozenset[str], chance: Chance) -> Question | None:
    """A question that the event does not answer: it was not so, it does not say, or it says it of something else."""
    if event.negated:
        return _asking(event, said[0])
    if not event.time and event.tense in ("past", "future") and chance.happens(0.4):
        return _asking(event, "time")
    for _ in range(_ATTEMPTS):
        question = _asking(event, chance.pick(said))
        other = edited_question(question, chance)
        if not isinstance(other, Question) or _gist(other.event) == _gist(question.event):
            continue
        if other.event.predicate == event.predicate or other.event.predicate not in told:
            return other
    return None


def _gist(event: Event) -> tuple[object, ...]:
    """Who does what to whom, where, when and how: who they are, but not how they look or where they come from."""
    participants = [tuple(_concepts(each)) for each in (event.agent, event.patient, event.recipient)]
    place = event.place.thing.concept if event.place is not None else ""
    return (event.predicate, *participants, place, event.tense, event.time, event.manner)


def _concepts(participant: Participant | None) -> Iterator[str]:
    if isinstance(participant, Thing):
        yield participant.concept
    elif participant is not None:
        yield from (participant.first.concept, participant.second.concept)


# --- answers ---------------------------------------------------------------------------------------------------


def _answers(sentence: Sentence, part: _Part, start: int) -> Iterator[tuple[str, int]]:
    """The reference answers in a sentence that begins at this character: the longest first."""
    offsets, text = sentence.tree.offsets(), sentence.text
    role = (1, ROLES[part])  # the clause of a sentence that is an event has the number 1
    node, first, end = next(span for span in layers.spans(sentence.tree) if role in span[0].roles)
    for begin, stop in dict.fromkeys(_references(node, first, end, part)):
        left, right = offsets[begin][0], offsets[stop - 1][1]
        yield text[left:right], start + left


def _references(node: Node, first: int, end: int, part: _Part) -> Iterator[tuple[int, int]]:
    """The ranges of tokens that name it: with and without preposition, article, and what is said about it."""
    if node.category == "PP":
        preposition, nominal = node.children
        if part != "agent":  # "by" is the passive's
            yield first, end
        if preposition.word.lower() in _OMITTED[part]:
            yield from _references(nominal, first + 1, end, part)
        return
    yield first, end
    if any(child.relation == "conj" for child in node.children):
        return
    if node.children[0].category == "DT":
        if part != "time":  # "every week", "this afternoon"
            yield first + 1, end
    elif node.children[0].relation == HEAD and node.children[0].category == "NP":
        core = node.children[0]
        yield from _references(core, first, first + len(layers.words(core)), part)
