"""Examples a second in training, against transformers' Trainer and a bare loop.

The packaged MiniLM, batch 16, at most 128 tokens, AdamW, clipped gradients, a linear schedule; fp32 on the CPU
with 2 threads, bf16 on a GPU. Only updates are timed: no evaluation, no start, no tokenising. The sides:

- ``mtsearch``: ``build`` and ``fit`` on all three tasks, with the rate that the trial's report states; the cosines
  between the tasks' gradients, which nobody else measures, are switched off (they take about 2%);
- ``mtsearch, auto``: the same with ``precision: auto``, as it comes: bf16 where the processor multiplies it natively;
- ``Trainer``: transformers' Trainer with its default collator, which pads to the longest of a batch, on examples in
  random order; one training for each task, since that is what a Trainer is made for, and their times added up;
- ``Trainer by length``: the same with ``train_sampling_strategy="group_by_length"``;
- ``bare loop``: thirty lines of torch over length buckets, all three tasks.

All have the same encoder with its own dropout, task heads and data, already tokenised. A round is 50 updates of each
task from 3,200 examples: just one of the lots that a Trainer sorts by length together (at most 50 batches, and at
most a quarter of the examples).

Targets, in equal precision: at least 1.5 x Trainer, 1.15 x Trainer by length, 0.95 x bare loop. As everything comes:
1.15 x Trainer by length.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from corpus import TASKS, write_corpus
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, DataCollatorWithPadding, Trainer, TrainingArguments, get_scheduler

from mtsearch.config.trial import TrialConfig
from mtsearch.model.encoder import find_encoder, load_tokenizer
from mtsearch.tasks.contract import Encoded
from mtsearch.training.assembly import build_model
from mtsearch.training.fit import fit
from mtsearch.training.parts import build, load_task
from mtsearch.training.place import Place

BATCH = 16
THREADS = 2
LR = 8e-5
UPDATES = 50  # of one task in a round
TARGETS = (
    measure.Target("mtsearch", "Trainer", 1.5),
    measure.Target("mtsearch", "Trainer by length", 1.15),
    measure.Target("mtsearch", "bare loop", 0.95),
    measure.Target("mtsearch, auto", "Trainer by length", 1.15),
)


class OneTask(nn.Module):
    """The encoder under one task head, with the signature that a Trainer calls."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """The mean loss and the scores."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        values = self.head(Encoded(states.last_hidden_state, attention_mask.bool())).values
        loss = functional.mse_loss if labels.is_floating_point() else functional.cross_entropy
        return {"loss": loss(values.float(), labels), "logits": values}


class Sides:
    """The four ways to train, on the same data.

    Args:
        data_root: of :func:`corpus.write_corpus`.
        device: ``cpu`` or ``cuda``.
        updates: of each task in a round.
    """

    def __init__(self, data_root: Path, device: str, updates: int) -> None:
        self.device, self.updates = device, updates
        self.place = Place(folder=None, data_root=data_root, cpus=THREADS, device=device)
        self.config = TrialConfig.model_validate(
            {
                "tasks": TASKS,
                "training": {"batch_size": BATCH, "epochs": 1, "interference_interval": None},
                "sampler": {"name": "uniform", "examples_per_task": BATCH * updates},
                "optimizer": {"name": "adamw", "lr": LR},
                "schedule": {"name": "linear"},
            }
        )
        self.tokenizer = load_tokenizer(find_encoder(self.config.encoder.model))
        self.tasks = {name: load_task(name, kind, self.config, self.place) for name, kind in self.config.tasks.items()}
        self.rows = {name: self._rows(name) for name in self.tasks}

    def _rows(self, task: str) -> list[dict[str, Any]]:
        """A task's tokenised training examples, as transformers has them."""
        split = self.tasks[task].splits["train"]
        ids, types = split.tokens.columns["ids"], split.tokens.columns["types"]
        (labels,) = split.targets(np.arange(split.num_examples)).values()
        if labels.is_floating_point():
            labels = (labels - labels.mean()) / labels.std()
        return [
            {
                "input_ids": ids.values[start:end].tolist(),
                "token_type_ids": types.values[start:end].tolist(),
                "attention_mask": [1] * int(end - start),
                "labels": label.item(),
            }
            for start, end, label in zip(ids.offsets[:-1], ids.offsets[1:], labels, strict=True)
        ]

    def _models(self) -> dict[str, OneTask]:
        """What the peers train: our task heads on the encoder as transformers loads it."""
        heads = build_model(self.config, {name: task.inventory for name, task in self.tasks.items()}).heads
        location = find_encoder(self.config.encoder.model).folder
        encoder = AutoModel.from_pretrained(location, add_pooling_layer=False)
        return {task: OneTask(encoder, head) for task, head in heads.items()}

    def mtsearch(self, number: int, precision: str | None = None) -> float:
        """Examples/s of our trainer; None takes the peers' precision."""
        own = precision or ("bf16" if self.device == "cuda" else "fp32")
        training = self.config.training.model_copy(update={"seed": number, "precision": own})
        report = next(fit(build(self.config.model_copy(update={"training": training}), self.place)))
        return report.facts["examples_per_second"]

    def trainer(self, number: int, strategy: str = "random") -> float:
        """Examples/s of transformers' Trainer."""
        seconds = 0.0
        for name in self.tasks:
            with tempfile.TemporaryDirectory() as folder:
                arguments = TrainingArguments(
                    output_dir=folder,
                    per_device_train_batch_size=BATCH,
                    max_steps=self.updates,
                    learning_rate=LR,
                    lr_scheduler_type="linear",
                    train_sampling_strategy=strategy,
                    bf16=self.device == "cuda",
                    use_cpu=self.device == "cpu",
                    dataloader_pin_memory=self.device == "cuda",
                    remove_unused_columns=False,
                    save_strategy="no",
                    logging_strategy="no",
                    report_to=[],
                    disable_tqdm=True,
                    seed=number,
                )
                result = Trainer(
                    self._models()[name], arguments, train_dataset=self.rows[name], processing_class=self.tokenizer
                ).train()
                seconds += result.metrics["train_runtime"]
        return len(self.tasks) * self.updates * BATCH / seconds

    def bare_loop(self, number: int) -> float:
        """Examples/s of a loop as one would write it by hand."""
        torch.manual_seed(number)
        rng = np.random.default_rng(number)
        models = {name: model.to(self.device).train() for name, model in self._models().items()}
        parameters = list({p: None for model in models.values() for p in model.parameters()})
        optimizer = torch.optim.AdamW(parameters, lr=LR, fused=True)
        plan: list[tuple[str, list[dict[str, Any]]]] = []
        for name, rows in self.rows.items():
            chosen = rng.permutation(len(rows))[: BATCH * self.updates]
            ordered = sorted((rows[i] for i in chosen), key=lambda row: len(row["input_ids"]))
            plan += [(name, ordered[i : i + BATCH]) for i in range(0, len(ordered), BATCH)]
        plan = [plan[i] for i in rng.permutation(len(plan))]
        schedule = get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=len(plan))
        collate = DataCollatorWithPadding(self.tokenizer)
        begun = time.perf_counter()
        for name, rows in plan:
            batch = collate(rows).to(self.device)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
                loss = models[name](**batch)["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return sum(len(rows) for _, rows in plan) / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    arguments = measure.parser(__doc__, rounds=5)
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = arguments.parse_args()
    measure.warn_unless_idle()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    updates = 10 if options.quick else UPDATES
    with tempfile.TemporaryDirectory() as folder:
        origin = write_corpus(Path(folder), train=4 * updates * BATCH, dev=BATCH)
        print(f"{options.device}, {THREADS} threads, {updates} updates of each of {len(TASKS)} tasks, on {origin}")
        sides = Sides(Path(folder), options.device, updates)
        sides.bare_loop(0)  # the first run of a process allocates and compiles
        values = measure.interleaved(
            {
                "mtsearch": sides.mtsearch,
                "mtsearch, auto": lambda number: sides.mtsearch(number, "auto"),
                "Trainer": sides.trainer,
                "Trainer by length": lambda number: sides.trainer(number, "group_by_length"),
                "bare loop": sides.bare_loop,
            },
            options.rounds or (1 if options.quick else options.default_rounds),
        )
    print("examples/s; higher is better")
    measure.print_ratios(values, TARGETS, less_is_better=False)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
