"""The words, what they mean and what goes with what: data, and how to look it up.

A *concept* is what synonyms share; it is named by its first word. In the tables ``film/movie`` is one concept
with two words, and ``~bread`` is a mass noun, which has no plural and takes no "a".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Agreement: TypeAlias = Literal["first", "third", "plural"]
"""The forms of a verb in the present: am, is, are."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A common noun: its synonyms, its kind, and whether it is a mass noun."""

    words: tuple[str, ...]
    kind: str
    mass: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """A proper name: its tokens, its kind and its entity type (PER, LOC, ORG)."""

    words: tuple[str, ...]
    kind: str
    entity: str


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A pronoun: its form as a subject and otherwise, and the agreement of its verb."""

    subject: str
    other: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: its synonyms, its group, its sentiment, and what it can be done to (concepts of nouns).

    Groups: deed (to a thing), contact (with a person), transfer (of a thing to a person), solo (intransitive), and
    for opinions feel (people feel it about things), affect (things do it to people), shape (one thing does it to
    another) and plain (no sentiment). ``skill`` marks what one may ask advice about.
    """

    words: tuple[str, ...]
    group: str
    polarity: float = 0.0
    objects: tuple[str, ...] = ()
    skill: bool = False


@dataclass(frozen=True, slots=True)
class Quality:
    """An adjective: its synonyms and its sentiment, from -2 to 2."""

    words: tuple[str, ...]
    polarity: float = 0.0


@dataclass(frozen=True, slots=True)
class Degree:
    """An intensifier: its synonyms and what it multiplies sentiment by."""

    words: tuple[str, ...]
    scale: float


def _concepts(table: str) -> list[tuple[str, ...]]:
    return [tuple(entry.strip().split("/")) for entry in table.split(",")]


# --- nouns -----------------------------------------------------------------------------------------------------

_NOUNS = {
    "person": (
        "chef/cook, waiter, customer, baker, critic/reviewer, director, actor, producer, writer/author, engineer, "
        "journalist/reporter, mechanic, manager, assistant, lawyer/attorney, doctor/physician, nurse, teacher, "
        "student, scientist/researcher, biologist, astronomer, professor, pilot, tourist/traveler, guide, driver, "
        "photographer, farmer, gardener, coach/trainer, runner, goalkeeper, swimmer, referee, musician, violinist, "
        "painter, neighbor, man, woman, boy, girl, child/kid, visitor, friend, sister, brother"
    ),
    "animal": "dog, cat, horse, rabbit, goat, duck, pony",
    "food": (
        "onion, tomato, carrot, potato, mushroom, apple, cake, pie, sandwich, salad, pizza, pancake, omelet, burger, "
        "dessert, ~bread, ~soup, ~pasta, ~food, ~breakfast, ~coffee, ~fish"
    ),
    "work": (
        "film/movie, documentary, book, novel, article, report, letter, poem, speech, song, script, plot, ending, "
        "lecture/talk, play, exhibition, argument, thesis"
    ),
    "feature": "menu, soundtrack, design, atmosphere, defense, view, ~service, ~acting, ~dialogue, ~training",
    "crew": "cast, staff, team, orchestra",
    "instrument": "guitar, piano, violin, flute, trumpet, drum, cello",
    "thing": (
        "bicycle/bike, car/automobile, lamp, table, camera, computer, phone/telephone, ticket, suitcase, ball, "
        "umbrella, chair, pump, engine, radio, clock, boat, fence, roof, door, window, telescope, map"
    ),
    "building": (
        "bridge, hotel, museum, library, station, tower, theater, restaurant, laboratory/lab, stadium, school, "
        "office, house, castle, bakery, hostel, cafe, room"
    ),
    "area": "park, garden, beach, kitchen, street, market, airport, harbor, river, lake, pool, forest, field",
    "event": "meeting, tour, match/game, race, concert, course/class, party, trip/journey, exam/test",
    "finding": "planet, star, comet, virus, protein, fossil, signal, volcano, glacier, cave",
    "prize": "prize/award, medal, trophy",
    "subject": "~chess, ~music, ~history, ~astronomy, ~gardening, ~photography, ~geology, ~statistics, ~cooking",
    "garment": "coat, hat, shirt, jacket, sweater, scarf",
    "verdict": (
        "success, delight/joy, triumph, masterpiece, treat, failure/flop, disappointment/letdown, mess, disaster, "
        "nightmare"
    ),
    "virtue": "~charm, ~humor/~wit, ~warmth, ~energy, ~depth, ~imagination, ~style",
    "act": "visit, interview, review, call, order, purchase, repair, delay, study, sketch, ride, dance, run, swim",
}
POLAR_NOUNS: Mapping[str, float] = {
    "success": 1, "delight": 1, "treat": 1, "triumph": 2, "masterpiece": 2,
    "failure": -1, "disappointment": -1, "mess": -1, "disaster": -2, "nightmare": -2,
    "charm": 1, "humor": 1, "warmth": 1, "energy": 1, "depth": 1, "imagination": 1, "style": 1,
}  # fmt: skip

NOUNS: Mapping[str, Noun] = {
    words[0].lstrip("~"): Noun(tuple(word.lstrip("~") for word in words), kind, words[0].startswith("~"))
    for kind, table in _NOUNS.items()
    for words in _concepts(table)
}
NAMES: Mapping[str, Name] = {
    text: Name(tuple(text.split()), kind, entity)
    for kind, entity, table in (
        (
            "person",
            "PER",
            "Maria, Daniel, Sofia, Samuel, Hana, Omar, Clara, Victor, Mira Halvorn, Jonas Petrell, Aisha Norbane, "
            "Leo Carvane, Nadia Ostrell, Felix Tarrow, Ines Marlund, Hugo Bellandry",
        ),
        (
            "city",
            "LOC",
            "Lisbon, Oslo, Lima, Vienna, Dublin, Prague, Cairo, Boston, Geneva, Hanoi, Nairobi, Toronto, New Delhi, "
            "Cape Town, Buenos Aires",
        ),
        (
            "organization",
            "ORG",
            "Larkfield University, Northmoor College, Tarn Valley Press, Brackwell Laboratories, Eastgate Museum, "
            "Fernhill Railways",
        ),
        (
            "institution",
            "ORG",
            "Geneva Press, Lisbon Laboratories, Oslo Railways, Cape Town College, New Delhi Museum, Boston Foundries, "
            "Halvorn Press, Tarrow Laboratories, Petrell College, Carvane Foundries, Marlund, Brackwell, Fernhill",
        ),
    )
    for (text,) in _concepts(table)
}
PRONOUNS: Mapping[str, Pronoun] = {
    "I": Pronoun("I", "me", "first"),
    "we": Pronoun("we", "us", "plural"),
    "you": Pronoun("you", "you", "plural"),
    "this": Pronoun("this", "this", "third"),
    "everyone": Pronoun("everyone", "everyone", "third"),
    "anyone": Pronoun("anyone", "anyone", "third"),
}
NUMERALS: tuple[str, ...] = ("two", "three", "four")


def kind_of(concept: str) -> str:
    """The kind of a noun, a name or a pronoun: person, city, food ..."""
    if concept in NAMES:
        return NAMES[concept].kind
    if concept in NOUNS:
        return NOUNS[concept].kind
    return "pronoun"


# --- qualities -------------------------------------------------------------------------------------------------

_NEUTRAL_QUALITIES = {  # by kind of noun
    "person": "young, elderly/old, tall, famous/renowned, experienced/seasoned",
    "animal": "small/little, large/big, brown, black, white",
    "food": "fresh, cold, organic",
    "work": "short/brief, long/lengthy, new/recent, famous/renowned",
    "instrument": "new, old, wooden, expensive/costly",
    "thing": "new, old, red, blue, green, small/little, large/big, expensive/costly",
    "building": "new, old, small/little, large/big, modern, historic",
    "area": "small/little, large/big, quiet/peaceful, busy",
    "event": "short/brief, long/lengthy, annual/yearly, local",
    "act": "short/brief, long/lengthy",
    "finding": "distant/remote, tiny, rare/uncommon, unknown",
    "garment": "red, blue, green, black, white",
}
_POLAR_QUALITIES: Mapping[str, Mapping[float, str]] = {  # by kind of noun, "" for all; sentiment -> words
    "": {
        2: "excellent/superb, wonderful/marvelous, outstanding, brilliant, fantastic",
        1: "good, nice, pleasant, impressive, enjoyable, satisfying",
        -1: "bad, poor, disappointing, mediocre, weak, unpleasant",
        -2: "terrible/awful, dreadful/horrible, appalling, abysmal",
    },
    "work": {
        2: "gripping, captivating/enthralling, unforgettable",
        1: "funny/amusing, clever/smart, moving/touching, original/inventive, insightful, thoughtful",
        -1: "predictable, dull/boring, clumsy, confusing, shallow, repetitive",
        -2: "tedious, incoherent, unbearable",
    },
    "food": {
        2: "delicious, exquisite",
        1: "tasty, juicy, appetizing",
        -1: "bland/tasteless, stale, greasy, soggy",
        -2: "inedible, disgusting/revolting",
    },
    "person": {
        2: "inspiring, extraordinary",
        1: "friendly, helpful, polite, attentive, talented/gifted, patient",
        -1: "careless, lazy, impatient, unhelpful, clumsy",
        -2: "arrogant, incompetent, obnoxious",
    },
    "building": {
        2: "gorgeous, magnificent/splendid",
        1: "clean, cozy, spacious/roomy, comfortable, charming",
        -1: "dirty, noisy, cramped, shabby, gloomy",
        -2: "filthy, hideous",
    },
    "event": {
        2: "thrilling, inspiring, unforgettable",
        1: "lively, exciting, useful, instructive",
        -1: "tiring, chaotic, pointless, dull/boring",
        -2: "miserable, unbearable",
    },
}
_POLAR_KINDS = {"crew": "person"}  # kinds that share another kind's polar qualities

QUALITIES: Mapping[str, Quality] = {
    words[0]: Quality(words, polarity)
    for kind in ("neutral", *_POLAR_QUALITIES)
    for polarity, table in (
        {0.0: ", ".join(_NEUTRAL_QUALITIES.values())} if kind == "neutral" else _POLAR_QUALITIES[kind]
    ).items()
    for words in _concepts(table)
}


def neutral_qualities(kind: str) -> tuple[str, ...]:
    """The adjectives without sentiment that go with a kind of noun."""
    return tuple(words[0] for words in _concepts(_NEUTRAL_QUALITIES[kind])) if kind in _NEUTRAL_QUALITIES else ()


def polar_qualities(kind: str, polarity: float) -> tuple[str, ...]:
    """The adjectives with this sentiment that go with a kind of noun: those for all, and the kind's own."""
    tables = [_POLAR_QUALITIES[""]]
    if (own := _POLAR_KINDS.get(kind, kind)) in _POLAR_QUALITIES:
        tables.append(_POLAR_QUALITIES[own])
    return tuple(words[0] for table in tables for words in _concepts(table[polarity]))


DEGREES: Mapping[str, Degree] = {
    "very": Degree(("very",), 1.5),
    "extremely": Degree(("extremely", "incredibly"), 1.75),
    "absolutely": Degree(("absolutely", "truly"), 1.25),
    "fairly": Degree(("fairly", "reasonably"), 0.6),
    "slightly": Degree(("slightly", "somewhat"), 0.5),
    "particularly": Degree(("particularly", "especially"), 1.0),
    "really": Degree(("really", "thoroughly"), 1.5),
}

# --- verbs -----------------------------------------------------------------------------------------------------


def _deeds(table: Mapping[str, str], *, skill: bool) -> dict[str, Verb]:
    return {
        (words := tuple(verb.split("/")))[0]: Verb(words, "deed", objects=tuple(objects.split()), skill=skill)
        for verb, objects in table.items()
    }


def _group(group: str, polar: Mapping[float, str]) -> dict[str, Verb]:
    return {words[0]: Verb(words, group, polarity) for polarity, table in polar.items() for words in _concepts(table)}


_GIFTS = "book letter ticket camera map umbrella report novel phone bicycle lamp"
VERBS: Mapping[str, Verb] = {
    **_deeds(
        {
            "prepare": "omelet soup salad pizza pasta pancake dessert breakfast",
            "slice/cut": "onion tomato carrot cake bread mushroom potato",
            "bake": "cake pie bread pizza potato",
            "write": "script song poem play novel speech report letter",
            "review": "film documentary book play novel article restaurant hotel exhibition",
            "play": "guitar piano violin flute trumpet drum cello",
            "tune": "guitar piano violin cello drum",
            "photograph": "castle bridge tower volcano glacier star comet horse",
            "reserve/book": "room table ticket",
            "repair/fix": "engine pump bicycle car computer clock roof door fence radio boat piano guitar camera",
            "design": "bridge engine lamp chair library station car",
            "build/construct": "bridge fence boat tower house table telescope",
            "clean": "window car engine lamp computer telescope room",
            "sell": "car boat house bicycle camera piano computer guitar",
            "buy/purchase": "car boat house bicycle camera piano computer guitar ticket coat hat lamp",
            "paint": "fence door house boat chair roof",
            "draw/sketch": "castle bridge horse map dog tower fossil",
            "study/investigate": "glacier virus protein volcano star planet fossil",
            "observe": "comet star volcano planet glacier",
            "organize/arrange": "race tour concert party meeting exhibition course trip",
            "feed": "dog cat horse rabbit goat duck pony",
            "train": "dog horse pony",
        },
        skill=True,
    ),
    **_deeds(
        {
            "order": "pizza salad soup burger coffee dessert cake",
            "serve": "soup pasta cake pie dessert coffee salad",
            "taste/sample": "soup pie cake bread dessert",
            "eat": "sandwich apple pancake burger salad pizza",
            "direct": "film documentary play",
            "watch": "film documentary play match race",
            "finish/complete": "script film documentary novel report thesis",
            "read": "script letter novel article poem report book map",
            "carry": "suitcase ball table lamp chair guitar drum dog",
            "visit": "museum castle beach harbor library market exhibition restaurant cafe hotel hostel",
            "explore": "cave castle forest harbor glacier",
            "cancel": "tour trip party meeting concert exhibition",
            "inspect/examine": "bridge roof engine pump boat tower telescope",
            "discover": "planet comet virus fossil protein cave",
            "measure": "glacier star signal comet bridge",
            "detect": "signal planet virus comet",
            "win": "race match medal trophy prize",
            "lose": "race match medal trophy ticket phone umbrella",
            "attend": "race match concert lecture meeting party course",
            "join": "tour trip party meeting course",
            "postpone/delay": "race match concert meeting exam trip",
            "throw": "ball hat",
            "catch": "ball fish rabbit",
            "wash": "dog horse car shirt window coat",
            "chase/pursue": "dog cat rabbit goat duck",
            "ride": "horse pony bicycle",
        },
        skill=False,
    ),
    **_group(
        "contact",
        {
            0: "help/assist, thank, call/phone, invite, interview, praise/commend, criticize, hire/employ, "
            "greet/welcome, warn, meet"
        },
    ),
    **{verb: Verb((verb,), "transfer", objects=tuple(_GIFTS.split())) for verb in ("give", "send", "show", "lend")},
    **{
        words[0]: Verb(words, "solo", objects=tuple(areas.split()))
        for words, areas in (
            (("run", "jog"), "park beach street forest field"),
            (("dance",), "street park garden beach"),
            (("sing",), "street park garden kitchen market"),
            (("laugh",), "kitchen garden street park"),
            (("wait",), "airport station harbor street"),
            (("sleep",), "garden park airport station field"),
            (("swim",), "river lake pool"),
            (("rest", "relax"), "garden park forest beach field"),
        )
    },
    **_group(
        "feel",
        {2: "love/adore", 1: "enjoy/like, admire, recommend", -1: "dislike, regret", -2: "hate/detest"},
    ),
    **_group(
        "affect",
        {
            2: "delight/thrill, amaze/astonish",
            1: "impress, charm, entertain/amuse",
            -1: "disappoint, bore, annoy/irritate, frustrate",
            -2: "disgust/appall",
        },
    ),
    **_group("shape", {1: "save/rescue, improve/enhance", -1: "weaken, waste", -2: "ruin/spoil"}),
    **_group("plain", {0: "have, follow, cover, stand, open, start/begin, think/believe"}),
}

ACTS: Mapping[str, tuple[str, ...]] = {  # verb -> nouns, each spelled like a verb, that it can also be done to
    verb: tuple(acts.split())
    for verb, acts in {
        "cancel": "visit interview order purchase repair ride dance",
        "postpone": "visit interview review call repair study run",
        "organize": "visit interview ride dance run swim",
        "observe": "dance repair delay",
        "watch": "interview dance ride run swim",
        "finish": "review study sketch call repair",
        "review": "study sketch order",
        "study": "sketch review delay",
    }.items()
}


def verbs_of(group: str) -> tuple[str, ...]:
    """The verbs of a group."""
    return tuple(concept for concept, verb in VERBS.items() if verb.group == group)


# --- time, manner, place ---------------------------------------------------------------------------------------

TIMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # tense -> concept -> forms
    "past": {
        text: (text,)
        for text in (
            *("yesterday", "last night", "last week", "last month", "last summer", "last year"),
            *("on Monday", "on Tuesday", "on Sunday", "in March", "in October"),
        )
    },
    "future": {
        text: (text,)
        for text in ("tomorrow", "next week", "next month", "next summer", "on Friday", "on Saturday", "in May")
    },
    "progressive": {"now": ("now", "at the moment"), "today": ("today",), "this afternoon": ("this afternoon",)},
    "habitual": {"every day": ("every day",), "every week": ("every week",), "every summer": ("every summer",)},
}
TAGS: Mapping[str, tuple[str, str]] = {  # words of the times -> (tag, universal tag)
    **dict.fromkeys(("on", "in", "at"), ("IN", "ADP")),
    **dict.fromkeys(("the", "this", "every"), ("DT", "DET")),
    **dict.fromkeys(("last", "next"), ("JJ", "ADJ")),
    **dict.fromkeys(("Monday", "Tuesday", "Friday", "Saturday", "Sunday"), ("NNP", "PROPN")),
    **dict.fromkeys(("March", "May", "October"), ("NNP", "PROPN")),
    "now": ("RB", "ADV"),
}
MANNERS: Mapping[str, tuple[str, ...]] = {
    words[0]: words
    for words in _concepts(
        "carefully/cautiously, quickly/rapidly, quietly/silently, slowly, patiently, cheerfully/happily, "
        "secretly, proudly"
    )
}
PREPOSITIONS: Mapping[str, str] = {  # noun -> the preposition that places something there
    **dict.fromkeys(("park", "garden", "kitchen", "street", "forest", "field"), "in"),
    **dict.fromkeys(("river", "lake", "pool", "library", "office", "laboratory", "castle", "theater"), "in"),
    **dict.fromkeys(("market", "airport", "station", "harbor", "museum", "school", "stadium"), "at"),
    **dict.fromkeys(("restaurant", "bakery", "hotel"), "at"),
    "beach": "on",
}

# --- domains ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Domain:
    """Who does what where: concepts of people, of deeds and of places."""

    people: tuple[str, ...]
    deeds: tuple[str, ...]
    places: tuple[str, ...]


def _domain(people: str, deeds: str, places: str) -> Domain:
    return Domain(tuple(people.split()), tuple(deeds.split()), tuple(places.split()))


DOMAINS: Mapping[str, Domain] = {
    "restaurants": _domain(
        "chef waiter customer baker critic",
        "prepare slice bake order serve taste eat review",
        "kitchen market restaurant bakery hotel",
    ),
    "films": _domain(
        "director actor critic producer writer journalist",
        "write review direct watch finish read",
        "theater library hotel street",
    ),
    "music": _domain(
        "musician violinist teacher student girl boy neighbor",
        "play tune repair write attend organize",
        "park theater school garden street",
    ),
    "travel": _domain(
        "tourist guide pilot photographer painter driver",
        "photograph reserve visit explore cancel carry draw lose organize",
        "harbor airport station hotel beach castle",
    ),
    "work": _domain(
        "engineer mechanic manager assistant lawyer farmer",
        "repair design build clean sell buy paint inspect cancel",
        "office station harbor street school",
    ),
    "science": _domain(
        "scientist biologist astronomer student professor engineer",
        "study observe discover measure detect photograph draw build finish",
        "laboratory museum library school",
    ),
    "sport": _domain(
        "coach runner goalkeeper swimmer referee journalist",
        "win lose attend postpone organize throw catch watch",
        "stadium park school field",
    ),
    "home": _domain(
        "man woman boy girl child neighbor gardener",
        "feed train chase wash ride carry paint throw catch buy",
        "garden park street field beach",
    ),
}


# --- opinions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Topic:
    """What opinions are about.

    Args:
        wholes: nouns for the whole thing.
        parts: nouns for its parts.
        joint: the preposition between a part and the whole.
        dealings: verbs for what "I" or "we" do with the whole.
        facts: verbs that state something about the whole without judging it.
    """

    wholes: tuple[str, ...]
    parts: tuple[str, ...]
    joint: str
    dealings: tuple[str, ...]
    facts: tuple[str, ...]


def _topic(wholes: str, parts: str, joint: str, dealings: str, facts: str) -> Topic:
    return Topic(tuple(wholes.split()), tuple(parts.split()), joint, tuple(dealings.split()), tuple(facts.split()))


TOPICS: tuple[Topic, ...] = (
    _topic(
        "film documentary play",
        "script plot ending acting soundtrack dialogue cast director",
        "of",
        "watch review",
        "follow",
    ),
    _topic("book novel", "plot ending dialogue argument", "of", "read review", "follow"),
    _topic("restaurant cafe", "food soup dessert service menu staff waiter", "at", "visit", "stand open"),
    _topic("hotel hostel", "room breakfast view staff service manager", "at", "visit", "stand open"),
    _topic("museum exhibition", "design guide atmosphere staff", "of", "visit", "open"),
    _topic("course lecture", "argument teacher training", "of", "attend", "cover start"),
    _topic("match", "atmosphere defense team ending", "of", "attend watch", "start"),
    _topic("concert", "atmosphere orchestra ending violinist", "at", "attend", "start"),
    _topic("tour trip", "guide food driver", "of", "join", "start"),
)
