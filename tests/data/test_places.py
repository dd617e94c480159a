"""Where a token stands in its text: whatever a tokenizer counts as part of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from mtsearch.data.examples import Example
from mtsearch.data.places import joined, token_places, word_starts
from mtsearch.data.tokens import TokenTable, tokenise_uncached


def bytewise(*, trims: bool) -> Tokenizer:
    """One token for each byte, a space counted to the word after it or to none, as RoBERTa and ModernBERT have it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trims)
    return tokenizer


def wordwise() -> Tokenizer:
    """One token for each word with the space before it, as SentencePiece has it."""
    words = ["▁the", "▁Zoë", "▁🙂", "▁was"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def characters(text: str, places: Sequence[int]) -> list[str]:
    return [text[place] if place >= 0 else "" for place in places]


def test_spaces_that_belong_to_a_token_are_passed_over() -> None:
    text = "the Zoë  🙂 was"
    places, sides = token_places(wordwise().encode(text), [text])
    assert [character for character in characters(text, places) if character] == ["t", "Z", "🙂", "w"]
    assert set(sides) == {0}


@pytest.mark.parametrize("trims", [True, False])
def test_all_bytes_of_a_character_stand_at_its_place(trims: bool) -> None:
    text = "é 🙂b"
    places, _ = token_places(bytewise(trims=trims).encode(text), [text])
    assert characters(text, places) == ["é", "é", "", "🙂", "🙂", "🙂", "🙂", "b"]


def test_a_text_that_the_tokenizer_rewrites_keeps_its_places() -> None:
    tokenizer = Tokenizer(models.WordLevel({"e": 0, "b": 1}, unk_token="b"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    text = "É  B"
    assert token_places(tokenizer.encode(text), [text])[0] == [0, 3]


def test_words_are_joined_by_single_spaces() -> None:
    assert joined("as it  is") == "as it  is"
    assert joined(("20 000", "men", "")) == "20 000 men "
    assert word_starts(("20 000", "men", "")) == [0, 7, 11]
    assert word_starts(()) == []


def table(tokenizer: Any, layout: str, *rows: tuple[str, ...], length: int = 32) -> TokenTable:
    examples = [Example(str(i), texts, None, i, tuple(texts[0].split())) for i, texts in enumerate(rows)]
    return tokenise_uncached(examples, tokenizer, layout, length, with_places=True)


def test_a_table_tells_the_place_and_the_text_of_each_token(tiny_encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    pair = table(tokenizer, "pair", ("a filmx", "bad"))
    assert pair.columns["places"].values.tolist() == [-1, 0, 2, 6, -1, 0, -1]
    assert pair.columns["sides"].values.tolist() == [0, 0, 0, 0, 0, 1, 0]
    siamese = table(tokenizer, "siamese", ("bad", "a bad"))
    assert siamese.columns["places"].values.tolist() == [-1, 0, -1]
    assert siamese.columns["places_2"].values.tolist() == [-1, 0, 2, -1]
    words = table(tokenizer, "words", ("was  filmx",))
    assert words.columns["places"].values.tolist() == [-1, 0, 4, 8, -1]


def test_an_empty_text_has_special_tokens_alone_and_a_long_one_is_cut(tiny_encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    assert table(tokenizer, "single", ("",), ("a " * 40,), length=8).columns["places"].values.tolist() == [
        *(-1, -1),
        *(-1, 0, 2, 4, 6, 8, 10, -1),
    ]


def test_places_are_told_only_where_they_are_asked_for(tiny_encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    plain = tokenise_uncached([Example("1", ("bad",), None, 1)], tokenizer, "single", 8)
    assert set(plain.columns) == {"ids", "types"}
