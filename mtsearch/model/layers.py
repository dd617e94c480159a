"""The layers of an encoder, whatever its architecture: which there are, and at which depth each parameter works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["EncoderLayers", "entering_states", "evaluation_mode", "find_layers"]


@dataclass(frozen=True)
class EncoderLayers:
    """An encoder as a stack: depth 0 is the embeddings, 1 to N are the layers from the bottom to the top.

    Attributes:
        below: the modules that are registered before the list of layers; depth 0.
        layers: the layers, bottom to top; empty for an encoder that has no such list and counts as one layer.
        num_layers: N.
        depths: of each of the encoder's parameters, by name.
        layer_outputs: how many values a layer gives as a tuple, the states first; 0 if it gives the states alone.
    """

    below: tuple[nn.Module, ...]
    layers: tuple[nn.Module, ...]
    num_layers: int
    depths: Mapping[str, int]
    layer_outputs: int = 0


def find_layers(encoder: nn.Module) -> EncoderLayers:
    """The layers of a transformers encoder.

    They are the one list of ``config.num_hidden_layers`` modules. What is registered before it is of depth 0.
    What is registered after it is of the depth of the lowest layer whose output depends on it, since it changes
    what that layer gives: a final norm is of depth N, relative positions that all layers share of depth 1. An
    encoder without such a list, as ALBERT, which has one layer that it passes many times, counts as one layer:
    what holds the word embeddings is of depth 0, everything else of depth 1.

    Args:
        encoder: as ``AutoModel`` loads it. It is run once, on two tokens.
    """
    found = _layer_list(encoder)
    if found is None:
        words = encoder.get_input_embeddings()  # type: ignore[operator]
        below = tuple(child for child in encoder.children() if any(module is words for module in child.modules()))
        return EncoderLayers(below, (), 1, _depths(encoder, below, (), {}))
    path, layers = found
    below = tuple(_registered_before(encoder, path))
    inside = {id(p) for module in (*below, *layers) for p in module.parameters()}
    above = {name: p for name, p in encoder.named_parameters() if id(p) not in inside}
    lowest_use, layer_outputs = _run(encoder, layers, above)
    return EncoderLayers(below, layers, len(layers), _depths(encoder, below, layers, lowest_use), layer_outputs)


def _layer_list(encoder: nn.Module) -> tuple[list[str], tuple[nn.Module, ...]] | None:
    """The names on the way to the list of layers, and the layers."""
    num_layers = getattr(encoder.config, "num_hidden_layers", 0)
    found: list[tuple[str, nn.ModuleList]] = []
    for name, module in encoder.named_modules():
        is_inner = any(name.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and len(module) == num_layers and not is_inner:
            found.append((name, module))
    if len(found) != 1 or getattr(encoder.config, "num_hidden_groups", None):  # ALBERT's groups may be as many
        return None
    name, layers = found[0]
    return name.split("."), tuple(layers)


def _registered_before(encoder: nn.Module, path: list[str]) -> Iterator[nn.Module]:
    place = encoder
    for step in path:
        for name, child in place.named_children():
            if name == step:
                break
            yield child
        place = getattr(place, step)


def _depths(
    encoder: nn.Module, below: tuple[nn.Module, ...], layers: tuple[nn.Module, ...], above: Mapping[str, int]
) -> dict[str, int]:
    groups = enumerate((below, *((layer,) for layer in layers)))
    depth_of = {id(p): depth for depth, modules in groups for module in modules for p in module.parameters()}
    top = max(1, len(layers))
    return {name: depth_of.get(id(p), above.get(name, top)) for name, p in encoder.named_parameters()}


def _run(
    encoder: nn.Module, layers: tuple[nn.Module, ...], above: Mapping[str, nn.Parameter]
) -> tuple[dict[str, int], int]:
    """For parameters outside the layers the lowest depth whose output depends on them; and what a layer gives."""
    entering: list[Tensor] = []
    outputs: list[Any] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entering.append(entering_states(args, kwargs))

    hooks = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers[1:]]
    hooks.append(layers[0].register_forward_hook(lambda module, args, output: outputs.append(output)))
    trained = {name: parameter.requires_grad for name, parameter in above.items()}
    ids = torch.zeros((1, 2), dtype=torch.long, device=next(encoder.parameters()).device)
    try:
        for parameter in above.values():
            parameter.requires_grad_(True)
        with evaluation_mode(encoder), torch.set_grad_enabled(bool(above)):
            encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
        lowest = _lowest_use(entering, above)
    finally:
        for hook in hooks:
            hook.remove()
        for name, parameter in above.items():
            parameter.requires_grad_(trained[name])
    return lowest, len(outputs[0]) if isinstance(outputs[0], tuple) else 0


def _lowest_use(entering: list[Tensor], above: Mapping[str, nn.Parameter]) -> dict[str, int]:
    lowest: dict[str, int] = {}
    for depth, states in enumerate(entering, start=1):
        left = {name: parameter for name, parameter in above.items() if name not in lowest}
        if left and states.requires_grad:
            # What the graph does not reach has no gradient; one that is zero counts as reached.
            gradients = torch.autograd.grad(states.sum(), list(left.values()), retain_graph=True, allow_unused=True)
            lowest |= {name: depth for name, gradient in zip(left, gradients, strict=True) if gradient is not None}
    return lowest


def entering_states(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """The hidden states among a layer's arguments."""
    states: Tensor = args[0] if args else kwargs["hidden_states"]
    return states


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Inside, all of the model is in evaluation mode; afterwards each module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
