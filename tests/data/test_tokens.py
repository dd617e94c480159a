"""The token cache: what is in it, that it is shared, and that damage is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mtsearch.data.cache import cache_folder
from mtsearch.data.examples import Example
from mtsearch.data.tokens import TokenTable, tokenise

TEXTS = [("the film was good .", "a dull book ."), ("bad", "this song was lovely , very lovely .")]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(tiny_encoder)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))


def examples(texts: list[tuple[str, ...]]) -> list[Example]:
    return [Example(str(i), row, "0", i + 2, tuple(row[0].split())) for i, row in enumerate(texts)]


def ids(table: TokenTable, column: str = "ids") -> list[list[int]]:
    ragged = table.columns[column]
    return [ragged.values[a:b].tolist() for a, b in zip(ragged.offsets[:-1], ragged.offsets[1:], strict=True)]


def cache_files() -> list[Path]:
    return sorted((cache_folder() / "tokens").glob("*"))


def test_a_pair_is_one_sequence_as_the_tokenizer_makes_it(tokenizer: PreTrainedTokenizerFast) -> None:
    table = tokenise(examples(TEXTS), tokenizer, "pair", 64, "k")
    expected = tokenizer([a for a, _ in TEXTS], [b for _, b in TEXTS])
    assert ids(table) == expected["input_ids"]
    assert ids(table, "types") == expected["token_type_ids"]
    assert table.num_cut == 0


def test_siamese_texts_are_two_sequences(tokenizer: PreTrainedTokenizerFast) -> None:
    table = tokenise(examples(TEXTS), tokenizer, "siamese", 64, "k")
    assert ids(table) == tokenizer([a for a, _ in TEXTS])["input_ids"]
    assert ids(table, "ids_2") == tokenizer([b for _, b in TEXTS])["input_ids"]


def test_words_know_their_pieces(tokenizer: PreTrainedTokenizerFast) -> None:
    table = tokenise(examples([("the filmx was",)]), tokenizer, "words", 64, "k")
    # "filmx" is not in the vocabulary: two pieces of one word; the special tokens belong to none.
    assert ids(table, "words") == [[-1, 0, 1, 1, 2, -1]]


def test_long_texts_are_cut_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    table = tokenise(examples([("good " * 40,), ("bad",)]), tokenizer, "single", 16, "k")
    assert table.lengths.tolist() == [16, 3]
    assert table.num_cut == 1


def test_the_second_call_reads_the_file_of_the_first(tokenizer: PreTrainedTokenizerFast) -> None:
    first = tokenise(examples(TEXTS), tokenizer, "pair", 64, "same")
    (file,) = cache_files()
    written = file.read_bytes()
    second = tokenise([], tokenizer, "pair", 64, "same")  # no examples: it cannot have tokenised
    assert ids(first) == ids(second)
    assert file.read_bytes() == written


@pytest.mark.parametrize("other", [{"layout": "siamese"}, {"max_length": 32}, {"content_key": "other"}])
def test_what_decides_the_tokens_names_the_file(tokenizer: PreTrainedTokenizerFast, other: dict[str, object]) -> None:
    call = {"layout": "pair", "max_length": 64, "content_key": "k"}
    tokenise(examples(TEXTS), tokenizer, **call)  # type: ignore[arg-type]
    tokenise(examples(TEXTS), tokenizer, **{**call, **other})  # type: ignore[arg-type]
    assert len(cache_files()) == 2


def test_a_tokenizer_without_segments_has_its_own_file(tokenizer: PreTrainedTokenizerFast, tiny_encoder: Path) -> None:
    # DistilBERT's tokenizer is BERT's, file for file, but gives no token types.
    bare = AutoTokenizer.from_pretrained(tiny_encoder, model_input_names=["input_ids", "attention_mask"])
    assert set(tokenise(examples(TEXTS), bare, "pair", 64, "k").columns) == {"ids"}
    assert set(tokenise(examples(TEXTS), tokenizer, "pair", 64, "k").columns) == {"ids", "types"}


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_file_is_made_again(tokenizer: PreTrainedTokenizerFast, damage: str) -> None:
    expected = ids(tokenise(examples(TEXTS), tokenizer, "pair", 64, "k"))
    (file,) = cache_files()
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        needle = np.array(expected[0], dtype=np.int32).tobytes()
        content[content.index(needle)] ^= 1
    file.write_bytes({"truncated": content[:-100], "flipped": content, "empty": b""}[damage])
    assert ids(tokenise(examples(TEXTS), tokenizer, "pair", 64, "k")) == expected
    assert ids(tokenise([], tokenizer, "pair", 64, "k")) == expected


def test_the_least_recently_used_files_go_first(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    for number, key in enumerate("abc"):
        before = set(cache_files()) if number else set()
        tokenise(examples(TEXTS), tokenizer, "pair", 64, key)
        (new,) = set(cache_files()) - before
        os.utime(new, (number, number))
        if key == "a":
            oldest, size = new, new.stat().st_size
    tokenise([], tokenizer, "pair", 64, "a")  # used again: now b is the oldest
    monkeypatch.setenv("MTSEARCH_CACHE_BYTES", str(3 * size + size // 2))
    tokenise(examples(TEXTS), tokenizer, "pair", 64, "d")
    assert oldest in cache_files()
    assert len(cache_files()) == 3


def test_an_unwritable_cache_costs_only_time(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTSEARCH_CACHE", "/proc/nowhere")
    assert ids(tokenise(examples(TEXTS), tokenizer, "single", 64, "k"))
