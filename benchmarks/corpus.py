"""The data that the benchmarks train on: three tasks, cut to a size, in one folder that every side reads.

They come from the folder named by ``MTSEARCH_DATA`` (SST-5, Quora, STS-B), else from the sample corpus, whose
sentences are shorter.
"""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

from mtsearch.config.trial import TrialConfig
from mtsearch.data import sample
from mtsearch.data.resolve import load_data

__all__ = ["TASKS", "write_corpus"]

TASKS: dict[str, dict[str, Any]] = {
    "sentiment": {"kind": "classification", "data": "sst5"},
    "paraphrase": {"kind": "pair_classification", "data": "quora"},
    "similarity": {"kind": "pair_regression", "data": "stsb"},
}
"""The tasks as a config has them."""

_FILES = {
    "sentiment": ("sst5/ids-sst-{}.csv", ("sentence", "sentiment")),
    "paraphrase": ("quora/quora-{}.csv", ("sentence1", "sentence2", "is_duplicate")),
    "similarity": ("stsb/sts-{}.csv", ("sentence1", "sentence2", "similarity")),
}


def write_corpus(folder: Path, train: int, dev: int) -> str:
    """Write the first ``train`` and ``dev`` examples of each task under ``folder``, and say where they are from."""
    sizes = {"train": train, "dev": dev}
    real = os.environ.get("MTSEARCH_DATA")
    if not real:
        source = sample.write(folder / "sample", sizes=sizes)
        for task, (file, _) in _FILES.items():
            for split in sizes:
                target = folder / file.format(split)
                target.parent.mkdir(exist_ok=True)
                shutil.copy(source / task / f"{split}.csv", target)
        return "the sample corpus (set MTSEARCH_DATA for the real sets)"
    config = TrialConfig.model_validate({"tasks": TASKS})
    for name, task in config.tasks.items():
        data = load_data(task.data, task.wanted, Path(real))
        file, columns = _FILES[name]
        for split, size in sizes.items():
            target = folder / file.format(split)
            target.parent.mkdir(exist_ok=True)
            with target.open("w", encoding="utf-8", newline="") as lines:
                writer = csv.writer(lines, delimiter="\t", lineterminator="\n")
                writer.writerow(("", "id", *columns))
                for number, example in enumerate(data.splits[split].examples[:size]):
                    writer.writerow((number, example.id, *example.texts, example.label))
    return f"SST-5, Quora and STS-B under {real}"
