"""What the tests share: a tiny encoder, tiny data, a cache of their own, and one Ray."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The machine's load decides how long an example takes, and no run may fail for examples that another one did not have.
# For others, in your own time: pytest --hypothesis-profile=random
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("random", **UNTIMED)
settings.register_profile("same", derandomize=True, **UNTIMED)
settings.load_profile("same")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "awful", "poor", "dull")
THINGS = ("film", "book", "meal", "song", "walk", "game")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MTSEARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data sets; skips where they are not."""
    root = os.environ.get("MTSEARCH_DATA")
    if not root:
        pytest.skip("MTSEARCH_DATA names no folder of real data sets")
    return Path(root)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of 2 layers, 2 attention heads, hidden 32, and a WordPiece tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-encoder")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789.,?'")
    words = [*GOOD, *BAD, *THINGS, "the", "was", "a", "is", "this", "very", "not"]
    vocabulary = special + letters + [f"##{letter}" for letter in letters] + [w for w in words if len(w) > 1]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with sst5, quora and stsb in the CS224N layout: 48 train, 24 dev examples each, learnable."""
    root = tmp_path_factory.mktemp("tiny-data")
    rng = random.Random(13)

    def sentence() -> tuple[str, int]:
        good = rng.random() < 0.5
        return f"this {rng.choice(THINGS)} was {rng.choice(GOOD if good else BAD)} .", 4 if good else 0

    def write(name: str, header: str, rows: list[str]) -> None:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        lines = [f"\tid\t{header}", *(f"{i}\tx{i:04d}\t{row}" for i, row in enumerate(rows))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    for split, size in (("train", 48), ("dev", 24)):
        singles = [sentence() for _ in range(size)]
        pairs = [(sentence(), sentence()) for _ in range(size)]
        write(f"sst5/ids-sst-{split}.csv", "sentence\tsentiment", [f"{text}\t{label}" for text, label in singles])
        write(
            f"quora/quora-{split}.csv",
            "sentence1\tsentence2\tis_duplicate",
            [f"{a}\t{b}\t{float(x == y)}" for (a, x), (b, y) in pairs],
        )
        write(
            f"stsb/sts-{split}.csv",
            "sentence1\tsentence2\tsimilarity",
            [f"{a}\t{b}\t{5 - abs(x - y) - rng.random():.2f}" for (a, x), (b, y) in pairs],
        )
    return root


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline of spaCy that knows the tiny data's words by rules; skips where spaCy is not."""
    spacy = pytest.importorskip("spacy", reason="the extra 'spacy' is not installed")
    pipeline = spacy.blank("en")
    kinds = {"NOUN": THINGS, "ADJ": (*GOOD, *BAD), "DET": ("this", "a", "the"), "AUX": ("was", "is"), "PUNCT": (".",)}
    pipeline.add_pipe("attribute_ruler").add_patterns(
        [{"patterns": [[{"LOWER": {"IN": list(words)}}]], "attrs": {"POS": pos}} for pos, words in kinds.items()]
    )
    pipeline.add_pipe("entity_ruler").add_patterns(
        [{"label": "WORK", "pattern": [{"LOWER": word}]} for word in ("film", "book")]
    )
    folder = tmp_path_factory.mktemp("tiny-pipeline")
    pipeline.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_tagger(tiny_encoder: Path, _own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that learned the tiny data's words: parts of speech (task ``pos``), films and books (``works``)."""
    from mtsearch.config.trial import TrialConfig
    from mtsearch.training.card import Origin
    from mtsearch.training.checkpoint import latest_checkpoint
    from mtsearch.training.export import export
    from mtsearch.training.fit import fit
    from mtsearch.training.parts import build
    from mtsearch.training.place import Place

    folder = tmp_path_factory.mktemp("tiny-tagger")
    pos = ["DET", "NOUN", "AUX", "ADJ", "PUNCT"]
    sentences = [["this", thing, "was", judged, "."] for thing in THINGS for judged in (*GOOD, *BAD)]
    for split in ("train", "dev"):
        rows = [
            {"words": words, "pos": pos, "ner": ["B-WORK" if word in ("film", "book") else "O" for word in words]}
            for words in sentences
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config = {
        "name": "tagger",
        "encoder": {"model": str(tiny_encoder), "max_length": 32},
        "tasks": {
            "pos": {"kind": "tagging", "data": str(folder)},
            "works": {"kind": "ner", "data": str(folder), "head": {"name": "bio", "crf": False}},
        },
        "training": {"epochs": 2, "batch_size": 8, "precision": "fp32", "seed": 7},
        "optimizer": {"name": "adamw", "lr": 1e-2, "head_lr": 1e-2},
        "schedule": {"name": "none"},
    }
    list(fit(build(TrialConfig.model_validate(config), Place(folder / "trial", None))))
    checkpoint = latest_checkpoint(folder / "trial")
    assert checkpoint is not None
    return export(checkpoint, folder / "export", Origin()).folder


@pytest.fixture(scope="session")
def tiny_gold(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> dict[str, object]:
    """The ``tasks`` of a trial on the tiny sentiment data, which has a column of gold parts of speech here."""
    folder = tmp_path_factory.mktemp("tiny-gold")
    for split in ("train", "dev"):
        rows = (tiny_data / f"sst5/ids-sst-{split}.csv").read_text(encoding="utf-8").splitlines()[1:]
        lines = ("\t".join((*row.split("\t")[2:], "DET NOUN AUX ADJ _")) for row in rows)
        (folder / f"{split}.tsv").write_text("\n".join(["text\tlabel\ttags", *lines]) + "\n", encoding="utf-8")
    return {"sentiment": {"kind": "classification", "data": {"source": str(folder), "columns": {"pos": "tags"}}}}


@pytest.fixture(scope="session")
def tiny_config(tiny_encoder: Path) -> Callable[..., dict[str, Any]]:
    """A trial as plain data: three tasks on the tiny encoder, two epochs.

    Keyword arguments replace sections; of encoder and training only the keys that they give.
    """

    def make(**sections: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": "tiny",
            "encoder": {"model": str(tiny_encoder), "max_length": 32},
            "tasks": {
                "sentiment": {"kind": "classification", "data": "sst5"},
                "paraphrase": {"kind": "pair_classification", "data": "quora"},
                "similarity": {"kind": "pair_regression", "data": "stsb", "low": 0.0, "high": 5.0},
            },
            "training": {"epochs": 2, "batch_size": 8, "seed": 7},
            "optimizer": {"name": "adamw", "lr": 1e-3},
            "schedule": {"name": "linear"},
        }
        for section, values in sections.items():
            if section in ("encoder", "training"):
                values = {**config[section], **values}
            config[section] = values
        return config

    return make


@pytest.fixture(scope="session")
def ray_session(_own_cache: None) -> Iterator[None]:
    """A Ray with two cores that all tests share."""
    import ray

    os.environ["RAY_AUTH_MODE"] = "disabled"  # nothing is written into the home folder, and no one else is let in
    quiet = {"OMP_NUM_THREADS": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    os.environ.update(quiet)
    os.environ.update({"RAY_metrics_report_interval_ms": "2000"})  # else gauges are waited for
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    yield
    ray.shutdown()
