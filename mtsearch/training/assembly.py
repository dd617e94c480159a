"""The encoder with its extensions, under task heads: one model."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import torch
from torch import nn

from mtsearch.config.trial import TrialConfig
from mtsearch.data.piece_tags import TagNames
from mtsearch.errors import ConfigError
from mtsearch.model.encoder import find_encoder, load_encoder
from mtsearch.model.extension import Extension, Host
from mtsearch.model.layers import EncoderLayers, find_layers
from mtsearch.model.multitask import MultitaskModel
from mtsearch.model.prefix import can_start_above
from mtsearch.model.serving import Serving
from mtsearch.tasks.contract import Inventory
from mtsearch.training.tagging import TrialTags

__all__ = ["assemble", "build_model", "check_rereading"]


def build_model(
    config: TrialConfig, inventories: Mapping[str, Inventory], tags: TrialTags | None = None
) -> MultitaskModel:
    """The pretrained encoder with its extensions, under freshly initialised task heads.

    A head's initial weights depend on the seed and the task's name alone, not on which other tasks there are.
    """
    encoder = load_encoder(find_encoder(config.encoder.model, config.encoder.revision), config.encoder)
    extensions = {name: method.build for name, method in config.extensions().items()}
    return assemble(encoder, config, inventories, extensions, {} if tags is None else tags.names)


def assemble(
    encoder: nn.Module,
    config: TrialConfig,
    inventories: Mapping[str, Inventory],
    extensions: Mapping[str, Callable[[Host], Extension | None]],
    tags: TagNames,
) -> MultitaskModel:
    """An encoder with extensions, under freshly initialised task heads.

    Args:
        encoder: with its weights.
        config: of the task heads.
        inventories: of each task.
        extensions: by name, what builds them; in this order.
        tags: the names of the tags that tokens have, by layer.
    """
    hidden_size: int = encoder.config.hidden_size  # type: ignore[union-attr, assignment]
    heads: dict[str, nn.Module] = {}
    for name, task in config.tasks.items():
        torch.manual_seed(config.training.seed ^ zlib.crc32(name.encode()))
        heads[name] = task.build_head(hidden_size, config.encoder.pooling, inventories[name])
    layers = find_layers(encoder)
    check_rereading(config, encoder, layers)
    host = Host(encoder, layers, Serving(), tuple(config.tasks), config.training.seed, tags)
    built = {name: extension for name, build in extensions.items() if (extension := build(host))}
    return MultitaskModel(encoder, heads, host.layers, built, host.serving)


def check_rereading(config: TrialConfig, encoder: nn.Module, layers: EncoderLayers) -> None:
    """Whether the encoder can read rows once more with as many of its layers as task heads want.

    Raises:
        ConfigError: it has not as many, or cannot start above the others.
    """
    for name, task in config.tasks.items():
        if task.reread_layers > layers.num_layers:
            raise ConfigError(
                f"tasks.{name}.head.reread_layers: must be at most the encoder's layers ({layers.num_layers}), but got "
                f"{task.reread_layers}"
            )
        if task.reread_layers and not can_start_above(layers.num_layers - task.reread_layers, encoder, layers):
            raise ConfigError(
                f"tasks.{name}.head.reread_layers: {type(encoder).__name__} cannot be started above its lower layers; "
                "set it to 0, or take another encoder"
            )
