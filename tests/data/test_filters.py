from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtsearch.data.examples import Example
from mtsearch.data.filters import num_words, without_longest


def of_lengths(*lengths: int) -> list[Example]:
    return [Example(f"x{i}", (" ".join(["word"] * length),), "0", i) for i, length in enumerate(lengths)]


def ids(examples: tuple[Example, ...]) -> list[str]:
    return [example.id for example in examples]


def test_the_longest_go_and_the_others_stay_in_their_order() -> None:
    assert ids(without_longest(of_lengths(3, 9, 1, 8, 2), 0.4)) == ["x0", "x2", "x4"]


def test_of_examples_as_long_as_each_other_the_later_ones_go() -> None:
    assert ids(without_longest(of_lengths(5, 5, 1, 5), 0.5)) == ["x0", "x2"]


def test_the_share_is_a_decimal_number() -> None:
    assert len(without_longest(of_lengths(*range(100)), 0.29)) == 71  # 0.29 * 100 is 28.999999999999996


def test_less_than_one_example_is_none() -> None:
    assert ids(without_longest(of_lengths(1, 2, 3), 0.33)) == ["x0", "x1", "x2"]


@given(st.lists(st.integers(0, 50)), st.floats(0, 0.99))
def test_the_share_is_left_out_and_no_other_is_longer(lengths: list[int], share: float) -> None:
    examples = of_lengths(*lengths)
    kept = without_longest(examples, share)
    assert len(kept) == len(examples) - int(share * len(examples) + 1e-9)
    dropped = [example for example in examples if example not in kept]
    assert all(num_words(long) >= num_words(short) for long in dropped for short in kept)


def test_both_texts_of_a_pair_count_and_words_as_they_are_given() -> None:
    assert num_words(Example("x", ("two words", "three more words"), "0", 1)) == 5
    assert num_words(Example("x", ("isn't it",), "0", 1, words=("is", "n't", "it"))) == 3
