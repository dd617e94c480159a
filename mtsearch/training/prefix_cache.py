"""Batches that start above what is frozen in the encoder, from files that all trials on a node share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
import transformers
from accelerate import Accelerator
from torch import Tensor

from mtsearch.data.activations import Activations
from mtsearch.data.batching import Batch, EncodedSplit, PrefixStates
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.prefix import can_start_above, states_above

__all__ = ["PrefixCache"]

_LOG = logging.getLogger(__name__)
_VERSION = 1

# Rows are encoded in batches of one shape for each length, filled up by repeating rows: kernels are chosen by shape,
# so what a row gives depends on no other row. A trial's numbers would otherwise depend on which trial came first.
_BATCH_ROWS = 8
_LENGTH_STEP = 8


class PrefixCache:
    """The frozen part of the encoder computes an example once; batches come with what it gave.

    What it gives for a row does not depend on the batch that the row is in, nor on whether it comes from a file:
    a trial's numbers are the same whatever ran before it, and whether or not the cache can be written. From
    those of whole passes they differ by rounding. Nothing may decide them but the encoder and its inputs.

    Args:
        model: whose encoder is partly frozen, on its device.
        accelerator: for the number format.
    """

    def __init__(self, model: MultitaskModel, accelerator: Accelerator) -> None:
        self._model = model
        self._accelerator = accelerator
        self._asked: int | None = None
        self._depth: int | None = None
        self._key = ""
        self._kept: WeakKeyDictionary[EncodedSplit, tuple[Activations, ...]] = WeakKeyDictionary()
        self._keeps = True
        self._warnings: list[str] = []

    def freeze(self, depth: int | None) -> None:
        """Say what is frozen from now on; saying the same again costs nothing.

        Args:
            depth: the embeddings and so many layers; None where not even the embeddings are. Embeddings alone (0)
                are looked up as fast as what they give, and are not cached.
        """
        if depth == self._asked:
            return
        self.publish()
        self._kept.clear()
        self._asked, self._depth = depth, None
        if not depth:
            return
        encoder = self._model.encoder
        if can_start_above(depth, encoder, self._model.layers):
            self._depth, self._key = depth, self._prefix_key(depth)
        else:
            kind = type(encoder).__name__
            self._warn(f"{kind} cannot be started above its {depth} frozen layers: they are computed each time")

    def batch(self, split: EncodedSplit, rows: npt.NDArray[np.int64]) -> Batch:
        """These rows of a split on the trial's device, with their states where something is frozen."""
        batch = split.batch(rows).to(self._accelerator.device)
        if self._depth is None:
            return batch
        sequences = []
        for number, (inputs, kept) in enumerate(zip(batch.inputs, self._activations(split), strict=True)):
            fresh = self._encoded(split, number, kept.missing(rows))
            states_BLD = kept.padded(rows, inputs.ids_BL.shape[1], fresh)
            sequences.append(states_BLD.to(self._accelerator.device, non_blocking=True))
            if fresh and self._keeps:
                self._write(partial(kept.add, fresh))
        return replace(batch, states=PrefixStates(self._depth, tuple(sequences)))

    def publish(self) -> None:
        """Write what was computed since the last time, for other trials; much of it is written before."""
        for kept in self._all_kept():
            if self._keeps:
                self._write(kept.publish)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._keeps = False
            for kept in self._all_kept():
                kept.forget_unwritten()
            self._warn(
                f"what frozen layers give can no longer be cached ({error.strerror or error}), and is computed each "
                "time; make room on the disk, raise MTSEARCH_CACHE_BYTES, or let MTSEARCH_CACHE name another folder"
            )

    def _warn(self, line: str) -> None:
        _LOG.warning(line)
        self._warnings.append(line)

    def take_warnings(self) -> tuple[str, ...]:
        """What went otherwise than asked since the last call, a line each."""
        taken, self._warnings = tuple(self._warnings), []
        return taken

    def _all_kept(self) -> Iterator[Activations]:
        for both in self._kept.values():
            yield from both

    def _activations(self, split: EncodedSplit) -> tuple[Activations, ...]:
        if split not in self._kept:
            self._kept[split] = tuple(
                Activations(f"{self._key} {split.sequence_digest(number)}", split.sequence_lengths(number))
                for number in range(split.num_sequences)
            )
        return self._kept[split]

    def _encoded(self, split: EncodedSplit, number: int, rows: npt.NDArray[np.int64]) -> dict[int, Tensor]:
        """What the frozen part gives for each of these rows, [L, D] on the CPU."""
        if not len(rows):
            return {}
        assert self._depth is not None
        device = self._accelerator.device
        all_lengths = split.sequence_lengths(number)
        padded_lengths = np.minimum(-(-all_lengths[rows] // _LENGTH_STEP) * _LENGTH_STEP, all_lengths.max())
        states: dict[int, Tensor] = {}
        for length in np.unique(padded_lengths).tolist():
            alike = rows[padded_lengths == length]
            for start in range(0, len(alike), _BATCH_ROWS):
                lot = alike[start : start + _BATCH_ROWS]
                inputs = split.inputs(np.resize(lot, _BATCH_ROWS), number).padded_to(length).to(device)
                with self._accelerator.autocast():
                    states_BLD = states_above(self._depth, inputs, self._model.encoder, self._model.layers).cpu()
                for row, states_LD in zip(lot.tolist(), states_BLD, strict=False):
                    states[row] = states_LD[: all_lengths[row]]
        return states

    def _prefix_key(self, depth: int) -> str:
        """Names what decides the states, but for the sequences."""
        encoder: Any = self._model.encoder
        device = self._accelerator.device
        unimportant = {"_name_or_path", "transformers_version"}
        facts = {
            "version": _VERSION,
            "config": {k: v for k, v in encoder.config.to_dict().items() if k not in unimportant and "drop" not in k},
            "attention": getattr(encoder.config, "_attn_implementation", None),
            "depth": depth,
            "precision": self._accelerator.mixed_precision,
            "libraries": [torch.__version__, transformers.__version__],
            "hardware": torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else [torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
        depths = self._model.layers.depths
        frozen = {name: parameter for name, parameter in encoder.named_parameters() if depths[name] <= depth}
        for name, tensor in {**frozen, **dict(encoder.named_buffers())}.items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()
