"""The data sets known by name: their files, columns, home on the hub, and stand-in in the sample corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from mtsearch.data.source import ColumnRole, FileFormat, SplitName

__all__ = ["CATALOGUE", "Entry", "HubName", "SplitFile"]


@dataclass(frozen=True)
class SplitFile:
    """One split's file, relative to the set's folder, and how to read it."""

    file: str
    format: FileFormat
    columns: Mapping[ColumnRole, str]


@dataclass(frozen=True)
class HubName:
    """The same task on the hub.

    Attributes:
        name: ``OWNER/NAME``.
        subset: the configuration, where there are several.
        columns: which column holds what.
        labels: whether classes are called by name or by number, so that they are as in the files.
    """

    name: str
    columns: Mapping[ColumnRole, str]
    subset: str | None = None
    labels: Literal["names", "numbers"] = "numbers"


@dataclass(frozen=True)
class Entry:
    """A data set of the catalogue.

    Attributes:
        title: what it is, in a few words.
        folders: where its files may lie in a data folder, the first that has them wins.
        files: the file of each split; a test file may be missing.
        terms: what the origin says of its licence. Nothing of any set is part of mtsearch.
        layers: column changes per layer, where one file carries several annotations.
        default_layer: the layer read when none is named; None asks for one.
        hub: where it is on the hub, if we know a copy without a loading script.
        sample_layer: the layer of the sample corpus that stands in for it.
    """

    title: str
    folders: tuple[str, ...]
    files: Mapping[SplitName, SplitFile]
    terms: str
    layers: Mapping[str, Mapping[ColumnRole, str]] = field(default_factory=dict)
    default_layer: str | None = None
    hub: HubName | None = None
    sample_layer: str | None = None


def _files(
    format: FileFormat, columns: Mapping[ColumnRole, str], train: str, dev: str, test: str | None = None
) -> dict[SplitName, SplitFile]:
    names: dict[SplitName, str | None] = {"train": train, "dev": dev, "test": test}
    return {split: SplitFile(file, format, columns) for split, file in names.items() if file is not None}


_SENTIMENT: Mapping[ColumnRole, str] = {"id": "id", "text": "sentence", "label": "sentiment"}
_PAIR: Mapping[ColumnRole, str] = {"text_a": "sentence1", "text_b": "sentence2"}
_LABEL_SENTENCE: Mapping[ColumnRole, str] = {"label": "label", "text": "sentence"}
_SENTEVAL_FILES = _files("tsv", _LABEL_SENTENCE, "train.tsv", "dev.tsv", "test.tsv")

CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        "sst5": Entry(
            title="Stanford Sentiment Treebank, five classes (Socher et al. 2013)",
            folders=("sst5", "."),  # the CS224N project keeps all its files in one folder
            files={
                **_files("cs224n", _SENTIMENT, "ids-sst-train.csv", "ids-sst-dev.csv"),
                "test": SplitFile("sst-test-fine.txt", "label_first", {"text": "text", "label": "label"}),
            },
            terms="no licence stated with the data; cite Socher et al. 2013",
            hub=HubName("SetFit/sst5", {"text": "text", "label": "label"}),
            sample_layer="sentiment",
        ),
        "quora": Entry(
            title="Quora Question Pairs, is the one a paraphrase of the other",
            folders=("quora", "."),
            files=_files(
                "cs224n",
                {"id": "id", "label": "is_duplicate", **_PAIR},
                *("quora-train.csv", "quora-dev.csv", "quora-test.csv"),
            ),
            terms="Quora's terms of service, non-commercial",
            hub=HubName(
                "nyu-mll/glue", {"id": "idx", "text_a": "question1", "text_b": "question2", "label": "label"}, "qqp"
            ),
            sample_layer="paraphrase",
        ),
        "stsb": Entry(
            title="Semantic Textual Similarity benchmark, 0 to 5",
            folders=("stsb", "."),
            files=_files(
                "cs224n",
                {"id": "id", "label": "similarity", **_PAIR},
                *("sts-train.csv", "sts-dev.csv", "sts-test.csv"),
            ),
            terms="no licence stated with the data; SemEval 2012 to 2017",
            hub=HubName("nyu-mll/glue", {"id": "idx", "label": "label", **_PAIR}, "stsb"),
            sample_layer="similarity",
        ),
        "cfimdb": Entry(
            title="film reviews, positive or negative, as CS224N uses them (long texts)",
            folders=("cfimdb", "."),
            files=_files("cs224n", _SENTIMENT, "ids-cfimdb-train.csv", "ids-cfimdb-dev.csv"),
            terms="no licence stated with the data",
        ),
        "mrpc": Entry(
            title="Microsoft Research Paraphrase Corpus (GLUE)",
            folders=("glue/MRPC", "MRPC", "mrpc"),
            files=_files(
                "glue",
                {"text_a": "#1 String", "text_b": "#2 String", "label": "Quality"},
                *("train.tsv", "dev.tsv", "msr_paraphrase_test.txt"),
            ),
            terms="none stated with the data",
            hub=HubName("nyu-mll/glue", {"id": "idx", "label": "label", **_PAIR}, "mrpc"),
        ),
        "rte": Entry(
            title="Recognising Textual Entailment (GLUE)",
            folders=("glue/RTE", "RTE", "rte"),
            files=_files("glue", {"id": "index", "label": "label", **_PAIR}, "train.tsv", "dev.tsv"),
            terms="none stated with the data",
            hub=HubName("nyu-mll/glue", {"id": "idx", "label": "label", **_PAIR}, "rte", labels="names"),
        ),
        "cola": Entry(
            title="Corpus of Linguistic Acceptability (GLUE)",
            folders=("glue/CoLA", "CoLA", "cola"),
            files=_files("glue", _LABEL_SENTENCE, "train.tsv", "dev.tsv"),
            terms="none stated with the data",
            hub=HubName("nyu-mll/glue", {"id": "idx", **_LABEL_SENTENCE}, "cola"),
        ),
        "sick": Entry(
            title="Sentences Involving Compositional Knowledge: relatedness 1 to 5, and entailment",
            folders=("sick",),
            files=_files(
                "tsv",
                {"id": "pair_ID", "text_a": "sentence_A", "text_b": "sentence_B"},
                *("SICK_train.txt", "SICK_trial.txt", "SICK_test_annotated.txt"),
            ),
            terms="CC BY-NC-SA (SemEval-2014)",
            layers={"relatedness": {"label": "relatedness_score"}, "entailment": {"label": "entailment_judgment"}},
        ),
        "trec": Entry(
            title="TREC question types, 6 coarse or 50 fine classes (Li and Roth 2002)",
            folders=("trec",),
            files=_files("trec", {"text": "question"}, "train.label", "dev.label", "TREC_10.label"),
            terms="none stated with the data",
            layers={"coarse": {"label": "coarse"}, "fine": {"label": "fine"}},
            default_layer="coarse",
        ),
        "subj": Entry(
            title="subjective or objective (Pang and Lee 2004)",
            folders=("subj",),
            files=_SENTEVAL_FILES,
            terms="none stated with the data",
        ),
        "mpqa": Entry(
            title="polarity of short phrases (Wiebe et al. 2005)",
            folders=("mpqa",),
            files=_SENTEVAL_FILES,
            terms="none stated with the data",
        ),
        "cr": Entry(
            title="polarity of customer reviews (Hu and Liu 2004)",
            folders=("cr",),
            files=_SENTEVAL_FILES,
            terms="none stated with the data",
        ),
    }
)
