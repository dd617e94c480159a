"""Spans as tags on words, and tags as spans."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["all_tags", "spans_of", "tags_of"]

_CONTINUE = ("I", "E", "L")
_CLOSE = ("E", "L", "S", "U")
_MARKS = ("B", *_CONTINUE, "S", "U")


def spans_of(tags: Sequence[str]) -> tuple[tuple[int, int, str], ...]:
    """The labelled spans that tags mark, ``(start, end, label)`` with the end exclusive, in order.

    All usual schemes are read: BIO (IOB2), IOB1, BIOES and BILOU (L ends as E does, U stands alone as S does).
    Tags that break their scheme are read as conlleval reads them: what would continue a span begins one where no
    span with its label is open, and whatever follows an end begins anew. A label may contain hyphens.

    Args:
        tags: one for each word: ``O``, or a mark and a label (``B-PER``); a mark alone has the label "".

    Raises:
        ValueError: a tag is neither.

    Source: conlleval (startOfChunk, endOfChunk), for BIOES seqeval's default mode, which agrees with it.
    """
    spans: list[tuple[int, int, str]] = []
    is_open = False
    for word, tag in enumerate(tags):
        mark, _, label = tag.partition("-")
        if mark == "O":
            is_open = False
            continue
        if mark not in _MARKS:
            raise ValueError(
                f"a tag must be O, or one of {', '.join(_MARKS)} with a hyphen and a label, but got {tag!r}"
            )
        if is_open and mark in _CONTINUE and label == spans[-1][2]:
            spans[-1] = (spans[-1][0], word + 1, label)
        else:
            spans.append((word, word + 1, label))
        is_open = mark not in _CLOSE
    return tuple(spans)


def tags_of(spans: Sequence[tuple[int, int, str]], num_words: int) -> tuple[str, ...]:
    """The BIO tags of labelled spans, one for each word: what :func:`spans_of` reads.

    Args:
        spans: ``(start, end, label)`` within the words, the end exclusive, not overlapping.
        num_words: of the sentence.
    """
    tags = ["O"] * num_words
    for start, end, label in spans:
        for word in range(start, end):
            tags[word] = f"{'B' if word == start else 'I'}-{label}"
    return tuple(tags)


def all_tags(labels: Sequence[str]) -> tuple[str, ...]:
    """The BIO tags of these labels: O, and each label's B and I, in this order."""
    return ("O", *(f"{mark}-{label}" for label in labels for mark in "BI"))
