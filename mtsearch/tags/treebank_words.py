"""The words of running text as treebanks have them, which taggers are trained on."""

from __future__ import annotations

import re

__all__ = ["treebank_words"]

_WORD = re.compile(
    r"""
      (?:https?://|www\.)\S*[^\s.,;:!?'")\]>]            # an address, without the punctuation behind it
    | [\w.+-]{1,64}@\w[\w-]*(?:\.\w[\w-]*)+
    | (?:[^\W\d_]\.){2,}                                 # U.S.
    | \d+(?:[.,:/]\d+)+                                  # 1,000.50
    | \w+?(?=n['’]t\b) | n['’]t\b                        # do, n't
    | ['’](?:s|re|ve|ll|d|m)\b                           # it, 's
    | \w+(?:['’](?!(?:s|re|ve|ll|d|m)\b)\w+)*            # O'Neill
    | (\S)\1*                                            # any other sign, as often as it is repeated: ...
    """,
    re.IGNORECASE | re.VERBOSE,
)


def treebank_words(text: str) -> list[tuple[int, int]]:
    """Where each word of a running text begins and ends, in characters.

    Punctuation stands apart, also within a word (``well - known``), and so do English contractions (``do n't``,
    ``it 's``): the words of Universal Dependencies and OntoNotes. Numbers, addresses and ``U.S.`` stay whole. Text that
    is split into such words already keeps most of them. A language without spaces is split at its punctuation alone.
    """
    return [match.span() for match in _WORD.finditer(text)]
