from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mtsearch.config.nodes import Fields, Where
from mtsearch.config.syntax import written
from mtsearch.config.yaml12 import MAX_NODES, _Dumper, _Representer, dump, flow, parse
from mtsearch.errors import ConfigError

SPACES = Path(__file__).parents[2] / "search_spaces"


def plain(text: str) -> Any:
    return written(parse(text, "x.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("+12", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("True", True),
        ("~", None),
        ("", None),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("'1e-5'", "1e-5"),
        ("=", "="),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = plain(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(plain("a: .nan")["a"])


def test_every_node_and_key_knows_its_place() -> None:
    root = parse("a:\n  b: [1, 2]\n", "x.yaml")
    assert isinstance(root, Fields)
    inner = root.entries["a"].node
    assert isinstance(inner, Fields)
    assert inner.entries["b"].where == Where("x.yaml", 2, 3)
    assert str(inner.entries["b"].node.where) == "x.yaml:2:6"


def test_aliases_and_merge_keys_expand_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nmerged: {<<: [*b, *o], x: 9}\nsame: *b\n"
    assert plain(text)["merged"] == {"x": 9, "y": 2, "z": 4}
    assert plain(text)["same"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: the key 'a' stands here twice, first at x.yaml:1:1; remove one"),
        ("a: {b: 1, b: 2}", "x.yaml:1:11: the key 'b' stands here twice, first at x.yaml:1:5; remove one"),
        (
            "a: !!python/name:os.system x",
            "x.yaml:1:4: not valid YAML: the tag !!python/name:os.system is refused, as all are",
        ),
        ("a: !!str 1", "x.yaml:1:4: not valid YAML: the tag !!str is refused, as all are"),
        ("a: ! 1", "x.yaml:1:4: not valid YAML: the tag ! is refused, as all are"),
        ("1: a", "x.yaml:1:1: a key must be text, but got 1; quote it"),
        ("[a]: b", "x.yaml:1:1: a key must be text, but got a list or mapping; quote it"),
        ("a: [1", "x.yaml:1:6: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "x.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        (
            "a:\n\tb: 1",
            "x.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token; indent with spaces",
        ),
        ("a: *b", "x.yaml:1:4: not valid YAML: found undefined alias 'b'"),
        (
            "a: 1\n---\nb: 2\n",
            "x.yaml:2:1: not valid YAML: expected a single document in the stream but found another document",
        ),
        ("a: 1\nb: \x01", "x.yaml:2:4: not valid YAML: the character U+0001 is not allowed"),
        ("a: &a [*a]", "x.yaml:1:4: an alias must not stand inside what it names"),
        ("a: {<<: 3}", "x.yaml:1:9: << takes a mapping or a list of mappings"),
        ("a: " + "9" * 5000, "x.yaml:1:4: an integer of 5000 digits is too long"),
        ("[" * 600, "x.yaml: nested too deeply for a config"),
    ],
)
def test_what_is_refused_is_told_in_one_located_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "x.yaml")
    assert str(error.value) == message


def test_a_billion_laughs_stop_at_a_bound() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(ConfigError, match=f"aliases expand to more than {MAX_NODES:,} values"):
        parse("\n".join(lines), "x.yaml")


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")))
    | st.sampled_from(["no", "1e-5", "0o17", "null", "", "<<", "~", "- a", "a: b", "#", "0x1F", "2020-01-01", "1_0"])
)


@given(st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("abn<~1 "), inner), max_leaves=8))
def test_what_is_dumped_reads_back_equal(value: Any) -> None:
    found = plain(dump({"value": value}))["value"]
    assert found == value
    assert repr(found) == repr(value)  # true is not 1, and 1.0 is not 1


class PythonDumper(_Representer, yaml.SafeDumper):
    """Ours without libyaml."""


PythonDumper.yaml_implicit_resolvers = _Dumper.yaml_implicit_resolvers

_WRITTEN_ALIKE = (  # characters beyond U+FFFF, and empty keys, are not
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("ab1 .:#-'\"[]{},&*é日/$", max_size=200)
)


@given(
    st.recursive(
        _WRITTEN_ALIKE,
        lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text("ab_1.", min_size=1), inner),
        max_leaves=40,
    )
)
def test_with_and_without_libyaml_the_same_is_written(value: Any) -> None:
    tree = {"value": value}
    expected = yaml.dump(tree, Dumper=PythonDumper, sort_keys=False, allow_unicode=True, width=120)
    assert dump(tree) == expected


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_space_is_written_the_same_too(path: Path) -> None:
    tree = plain(path.read_text(encoding="utf-8"))
    assert dump(tree) == yaml.dump(tree, Dumper=PythonDumper, sort_keys=False, allow_unicode=True, width=120)


@given(_SCALARS)
def test_a_scalar_on_one_line_reads_back_equal(value: Any) -> None:
    text = flow(value)
    assert plain(text) == value


def test_many_values_are_refused_before_all_are_read() -> None:
    with pytest.raises(
        ConfigError, match=rf"x\.yaml:{MAX_NODES}:3: not valid YAML: it has more than {MAX_NODES:,} values"
    ):
        parse("- a\n" * 2_000_000, "x.yaml")
