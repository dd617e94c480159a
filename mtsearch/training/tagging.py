"""A trial's tags: which its tokens have, and which row of the tags' embeddings each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mtsearch.data.examples import Example
from mtsearch.data.piece_tags import PieceTags, Tagger, TagNames, tag_pieces, tags_seen
from mtsearch.data.tokens import TokenTable
from mtsearch.errors import DataError
from mtsearch.tags.contract import TagSource

__all__ = ["TrialTags", "learn_tags", "tag_rows"]


@dataclass(frozen=True)
class TrialTags:
    """What the tags of a trial are; saved with every checkpoint.

    Attributes:
        names: for each layer its tags, as the training data of all tasks has them; others count as none.
        source: names all that decides which word has which.
    """

    names: TagNames
    source: str

    def describe(self) -> str:
        """``17 kinds of pos, 5 kinds of entities``."""
        return ", ".join(f"{len(names)} kinds of {layer}" for layer, names in self.names.items())

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any] | None) -> TrialTags | None:
        """The tags of a checkpoint; None if it has none."""
        if state is None:
            return None
        return cls({layer: tuple(names) for layer, names in state["names"].items()}, state["source"])


def tag_rows(tagger: Tagger, task: str, examples: Sequence[Example], layout: str, tokens: TokenTable) -> PieceTags:
    """The tags of a split's tokens.

    Args:
        tagger: gives the texts their tags.
        task: whose split it is, for messages.
        examples: of the split.
        layout: of the task's texts.
        tokens: of the same examples, with places.

    Raises:
        DataError: the examples have no tags, where they should.
    """
    try:
        return tag_pieces(tagger.tag(examples, layout), tokens)
    except DataError as error:
        raise DataError(f"tasks.{task}: {error}") from None


def learn_tags(source: TagSource, tagger: Tagger, train: Mapping[str, PieceTags]) -> TrialTags:
    """The tags that stand in the training data.

    Args:
        source: the layers that are wanted.
        tagger: what tagged the data.
        train: of each task's training split.

    Raises:
        DataError: a layer that a task's data lacks, or that has no tag anywhere.
    """
    names: dict[Any, tuple[str, ...]] = {}
    for layer in source.tag_layers:
        for task, tags in train.items():
            if layer not in tags.names:
                raise DataError(
                    f"tasks.{task}: tags.layers: the data must have a tag of {layer} for each word, but has only "
                    f"{', '.join(tags.names)}; name their column with data.columns, or leave out {layer}"
                )
        names[layer] = tags_seen(train.values(), layer)
        if not names[layer]:
            raise DataError(
                f"tags.layers: {layer} must be found in the training data, but no word has one, by "
                f"{tagger.describe()}; leave out {layer}, or take another source"
            )
    return TrialTags(names, tagger.identity())
