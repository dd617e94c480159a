"""What the benchmarks share: an idle machine, interleaved runs, ratios with their spread.

Absolute numbers of a benchmark say more of the machine and its hour than of the software. Every script here
therefore runs both sides in turn (A B A B ..), takes the ratio within each round, and prints the median with the
smallest and the largest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Target", "interleaved", "parser", "print_ratios", "warn_unless_idle"]

_BUSY_SHARE = 0.05  # of all cores, by others


@dataclass(frozen=True)
class Target:
    """What a ratio is held to.

    Attributes:
        ours: the side that is measured.
        peer: the side that it is measured against.
        ratio: of ours to the peer's; at least this much.
    """

    ours: str
    peer: str
    ratio: float


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The command line that every script has: ``--quick`` and ``--rounds``."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="less work and fewer rounds: does it run at all?")
    arguments.add_argument("--rounds", type=int, help=f"rounds of A B (default {rounds}, or 1 with --quick)")
    arguments.set_defaults(default_rounds=rounds)
    return arguments


def warn_unless_idle(seconds: float = 2.0) -> None:
    """Look at the cores for a while, and say loudly if others use them."""
    try:
        before = _core_seconds()
        time.sleep(seconds)
        after = _core_seconds()
    except OSError:
        print("cannot tell whether this machine is idle (no /proc/stat); make sure of it yourself", file=sys.stderr)
        return
    busy, total = (x - y for x, y in zip(after, before, strict=True))
    share = busy / total if total else 0.0
    if share > _BUSY_SHARE:
        print(
            f"{'!' * 100}\nWARNING: other processes use {share:.0%} of this machine's {os.cpu_count()} cores. "
            f"Threads that wait for one another\nmake a busy machine many times slower: trust no number below.\n"
            f"{'!' * 100}",
            file=sys.stderr,
        )


def _core_seconds() -> tuple[float, float]:
    """Core-seconds since the machine started: busy, and all. In units of the kernel's clock tick."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, idle, iowait, *others = (int(field) for field in file.readline().split()[1:9])
    busy = user + nice + system + sum(others)
    return busy, busy + idle + iowait


def interleaved(sides: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Run every side once in each round, and print what it gave.

    Args:
        sides: by name, a function from the number of the round to the measured value.
        rounds: how often.
    """
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, run in sides.items():
            values[name].append(run(number))
            print(f"round {number + 1}/{rounds}  {name:<28} {values[name][-1]:9.2f}", flush=True)
    return values


def print_ratios(values: Mapping[str, Sequence[float]], targets: Sequence[Target], *, less_is_better: bool) -> None:
    """Print, for each target, the median ratio over the rounds with its spread, and whether it is met.

    Args:
        values: of each side, one a round.
        targets: the pairs to compare.
        less_is_better: for seconds; a ratio is always how many times better we are.
    """
    print()
    for target in targets:
        pairs = zip(values[target.ours], values[target.peer], strict=True)
        ratios = [peer / ours if less_is_better else ours / peer for ours, peer in pairs]
        middle = statistics.median(ratios)
        print(
            f"{target.ours} / {target.peer}: {middle:.2f} x (min {min(ratios):.2f}, max {max(ratios):.2f}, "
            f"{len(ratios)} rounds), target {target.ratio:.2f} x: {'met' if middle >= target.ratio else 'MISSED'}"
        )
