"""What is printed in a terminal is text, whoever wrote it: names and reasons of a run may be another person's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

__all__ = ["Terminal"]

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}  # a terminal would obey them
_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # and show what follows these in another order
_SHOWN_AS = dict.fromkeys(_CONTROLS | _DIRECTIONS, "\ufffd")


class Terminal(Console):
    """A console on which text is shown as it is: it holds no markup, and moves, colours and names nothing.

    Args:
        file: where to; None for standard output.
        stderr: to standard error.
        width: in characters; None for that of the terminal.
        force_terminal: whether to take ``file`` for a terminal; None finds out.
    """

    def __init__(
        self,
        *,
        file: IO[str] | None = None,
        stderr: bool = False,
        width: int | None = None,
        force_terminal: bool | None = None,
    ) -> None:
        super().__init__(
            file=file,
            stderr=stderr,
            width=width,
            force_terminal=force_terminal,
            markup=False,
            emoji=False,
            highlight=False,
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Segments of text, and those that rich itself steers the terminal with."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(segment.text.translate(_SHOWN_AS), segment.style)
