"""The frozen lower part of the encoder, run once for each example: its output is kept, and training starts from it.

While the embeddings and the lowest layers are frozen and in evaluation mode, what they give for an example never
changes. :func:`states_above` runs them alone; :func:`starting_above` runs the rest from there. Masks, positions and
final norms stay the model's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mtsearch.data.batching import Inputs
from mtsearch.model.layers import EncoderLayers, entering_states, evaluation_mode

__all__ = ["can_start_above", "starting_above", "states_above"]


class _ReachedError(Exception):
    """Ends a forward pass at the layer whose input was wanted."""


def states_above(depth: int, inputs: Inputs, encoder: nn.Module, layers: EncoderLayers) -> Tensor:
    """What the embeddings and the lowest ``depth`` layers give, in evaluation mode and without gradient: [B, L, D].

    Args:
        depth: 0 is the embeddings alone; all layers give the encoder's output, after its final norm.
        inputs: the sequences.
        encoder: whose mode stays as it is.
        layers: the encoder's.
    """
    entering: list[Tensor] = []

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entering.append(entering_states(args, kwargs))
        raise _ReachedError

    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(encoder))
        stack.enter_context(torch.no_grad())
        if depth == layers.num_layers:
            output: Tensor = encoder(**inputs.arguments()).last_hidden_state
            return output
        hook = layers.layers[depth].register_forward_pre_hook(stop, with_kwargs=True)
        stack.callback(hook.remove)
        try:
            encoder(**inputs.arguments())
        except _ReachedError:
            return entering[0]
    raise AssertionError("an encoder must pass through each of its layers")


@contextmanager
def starting_above(depth: int, states_BLD: Tensor, layers: EncoderLayers) -> Iterator[None]:
    """Inside, the encoder's forward pass starts with these states as the input of layer ``depth + 1``.

    Args:
        depth: fewer than there are layers.
        states_BLD: from :func:`states_above`.
        layers: the encoder's.
    """
    first = layers.layers[depth]
    run = first.forward
    skipped = (states_BLD, *[None] * (layers.layer_outputs - 1)) if layers.layer_outputs else states_BLD

    def begin(*args: Any, **kwargs: Any) -> Any:
        if args:
            return run(states_BLD, *args[1:], **kwargs)
        return run(**{**kwargs, "hidden_states": states_BLD})

    with ExitStack() as stack:
        for module in layers.below:
            if next(module.parameters(), None) is not None:
                stack.enter_context(_replaced(module, lambda *args, **kwargs: states_BLD))
        for layer in layers.layers[:depth]:
            stack.enter_context(_replaced(layer, lambda *args, **kwargs: skipped))
        stack.enter_context(_replaced(first, begin))
        yield


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    own = module.__dict__.get("forward")  # of a module that somebody wrapped
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


def can_start_above(depth: int, encoder: nn.Module, layers: EncoderLayers) -> bool:
    """Whether starting from the states gives what a whole pass gives, tried on two short sequences."""
    if depth == layers.num_layers or not layers.layers:
        return depth == layers.num_layers
    device = next(encoder.parameters()).device
    inputs = Inputs(
        torch.tensor([[1, 2, 3, 4], [4, 3, 0, 0]], device=device),
        torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], device=device),
    )
    try:
        states_BLD = states_above(depth, inputs, encoder, layers)
        with evaluation_mode(encoder), torch.no_grad():
            whole_BLD = encoder(**inputs.arguments()).last_hidden_state
            with starting_above(depth, states_BLD, layers):
                parts_BLD = encoder(**inputs.arguments()).last_hidden_state
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):  # it wants something else than states
        return False
    return torch.allclose(whole_BLD[inputs.mask_BL.bool()], parts_BLD[inputs.mask_BL.bool()], rtol=1e-4, atol=1e-5)
