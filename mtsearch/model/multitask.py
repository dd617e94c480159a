"""One encoder, one task head per task; a forward pass serves one task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtsearch.data.batching import Batch, Inputs, PrefixStates
from mtsearch.model.extension import Extension, Role
from mtsearch.model.layers import EncoderLayers, entering_states, find_layers
from mtsearch.model.prefix import starting_above
from mtsearch.model.serving import Serving
from mtsearch.tasks.contract import Encoded, Logits, ReadingHead

__all__ = ["MultitaskModel"]


class MultitaskModel(nn.Module):
    """A shared encoder with its extensions, under the task heads.

    Parameter names tell the parts: ``encoder.*``, ``extensions.EXTENSION.*`` and ``heads.TASK.*``.

    Args:
        encoder: a transformers encoder with ``last_hidden_state`` [B, L, D].
        heads: a task head for each task.
        layers: the encoder's; None finds them.
        extensions: by name, built into the encoder already.
        serving: what the extensions were built with; None where there are none.
    """

    def __init__(
        self,
        encoder: nn.Module,
        heads: Mapping[str, nn.Module],
        layers: EncoderLayers | None = None,
        extensions: Mapping[str, Extension] | None = None,
        serving: Serving | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.extensions = nn.ModuleDict(cast(dict[str, nn.Module], dict(extensions or {})))
        self.heads = nn.ModuleDict(heads)
        self.layers = layers or find_layers(encoder)
        self._serving = serving or Serving()

    def each_extension(self) -> Iterator[tuple[str, Extension]]:
        """The extensions with their names."""
        return ((name, cast(Extension, extension)) for name, extension in self.extensions.items())

    @property
    def num_layers(self) -> int:
        """Layers of the encoder."""
        return self.layers.num_layers

    def frozen_prefix(self, trainable: Iterable[int]) -> int | None:
        """The highest depth up to which nothing trains, is extended, or is read again; None where the embeddings are.

        Args:
            trainable: the depths that train.
        """
        extended = [extension.lowest_depth for _, extension in self.each_extension()]
        reread = [
            self.num_layers - head.reread_layers + 1
            for head in self.heads.values()
            if isinstance(head, ReadingHead) and head.reread_layers
        ]
        lowest = min([*trainable, *extended, *reread])
        return lowest - 1 if lowest else None

    @cached_property
    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """Those in which the tasks meet: the encoder's, and those of extensions that all tasks train alike.

        Those that the trial's optimizer does not step are left out.
        """
        return tuple(
            parameter
            for name, parameter in self.named_parameters()
            if name in self.depths
            and not name.startswith("heads.")
            and (name not in self._roles or self._roles[name].task is None)
        )

    @cached_property
    def _roles(self) -> Mapping[str, Role]:
        """Of the extensions' parameters, by their full names."""
        return {
            f"extensions.{name}.{parameter}": role
            for name, extension in self.each_extension()
            for parameter, role in extension.roles().items()
        }

    @cached_property
    def depths(self) -> Mapping[str, int]:
        """Of each parameter that the optimizer steps: 0 the embeddings, 1 to N the layers, N + 1 the task heads.

        Parameters of extensions have the depth of what they are frozen with.
        """
        top = self.num_layers + 1
        depths = {f"encoder.{name}": depth for name, depth in self.layers.depths.items()}
        for name, role in self._roles.items():
            if not role.is_stepped_elsewhere:
                depths[name] = top if role.depth is None else role.depth
        return {
            name: depths.get(name, top)
            for name, _ in self.named_parameters()
            if name in depths or name.startswith("heads.")
        }

    def is_pretrained(self, name: str) -> bool:
        """Whether a parameter goes on from pretrained weights."""
        return name.startswith("encoder.") or (name in self._roles and self._roles[name].is_pretrained)

    def serves(self, name: str, tasks: Sequence[str]) -> bool:
        """Whether a pass for one of these tasks uses a parameter."""
        if name.startswith("heads."):
            return name.split(".")[1] in tasks
        return name not in self._roles or self._roles[name].task in (None, *tasks)

    def forward(self, batch: Batch) -> Logits:
        """Scores for the rows of one task's batch."""
        if batch.states is not None and batch.states.depth == self.num_layers:
            given = zip(batch.states.sequences_BLD, batch.inputs, strict=True)
            sequences = [
                Encoded(states_BLD, inputs.mask_BL.bool(), inputs.word_ids_BL, batch.targets)
                for states_BLD, inputs in given
            ]
        elif isinstance(head := self.heads[batch.task], ReadingHead) and head.reread_layers:
            return self._read_twice(head, batch)
        elif len(batch.inputs) == 1:
            sequences = [replace(self._encode(batch.task, batch.inputs[0], batch.states), targets=batch.targets)]
        else:  # two sequences per row: through the encoder together, then apart again
            both = self._encode(batch.task, Inputs.stack(batch.inputs), batch.states)
            num_rows = len(batch.rows)
            sequences = [
                Encoded(both.tokens_BLD[rows], both.mask_BL[rows])
                for rows in (slice(0, num_rows), slice(num_rows, None))
            ]
        logits: Logits = self.heads[batch.task](*sequences)
        return logits

    def _read_twice(self, head: ReadingHead, batch: Batch) -> Logits:
        (inputs,), depth = batch.inputs, self.num_layers - head.reread_layers
        entering: list[Tensor] = []

        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            entering.append(entering_states(args, kwargs))

        hook = self.layers.layers[depth].register_forward_pre_hook(look, with_kwargs=True)
        try:
            sequence = replace(self._encode(batch.task, inputs, batch.states), targets=batch.targets)
        finally:
            hook.remove()
        reading = head.reading(sequence)
        if not len(reading.rows_N):
            return head(sequence, None)
        states_NLD = entering[0][reading.rows_N] + reading.added_NLD
        given = PrefixStates(depth, (states_NLD,))
        return head(sequence, self._encode(batch.task, inputs.take(reading.rows_N), given))

    def _encode(self, task: str, inputs: Inputs, given: PrefixStates | None) -> Encoded:
        with ExitStack() as stack:
            stack.enter_context(self._serving.serve(task, inputs))
            if given is not None:
                stack.enter_context(starting_above(given.depth, _stacked(given.sequences_BLD), self.layers))
            states = self.encoder(**inputs.arguments())
        return Encoded(states.last_hidden_state, inputs.mask_BL.bool(), inputs.word_ids_BL)


def _stacked(sequences_BLD: Sequence[Tensor]) -> Tensor:
    if len(sequences_BLD) == 1:
        return sequences_BLD[0]
    length = max(states_BLD.shape[1] for states_BLD in sequences_BLD)
    return torch.cat([functional.pad(x, (0, 0, 0, length - x.shape[1])) for x in sequences_BLD])
