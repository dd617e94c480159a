"""The sample corpus: English sentences from a small probabilistic grammar of our own, with labels by construction.

It is what every command runs on when no real data is given. One derivation tree per sentence carries all that is
annotated, and each layer is read off it::

    chance.py       choices that are the same on every machine
    lexicon.py      the words: synonyms, kinds, sentiments, what goes with what
    morphology.py   their inflection
    meaning.py      what a sentence says; how similar two meanings are
    content.py      draws meanings
    edits.py        changes one thing about a meaning
    grammar.py      derives a sentence for a meaning, choosing among the ways to say it
    tree.py         the derivation tree
    layers.py       reads sentiment, parts of speech, entities, brackets, dependencies, propositions off a tree
    examples.py     labelled sentences and pairs, and sentences to annotate
    formats.py      how annotated sentences are written
    questions.py    questions about contexts of annotated sentences
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.examples import (
    Draw,
    Example,
    draw_paraphrase,
    draw_sentences,
    draw_sentiment,
    draw_similarity,
    draw_split,
)
from mtsearch.data.sample.formats import bracketed, conllu, entity_columns, proposition_columns, proposition_lines
from mtsearch.data.sample.questions import squad
from mtsearch.data.sample.tree import Node
from mtsearch.errors import DataError

__all__ = ["ANNOTATED_LAYERS", "DEFAULT_SENTENCES", "DEFAULT_SIZES", "LABELLED_LAYERS", "LAYERS", "VERSION", "write"]

VERSION = 2
"""Changes whenever the files that ``write`` makes from the same arguments change."""

LABELLED_LAYERS: tuple[str, ...] = ("sentiment", "paraphrase", "similarity")
"""The layers of labelled sentences and pairs, each of its own sentences."""

ANNOTATED_LAYERS: tuple[str, ...] = ("treebank", "entities", "constituents", "propositions", "questions")
"""The layers of annotated sentences: all of them annotate the same ones."""

LAYERS: tuple[str, ...] = (*LABELLED_LAYERS, *ANNOTATED_LAYERS)
"""The layers that are written, each in a folder of its name."""

DEFAULT_SIZES: Mapping[str, int] = {"train": 160, "dev": 120, "test": 200}
"""Examples per labelled layer in each split: as few as tell good settings from bad ones, so that a search takes
minutes."""

DEFAULT_SENTENCES: Mapping[str, int] = {"train": 400, "dev": 120, "test": 200}
"""Annotated sentences in each split: train has every label of dev and test."""

_MANIFEST = "corpus.json"
_SEED = "mtsearch 1"  # not VERSION: files that stay the same from one version to the next keep their choices
_LAYERS: Mapping[str, tuple[Draw, tuple[str, ...]]] = {  # what draws an example; the columns after its id
    "sentiment": (draw_sentiment, ("sentence", "sentiment")),
    "paraphrase": (draw_paraphrase, ("sentence1", "sentence2", "is_duplicate")),
    "similarity": (draw_similarity, ("sentence1", "sentence2", "similarity")),
}
_FORMATS: Mapping[str, Callable[[Node, str], str]] = {  # file -> what writes a sentence, given its tree and its name
    "treebank/{split}.conllu": conllu,
    "entities/{split}.conll": entity_columns,
    "constituents/{split}.ptb": bracketed,
    "propositions/{split}.conll": proposition_columns,
    "propositions/{split}.jsonl": proposition_lines,
}


def write(folder: Path, *, seed: int = 13, sizes: Mapping[str, int] | None = None) -> Path:
    """Writes the layers, each in its folder, with a file for each of train, dev and test::

        sentiment/, paraphrase/, similarity/    SPLIT.csv: the CS224N layout (tab-separated, first column a row number)
        treebank/        SPLIT.conllu           parts of speech and dependencies
        entities/        SPLIT.conll            a word and its BIO tag per line
        constituents/    SPLIT.ptb              a bracketed tree per line
        propositions/    SPLIT.conll, .jsonl    semantic roles, in columns and as JSON lines
        questions/       SPLIT.json             SQuAD 2.0: five annotated sentences at a time are a context

    The annotated layers (all but the first three) have the same sentences in the same order; in ``questions`` those
    that ask are left out. The files are a function of the arguments and VERSION alone, on every platform. No sentence
    of a layer occurs twice, whether in two splits or in one, and a smaller train split is the beginning of a larger
    one (but for the last context of ``questions``). The folder appears at once and complete; several processes may
    write it at the same time.

    Args:
        folder: where the corpus goes. If the same corpus is already there, it is left as it is.
        seed: another seed, another corpus.
        sizes: examples per labelled layer, and annotated sentences, in train, dev and test; those left out are as in
            DEFAULT_SIZES and DEFAULT_SENTENCES.

    Returns:
        The folder.

    Raises:
        DataError: a split is unknown or its size negative; the folder holds something else.
    """
    _check_sizes(sizes or {})
    num_examples = {**DEFAULT_SIZES, **(sizes or {})}
    num_sentences = {**DEFAULT_SENTENCES, **(sizes or {})}
    parameters = {"version": VERSION, "seed": seed, "sizes": num_examples, "sentences": num_sentences}
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        return _confirmed(folder, parameters)
    files = {
        f"{layer}/{split}.csv": text
        for layer in LABELLED_LAYERS
        for split, text in _labelled_files(layer, seed, num_examples).items()
    }
    files |= _annotated_files(seed, num_sentences)
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sorted(files.items())}
    files[_MANIFEST] = json.dumps({**parameters, "sha256": digests}, indent=1) + "\n"

    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        draft.chmod(0o755)  # mkdtemp's 0o700 would keep other users of a shared folder out
        for path, text in files.items():
            (draft / path).parent.mkdir(exist_ok=True)
            (draft / path).write_bytes(text.encode())
        try:
            draft.rename(folder)
        except OSError:  # another process was quicker; only a folder that is not empty resists
            if not folder.is_dir():
                raise
            return _confirmed(folder, parameters)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check_sizes(sizes: Mapping[str, int]) -> None:
    for split, size in sizes.items():
        if split not in DEFAULT_SIZES:
            raise DataError(f"sample corpus: '{split}' is not a split; choose train, dev or test")
        if size < 0:
            raise DataError(f"sample corpus: the size of a split must be at least 0, but got {split}={size}")


def _confirmed(folder: Path, parameters: Mapping[str, object]) -> Path:
    """The folder, if what it holds is the corpus with these parameters, unchanged."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        whole = all(
            hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest
            for path, digest in manifest.pop("sha256").items()
        )
    except (OSError, ValueError, KeyError, AttributeError):
        manifest, whole = None, False
    if manifest == parameters and whole:
        return folder
    raise DataError(
        f"{folder}: the sample corpus (version {VERSION}, seed {parameters['seed']}) goes into a new or empty "
        "folder, but this one holds something else; choose another folder or remove this one"
    )


def _labelled_files(layer: str, seed: int, sizes: Mapping[str, int]) -> dict[str, str]:
    draw, columns = _LAYERS[layer]
    seen: set[str] = set()
    texts = {}
    for split in ("test", "dev", "train"):  # train last: its size then changes neither dev nor test
        chance = Chance(f"{_SEED} {layer} {split} {seed}")
        texts[split] = _table(layer, columns, list(draw_split(draw, chance, sizes[split], seen)))
    return texts


def _annotated_files(seed: int, sizes: Mapping[str, int]) -> dict[str, str]:
    seen: set[str] = set()
    files = {}
    for split in ("test", "dev", "train"):  # as above
        chance = Chance(f"{_SEED} annotated {split} {seed}")
        sentences = list(draw_sentences(chance, sizes[split], seen))
        for path, written in _FORMATS.items():
            texts = [written(sentence.tree, f"{split}-{number}") for number, sentence in enumerate(sentences, 1)]
            files[path.format(split=split)] = "".join(texts)
        title = f"Sample corpus, {split}"
        files[f"questions/{split}.json"] = squad(sentences, title, f"{_SEED} questions {split} {seed}")
    return files


def _table(layer: str, columns: tuple[str, ...], examples: list[Example]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("", "id", *columns))
    for number, example in enumerate(examples):
        sentences = [sentence.text for sentence in example.sentences]
        identity = hashlib.sha256("\t".join((layer, *sentences)).encode()).hexdigest()[:25]
        writer.writerow((number, identity, *sentences, example.label))
    return text.getvalue()
