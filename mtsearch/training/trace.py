"""A trial in TensorBoard: scalars at every report, and its hyperparameters with its best score."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from mtsearch.config.trial import TrialConfig
from mtsearch.training.report import Report

__all__ = ["Trace", "flat"]


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
        """Add a report: one scalar for each measurement, by updates."""
        if self._writer is None:
            return
        for m in report.measurements:
            self._writer.add_scalar(f"{m.task or 'all'}/{m.split}_{m.metric}", m.value, report.step)
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


def flat(config: TrialConfig) -> Iterator[tuple[str, Any]]:
    """The config's leaves by dotted path, as tables and TensorBoard name them; None and lists as they are."""

    def walk(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(f"{prefix}.{key}" if prefix else key, value)
        else:
            yield prefix, node

    yield from walk("", config.model_dump(mode="json"))
