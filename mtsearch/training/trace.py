"""A trial in TensorBoard: scalars and gates at every report, and its hyperparameters with its best score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from mtsearch.config.trial import TrialConfig
from mtsearch.training.report import Report

__all__ = ["Trace", "flat", "heat_map"]

_SQUARE, _LINE = 24, 128  # pixels of a square with its line, and the brightness of lines


class Trace:
    """Writes ``tensorboard/`` under a trial's folder; nothing where there is no folder.

    Args:
        folder: the attempt's folder, or None.
        config: the trial, whose values become HParams.
    """

    def __init__(self, folder: Path | None, config: TrialConfig) -> None:
        self._writer = SummaryWriter(str(folder / "tensorboard")) if folder else None
        self._config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, report: Report) -> None:
        """Add a report: one scalar for each measurement, and a picture of each set of gates, by updates."""
        if self._writer is None:
            return
        for m in report.measurements:
            self._writer.add_scalar(f"{m.task or 'all'}/{m.split}_{m.metric}", m.value, report.step)
        for task, gates in report.gates.items():
            self._writer.add_image(f"{task or 'all'}/gates", heat_map(gates), report.step, dataformats="HW")
        if report.evaluation == 1:
            self._write_hyperparameters(report)
        self._writer.add_scalar("best_score", report.best_score, report.step)
        self._writer.flush()

    def _write_hyperparameters(self, report: Report) -> None:
        # Not add_hparams, which would make a run of its own beside this one.
        assert self._writer is not None
        values = {key: x if isinstance(x, bool | int | float) else str(x) for key, x in flat(self._config)}
        for summary in hparams(values, {"best_score": report.best_score}):  # type: ignore[no-untyped-call]
            self._writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


def heat_map(gates: Sequence[Sequence[float]]) -> npt.NDArray[np.uint8]:
    """A square for each attention head: black where it is open, white where it is pruned, grey in between.

    Layers are rows, the lowest at the bottom; attention heads are columns. Grey lines keep the squares apart.

    Args:
        gates: by layers from the lowest and attention heads, in [0, 1].
    """
    brightness = np.rint(255 * (1 - np.asarray(gates)[::-1])).astype(np.uint8)
    squares = np.kron(brightness, np.ones((_SQUARE, _SQUARE), np.uint8))
    squares[::_SQUARE] = squares[:, ::_SQUARE] = _LINE
    return np.pad(squares, ((0, 1), (0, 1)), constant_values=_LINE)


def flat(config: TrialConfig) -> Iterator[tuple[str, Any]]:
    """The config's leaves by dotted path, as tables and TensorBoard name them; None and lists as they are."""

    def walk(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(f"{prefix}.{key}" if prefix else key, value)
        else:
            yield prefix, node

    yield from walk("", config.model_dump(mode="json"))
