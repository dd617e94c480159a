"""Rows of tokens: words and windows under every family's tokenizer; and the cache, shared, with damage found."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mtsearch.data.cache import cache_folder
from mtsearch.data.examples import Example
from mtsearch.data.tokens import TokenTable, tokenise, tokenise_uncached
from mtsearch.data.windows import text_words
from tests.data.families import FAMILIES, build_tokenizer

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


# Words, and the text that is asked about

of_each_family = pytest.mark.parametrize("family", FAMILIES)
SIGNS = st.text(st.sampled_from("abz019.,'é漢🙂\u200b\x00\ufffd\u0301 \u00a0"), min_size=1, max_size=6)


def sentence(*words: str) -> Example:
    return Example("1", (" ".join(words),), None, 1, words)


def word_table(family: str, *sentences: Example, max_length: int = 64) -> TokenTable:
    return tokenise_uncached(sentences, build_tokenizer(family), "words", max_length, with_places=True)


def question_table(family: str, *texts: tuple[str, str], max_length: int = 64) -> TokenTable:
    asked = [Example("1", pair, None, 1) for pair in texts]
    return tokenise_uncached(asked, build_tokenizer(family), "question", max_length, with_places=True)


def tokens(family: str, table: TokenTable, row: int = 0) -> list[str]:
    return build_tokenizer(family).convert_ids_to_tokens(ids(table)[row])  # type: ignore[no-any-return]


@of_each_family
def test_a_sentence_given_as_words_has_the_tokens_of_its_text(family: str) -> None:
    one = sentence("the", "film", "was", "n't", "20 000", "1990s", "long", ",", "not", "bad")
    assert ids(word_table(family, one)) == build_tokenizer(family)([one.texts[0]])["input_ids"]


@of_each_family
@settings(max_examples=40)
@given(st.lists(st.lists(SIGNS, min_size=1, max_size=12), min_size=1, max_size=3))
def test_every_word_has_tokens_whatever_its_signs(family: str, sentences: list[list[str]]) -> None:
    table = word_table(family, *(sentence(*words) for words in sentences), max_length=16)
    assert table.num_cut == 0
    assert table.lengths.max() <= 16
    assert table.spans is not None
    shown = list(
        zip(table.example.tolist(), table.spans.tolist(), ids(table, "words"), ids(table, "places"), strict=True)
    )
    for number, words in enumerate(sentences):
        rows = [row for row in shown if row[0] == number]
        assert rows[0][1][0] == 0
        assert rows[-1][1][1] == len(words)
        assert all(a[1][1] >= b[1][0] for a, b in pairwise(rows))
        begins = [0, *np.cumsum([len(word) + 1 for word in words]).tolist()]
        for _, (first, end), of_tokens, places in rows:
            numbers = [word for word in of_tokens if word >= 0]
            assert sorted(numbers) == numbers
            assert set(numbers) == set(range(end - first))
            for word, place in zip(of_tokens, places, strict=True):
                if place >= 0:  # of white space there is none
                    assert begins[first + word] <= place < begins[first + word + 1] - 1


@of_each_family
def test_words_that_a_tokenizer_passes_over_are_words(family: str) -> None:
    table = word_table(family, sentence("\u200b", "film", "\u200b", "bad"))
    assert {word for word in ids(table, "words")[0] if word >= 0} == {0, 1, 2, 3}
    places = dict(zip(tokens(family, table), ids(table, "places")[0], strict=True))
    assert [place for token, place in places.items() if token.endswith("film")] == [2]
    assert [place for token, place in places.items() if token.endswith("bad")] == [9]
    if family == "bert":
        assert tokens(family, table) == ["[CLS]", "[UNK]", "film", "[UNK]", "bad", "[SEP]"]


@of_each_family
def test_long_sentences_take_rows_that_overlap_by_a_third_and_lose_nothing(family: str) -> None:
    table = word_table(family, sentence("bad"), sentence(*["film"] * 60), sentence("good"), max_length=24)
    assert table.example.tolist() == [0, 1, 1, 1, 1, 2]
    assert (table.num_cut, table.num_windowed) == (0, 1)
    assert table.spans is not None
    assert table.spans[1:5].tolist() == [[0, 22], [14, 36], [28, 50], [42, 60]]
    own = [word for window in table.windows(range(1, 5)) for word in window.own]
    assert own == list(range(60))


@of_each_family
def test_a_word_longer_than_a_row_goes_on_in_the_next(family: str) -> None:
    table = word_table(family, sentence("bad", "z" * 50, "good"), max_length=16)
    assert table.spans is not None
    assert table.spans[0].tolist() == [0, 2]
    assert table.spans[-1].tolist() == [1, 3]
    assert {tuple(span) for span in table.spans[1:-1].tolist()} == {(1, 2)}
    own = [word for window in table.windows(range(len(table.example))) for word in window.own]
    assert own == [0, 1, 2]
    assert max(table.lengths) == 16


CONTEXT = "the film was not bad, was it? the 1990s' film was very very good, the 20 000 not. very bad!"


@of_each_family
@pytest.mark.parametrize(
    "context", [CONTEXT, "\u200b" + CONTEXT + " \u200b", "  bad \n\n\n film", "東京は大きい。東京"]
)
@pytest.mark.parametrize("max_length", [16, 64])
def test_tokens_of_a_context_know_the_word_that_they_begin_in(family: str, context: str, max_length: int) -> None:
    table = question_table(family, ("was it good?", context), max_length=max_length)
    assert table.spans is not None
    bounds = text_words(context)
    columns = (table.spans.tolist(), *(ids(table, name) for name in ("words", "places", "sides")))
    for (first, end), words, places, sides in zip(*columns, strict=True):
        for word, place, side in zip(words, places, sides, strict=True):
            if side == 1 and place >= 0:
                assert word == next(at for at, (_, after) in enumerate(bounds) if place < after) - first
                assert word < end - first
            else:
                assert word == -1
    assert table.spans[0][0] == 0
    assert table.spans[-1][1] == len(bounds)
    assert all(a[1] >= b[0] for a, b in pairwise(table.spans.tolist()))
    own = [word for window in table.windows(range(len(table.example))) for word in window.own]
    assert own == list(range(len(bounds)))


@of_each_family
def test_a_token_of_several_words_is_the_first_ones_and_the_row_shows_them_all(family: str) -> None:
    text = "was it's" if family in ("roberta", "modernbert") else "was 1990s"
    table = question_table(family, ("was it?", text))
    words = text_words(text)
    assert table.spans is not None
    assert table.spans.tolist() == [[0, len(words)]]
    assert max(ids(table, "words")[0]) == len(words) - 2  # the last one is a part of the token before


@of_each_family
def test_each_row_has_the_question_and_of_a_long_one_its_beginning(family: str) -> None:
    short, long = "was it good?", "very " * 30 + "good?"
    table = question_table(family, (short, "bad " * 50), (long, "bad " * 50), max_length=30)
    assert table.num_cut == 1
    assert table.num_windowed == 2
    assert table.lengths.max() <= 30
    rows = list(zip(table.example.tolist(), ids(table, "sides"), ids(table, "places"), strict=True))
    for of in (0, 1):
        asked = [
            [p for side, p in zip(*row, strict=True) if side == 0 and p >= 0] for which, *row in rows if which == of
        ]
        assert all(places == asked[0] for places in asked)
        assert len(asked[0]) <= 10


@of_each_family
def test_a_context_without_any_sign_that_the_tokenizer_knows_has_a_row(family: str) -> None:
    table = question_table(family, ("was it?", "\u200b"))
    assert table.spans is not None
    assert table.spans.tolist() == [[0, 1]]


@of_each_family
def test_rows_of_white_space_alone_show_no_word(family: str) -> None:
    table = question_table(family, ("was it?", "bad" + "\n" * 60 + "good"), max_length=16)
    assert table.spans is not None
    own = [word for window in table.windows(range(len(table.example))) for word in window.own]
    assert own == [0, 1]
