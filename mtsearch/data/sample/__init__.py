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
    examples.py     labelled sentences and pairs
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mtsearch.data.sample.chance import Chance
from mtsearch.data.sample.examples import Draw, Example, draw_paraphrase, draw_sentiment, draw_similarity, draw_split
from mtsearch.errors import DataError

__all__ = ["DEFAULT_SIZES", "LAYERS", "VERSION", "write"]

VERSION = 1
"""Changes whenever the files that ``write`` makes from the same arguments change."""

LAYERS: tuple[str, ...] = ("sentiment", "paraphrase", "similarity")
"""The layers that are written, each in a folder of its name."""

DEFAULT_SIZES: Mapping[str, int] = {"train": 160, "dev": 120, "test": 200}
"""Examples per layer in each split: as few as tell good settings from bad ones, so that a search takes minutes."""

_MANIFEST = "corpus.json"
_LAYERS: Mapping[str, tuple[Draw, tuple[str, ...]]] = {  # what draws an example; the columns after its id
    "sentiment": (draw_sentiment, ("sentence", "sentiment")),
    "paraphrase": (draw_paraphrase, ("sentence1", "sentence2", "is_duplicate")),
    "similarity": (draw_similarity, ("sentence1", "sentence2", "similarity")),
}


def write(folder: Path, *, seed: int = 13, sizes: Mapping[str, int] | None = None) -> Path:
    """Writes ``LAYER/{train,dev,test}.csv`` in the CS224N layout (tab-separated, first column a row number).

    The files are a function of the arguments and VERSION alone, on every platform. No sentence of a layer occurs
    twice, whether in two splits or in one, and a smaller train split is the beginning of a larger one. The folder
    appears at once and complete; several processes may write it at the same time.

    Args:
        folder: where the corpus goes. If the same corpus is already there, it is left as it is.
        seed: another seed, another corpus.
        sizes: examples per layer in train, dev and test; those left out are as in DEFAULT_SIZES.

    Returns:
        The folder.

    Raises:
        DataError: a split is unknown or its size negative; the folder holds something else.
    """
    sizes = _checked_sizes(sizes or {})
    parameters = {"version": VERSION, "seed": seed, "sizes": dict(sizes)}
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        return _confirmed(folder, parameters)
    files = {
        f"{layer}/{split}.csv": text for layer in LAYERS for split, text in _layer_files(layer, seed, sizes).items()
    }
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


def _checked_sizes(sizes: Mapping[str, int]) -> Mapping[str, int]:
    for split, size in sizes.items():
        if split not in DEFAULT_SIZES:
            raise DataError(f"sample corpus: '{split}' is not a split; choose train, dev or test")
        if size < 0:
            raise DataError(f"sample corpus: the size of a split must be at least 0, but got {split}={size}")
    return {**DEFAULT_SIZES, **sizes}


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


def _layer_files(layer: str, seed: int, sizes: Mapping[str, int]) -> dict[str, str]:
    draw, columns = _LAYERS[layer]
    seen: set[str] = set()
    texts = {}
    for split in ("test", "dev", "train"):  # train last: its size then changes neither dev nor test
        chance = Chance(f"mtsearch {VERSION} {layer} {split} {seed}")
        texts[split] = _table(layer, columns, list(draw_split(draw, chance, sizes[split], seen)))
    return texts


def _table(layer: str, columns: tuple[str, ...], examples: list[Example]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("", "id", *columns))
    for number, example in enumerate(examples):
        sentences = [sentence.text for sentence in example.sentences]
        identity = hashlib.sha256("\t".join((layer, *sentences)).encode()).hexdigest()[:25]
        writer.writerow((number, identity, *sentences, example.label))
    return text.getvalue()
