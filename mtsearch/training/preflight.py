"""Look at everything a space needs before its first trial: a missing file is told at once, not by every trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mtsearch.config.trial import TrialConfig
from mtsearch.data.resolve import describe
from mtsearch.model.encoder import find_encoder, load_encoder
from mtsearch.training.parts import load_task
from mtsearch.training.place import Place

__all__ = ["preflight"]


def preflight(configs: Iterable[TrialConfig], place: Place) -> Iterator[str]:
    """Read and tokenise the data of these trials, and load their encoders.

    The token cache is warm afterwards, for all trials on this machine.

    Args:
        configs: trials between which encoders, tasks and their data may differ.
        place: where the data is.

    Yields:
        A line for a person for each encoder and each data set: which it is, where it was found, what is odd about it.

    Raises:
        DataError: a data set that is missing or broken.
        EncoderError: an encoder that is missing or damaged.
    """
    told: set[str] = set()
    for config in configs:
        for line in _lines(config, place):
            if line not in told:
                told.add(line)
                yield line


def _lines(config: TrialConfig, place: Place) -> Iterator[str]:
    source = find_encoder(config.encoder.model, config.encoder.revision)
    load_encoder(source, config.encoder)
    where = {"package": " (packaged copy)", "folder": "", "hub": " (hub)"}[source.origin]
    yield f"encoder: {source.name}{where}"
    for name, kind in config.tasks.items():
        task = load_task(name, kind, config, place)
        cut = {split: encoded.tokens.num_cut for split, encoded in task.splits.items() if encoded.tokens.num_cut}
        longer = ", ".join(f"{count:,} of {split}" for split, count in cut.items())
        note = f"; longer than {config.encoder.max_length} tokens and cut: {longer}" if cut else ""
        yield f"{name}: {describe(task.data)}{note}"
