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
        splits: the hub's names of the splits; empty takes the usual ones.
    """

    name: str
    columns: Mapping[ColumnRole, str]
    subset: str | None = None
    labels: Literal["names", "numbers"] = "numbers"
    splits: Mapping[SplitName, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A data set of the catalogue.

    Attributes:
        title: what it is, in a few words.
        folders: where its files may lie in a data folder, the first that has them wins.
        files: the file of each split; a test file may be missing.
        terms: what the origin says of its licence. Nothing of any set is part of mtsearch.
        names: what the columns are called of files that only number them.
        layers: column changes per layer, where one file carries several annotations that are called otherwise than
            their columns.
        default_layer: the layer read when none is named; None asks for one.
        hub: where it is on the hub, if we know a copy without a loading script.
        sample_layer: the layer of the sample corpus that stands in for it.
    """

    title: str
    folders: tuple[str, ...]
    files: Mapping[SplitName, SplitFile]
    terms: str
    names: tuple[str, ...] = ()
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
_QUESTION: Mapping[ColumnRole, str] = {"id": "id", "text_a": "question", "text_b": "context", "label": "answers"}
_MNLI: Mapping[ColumnRole, str] = {"id": "index", "label": "gold_label", **_PAIR}
_HUB_MNLI: Mapping[ColumnRole, str] = {"id": "idx", "text_a": "premise", "text_b": "hypothesis", "label": "label"}
_SENTEVAL_FILES = _files("tsv", _LABEL_SENTENCE, "train.tsv", "dev.tsv", "test.tsv")


def _mnli(dev: str, what: str) -> Entry:
    """MNLI with one of its two dev splits."""
    return Entry(
        title=f"Multi-Genre Natural Language Inference (GLUE), {what}",
        folders=("glue/MNLI", "MNLI", "mnli"),
        files=_files("glue", _MNLI, "train.tsv", f"dev_{dev}.tsv"),
        terms="OANC's licence and others, by genre (Williams et al. 2018)",
        hub=HubName(
            "nyu-mll/glue", _HUB_MNLI, "mnli", labels="names", splits={"train": "train", "dev": f"validation_{dev}"}
        ),
    )


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
        "sst2": Entry(
            title="Stanford Sentiment Treebank, positive or negative phrases (GLUE)",
            folders=("glue/SST-2", "SST-2", "sst2"),
            files=_files("glue", _LABEL_SENTENCE, "train.tsv", "dev.tsv"),
            terms="no licence stated with the data; cite Socher et al. 2013",
            hub=HubName("nyu-mll/glue", {"id": "idx", **_LABEL_SENTENCE}, "sst2"),
        ),
        "qqp": Entry(
            title="Quora Question Pairs in GLUE's splits",
            folders=("glue/QQP", "QQP", "qqp"),
            files=_files(
                "glue",
                {"id": "id", "text_a": "question1", "text_b": "question2", "label": "is_duplicate"},
                *("train.tsv", "dev.tsv"),
            ),
            terms="Quora's terms of service, non-commercial",
            hub=HubName(
                "nyu-mll/glue", {"id": "idx", "text_a": "question1", "text_b": "question2", "label": "label"}, "qqp"
            ),
        ),
        "stsb_glue": Entry(
            title="Semantic Textual Similarity benchmark in GLUE's splits, 0 to 5",
            folders=("glue/STS-B", "STS-B", "stsb_glue"),
            files=_files("glue", {"id": "index", "label": "score", **_PAIR}, "train.tsv", "dev.tsv"),
            terms="no licence stated with the data; SemEval 2012 to 2017",
            hub=HubName("nyu-mll/glue", {"id": "idx", "label": "label", **_PAIR}, "stsb"),
        ),
        "mnli": _mnli("matched", "dev of the genres of train"),
        "mnli_mismatched": _mnli("mismatched", "dev of other genres than train"),
        "qnli": Entry(
            title="does a sentence answer a question (GLUE, from SQuAD)",
            folders=("glue/QNLI", "QNLI", "qnli"),
            files=_files(
                "glue",
                {"id": "index", "text_a": "question", "text_b": "sentence", "label": "label"},
                *("train.tsv", "dev.tsv"),
            ),
            terms="CC BY-SA 4.0 (SQuAD)",
            hub=HubName(
                "nyu-mll/glue",
                {"id": "idx", "text_a": "question", "text_b": "sentence", "label": "label"},
                "qnli",
                labels="names",
            ),
        ),
        "wnli": Entry(
            title="Winograd Natural Language Inference (GLUE); its dev set is adversarial to train",
            folders=("glue/WNLI", "WNLI", "wnli"),
            files=_files("glue", {"id": "index", "label": "label", **_PAIR}, "train.tsv", "dev.tsv"),
            terms="none stated with the data",
            hub=HubName("nyu-mll/glue", {"id": "idx", "label": "label", **_PAIR}, "wnli"),
        ),
        "snli": Entry(
            title="Stanford Natural Language Inference (Bowman et al. 2015)",
            folders=("snli", "snli_1.0"),
            files=_files(
                "snli",
                {"id": "pairID", "label": "gold_label", **_PAIR},
                *("snli_1.0_train.txt", "snli_1.0_dev.txt", "snli_1.0_test.txt"),
            ),
            terms="CC BY-SA 4.0",
            hub=HubName(
                "stanfordnlp/snli", {"text_a": "premise", "text_b": "hypothesis", "label": "label"}, labels="names"
            ),
        ),
        "scitail": Entry(
            title="SciTail, entailment of answers to school questions on science (Khot et al. 2018)",
            folders=("scitail/tsv_format", "SciTailV1.1/tsv_format", "scitail"),
            files=_files(
                "tsv",
                {"text_a": "1", "text_b": "2", "label": "3"},
                *("scitail_1.0_train.tsv", "scitail_1.0_dev.tsv", "scitail_1.0_test.tsv"),
            ),
            terms="Apache-2.0",
            hub=HubName(
                "allenai/scitail", {"text_a": "premise", "text_b": "hypothesis", "label": "label"}, "tsv_format"
            ),
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
        "ud_ewt": Entry(
            title="English Web Treebank of Universal Dependencies: parts of speech (upos, xpos) and dependencies",
            folders=("ud_ewt", "UD_English-EWT"),
            files=_files(
                "conllu",
                {},
                *("en_ewt-ud-train.conllu", "en_ewt-ud-dev.conllu", "en_ewt-ud-test.conllu"),
            ),
            terms="CC BY-SA 4.0",
            sample_layer="treebank",
        ),
        "wnut17": Entry(
            title="named entities of user-generated text, six types (WNUT 2017)",
            folders=("wnut17",),
            files=_files("columns", {}, "wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
            names=("tokens", "ner_tags"),
            terms="CC BY 4.0",
            sample_layer="entities",
        ),
        "conll2003": Entry(
            title="named entities of newswire, four types (Tjong Kim Sang and De Meulder 2003)",
            folders=("conll2003",),
            files=_files("columns", {}, "eng.train", "eng.testa", "eng.testb"),
            names=("tokens", "pos_tags", "chunk_tags", "ner_tags"),
            terms="Reuters Corpus, for research, by agreement",
            hub=HubName("lhoestq/conll2003", {"id": "id"}, labels="names"),
            sample_layer="entities",
        ),
        "gum_const": Entry(
            title="constituents of the Georgetown University Multilayer corpus",
            folders=("gum_const",),
            files=_files("brackets", {}, "train.ptb", "dev.ptb", "test.ptb"),
            terms="annotations CC BY 4.0; texts CC BY, CC BY-SA or CC BY-NC-SA by genre",
            sample_layer="constituents",
        ),
        "srl_propbank_ewt": Entry(
            title="predicates and arguments of the English Web Treebank (PropBank)",
            folders=("srl_propbank_ewt",),
            files=_files("props", {}, "train.conll", "dev.conll", "test.conll"),
            terms="CC BY-SA 4.0",
            sample_layer="propositions",
        ),
        "squad": Entry(
            title="questions on a paragraph of Wikipedia, some without an answer (SQuAD 2.0)",
            folders=("squad", "squad_v2"),
            files=_files("squad", _QUESTION, "train-v2.0.json", "dev-v2.0.json", "test-v2.0.json"),
            terms="CC BY-SA 4.0",
            hub=HubName("rajpurkar/squad_v2", _QUESTION),
            sample_layer="questions",
        ),
        "squad1": Entry(
            title="questions on a paragraph of Wikipedia, each with an answer (SQuAD 1.1)",
            folders=("squad1", "squad", "squad_v1"),
            files=_files("squad", _QUESTION, "train-v1.1.json", "dev-v1.1.json"),
            terms="CC BY-SA 4.0",
            hub=HubName("rajpurkar/squad", _QUESTION),
        ),
    }
)
