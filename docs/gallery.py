"""Draws docs/GALLERY.md: every figure of mtsearch_analysis, made by the very lines that are shown beside it.

    cd FOLDER && python .../docs/gallery.py       # FOLDER/runs holds the run folders that the lines name

Figures for which there is no real run yet are drawn from made-up tables, and say so. It takes the extra ``figures``.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq

import mtsearch_analysis as mta
from mtsearch_analysis.tables import PROBES, SOURCE_RANKINGS, TASK_EMBEDDINGS, TRANSFERS

DOCS = Path(__file__).parent

CURVES = (
    "One search: MiniLM on STS-B, 18 random configs of learning rates, batch, weight decay, schedule and warm-up, 9 "
    "evaluations of 128 examples each, none stopped early, dev cut to 250."
)
FRONT = (
    "A search under way, its first four trials: MiniLM on SST-5, Quora and STS-B, target sparsity and learning rate "
    "drawn at random, for the mean score and few attention heads, 3 epochs of 300 examples per task, dev cut to 500."
)
METHODS = (
    "Three searches (seeds 13, 14, 15) of 20 methods each: MiniLM on SST-5, Quora and STS-B, 4 epochs of 500 examples "
    "per task, dev cut to 500."
)
SETS = (
    "Three grids (seeds 13, 14, 15) over all seven sets of SST-5, Quora and STS-B: MiniLM, 3 epochs of 400 examples "
    "per task, dev cut to 500."
)
PRUNING = (
    "Eight runs: MiniLM's 72 attention heads pruned to half, on SST-5, Quora and STS-B together and on each alone, "
    "seeds 13 and 14, 6 epochs of 1,500 examples, dev cut to 500."
)
STRENGTHS = (
    "One search of six penalties of head gates, from none to .1: MiniLM on SST-5, Quora and STS-B, 6 epochs of 500 "
    "examples per task, dev cut to 500."
)
MADE_UP = "**Made-up table** in the documented schema: it shows the form, and finds nothing."


@dataclass(frozen=True)
class Entry:
    """One figure or table of the gallery.

    Args:
        name: of its file.
        says: what it shows, in a sentence.
        data: what it was made from.
        lines: Python that ends in an expression: the figure, or the text of a table.
    """

    name: str
    says: str
    data: str
    lines: str


PRUNED_RUNS = """runs = mta.load_runs(sorted(Path("runs").glob("*tl_*_1[34]")))"""
SINGLE_AND_JOINT = """runs = mta.load_runs([f"runs/sets_{seed}" for seed in (13, 14, 15)])
pairs = mta.joint_pairs(runs)"""
METHOD_RUNS = """runs = mta.load_runs([f"runs/methods_{seed}" for seed in (13, 14, 15)])"""

SECTIONS: dict[str, list[Entry]] = {
    "A search": [
        Entry(
            "curves",
            "Every trial's learning curve, the winner's on top.",
            CURVES,
            'mta.curve_figure(mta.learning_curves(mta.load_run("runs/curves")))',
        ),
        Entry(
            "trial",
            "One trial's metrics over epochs.",
            METHODS.replace("Three searches (seeds 13, 14, 15)", "The first trial of one search (seed 13)"),
            """run = mta.load_run("runs/methods_13")
curves = pd.concat([mta.learning_curves(run, metric) for metric in run.task_metrics])
mta.trial_figure(curves[curves["trial_id"] == "t0000"])""",
        ),
        Entry(
            "anytime",
            "The best score so far over time.",
            CURVES,
            'mta.anytime_figure(mta.anytime(mta.load_run("runs/curves")))',
        ),
        Entry(
            "anytime-of-runs",
            "Searches against one another: the best score so far over the same budget.",
            METHODS,
            f'{METHOD_RUNS}\nmta.anytime_of_runs_figure(mta.anytime_of_runs(runs, "examples_seen"))',
        ),
        Entry(
            "parallel",
            "Which settings went with which scores: a line is a trial, orange is good.",
            CURVES,
            'mta.parallel_figure(mta.load_run("runs/curves"))',
        ),
        Entry(
            "importance",
            "How much each setting had to do with the score, with bootstrap intervals.",
            CURVES,
            'mta.importance_figure(mta.parameter_importance(mta.load_run("runs/curves")))',
        ),
        Entry(
            "effects",
            "The mean score over a setting's range.",
            CURVES,
            """effects = mta.marginal_effects(mta.load_run("runs/curves"))
mta.effect_figure(effects[effects["parameter"] == "optimizer.lr"])""",
        ),
        Entry(
            "interactions",
            "Two settings at once.",
            CURVES,
            """run = mta.load_run("runs/curves")
mta.interaction_figure(mta.interactions(run, "optimizer.lr", "optimizer.head_lr"))""",
        ),
        Entry(
            "cost",
            "What a score cost.",
            CURVES,
            'mta.cost_figure(mta.cost_table(mta.load_run("runs/curves")), "seconds")',
        ),
        Entry(
            "regret",
            "Had only the best third gone on after an evaluation: what would have been lost.",
            CURVES,
            'mta.regret_figure(mta.stopping_regret(mta.load_run("runs/curves")))',
        ),
        Entry(
            "pareto",
            "Two objectives: the orange trials are on the Pareto front, which no trial lies beyond.",
            FRONT,
            'mta.pareto_figure(mta.load_run("runs/front"), against="open_heads")',
        ),
        Entry(
            "hypervolume",
            "How much of the objectives' space is dominated, trial by trial.",
            FRONT,
            'mta.hypervolume_figure(mta.hypervolume_curve(mta.load_run("runs/front")))',
        ),
    ],
    "Tasks together and alone": [
        Entry(
            "joint",
            "What each task gains by the others, with t intervals over seeds.",
            SETS,
            f"{SINGLE_AND_JOINT}\nmta.joint_figure(mta.joint_table(pairs))",
        ),
        Entry(
            "negative-transfer",
            "Which task helps (blue) or hurts (red) which other, in percent of the score alone.",
            SETS,
            f"{SINGLE_AND_JOINT}\nmta.negative_transfer_figure(mta.negative_transfer_table(pairs))",
        ),
        Entry(
            "delta-m",
            "Δm: the mean relative gain over the tasks of each set, with its t interval.",
            SETS,
            f"{SINGLE_AND_JOINT}\nmta.delta_m_table(pairs)",
        ),
        Entry(
            "trade-offs",
            "Whether trials that are good on one task are good on another (Kendall's τ), and the tasks' Pareto front.",
            METHODS.replace("Three searches (seeds 13, 14, 15)", "One search (seed 13)"),
            'mta.trade_off_figure(mta.task_scores(mta.load_run("runs/methods_13")))',
        ),
        Entry(
            "interference",
            "Whether the tasks' gradients pull the encoder the same way, over epochs.",
            METHODS,
            f"{METHOD_RUNS}\nmta.interference_figure(mta.interference_table(runs))",
        ),
        Entry(
            "seeds",
            "How many seeds a paired test needs to find a difference: with three, nothing below .02 is seen.",
            METHODS,
            f"{METHOD_RUNS}\nmta.seeds_figure(mta.seeds_needed(mta.seed_spread(mta.config_scores(runs))))",
        ),
    ],
    "Attention heads": [
        Entry(
            "heads",
            "Layer × attention head of each run, dark where the gate is open.",
            PRUNING,
            f"{PRUNED_RUNS}\nmta.head_maps_figure(mta.gate_maps(runs))",
        ),
        Entry(
            "heads-rgb",
            "Three runs in one map, 255 · (1 - gate): black is open in all, white in none "
            "(The Stem Cell Hypothesis, Figure 1a to 1f).",
            PRUNING,
            """runs = mta.load_runs(sorted(Path("runs").glob("stl_*_13")))
mta.rgb_figure(mta.gate_maps(runs))""",
        ),
        Entry(
            "heads-mean",
            "The mean gate over all eight runs: dark heads are used by many (Figure 1g).",
            PRUNING,
            f"{PRUNED_RUNS}\nmta.head_maps_figure(mta.mean_map(mta.gate_maps(runs)))",
        ),
        Entry(
            "heads-alike",
            "Whether runs keep the same attention heads, over what chance gives (grey).",
            PRUNING,
            f"{PRUNED_RUNS}\nmta.gate_pairs_figure(mta.gate_pairs(mta.gate_maps(runs)))",
        ),
        Entry(
            "heads-agreement",
            "The same as a table: correlations and Jaccard indices by what the runs have in common.",
            PRUNING,
            f"{PRUNED_RUNS}\nmta.gate_agreement(mta.gate_pairs(mta.gate_maps(runs)))",
        ),
        Entry(
            "heads-cost",
            "The score against open attention heads and against latency, both by the whole encoder's.",
            STRENGTHS,
            """costs = mta.head_costs(mta.load_run("runs/strengths"))
mta.head_costs_figure(costs[costs["trial_id"] != "t0000"], "mean_score")  # t0000 had a target in place of a penalty""",
        ),
    ],
    "Tables of results": [
        Entry(
            "results-ablation",
            "An ablation as the CS224N report has it: mean over seeds ± half of the 95% interval, and the difference "
            "to the baseline paired by seed; a star is more than noise after Holm's correction.",
            METHODS,
            f"""{METHOD_RUNS}
names = {{"t0000": "baseline", "t0006": "PAL sampling", "t0011": "PCGrad", "t0012": "GradVac", "t0013": "SMART"}}
names |= {{"t0019": "individual pretraining"}}
table = mta.results_table(runs, baseline="t0000", names=names)
mta.results_text(table[table["config"].isin(names.values())])""",
        ),
        Entry(
            "results-optimizers",
            "Baseline against SophiaH, as in the Göttingen study, named by what differs; for a paper: "
            "`results_text(table, 'latex')`.",
            METHODS,
            f"""{METHOD_RUNS}
table = mta.results_table(runs)
mta.results_text(table[table["config"].isin(["baseline", "optimizer.name=sophiah"])])""",
        ),
    ],
    "Probes": [
        Entry(
            "probe-layers",
            "Each label at the layer of its best attention head, chosen on dev and judged on test; large points are "
            "frequent labels (The Stem Cell Hypothesis, Figure 3).",
            MADE_UP,
            """heads = mta.best_heads(mta.load_table(PROBES, "made-up"))
mta.best_layers_figure(heads[heads["model"] == "pretrained"])""",
        ),
        Entry(
            "probe-differences",
            "Each label's difference from single-task training; long dashes are frequent labels (Figure 4).",
            MADE_UP,
            'mta.label_differences_figure(mta.label_differences(mta.best_heads(mta.load_table(PROBES, "made-up"))))',
        ),
    ],
    "Transfer": [
        Entry(
            "transfer",
            "What each target reaches after each source; the black line is direct training (Vu et al. 2020, Figure 2).",
            MADE_UP,
            'mta.transfer_figure(mta.transfer_table(mta.load_table(TRANSFERS, "made-up")))',
        ),
        *(
            Entry(
                f"task-map-{method}",
                f"The space of tasks by {title} (Figure 3{letter}): near is alike; a line leads to the most alike.",
                MADE_UP,
                f"""embeddings = mta.load_table(TASK_EMBEDDINGS, "made-up")
mta.task_map_figure(mta.task_map(mta.task_similarities(embeddings, "{method}")))""",
            )
            for method, title, letter in (("textemb", "TextEmb", "a"), ("taskemb", "TaskEmb", "b"))
        ),
        Entry(
            "ranking",
            "How well sources can be chosen before training: beside chance, which is exact.",
            MADE_UP,
            """transfers = mta.transfer_table(mta.load_table(TRANSFERS, "made-up"))
quality = mta.ranking_quality(mta.load_table(SOURCE_RANKINGS, "made-up"), transfers)
mta.ranking_figure(mta.ranking_table(quality))""",
        ),
    ],
}


def evaluated(lines: str) -> Any:
    """What the last expression of the lines gives."""
    names: dict[str, Any] = {"mta": mta, "pd": pd, "Path": Path, "PROBES": PROBES, "TRANSFERS": TRANSFERS}
    names |= {"TASK_EMBEDDINGS": TASK_EMBEDDINGS, "SOURCE_RANKINGS": SOURCE_RANKINGS}
    *before, last = ast.parse(lines).body
    if not isinstance(last, ast.Expr):
        raise TypeError(f"the last line is no expression: {lines}")
    exec(compile(ast.Module(before, type_ignores=[]), "gallery", "exec"), names)
    return eval(compile(ast.Expression(last.value), "gallery", "eval"), names)


def in_markdown(frame: pd.DataFrame) -> str:
    """A small frame as a table, numbers to three places."""
    texts = frame.map(lambda value: f"{value:.3f}" if isinstance(value, float) else str(value))
    lines = [list(frame.columns), ["---"] * frame.shape[1], *texts.to_numpy().tolist()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_gallery() -> None:
    """Evaluates every entry in the working folder, and writes the page and its images beside this file."""
    figures: dict[str, go.Figure] = {}
    page = [
        "# Gallery\n",
        "Every figure is one call on tables, and holds no numbers of its own. All of them were drawn by the lines "
        "beside them, by `docs/gallery.py`, with `import mtsearch_analysis as mta`, pandas as `pd` and `Path`; in a "
        "notebook they are interactive. Budgets are small: the figures show what can be seen, not what is true of "
        "the methods. What the runs found is in [LOG.md](LOG.md).\n",
    ]
    for section, entries in SECTIONS.items():
        page.append(f"## {section}\n")
        for entry in entries:
            result = evaluated(entry.lines)
            page.append(f"**{entry.says}** {entry.data}\n\n```python\n{entry.lines}\n```\n")
            if isinstance(result, go.Figure):
                figures[entry.name] = result
                page.append(f"![{entry.name}](gallery/{entry.name}.svg)\n")
            else:
                page.append(result if isinstance(result, str) else in_markdown(result))
    mta.save_figures(figures, DOCS / "gallery", ("svg",), width_px=760, scale=1.0)
    (DOCS / "GALLERY.md").write_text("\n".join(page), encoding="utf-8")


def write_made_up_tables(folder: Path) -> None:
    """The tables of studies that no run has made yet, from nothing but a seed."""
    rng = np.random.default_rng(7)
    for table, rows in (
        (PROBES, _probes(rng)),
        (TRANSFERS, _transfers(rng)),
        (TASK_EMBEDDINGS, _embeddings(rng)),
        (SOURCE_RANKINGS, _rankings(rng)),
    ):
        pq.write_table(table.from_rows(list(rows)), folder / table.file)


LABELS = {
    "dep": ("det", "nsubj", "case", "obj", "amod", "advmod", "aux", "obl", "cc", "cop"),
    "srl": ("ARG1", "ARG0", "ARG2", "ARGM-TMP", "ARGM-MOD", "ARGM-NEG", "R-ARG0"),
}
KINDS = {
    "classification": ("SST-2", "MNLI", "CoLA", "QQP"),
    "question answering": ("SQuAD", "HotpotQA", "BoolQ"),
    "sequence labelling": ("POS", "NER", "Chunk", "GParent"),
}


def _probes(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    trained = {"pretrained": None, "single": "", "pos+dep+srl": "pos+dep+srl", "all five": "pos+ner+dep+con+srl"}
    for task, labels in LABELS.items():
        for model, tasks in trained.items():
            gain = {"pretrained": -0.16, "single": 0.0}.get(model, -0.07)
            name = f"{task} alone" if model == "single" else model
            for place, label in enumerate(labels):
                home = 2 + (place * 5) % 9, 1 + (place * 7) % 12
                for layer in range(1, 13):
                    for head in range(1, 13):
                        height = 0.85 - 0.05 * place if (layer, head) == home else 0.3
                        value = float(np.clip(height + gain + rng.normal(0, 0.04), 0.02, 0.99))
                        for split in ("dev", "test"):
                            yield {
                                "model": name,
                                "trained": task if model == "single" else tasks,
                                "task": task,
                                "label": label,
                                "split": split,
                                "num_items": 3000 // (place + 1),
                                "layer": layer,
                                "head": head,
                                "accuracy": float(np.clip(value + rng.normal(0, 0.01), 0, 1)),
                            }


def _pairs() -> Iterator[tuple[str, str, str, str]]:
    """(target, its kind, source, its kind) of all ordered pairs."""
    kind_of = {task: kind for kind, tasks in KINDS.items() for task in tasks}
    for target, kind in kind_of.items():
        for source, source_kind in kind_of.items():
            if source != target:
                yield target, kind, source, source_kind


def _transfers(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    direct = {task: 0.55 + 0.03 * i for i, task in enumerate(task for tasks in KINDS.values() for task in tasks)}
    kind_of = {task: kind for kind, tasks in KINDS.items() for task in tasks}
    cases = [(target, kind_of[target], None, None) for target in direct]
    for target, kind, source, source_kind in [*cases, *_pairs()]:
        gain = 0.0 if source is None else rng.normal(0.05 if kind == source_kind else 0.0, 0.03)
        for seed in (1, 2, 3):
            yield {
                "target": target,
                "target_kind": kind,
                "source": source,
                "source_kind": source_kind,
                "regime": "full to limited",
                "seed": seed,
                "metric": "accuracy",
                "score": float(np.clip(direct[target] + gain + rng.normal(0, 0.01), 0, 1)),
            }


def _embeddings(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for method, own in (("textemb", 0.7), ("taskemb", 0.4)):
        for kind, tasks in KINDS.items():
            centre = rng.normal(size=32)
            for task in tasks:
                vector = centre + own * 2 * rng.normal(size=32)
                shared = {"task": task, "kind": kind, "method": method, "component": "", "num_examples": 1000}
                yield {**shared, "vector": vector.tolist()}


def _rankings(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for method, sight in (("taskemb", 1.0), ("textemb", 0.6), ("datasize", 0.1)):
        likeness = pd.DataFrame(
            [(t, s, sight * (kind == other) + rng.normal(0, 0.5)) for t, kind, s, other in _pairs()],
            columns=["target", "source", "similarity"],
        )
        likeness["rank"] = likeness.groupby("target")["similarity"].rank(ascending=False).astype(int)
        for row in likeness.to_dict("records"):
            yield {"method": method, **{str(name): value for name, value in row.items()}}


if __name__ == "__main__":
    if not Path("runs").is_dir():
        raise SystemExit("no folder runs here; go to the one that holds the runs named in docs/GALLERY.md")
    with tempfile.TemporaryDirectory(dir=".", prefix="made-up-") as temporary:
        write_made_up_tables(Path(temporary))
        Path("made-up").symlink_to(temporary)
        try:
            write_gallery()
        finally:
            Path("made-up").unlink()
