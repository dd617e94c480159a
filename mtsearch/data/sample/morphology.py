"""Inflection: regular English by rule, the rest by table."""

from __future__ import annotations

import re

_PLURALS = {"man": "men", "woman": "women", "child": "children", "fish": "fish", "scarf": "scarves", "thesis": "theses"}
# verb -> (past, past participle)
_PASTS = {
    "be": ("was", "been"),
    "beat": ("beat", "beaten"),
    "begin": ("began", "begun"),
    "build": ("built", "built"),
    "buy": ("bought", "bought"),
    "catch": ("caught", "caught"),
    "cut": ("cut", "cut"),
    "do": ("did", "done"),
    "draw": ("drew", "drawn"),
    "eat": ("ate", "eaten"),
    "feed": ("fed", "fed"),
    "find": ("found", "found"),
    "give": ("gave", "given"),
    "have": ("had", "had"),
    "hide": ("hid", "hidden"),
    "lend": ("lent", "lent"),
    "lose": ("lost", "lost"),
    "meet": ("met", "met"),
    "read": ("read", "read"),
    "ride": ("rode", "ridden"),
    "run": ("ran", "run"),
    "see": ("saw", "seen"),
    "sell": ("sold", "sold"),
    "send": ("sent", "sent"),
    "show": ("showed", "shown"),
    "sing": ("sang", "sung"),
    "sit": ("sat", "sat"),
    "sleep": ("slept", "slept"),
    "stand": ("stood", "stood"),
    "swim": ("swam", "swum"),
    "take": ("took", "taken"),
    "teach": ("taught", "taught"),
    "tell": ("told", "told"),
    "think": ("thought", "thought"),
    "throw": ("threw", "thrown"),
    "win": ("won", "won"),
    "write": ("wrote", "written"),
}
_PRESENTS = {"be": "is", "do": "does", "have": "has"}
_DOUBLED = re.compile(r"[^aeiou]*[aeiou][bdgklmnprt]")
_VOWEL_SOUND = re.compile(r"(?!us[eu]|uni[qvf]|one)[aeiou]|hour|honest")


def _with_s(word: str) -> str:
    if re.search(r"(s|x|z|ch|sh)$", word) or word in {"potato", "tomato", "go", "do"}:
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def _doubled(verb: str) -> str:
    return verb + verb[-1] if _DOUBLED.fullmatch(verb) or verb in {"begin", "regret"} else verb


def plural(noun: str) -> str:
    """film -> films, child -> children."""
    return _PLURALS.get(noun, _with_s(noun))


def third_person(verb: str) -> str:
    """carry -> carries, have -> has."""
    return _PRESENTS.get(verb, _with_s(verb))


def past(verb: str) -> str:
    """repair -> repaired, write -> wrote."""
    return _PASTS[verb][0] if verb in _PASTS else _regular_past(verb)


def participle(verb: str) -> str:
    """The past participle: repair -> repaired, write -> written."""
    return _PASTS[verb][1] if verb in _PASTS else _regular_past(verb)


def gerund(verb: str) -> str:
    """slice -> slicing, run -> running."""
    if verb.endswith("e") and verb not in {"be", "see"}:
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def indefinite_article(next_word: str) -> str:
    """a or an, by how the next word sounds."""
    return "an" if _VOWEL_SOUND.match(next_word.lower()) else "a"


def _regular_past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ied"
    return _doubled(verb) + "ed"
