"""Words of running text, as treebanks have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.tags.treebank_words import treebank_words


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in treebank_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A fine film, really!", "A fine film , really !"),
        ("I don't, can’t and won't.", "I do n't , ca n’t and wo n't ."),
        ("It's ours, they'll say; I'd've", "It 's ours , they 'll say ; I 'd 've"),
        ("the dogs' O'Neill's", "the dogs ' O'Neill 's"),
        ("Isn't DON'T", "Is n't DO N'T"),
        ("well-known (sic)", "well - known ( sic )"),
        ("1,000.50 at 3:30, 1/2 of 10.", "1,000.50 at 3:30 , 1/2 of 10 ."),
        ("the U.S. and e.g. Rome.", "the U.S. and e.g. Rome ."),
        ("so... what?! -- no", "so ... what ? ! -- no"),
        ("see http://a.org/b?c=d, or www.a.org.", "see http://a.org/b?c=d , or www.a.org ."),
        ("to jo.e@a-b.co.uk.", "to jo.e@a-b.co.uk ."),
        ("naïve 🙂 Ärger", "naïve 🙂 Ärger"),
        ("do n't split what is split .", "do n't split what is split ."),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_words_stand_apart_as_in_treebanks(text: str, expected: str) -> None:
    assert words(text) == expected.split()


@given(st.text(alphabet=st.sampled_from("abn'’t.@-1,:/ \n!_é🙂"), max_size=40))
def test_every_sign_but_white_space_is_in_one_word(text: str) -> None:
    spans = treebank_words(text)
    assert [place for start, end in spans for place in range(start, end)] == [
        place for place, sign in enumerate(text) if not sign.isspace()
    ]


def test_a_long_text_is_read_in_one_go() -> None:
    assert len(treebank_words("a-b." * 20_000)) == 80_000
