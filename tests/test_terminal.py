from __future__ import annotations

import io

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mtsearch.terminal import Terminal

SHOWN = "[red]a[/blue]:bomb:"
STRANGE = f"{SHOWN}\x1b]0;title\x07\x1b[2J\x9b31m\r\x08\u202eb"


def table() -> Table:
    table = Table(STRANGE, box=None)
    table.add_row(STRANGE)
    return table


@pytest.mark.parametrize("what", [STRANGE, Text(STRANGE), table()])
def test_neither_markup_nor_a_terminal_s_control_sequences_are_obeyed(what: str | Text | Table) -> None:
    out = io.StringIO()
    Terminal(file=out, width=200).print(what)
    assert SHOWN in out.getvalue()
    assert not set("\x07\x08\r\x1b\x9b\u202e") & set(out.getvalue())


def test_colours_of_our_own_and_what_a_live_table_needs_are_obeyed() -> None:
    out = io.StringIO()
    with Live(Text(STRANGE, style="red"), console=Terminal(file=out, width=200, force_terminal=True)) as live:
        live.update(Text(f"{STRANGE} again", style="red"))
    assert "\x1b[31m" in out.getvalue()
    assert "\x1b[?25l" in out.getvalue()  # hides the cursor
    assert SHOWN in out.getvalue()
    assert "\x1b]0;title" not in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
