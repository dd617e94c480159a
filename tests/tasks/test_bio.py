"""Tags read as conlleval reads them, worked by hand, and every scheme's tags read back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.tasks.bio import spans_of, tags_of

Span = tuple[int, int, str]
Spans = tuple[Span, ...]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("", ()),
        ("O O", ()),
        ("B-A I-A O B-B", ((0, 2, "A"), (3, 4, "B"))),
        ("B-A B-A", ((0, 1, "A"), (1, 2, "A"))),  # B always begins
        ("I-A I-A O I-B", ((0, 2, "A"), (3, 4, "B"))),  # IOB1: so does I, where nothing is open
        ("I-A B-A I-A", ((0, 1, "A"), (1, 3, "A"))),  # IOB1: B parts neighbours with one label
        ("B-A I-B", ((0, 1, "A"), (1, 2, "B"))),  # another label begins anew
        ("I-A I-B I-A", ((0, 1, "A"), (1, 2, "B"), (2, 3, "A"))),
        ("B-A O I-A", ((0, 1, "A"), (2, 3, "A"))),
        ("S-A B-A I-A E-A E-A", ((0, 1, "A"), (1, 4, "A"), (4, 5, "A"))),  # nothing goes on after an end
        ("U-A B-A I-A L-A I-A", ((0, 1, "A"), (1, 4, "A"), (4, 5, "A"))),
        ("S-A I-A E-A", ((0, 1, "A"), (1, 3, "A"))),
        ("B-A E-B", ((0, 1, "A"), (1, 2, "B"))),
        ("B-A I-A", ((0, 2, "A"),)),  # a BIOES span without its end goes up to the last word
        ("B-A-1 I-A-1", ((0, 2, "A-1"),)),  # a label may have hyphens
        ("B I O I", ((0, 2, ""), (3, 4, ""))),  # marks alone
    ],
)
def test_tags_worked_by_hand(tags: str, spans: Spans) -> None:
    assert spans_of(tags.split()) == spans


@pytest.mark.parametrize("tag", ["PER", "X-PER", "o", "", "-PER", "BI-PER"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=f"must be O, or one of B, I, E, L, S, U .* but got {tag!r}"):
        spans_of(["O", tag])


def test_tags_are_written_as_bio() -> None:
    assert tags_of([(1, 3, "A"), (3, 4, "A")], 5) == ("O", "B-A", "I-A", "B-A", "O")
    assert tags_of([[0, 1, "B-1"]], 1) == ("B-B-1",)  # type: ignore[list-item]  # as JSON gives them


@st.composite
def sentences(draw: st.DrawFn) -> tuple[Spans, int]:
    """Spans that do not overlap, and the number of words."""
    spans: list[Span] = []
    end = 0
    for gap, length, label in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from("AB")))):
        spans.append((end + gap, end + gap + length, label))
        end += gap + length
    return tuple(spans), end + draw(st.integers(0, 2))


def bio(spans: Spans, num_words: int) -> list[str]:
    return list(tags_of(spans, num_words))


def iob1(spans: Spans, num_words: int) -> list[str]:
    """B only between neighbours with one label."""
    tags = ["O"] * num_words
    for i, (start, end, label) in enumerate(spans):
        tags[start:end] = [f"I-{label}"] * (end - start)
        if i > 0 and spans[i - 1][1:] == (start, label):
            tags[start] = f"B-{label}"
    return tags


def with_ends(last: str, only: str) -> Callable[[Spans, int], list[str]]:
    def write(spans: Spans, num_words: int) -> list[str]:
        tags = bio(spans, num_words)
        for start, end, label in spans:
            tags[end - 1] = f"{only if end - start == 1 else last}-{label}"
        return tags

    return write


@pytest.mark.parametrize(
    "write", [bio, iob1, with_ends("E", "S"), with_ends("L", "U")], ids=["BIO", "IOB1", "BIOES", "BILOU"]
)
@given(sentence=sentences())
def test_spans_written_in_any_scheme_are_read_back(
    write: Callable[[Spans, int], list[str]], sentence: tuple[Spans, int]
) -> None:
    spans, num_words = sentence
    assert len(tags := write(spans, num_words)) == num_words
    assert spans_of(tags) == spans


@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"])))
def test_every_word_that_is_not_outside_is_in_one_span_of_its_label(tags: list[str]) -> None:
    labels = {word: label for start, end, label in spans_of(tags) for word in range(start, end)}
    assert labels == {word: tag[2:] for word, tag in enumerate(tags) if tag != "O"}
    assert len(labels) == sum(end - start for start, end, _ in spans_of(tags))
