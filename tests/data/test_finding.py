"""Decision 9: path, data folder, hub, sample; and never from real data to the sample unseen."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from mtsearch.data import finding, sample
from mtsearch.data.catalogue import CATALOGUE
from mtsearch.data.files import FilePart
from mtsearch.data.finding import find
from mtsearch.data.hub import HubSet
from mtsearch.data.source import DataSource, SplitName
from mtsearch.errors import DataError

SST = ("ids-sst-train.csv", "ids-sst-dev.csv")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "cache"))
    small = functools.partial(sample.write, sizes={"train": 4, "dev": 2, "test": 2})
    monkeypatch.setattr(sample, "write", small)
    monkeypatch.setattr(finding, "hub_is_off", lambda: False)
    monkeypatch.setattr(finding, "hub_answers", lambda: False)
    monkeypatch.setattr(finding, "reader_is_installed", lambda: True)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A data folder that has sst5 and nothing else."""
    return _folder(tmp_path / "root" / "sst5", *SST).parent


def _folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def _names(source: DataSource, data_root: Path | None = None) -> dict[SplitName, str]:
    data = find(source, data_root).data
    assert isinstance(data, dict)
    return {split: part.path.name for split, part in data.items()}


def test_a_path_goes_before_the_data_folder(data_root: Path) -> None:
    _folder(Path("sst5"), *SST)
    found = find(DataSource(source="sst5"), data_root)
    assert (found.origin, found.where) == ("path", "sst5")


def test_the_data_folder_goes_before_the_hub(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "hub_answers", lambda: pytest.fail("the hub must not be asked"))
    found = find(DataSource(source="sst5"), data_root)
    assert (found.origin, found.where) == ("data folder", str(data_root / "sst5"))


def test_the_hub_goes_before_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "hub_answers", lambda: True)
    found = find(DataSource(source="quora"), None)
    assert found.origin == "hub"
    assert isinstance(found.data, HubSet)
    assert (found.data.name, found.data.subset, found.data.labels) == ("nyu-mll/glue", "qqp", "numbers")


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("hub_answers", False, "the hub did not answer"),
        ("hub_is_off", True, "HF_HUB_OFFLINE is set"),
        ("reader_is_installed", False, "the package datasets, which reads the hub, is not installed"),
    ],
)
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        *(("sst5", "sentiment"), ("quora", "paraphrase"), ("stsb", "similarity"), ("ud_ewt", "treebank")),
        *(("wnut17", "entities"), ("conll2003", "entities"), ("gum_const", "constituents")),
        *(("srl_propbank_ewt", "propositions"), ("squad", "questions")),
    ],
)
def test_the_sample_stands_in_last_and_says_why(
    attribute: str, value: bool, why: str, name: str, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, attribute, lambda: value)
    found = find(DataSource(source=name), None)
    assert found.origin == "sample"
    why = "it is not on the hub" if CATALOGUE[name].hub is None else why
    assert found.note == f"sample corpus (generated), because no --data was given and {why}"
    assert Path(found.where).name == layer
    assert isinstance(found.data, dict)
    assert all(part.path.is_file() for part in found.data.values())


def test_a_set_missing_from_the_data_folder_is_an_error_and_not_the_sample(data_root: Path) -> None:
    with pytest.raises(DataError, match=r"quora/quora-train\.csv and .*quora/quora-dev\.csv .*, but has not"):
        find(DataSource(source="quora"), data_root)


def test_a_set_without_its_dev_file_names_that_file_alone(data_root: Path) -> None:
    (data_root / "sst5" / "ids-sst-dev.csv").unlink()
    with pytest.raises(DataError, match=r"must have \S*/sst5/ids-sst-dev\.csv \(or"):
        find(DataSource(source="sst5"), data_root)


def test_a_data_folder_that_is_none_is_an_error_even_if_a_path_is_found(tmp_path: Path) -> None:
    _folder(Path("sst5"), *SST)
    with pytest.raises(DataError, match="must name a folder"):
        find(DataSource(source="sst5"), tmp_path / "nowhere")


@pytest.mark.parametrize(
    "options", [{"splits": {"dev": "mine.csv"}}, {"format": "csv"}, {"columns": {"label": "stars"}}, {"subset": "x"}]
)
def test_options_that_describe_real_data_keep_the_sample_away(options: dict[str, object]) -> None:
    with pytest.raises(DataError, match="give"):
        find(DataSource.model_validate({"source": "sst5", **options}), None)


def test_a_set_without_a_stand_in_says_all_that_was_tried() -> None:
    with pytest.raises(DataError, match=r"no folder mpqa here, no --data .* not on the hub, and the sample corpus has"):
        find(DataSource(source="mpqa"), None)


@pytest.mark.parametrize("with_root", [True, False])
def test_an_unknown_name_is_told_with_the_nearest_known_one(with_root: bool, data_root: Path) -> None:
    with pytest.raises(DataError, match=r"'sst': no file or folder here.* did you mean sst5\?"):
        find(DataSource(source="sst"), data_root if with_root else None)


def test_the_files_of_cs224n_are_also_found_in_one_folder(tmp_path: Path) -> None:
    root = _folder(tmp_path / "flat", *SST, "sst-test-fine.txt", "quora-train.csv", "quora-dev.csv")
    assert _names(DataSource(source="sst5"), root) == {
        "train": "ids-sst-train.csv",
        "dev": "ids-sst-dev.csv",
        "test": "sst-test-fine.txt",
    }
    assert _names(DataSource(source="quora"), root) == {"train": "quora-train.csv", "dev": "quora-dev.csv"}


def test_glue_is_found_by_its_own_folder_names(tmp_path: Path) -> None:
    _folder(tmp_path / "root" / "CoLA", "train.tsv", "dev.tsv")
    assert find(DataSource(source="cola"), tmp_path / "root").where.endswith("root/CoLA")


def test_a_path_whose_folder_is_a_catalogue_set_is_read_as_that_set(data_root: Path) -> None:
    data = find(DataSource(source=str(data_root / "sst5")), None).data
    assert isinstance(data, dict)
    assert {part.format for part in data.values()} == {"cs224n"}


def test_any_folder_of_the_data_folder_is_found_by_name(data_root: Path) -> None:
    _folder(data_root / "mine", "train.csv", "dev.csv")
    found = find(DataSource(source="mine"), data_root)
    assert (found.origin, found.where) == ("data folder", str(data_root / "mine"))


def test_the_user_replaces_single_files_of_a_catalogue_set(data_root: Path) -> None:
    (data_root / "sst5" / "mine.tsv").touch()
    found = find(DataSource(source="sst5", splits={"test": "mine.tsv"}), data_root)
    assert isinstance(found.data, dict)
    assert found.data["test"] == FilePart(data_root / "sst5" / "mine.tsv", "tsv", {}, True)
    assert found.data["train"].format == "cs224n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            ("train.csv", "validation.csv", "test.csv"),
            {"train": "train.csv", "dev": "validation.csv", "test": "test.csv"},
        ),
        (
            ("reviews_train.jsonl", "reviews_valid.jsonl"),
            {"train": "reviews_train.jsonl", "dev": "reviews_valid.jsonl"},
        ),
        (("TRAIN.TSV", "dev.tsv", "latest.tsv", "notes.md"), {"train": "TRAIN.TSV", "dev": "dev.tsv"}),
        (("train.csv", "train-old.csv", "dev.csv"), {"train": "train.csv", "dev": "dev.csv"}),
        (
            ("en_x-ud-train.conllu", "en_x-ud-dev.conllu", "train.docs.txt"),
            {"train": "en_x-ud-train.conllu", "dev": "en_x-ud-dev.conllu"},
        ),
    ],
)
def test_a_folder_is_searched_for_files_named_by_split(files: tuple[str, ...], expected: dict[str, str]) -> None:
    _folder(Path("mine"), *files)
    assert _names(DataSource(source="mine")) == expected


def test_two_files_for_one_split_are_an_error_until_one_is_named() -> None:
    _folder(Path("genres"), "train.tsv", "dev_matched.tsv", "dev_mismatched.tsv")
    with pytest.raises(DataError, match=r"dev_matched\.tsv, dev_mismatched\.tsv could all be; .*splits: \{dev: FILE\}"):
        find(DataSource(source="genres", format="glue"), None)
    named = DataSource(source="genres", format="glue", splits={"dev": "dev_matched.tsv"})
    assert _names(named) == {"train": "train.tsv", "dev": "dev_matched.tsv"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"source": "one.csv"}, r"this is one file; say data: \{source: \., splits: \{train: one\.csv, dev: OTHER\}\}"),
        ({"source": "only_train"}, r"needs a dev split, .* named dev or valid or .*splits: \{dev: FILE\}"),
        ({"source": "only_train", "splits": {"dev": "dev.txt"}}, r"must be one of \.csv, .*\.gold_conll, but is \.txt"),
        ({"source": "two", "layer": "fine"}, "left out, since the format csv has no layers, .*label: NAME"),
        ({"source": "trees", "layer": "fine"}, "must be one of lemmas, upos, xpos, .*, but is 'fine'"),
        ({"source": "only_train", "subset": "x", "splits": {"dev": "train.csv"}}, "subset chooses a configuration"),
        ({"source": "sample:music"}, "the sample corpus has sentiment, paraphrase, similarity, .* but not 'music'"),
        ({"source": "sample:sentiment", "columns": {"label": "x"}}, "describe real data"),
        ({"source": "hub:a/b"}, "the hub did not answer within 3 s"),
        ({"source": "hub:a/b", "format": "csv"}, "format is for files"),
        ({"source": "sst5", "layer": "fine"}, "must be left out, since the format cs224n has no layers, but is 'fine'"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_is_told_in_one_line(
    source: dict[str, object], message: str, data_root: Path
) -> None:
    _folder(Path("only_train"), "train.csv")
    _folder(Path("two"), "train.csv", "dev.csv")
    _folder(Path("trees"), "train.conllu", "dev.conllu")
    Path("one.csv").touch()
    root = data_root if source["source"] == "sst5" else None
    with pytest.raises(DataError, match=message) as told:
        find(DataSource.model_validate(source), root)
    assert "\n" not in str(told.value)


def test_a_folder_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    _folder(Path("mine"))
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"mine: the folder cannot be read \(Permission denied\)"):
        find(DataSource(source="mine"), None)


def test_a_set_with_several_annotations_asks_which(tmp_path: Path) -> None:
    root = _folder(tmp_path / "root" / "sick", "SICK_train.txt", "SICK_trial.txt").parent
    with pytest.raises(DataError, match=r"data\.layer must be one of relatedness, entailment, but is None"):
        find(DataSource(source="sick"), root)
    data = find(DataSource(source="sick", layer="entailment"), root).data
    assert isinstance(data, dict)
    assert data["dev"].columns["label"] == "entailment_judgment"


@pytest.mark.parametrize(
    ("ending", "format_"),
    [
        ("json", "squad"),
        ("conllu", "conllu"),
        ("conll", "columns"),
        ("bio", "columns"),
        ("iob", "columns"),
        ("ptb", "brackets"),
        ("mrg", "brackets"),
        ("bracket", "brackets"),
        ("gold_conll", "props"),
        ("JSONL", "jsonl"),
    ],
)
def test_a_files_ending_says_its_format(ending: str, format_: str) -> None:
    _folder(Path("mine"), f"train.{ending}", f"dev.{ending}")
    data = find(DataSource(source="mine"), None).data
    assert isinstance(data, dict)
    assert {part.format for part in data.values()} == {format_}


def test_a_layer_of_a_format_is_the_label_of_every_split() -> None:
    _folder(Path("trees"), "train.conllu", "dev.conllu")
    _folder(Path("ud_ewt"), "en_ewt-ud-train.conllu", "en_ewt-ud-dev.conllu")
    for source in ("trees", "ud_ewt"):
        data = find(DataSource(source=source, layer="xpos"), None).data
        assert isinstance(data, dict)
        assert [part.columns for part in data.values()] == [{"label": "xpos"}, {"label": "xpos"}]
        free = find(DataSource(source=source), None).data
        assert isinstance(free, dict)
        assert [part.columns for part in free.values()] == [{}, {}]


def test_the_sample_is_named_explicitly_even_beside_a_data_folder(data_root: Path) -> None:
    found = find(DataSource(source="sample:similarity", limit=5), data_root)
    assert (found.origin, found.note) == ("sample", "sample corpus (generated), as the config names it")


@pytest.mark.parametrize("source", ["ud_ewt", "sample:treebank"])
@pytest.mark.parametrize("layer", [None, "upos", "xpos", "dependencies"])
def test_a_layer_of_the_sample_is_chosen_as_of_the_set_that_it_stands_in_for(source: str, layer: str | None) -> None:
    data = find(DataSource(source=source, layer=layer), None).data
    assert isinstance(data, dict)
    assert {part.format for part in data.values()} == {"conllu"}
    expected = {} if layer is None else {"label": layer}
    assert [part.columns for part in data.values()] == [expected] * 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sample:treebank", "must be one of lemmas, upos, xpos, dependencies, deprels, but is 'senses'"),
        ("sample:entities", "must be left out, since the format columns has no layers, but is 'senses'"),
        ("sample:sentiment", "must be left out, since the format cs224n has no layers, but is 'senses'"),
    ],
)
def test_a_layer_that_the_sample_does_not_have_is_told(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find(DataSource(source=source, layer="senses"), None)


def test_a_damaged_sample_in_the_cache_is_written_again() -> None:
    file = Path(find(DataSource(source="sample:sentiment"), None).where) / "train.csv"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    find(DataSource(source="sample:sentiment"), None)
    assert file.read_bytes() == whole


def test_a_cache_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written there .* MTSEARCH_CACHE"):
        find(DataSource(source="sample:sentiment"), None)
