"""How meanings are said: the rules that derive a sentence, as a tree, from a meaning.

Where English offers several ways to say the same (synonyms, active and passive, the place of a phrase of time,
forms of questions) the rule chooses by chance, so that two derivations of one meaning are paraphrases.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from mtsearch.data.sample import morphology
from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.lexicon import (
    DEGREES,
    MANNERS,
    NAMES,
    NOUNS,
    NUMERALS,
    POLAR_NOUNS,
    PRONOUNS,
    QUALITIES,
    TAGS,
    TIMES,
    VERBS,
    Agreement,
    kind_of,
)
from mtsearch.data.sample.meaning import (
    GAP,
    WHAT,
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
    Meaning,
    Pair,
    Participant,
    Question,
    Recommendation,
    Remark,
    State,
    Thing,
    is_asked,
)
from mtsearch.data.sample.tree import HEAD, Node, Part, capitalised, phrase, widened, with_role

ROLES = {
    "agent": "ARG0",
    "patient": "ARG1",
    "recipient": "ARG2",
    "manner": "ARGM-MNR",
    "degree": "ARGM-EXT",
    "place": "ARGM-LOC",
    "time": "ARGM-TMP",
}
"""Part of an event -> PropBank label."""
_DETERMINERS = {"the": "DT", "a": "DT", "this": "DT", "no": "DT", "some": "DT", "which": "WDT"}
_SPEAKER = Thing("I", determiner="")
_VERB_TAGS = {"base": "VB", "past": "VBD", "gerund": "VBG", "participle": "VBN"}
_BE = {
    "present": {"first": "am", "third": "is", "plural": "are"},
    "past": {"first": "was", "third": "was", "plural": "were"},
}


# --- words -----------------------------------------------------------------------------------------------------


def _word(tag: str, upos: str, word: str, lemma: str = "", concept: str = "") -> Node:
    return Node(tag, word=word, lemma=lemma or word, upos=upos, concept=concept)


def _stop(mark: str) -> Part:
    return ("punct", _word("," if mark == "," else ".", "PUNCT", mark))


def _verb(lemma: str, form: str, agreement: Agreement, upos: str, concept: str = "") -> Node:
    """A verb in a form: base, present, past, gerund, participle, or modal."""
    if form == "modal":
        return _word("MD", "AUX", lemma, concept=concept)
    tag = _VERB_TAGS.get(form) or ("VBZ" if agreement == "third" else "VBP")
    if lemma == "be" and form in _BE:
        word = _BE[form][agreement]
    elif form == "present":
        word = morphology.third_person(lemma) if agreement == "third" else lemma
    elif form == "base":
        word = lemma
    else:
        inflect = {"past": morphology.past, "gerund": morphology.gerund, "participle": morphology.participle}
        word = inflect[form](lemma)
    return _word(tag, upos, word, lemma, concept)


def _agreement(subject: Participant) -> Agreement:
    if isinstance(subject, Pair):
        return "plural"
    if subject.concept in PRONOUNS:
        return PRONOUNS[subject.concept].agreement
    return "plural" if subject.plural else "third"


def _verb_chain(tense: str, *, passive: bool, support: bool) -> tuple[list[tuple[str, str]], str]:
    """The auxiliaries as (lemma, form) and the main verb's form; ``support`` asks for at least one auxiliary."""
    chain: list[tuple[str, str]] = []
    form = {"past": "past", "habitual": "present", "future": "base", "progressive": "gerund"}[tense]
    if tense == "future":
        chain.append(("will", "modal"))
    if tense == "progressive":
        chain.append(("be", "present"))
    if passive:
        chain.append(("be", form))
        form = "participle"
    if support and not chain:
        chain.append(("do", form))
        form = "base"
    return chain, form


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A clause before it is put in order: subject, auxiliaries with "not", verb phrase, what opens the clause."""

    subject: Part | None
    auxiliaries: tuple[Part, ...]
    predicate: Node
    fronted: tuple[Part, ...] = ()


def _stacked(auxiliaries: Collection[Part], predicate: Node) -> Node:
    """The verb phrase inside one for each auxiliary, (VP will not (VP be (VP ...))); "not" stays with its auxiliary."""
    stack: list[list[Part]] = []
    for relation, node in auxiliaries:
        if node.negates:
            stack[-1].append((relation, node))
        else:
            stack.append([(relation, node)])
    for level in reversed(stack):
        predicate = phrase("VP", *level, (HEAD, predicate))
    return predicate


# --- the grammar -----------------------------------------------------------------------------------------------


class Grammar:
    """Derives sentences.

    Args:
        chance: makes every choice between ways to say the same.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._num_frames = 0

    def derive(self, meaning: Meaning) -> Node:
        """The tree of one sentence, with its punctuation, that says this."""
        self._num_frames = 0
        match meaning:
            case Question(event):
                body, mark = self._question(event), "?"
            case Advice(event):
                body, mark = self._advice(event), "?"
            case Recommendation(thing):
                body, mark = self._recommendation(thing), "?"
            case Remark(thing):
                body, mark = self._remark(thing)
            case Conjunction(first, second):
                joint = _word("CC", "CCONJ", "and", concept="and")
                body, mark = self._coordination(first, joint, second), "."
            case Contrast(concession, main):
                body, mark = self._contrast(concession, main), "."
            case Belief(holder, content, negated):
                body, mark = self._belief(holder, content, negated=negated), "."
            case Event() | State():
                body, mark = self._clause(meaning, fronting=True), "."
        return capitalised(widened(body, after=[_stop(mark)]))

    # --- noun phrases ---

    def _noun_phrase(self, participant: Participant, *, subject: bool = False) -> Node:
        if isinstance(participant, Pair):
            first, second = self._chance.shuffled((participant.first, participant.second))
            joint = ("cc", _word("CC", "CCONJ", "and", concept="and"))
            return phrase("NP", (HEAD, self._noun_phrase(first)), joint, ("conj", self._noun_phrase(second)))
        base = self._bare_noun_phrase(participant, subject=subject)
        if participant.attachment is not None:
            base = phrase("NP", (HEAD, base), ("nmod", self._prepositional(participant.attachment)))
        if participant.clause is not None:
            base = self._relative(base, participant, participant.clause)
        return base

    def _bare_noun_phrase(self, thing: Thing, *, subject: bool) -> Node:
        if thing in (WHO, WHAT):
            return phrase("WHNP", (HEAD, _word("WP", "PRON", thing.concept)))
        if thing.concept == "this":
            return phrase("NP", (HEAD, _word("DT", "PRON", "this")))
        if thing.concept in PRONOUNS:
            pronoun = PRONOUNS[thing.concept]
            tag = "NN" if thing.concept in ("everyone", "anyone") else "PRP"
            return phrase(
                "NP", (HEAD, _word(tag, "PRON", pronoun.subject if subject else pronoun.other, pronoun.subject))
            )
        if thing.concept in NAMES:
            return self._name(thing.concept)
        attributes = [self._attribute(attribute) for attribute in thing.attributes]
        words: list[Part] = []
        for number, attribute in enumerate(attributes):
            if number:
                words.append(_stop(","))
            words.append(("amod", attribute))
        words.append((HEAD, self._noun(thing)))
        category = "WHNP" if thing.determiner == "which" else "NP"
        return phrase(category, *self._determiner(thing.determiner, next(words[0][1].leaves()).word), *words)

    def _determiner(self, determiner: str, next_word: str) -> list[Part]:
        if not determiner:
            return []
        if determiner in NUMERALS:
            return [("nummod", _word("CD", "NUM", determiner))]
        word = morphology.indefinite_article(next_word) if determiner == "a" else determiner
        leaf = _word(_DETERMINERS[determiner], "DET", word, determiner)
        return [("det", replace(leaf, negates=determiner == "no"))]

    def _noun(self, thing: Thing) -> Node:
        word = self._chance.pick(NOUNS[thing.concept].words)
        leaf = _word("NN", "NOUN", word, concept=thing.concept)
        if thing.plural:
            leaf = replace(leaf, category="NNS", word=morphology.plural(word))
        return replace(leaf, polarity=float(POLAR_NOUNS.get(thing.concept, 0)))

    def _name(self, concept: str) -> Node:
        name = NAMES[concept]
        leaves = [_word("NNP", "PROPN", word, concept=concept) for word in name.words]
        if name.entity == "PER":
            parts = [(HEAD, leaves[0]), *(("flat", leaf) for leaf in leaves[1:])]
        else:
            parts = [*(("compound", leaf) for leaf in leaves[:-1]), (HEAD, leaves[-1])]
        return replace(phrase("NP", *parts), entity=name.entity)

    def _attribute(self, attribute: Attribute) -> Node:
        quality = QUALITIES[attribute.quality]
        word = self._chance.pick(quality.words)
        adjective = replace(_word("JJ", "ADJ", word, concept=attribute.quality), polarity=quality.polarity)
        if not attribute.degree:
            return adjective
        return phrase("ADJP", ("advmod", self._degree(attribute.degree)), (HEAD, adjective))

    def _degree(self, degree: str) -> Node:
        word = self._chance.pick(DEGREES[degree].words)
        return replace(_word("RB", "ADV", word, concept=degree), scale=DEGREES[degree].scale)

    def _prepositional(self, attachment: Attachment) -> Node:
        preposition = _word("IN", "ADP", attachment.preposition)
        if attachment == WHERE:
            return phrase("WHADVP", (HEAD, _word("WRB", "ADV", "where")))
        return phrase("PP", ("case", preposition), (HEAD, self._noun_phrase(attachment.thing)))

    def _relative(self, base: Node, thing: Thing, clause: Event) -> Node:
        frame = self._new_frame()
        gap = "agent" if clause.agent == GAP else "patient"
        base = with_role(base, frame, ROLES[gap])
        passive = gap == "patient" and self._may_be_passive(clause) and self._chance.happens(0.4)
        pieces = self._pieces(clause, frame, passive=passive, without=(gap,), agreement=_agreement(thing))
        if passive and clause.tense == "past" and not clause.negated and self._chance.happens(0.5):
            return phrase("NP", (HEAD, base), ("acl", pieces.predicate))
        person = kind_of(thing.concept) == "person"
        pronoun = self._chance.pick(("who", "that")) if person else self._chance.pick(("that", "which"))
        tag = {"who": "WP", "which": "WDT", "that": "WDT"}[pronoun]
        wh = with_role(phrase("WHNP", (HEAD, _word(tag, "PRON", pronoun))), frame, "R-" + ROLES[gap])
        relation = "nsubj" if gap == "agent" else "nsubj:pass" if passive else "obj"
        subject = [pieces.subject] if pieces.subject else []
        body = phrase("S", *subject, (HEAD, _stacked(pieces.auxiliaries, pieces.predicate)))
        return phrase("NP", (HEAD, base), ("acl:relcl", phrase("SBAR", (relation, wh), (HEAD, body))))

    # --- clauses ---

    def _new_frame(self) -> int:
        self._num_frames += 1
        return self._num_frames

    def _clause(self, clause: Clause, *, fronting: bool = False) -> Node:
        if isinstance(clause, State):
            return self._state(clause)
        passive = self._may_be_passive(clause) and self._chance.happens(0.35)
        pieces = self._pieces(clause, self._new_frame(), passive=passive, fronting=fronting)
        subject = [pieces.subject] if pieces.subject else []
        verb_phrase = _stacked(pieces.auxiliaries, pieces.predicate)
        return phrase("S", *pieces.fronted, *subject, (HEAD, verb_phrase))

    def _state(self, state: State) -> Node:
        frame = self._new_frame()
        subject = with_role(self._noun_phrase(state.subject, subject=True), frame, "ARG1")
        form = "past" if state.tense == "past" else "present"
        copula = replace(_verb("be", form, _agreement(state.subject), "AUX", "be"), frame=frame)
        negation = self._negation(copula, frame) if state.negated else []
        if state.verdict is not None:
            complement = self._noun_phrase(state.verdict)
        else:
            first, *others = [self._attribute(attribute) for attribute in state.attributes]
            complement = first if first.children else phrase("ADJP", (HEAD, first))
            for other in others:
                joint = ("cc", _word("CC", "CCONJ", "and", concept="and"))
                complement = phrase("ADJP", (HEAD, complement), joint, ("conj", other))
        complement = with_role(complement, frame, "ARG2")
        return phrase("S", ("nsubj", subject), (HEAD, phrase("VP", ("cop", copula), *negation, (HEAD, complement))))

    def _negation(self, auxiliary: Node, frame: int) -> list[Part]:
        contracted = auxiliary.word not in ("am", "will") and self._chance.happens(0.4)
        leaf = replace(_word("RB", "PART", "n't" if contracted else "not", "not"), negates=True)
        return [("advmod", with_role(leaf, frame, "ARGM-NEG"))]

    @staticmethod
    def _modal(word: str, frame: int) -> Part:
        return "aux", with_role(_word("MD", "AUX", word), frame, "ARGM-MOD")

    def _may_be_passive(self, event: Event) -> bool:
        """Not without a patient and an agent to name, and not "by me"."""
        if event.patient is None or event.agent is None or VERBS[event.predicate].group == "plain":
            return False
        return event.agent == GAP or not (isinstance(event.agent, Thing) and event.agent.concept in PRONOUNS)

    def _pieces(
        self,
        event: Event,
        frame: int,
        *,
        passive: bool,
        without: Collection[str] = (),
        inverted: bool = False,
        fronting: bool = False,
        agreement: Agreement | None = None,
    ) -> _Pieces:
        """A clause in pieces.

        Args:
            event: what the clause says.
            frame: the number of its predicate.
            passive: the patient is the subject.
            without: parts of the event that are said elsewhere or not at all.
            inverted: the first auxiliary will be put before the subject, so there must be one.
            fronting: a phrase of time or place may open the clause.
            agreement: the subject's, where it is said elsewhere.
        """
        subject_part = "patient" if passive else "agent"
        doer = event.patient if passive else event.agent
        subject: Part | None = None
        if doer is not None and subject_part not in without:
            node = with_role(self._noun_phrase(doer, subject=True), frame, ROLES[subject_part])
            subject = ("nsubj:pass" if passive else "nsubj", node)
        if agreement is None:
            agreement = _agreement(doer) if doer is not None else "third"

        verb = self._chance.pick(VERBS[event.predicate].words)
        chain, form = _verb_chain(event.tense, passive=passive, support=event.negated or inverted)
        auxiliaries: list[Part] = []
        for number, (lemma, auxiliary_form) in enumerate(chain):
            leaf = _verb(lemma, auxiliary_form, agreement, "AUX")
            relation = "aux:pass" if passive and number == len(chain) - 1 else "aux"
            auxiliaries.append((relation, with_role(leaf, frame, "ARGM-MOD") if lemma == "will" else leaf))
            if number == 0 and event.negated:
                auxiliaries.extend(self._negation(leaf, frame))
        main = replace(
            _verb(verb, form, agreement, "VERB", event.predicate),
            polarity=VERBS[event.predicate].polarity,
            frame=frame,
        )

        before, after, fronted = self._adjuncts(event, frame, without, fronting=fronting)
        complements = self._complements(event, frame, without, passive=passive)
        predicate = phrase("VP", *before, (HEAD, main), *complements, *after)
        return _Pieces(subject, tuple(auxiliaries), predicate, tuple(fronted))

    def _complements(self, event: Event, frame: int, without: Collection[str], *, passive: bool) -> list[Part]:
        complements: list[Part] = []
        if event.patient is not None and not passive and "patient" not in without:
            node = with_role(self._noun_phrase(event.patient), frame, ROLES["patient"])
            complements.append(("obj", node))
        if event.recipient is not None:
            recipient = self._noun_phrase(event.recipient)
            if complements and self._chance.happens(0.5):
                complements.insert(0, ("iobj", with_role(recipient, frame, ROLES["recipient"])))
            else:
                to = phrase("PP", ("case", _word("IN", "ADP", "to")), (HEAD, recipient))
                complements.append(("obl", with_role(to, frame, ROLES["recipient"])))
        if passive and event.agent is not None and "agent" not in without:
            by = phrase("PP", ("case", _word("IN", "ADP", "by")), (HEAD, self._noun_phrase(event.agent)))
            complements.append(("obl:agent", with_role(by, frame, ROLES["agent"])))
        return complements

    def _adjuncts(
        self, event: Event, frame: int, without: Collection[str], *, fronting: bool
    ) -> tuple[list[Part], list[Part], list[Part]]:
        """The adverbial phrases before the verb, after it, and before the clause."""
        before: list[Part] = []
        after: list[Part] = []
        fronted: list[Part] = []
        if event.degree:
            degree = phrase("ADVP", (HEAD, self._degree(event.degree)))
            before.append(("advmod", with_role(degree, frame, ROLES["degree"])))
        if event.manner:
            word = self._chance.pick(MANNERS[event.manner])
            manner = phrase("ADVP", (HEAD, _word("RB", "ADV", word, concept=event.manner)))
            side = before if self._chance.happens(0.4) else after
            side.append(("advmod", with_role(manner, frame, ROLES["manner"])))
        movable: list[Part] = []
        if event.place is not None and "place" not in without:
            relation = "advmod" if event.place == WHERE else "obl"
            place = with_role(self._prepositional(event.place), frame, ROLES["place"])
            movable.append((relation, place))
        if event.time and "time" not in without:
            relation, time = self._time(event.tense, event.time)
            movable.append((relation, with_role(time, frame, ROLES["time"])))
        if fronting and movable and self._chance.happens(0.3):
            fronted = [movable.pop(), _stop(",")]
        return before, [*after, *(self._chance.shuffled(movable) if len(movable) > 1 else movable)], fronted

    def _time(self, tense: str, time: str) -> Part:
        words = self._chance.pick(TIMES[tense][time]).split()
        leaves = [_word(*TAGS.get(word, ("NN", "NOUN")), word, concept=time) for word in words]
        if leaves[0].upos == "ADV":
            return "advmod", phrase("ADVP", (HEAD, leaves[0]))
        relations = {"DT": "det", "JJ": "amod"}
        start = 1 if leaves[0].category == "IN" else 0
        nominal = phrase("NP", *((relations.get(leaf.category, HEAD), leaf) for leaf in leaves[start:]))
        return ("obl", phrase("PP", ("case", leaves[0]), (HEAD, nominal))) if start else ("obl:tmod", nominal)

    # --- sentences of several clauses ---

    def _coordination(self, first: Clause, joint: Node, second: Clause) -> Node:
        return phrase("S", (HEAD, self._clause(first)), _stop(","), ("cc", joint), ("conj", self._clause(second)))

    def _contrast(self, concession: Clause, main: Clause) -> Node:
        if self._chance.happens(0.5):
            return self._coordination(concession, _word("CC", "CCONJ", "but", concept="but"), main)
        mark = _word("IN", "SCONJ", self._chance.pick(("although", "though")), concept="although")
        aside = phrase("SBAR", ("mark", mark), (HEAD, self._clause(concession)))
        aside = with_role(aside, self._num_frames + 1, "ARGM-ADV")  # the main clause takes the next number
        if self._chance.happens(0.6):
            return widened(self._clause(main), before=[("advcl", aside), _stop(",")])
        return widened(self._clause(main), after=[_stop(","), ("advcl", aside)])

    def _belief(self, holder: Thing, content: Clause, *, negated: bool) -> Node:
        frame = self._new_frame()
        subject = with_role(self._noun_phrase(holder, subject=True), frame, "ARG0")
        agreement = _agreement(holder)
        chain, form = _verb_chain("habitual", passive=False, support=negated)
        auxiliaries: list[Part] = []
        for lemma, auxiliary_form in chain:
            leaf = _verb(lemma, auxiliary_form, agreement, "AUX")
            auxiliaries.extend((("aux", leaf), *self._negation(leaf, frame)))
        verb = self._chance.pick(VERBS["think"].words)
        main = replace(_verb(verb, form, agreement, "VERB", "think"), frame=frame)
        that = [("mark", _word("IN", "SCONJ", "that"))] if self._chance.happens(0.6) else []
        said = with_role(phrase("SBAR", *that, (HEAD, self._clause(content))), frame, "ARG1")
        predicate = phrase("VP", (HEAD, main), ("ccomp", said))
        return phrase("S", ("nsubj", subject), (HEAD, _stacked(auxiliaries, predicate)))

    def _remark(self, thing: Thing) -> tuple[Node, str]:
        how = self._chance.weighted(((0.4, "is"), (0.35, "fragment"), (0.25, "what")))
        if how == "is":
            return self._state(State(Thing("this", determiner=""), verdict=thing)), "."
        nominal = self._noun_phrase(thing)
        if how == "fragment":
            return phrase("NP", (HEAD, nominal)), "."
        return phrase("NP", ("det", _word("WP", "DET", "what")), (HEAD, nominal)), "!"

    # --- questions ---

    def _question(self, event: Event) -> Node:
        frame = self._new_frame()
        asked = next((part for part in ("agent", "patient", "place", "time") if is_asked(getattr(event, part))), "")
        passive = self._may_be_passive(event) and self._chance.happens(0.35)
        subject_part = "patient" if passive else "agent"
        embedded = self._chance.happens(0.3)
        inverted = not embedded and asked != subject_part
        pieces = self._pieces(event, frame, passive=passive, without=(asked,), inverted=inverted)
        asks = [self._asked(event, asked, frame, passive=passive)] if asked else []
        if not inverted:
            subject = [pieces.subject] if pieces.subject else []
            verb_phrase = _stacked(pieces.auxiliaries, pieces.predicate)
            if not embedded:
                return phrase("SBARQ", *asks, (HEAD, phrase("SQ", *subject, (HEAD, verb_phrase))))
            whether = [] if asked else [("mark", _word("IN", "SCONJ", self._chance.pick(("whether", "if"))))]
            body = phrase("S", *subject, (HEAD, verb_phrase))
            return self._request(phrase("SBAR", *whether, *asks, (HEAD, body)))
        first, *others = pieces.auxiliaries
        subject = [pieces.subject] if pieces.subject else []
        body = phrase("SQ", first, *subject, (HEAD, _stacked(others, pieces.predicate)))
        return phrase("SBARQ", *asks, (HEAD, body)) if asks else body

    def _asked(self, event: Event, asked: str, frame: int, *, passive: bool) -> Part:
        """The phrase that opens the question."""
        if asked == "time":
            relation, node = "advmod", phrase("WHADVP", (HEAD, _word("WRB", "ADV", "when")))
        elif asked == "place":
            relation, node = "advmod", self._prepositional(WHERE)
        else:
            thing = event.agent if asked == "agent" else event.patient
            assert isinstance(thing, Thing)
            node = self._noun_phrase(thing)
            relation = {"agent": "nsubj", "patient": "nsubj:pass" if passive else "obj"}[asked]
            if asked == "agent" and passive:
                if thing == WHO:
                    node = phrase("WHNP", (HEAD, _word("WP", "PRON", "whom", "who")))
                relation, node = "obl:agent", phrase("WHPP", ("case", _word("IN", "ADP", "by")), (HEAD, node))
        return relation, with_role(node, frame, ROLES[asked])

    def _request(self, wanted: Node) -> Node:
        """Do you know ...? Can you tell me ...? Does anyone know ...?"""
        frame = self._new_frame()
        opening, person, verb = self._chance.pick(
            (
                (("aux", _word("VBP", "AUX", "do")), "you", "know"),
                (self._modal("can", frame), "you", "tell"),
                (("aux", _word("VBZ", "AUX", "does", "do")), "anyone", "know"),
            )
        )
        subject = with_role(self._noun_phrase(Thing(person, determiner=""), subject=True), frame, "ARG0")
        main = replace(_word("VB", "VERB", verb, concept=verb), frame=frame)
        complements: list[Part] = [("ccomp", with_role(wanted, frame, "ARG1"))]
        if verb == "tell":
            complements.insert(0, ("iobj", with_role(self._noun_phrase(_SPEAKER), frame, "ARG2")))
        predicate = phrase("VP", (HEAD, main), *complements)
        return phrase("SQ", opening, ("nsubj", subject), (HEAD, predicate))

    def _advice(self, event: Event) -> Node:
        """How can I ...? What is the best way to ...? What should I do to ...?"""
        frame = self._new_frame()
        bare = replace(event, tense="future")  # its verb is in the base form; its auxiliary is left out
        verb = self._pieces(bare, frame, passive=False, without=("agent",)).predicate
        how = self._chance.pick(("how", "way", "do"))
        if how == "how":
            wh = with_role(phrase("WHADVP", (HEAD, _word("WRB", "ADV", "how"))), frame, "ARGM-MNR")
            modal = self._chance.pick(("can", "do", "should"))
            auxiliary = ("aux", _word("VBP", "AUX", "do")) if modal == "do" else self._modal(modal, frame)
            speaker = with_role(self._noun_phrase(_SPEAKER, subject=True), frame, "ARG0")
            body = phrase("SQ", auxiliary, ("nsubj", speaker), (HEAD, verb))
            return phrase("SBARQ", ("advmod", wh), (HEAD, body))
        aim = phrase("S", (HEAD, phrase("VP", ("mark", _word("TO", "PART", "to")), (HEAD, verb))))
        return self._best_way(aim) if how == "way" else self._what_to_do(aim)

    def _best_way(self, aim: Node) -> Node:
        best = (
            ("det", _word("DT", "DET", "the")),
            ("amod", _word("JJS", "ADJ", "best", "good")),
            (HEAD, _word("NN", "NOUN", self._chance.pick(("way", "method")), concept="way")),
        )
        return self._what_is(phrase("NP", (HEAD, phrase("NP", *best)), ("acl", aim)), "third")

    def _what_to_do(self, aim: Node) -> Node:
        frame = self._new_frame()
        what = with_role(self._noun_phrase(WHAT), frame, "ARG1")
        speaker = with_role(self._noun_phrase(_SPEAKER, subject=True), frame, "ARG0")
        doing = replace(_word("VB", "VERB", "do", concept="do"), frame=frame)
        predicate = phrase("VP", (HEAD, doing), ("advcl", with_role(aim, frame, "ARGM-PRP")))
        body = phrase("SQ", self._modal("should", frame), ("nsubj", speaker), (HEAD, predicate))
        return phrase("SBARQ", ("obj", what), (HEAD, body))

    def _what_is(self, subject: Node, agreement: Agreement) -> Node:
        """What is ...? The pronoun is the head, and the inverted rest has none of its own."""
        frame = self._new_frame()
        copula = replace(_verb("be", "present", agreement, "AUX", "be"), frame=frame)
        rest = phrase("SQ", ("cop", copula), ("nsubj", with_role(subject, frame, "ARG1")))
        return phrase("SBARQ", (HEAD, with_role(self._noun_phrase(WHAT), frame, "ARG2")), ("", rest))

    def _recommendation(self, thing: Thing) -> Node:
        """What are some good ...? Can you recommend a good ...? Which ... would you recommend?"""
        good = replace(thing, attributes=(Attribute("good"), *thing.attributes))
        how = self._chance.pick(("are", "can", "which"))
        if how == "are":
            return self._what_is(self._noun_phrase(replace(good, determiner="some", plural=True)), "plural")
        frame = self._new_frame()
        person = "you" if how == "which" else self._chance.pick(("you", "anyone"))
        adviser = self._noun_phrase(Thing(person, determiner=""), subject=True)
        subject = ("nsubj", with_role(adviser, frame, "ARG0"))
        verb = self._chance.pick(("recommend", "suggest"))
        main = replace(_word("VB", "VERB", verb, concept="recommend"), frame=frame)
        if how == "can":
            wanted = with_role(self._noun_phrase(replace(good, determiner="a")), frame, "ARG1")
            modal = self._modal(self._chance.pick(("can", "could")), frame)
            return phrase("SQ", modal, subject, (HEAD, phrase("VP", (HEAD, main), ("obj", wanted))))
        asked = with_role(self._noun_phrase(replace(thing, determiner="which", plural=True)), frame, "ARG1")
        body = phrase("SQ", self._modal("would", frame), subject, (HEAD, phrase("VP", (HEAD, main))))
        return phrase("SBARQ", ("obj", asked), (HEAD, body))
