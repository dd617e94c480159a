"""The files of the annotated layers, read independently of how they are written: well formed, and one with another."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mtsearch.data import sample

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Annotated:
    """One sentence as each of the files has it."""

    name: str
    text: str
    rows: list[list[str]]  # CoNLL-U's
    entities: list[list[str]]
    bracketed: str
    props: list[list[str]]
    propositions: list[dict[str, Any]]

    @property
    def words(self) -> list[str]:
        return [row[1] for row in self.rows]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.write(tmp_path_factory.mktemp("sample") / "corpus")


@pytest.fixture(scope="module")
def sentences(corpus: Path) -> dict[str, list[Annotated]]:
    return {split: list(read(corpus, split)) for split in SPLITS}


@pytest.fixture(scope="module")
def articles(corpus: Path) -> dict[str, list[dict[str, Any]]]:
    """The paragraphs of each split."""
    read = {split: json.loads((corpus / "questions" / f"{split}.json").read_bytes()) for split in SPLITS}
    assert {article["version"] for article in read.values()} == {"v2.0"}
    return {split: [each for data in article["data"] for each in data["paragraphs"]] for split, article in read.items()}


def read(corpus: Path, split: str) -> Iterator[Annotated]:
    treebank = blocks(corpus / "treebank" / f"{split}.conllu")
    entities = blocks(corpus / "entities" / f"{split}.conll")
    props = blocks(corpus / "propositions" / f"{split}.conll")
    trees = (corpus / "constituents" / f"{split}.ptb").read_text(encoding="utf-8").splitlines()
    lines = (corpus / "propositions" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    propositions: dict[str, list[dict[str, Any]]] = {}
    for proposition in map(json.loads, lines):
        propositions.setdefault(proposition["sent_id"], []).append(proposition)
    for conllu, bio, tree, columns in zip(treebank, entities, trees, props, strict=True):
        name, text = conllu[0].removeprefix("# sent_id = "), conllu[1].removeprefix("# text = ")
        assert columns[0] == f"# sent_id = {name}"
        yield Annotated(
            name,
            text,
            rows=[line.split("\t") for line in conllu[2:]],
            entities=[line.split("\t") for line in bio],
            bracketed=tree,
            props=[line.split("\t") for line in columns[1:]],
            propositions=propositions.pop(name, []),
        )
    assert not propositions


def blocks(file: Path) -> list[list[str]]:
    text = file.read_text(encoding="utf-8")
    assert text.endswith("\n\n")
    return [block.split("\n") for block in text.removesuffix("\n\n").split("\n\n")]


def constituents(bracketed: str) -> tuple[list[tuple[str, str]], list[tuple[str, int, int]]]:
    """The (tag, word) pairs, and (label, start, end) of all phrases; fails where brackets are not balanced."""
    leaves: list[tuple[str, str]] = []
    phrases: list[tuple[str, int, int]] = []
    stack: list[tuple[str, int]] = []
    for label, tag, word, closing in re.findall(r"\(([^ ()]+) (?=\()|\(([^ ()]+) ([^ ()]+)\)|(\))", bracketed):
        if label:
            stack.append((label, len(leaves)))
        elif tag:
            leaves.append((tag, word))
        elif closing:
            name, start = stack.pop()
            phrases.append((name, start, len(leaves)))
    assert not stack
    assert phrases[-1] == ("ROOT", 0, len(leaves))
    return leaves, phrases


def chunks(tags: list[str]) -> list[tuple[str, int, int]]:
    """The (label, start, end) of BIO tags; fails where an I- has nothing to continue."""
    found: list[tuple[str, int, int]] = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((tag[2:], place, place + 1))
        elif tag != "O":
            label, start, end = found.pop()
            assert (label, end) == (tag[2:], place)
            found.append((label, start, place + 1))
    return found


def column_spans(cells: list[str]) -> list[tuple[str, int, int]]:
    """The (label, start, end) of a column of brackets; fails where they nest or are not balanced."""
    found: list[tuple[str, int, int]] = []
    opened: tuple[str, int] | None = None
    for place, cell in enumerate(cells):
        opening, closing = re.fullmatch(r"(?:\(([^()*]+))?\*(\)?)", cell).groups()  # type: ignore[union-attr]
        if opening:
            assert opened is None
            opened = opening, place
        if closing:
            assert opened is not None
            found.append((*opened, place + 1))
            opened = None
    assert opened is None
    return found


def every(sentences: dict[str, list[Annotated]]) -> Iterator[Annotated]:
    return (sentence for split in SPLITS for sentence in sentences[split])


# --- sentences ---


def test_there_are_as_many_sentences_as_asked_for_and_none_occurs_twice(sentences: dict[str, list[Annotated]]) -> None:
    assert {split: len(each) for split, each in sentences.items()} == sample.DEFAULT_SENTENCES
    texts = [sentence.text for sentence in every(sentences)]
    assert len(texts) == len(set(texts))
    assert len({sentence.name for sentence in every(sentences)}) == len(texts)


def test_all_layers_have_the_same_words_in_the_same_order(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        assert [row[0] for row in sentence.rows] == [str(number) for number in range(1, len(sentence.rows) + 1)]
        assert [word for word, _ in sentence.entities] == sentence.words
        assert [word for _, word in constituents(sentence.bracketed)[0]] == sentence.words
        assert [row[0] for row in sentence.props] == sentence.words
        assert all(each["tokens"] == sentence.words for each in sentence.propositions)


def test_the_text_can_be_put_together_from_the_words(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        spaces = {"_": " ", "SpaceAfter=No": ""}
        assert "".join(row[1] + spaces[row[9]] for row in sentence.rows).rstrip() == sentence.text


# --- the layers, alone and with one another ---


def test_parts_of_speech_are_the_same_in_all_layers_that_have_them(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        tags = [row[4] for row in sentence.rows]
        assert [tag for tag, _ in constituents(sentence.bracketed)[0]] == tags
        assert [row[1] for row in sentence.props] == tags


def test_every_dependency_tree_has_one_root_and_no_cycle(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        heads = [int(row[6]) for row in sentence.rows]
        assert [row[7] for row in sentence.rows if row[6] == "0"] == ["root"]
        for word in range(1, len(heads) + 1):
            passed = {word}
            while word := heads[word - 1]:
                assert word not in passed
                passed.add(word)


def test_every_phrase_has_one_head(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        heads = [int(row[6]) - 1 for row in sentence.rows]
        for label, start, end in constituents(sentence.bracketed)[1]:
            leaving = [place for place in range(start, end) if not start <= heads[place] < end]
            assert len(leaving) == 1 or label == "SQ", sentence.text  # "What [is the best way]?" depends on "what"


def test_every_entity_is_a_noun_phrase_of_proper_nouns(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        _, phrases = constituents(sentence.bracketed)
        for _, start, end in chunks([tag for _, tag in sentence.entities]):
            assert ("NP", start, end) in phrases
            assert {row[3] for row in sentence.rows[start:end]} == {"PROPN"}


def test_every_argument_is_a_phrase_or_a_word(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        phrases = {(start, end) for _, start, end in constituents(sentence.bracketed)[1]}
        for proposition in sentence.propositions:
            predicate = proposition["predicate"]
            arguments = chunks(proposition["tags"])
            assert ("V", predicate, predicate + 1) in arguments
            assert all((start, end) in phrases or end == start + 1 for _, start, end in arguments)
            assert sentence.rows[predicate][3] in ("VERB", "AUX")
            assert proposition["roleset"] == f"{sentence.rows[predicate][2]}.01"


def test_columns_and_json_lines_have_the_same_propositions(sentences: dict[str, list[Annotated]]) -> None:
    for sentence in every(sentences):
        predicates = [place for place, row in enumerate(sentence.props) if row[2] != "-"]
        assert [each["predicate"] for each in sentence.propositions] == predicates
        assert {len(row) for row in sentence.props} == {4 + len(predicates)}
        for number, proposition in enumerate(sentence.propositions):
            spans = column_spans([row[4 + number] for row in sentence.props])
            named = [(label.replace("ARGM-", "AM-").replace("ARG", "A"), *span) for label, *span in spans]
            assert named == chunks(proposition["tags"])
            assert sentence.props[proposition["predicate"]][3] == proposition["roleset"]


# --- what there is to learn ---


def labels(sentence: Annotated) -> Iterator[tuple[str, str]]:
    for row in sentence.rows:
        yield from (("upos", row[3]), ("xpos", row[4]), ("relation", row[7]))
    for _, tag in sentence.entities:
        yield "entity", tag
    for label, _, _ in constituents(sentence.bracketed)[1]:
        yield "phrase", label
    for proposition in sentence.propositions:
        for label, _, _ in chunks(proposition["tags"]):
            yield "argument", label


def test_train_has_every_label_of_dev_and_test(sentences: dict[str, list[Annotated]]) -> None:
    seen = {split: {label for sentence in sentences[split] for label in labels(sentence)} for split in SPLITS}
    assert seen["dev"] | seen["test"] <= seen["train"]


def test_no_layer_is_poor(sentences: dict[str, list[Annotated]]) -> None:
    counts = Counter(label for sentence in sentences["train"] for label in labels(sentence))
    kinds = Counter(layer for layer, _ in counts)
    assert kinds == {"upos": 14, "xpos": 24, "relation": 27, "entity": 7, "phrase": 13, "argument": 14}
    assert min(counts.values()) >= 3
    entities = {tag: counts["entity", tag] for tag in ("B-PER", "B-LOC", "B-ORG")}
    assert min(entities.values()) > 30


@pytest.mark.parametrize(("column", "most_frequent", "frequent_tag"), [(3, 0.25, 0.96), (4, 0.2, 0.94)])
def test_tagging_takes_more_than_the_most_frequent_tag_of_a_word(
    sentences: dict[str, list[Annotated]], column: int, most_frequent: float, frequent_tag: float
) -> None:
    tags: dict[str, Counter[str]] = {}
    for sentence in sentences["train"]:
        for row in sentence.rows:
            tags.setdefault(row[1].lower(), Counter())[row[column]] += 1
    majority = sum(tags.values(), Counter()).most_common(1)
    dev = [row for sentence in sentences["dev"] for row in sentence.rows]
    baseline = [tags.get(row[1].lower(), Counter(dict(majority))).most_common(1)[0][0] for row in dev]
    assert sum(row[column] == majority[0][0] for row in dev) < most_frequent * len(dev)
    assert sum(row[column] == tag for row, tag in zip(dev, baseline, strict=True)) < frequent_tag * len(dev)


# --- questions ---


def test_every_answer_stands_where_it_is_said_to(articles: dict[str, list[dict[str, Any]]]) -> None:
    for paragraphs in articles.values():
        for paragraph in paragraphs:
            assert paragraph["qas"]
            for item in paragraph["qas"]:
                assert item["is_impossible"] == (not item["answers"])
                texts = [answer["text"] for answer in item["answers"]]
                assert len(texts) == len(set(texts))
                for answer in item["answers"]:
                    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
                    assert paragraph["context"][start:end] == answer["text"]


def test_contexts_are_sentences_of_the_split_in_their_order(
    articles: dict[str, list[dict[str, Any]]], sentences: dict[str, list[Annotated]]
) -> None:
    for split, paragraphs in articles.items():
        told = [sentence.text for sentence in sentences[split]]
        contexts = " ".join(paragraph["context"] for paragraph in paragraphs)
        used = [told.index(each) for each in re.split(r"(?<=[.!]) ", contexts)]
        assert used == sorted(set(used))
        assert len(used) > len(told) / 2


def test_no_question_and_no_context_occurs_twice(articles: dict[str, list[dict[str, Any]]]) -> None:
    paragraphs = [paragraph for each in articles.values() for paragraph in each]
    assert len({paragraph["context"] for paragraph in paragraphs}) == len(paragraphs)
    items = [item["id"] for paragraph in paragraphs for item in paragraph["qas"]]
    assert len(items) == len(set(items))
    for paragraph in paragraphs:
        questions = [item["question"] for item in paragraph["qas"]]
        assert len(questions) == len(set(questions))


def test_who_what_where_and_when_are_asked_and_a_third_cannot_be_answered(
    articles: dict[str, list[dict[str, Any]]],
) -> None:
    for paragraphs in articles.values():
        items = [item for paragraph in paragraphs for item in paragraph["qas"]]
        words = Counter(word for item in items for word in set(re.findall(r"\w+", item["question"].lower())))
        assert min(words[word] for word in ("what", "where", "when")) > 0.1 * len(items)
        assert words["who"] + words["whom"] > 0.2 * len(items)
        assert 0.3 < sum(item["is_impossible"] for item in items) / len(items) < 0.4
        assert max(len(item["answers"]) for item in items) >= 3
