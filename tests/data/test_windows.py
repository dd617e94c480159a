"""Windows: which words belong to which row, and where the words of a running text are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.data.windows import Window, text_words, windows_of


def test_what_two_rows_show_both_is_shared_in_halves() -> None:
    assert windows_of([(0, 6), (4, 10), (9, 12)]) == [Window(0, 6, 0, 5), Window(4, 10, 5, 9), Window(9, 12, 9, 12)]
    assert list(windows_of([(0, 6), (4, 10)])[1].own) == [5, 6, 7, 8, 9]


def test_one_row_owns_all_that_it_shows() -> None:
    assert windows_of([(0, 7)]) == [Window(0, 7, 0, 7)]


@st.composite
def _spans(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Rows of words that overlap or touch, as a word of many tokens makes them, too."""
    steps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=6))
    spans = [(0, draw(st.integers(1, 6)))]
    for back, on in steps:
        first, end = spans[-1]
        spans.append((max(first, end - back), end + on))
    return spans


@given(_spans())
def test_every_word_belongs_to_one_row_that_shows_it(spans: list[tuple[int, int]]) -> None:
    windows = windows_of(spans)
    assert [word for window in windows for word in window.own] == list(range(spans[-1][1]))
    for window, span in zip(windows, spans, strict=True):
        assert (window.first, window.end) == span
        assert all(window.first <= word < window.end for word in window.own)


@given(_spans(), st.integers(0, 40), st.integers(1, 6))
def test_a_span_that_a_row_shows_whole_has_its_middle_in_such_a_row(
    spans: list[tuple[int, int]], start: int, length: int
) -> None:
    windows, end = windows_of(spans), start + length
    shown = [window for window in windows if window.first <= start and end <= window.end]
    owners = [window for window in windows if (start + end - 1) // 2 in window.own]
    # Of three rows that all show a word, the middle one may show less than its neighbours.
    overlap_once = all(a.end <= c.first for a, c in zip(windows, windows[2:], strict=False))
    if shown and overlap_once:
        assert owners[0] in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "It's 3.5% of 1990s' GDP_x!",
            ["It", "'", "s", "3", ".", "5", "%", "of", "1990", "s", "'", "GDP", "_", "x", "!"],
        ),
        ("naïve Zoë\t\nÅ", ["naïve", "Zoë", "Å"]),
        ("東京は大きい。", ["東", "京", "は", "大", "き", "い", "。"]),
        ("iPhone在北京 ok", ["iPhone", "在", "北", "京", "ok"]),
        ("서울은 크다", ["서울은", "크다"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("🙂🙂 ok", ["🙂", "🙂", "ok"]),
        ("٣٤ 12", ["٣٤", "12"]),
        ("  ", []),
        ("", []),
    ],
)
def test_words_are_letters_digits_or_one_other_sign(text: str, words: list[str]) -> None:
    bounds = text_words(text)
    assert [text[begin:end] for begin, end in bounds] == words


@given(st.text())
def test_nothing_but_white_space_lies_between_words(text: str) -> None:
    bounds = text_words(text)
    assert all(begin < end for begin, end in bounds)
    ends = [0, *(end for _, end in bounds)]
    begins = [*(begin for begin, _ in bounds), len(text)]
    assert all(not text[end:begin].strip() for end, begin in zip(ends, begins, strict=True))


@given(st.text(), st.data())
def test_words_of_a_part_are_the_words_of_the_whole(text: str, data: st.DataObject) -> None:
    bounds = text_words(text)
    if bounds:
        first = data.draw(st.integers(0, len(bounds) - 1))
        last = data.draw(st.integers(first, len(bounds) - 1))
        begin, end = bounds[first][0], bounds[last][1]
        assert text_words(text[begin:end]) == [(a - begin, b - begin) for a, b in bounds[first : last + 1]]
