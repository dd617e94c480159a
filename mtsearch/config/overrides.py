"""``--set KEY=VALUE``: one value of a space, changed from the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mtsearch.config import yaml12
from mtsearch.config.defaults import filled, method_slot
from mtsearch.config.domains import Scalar, scalar_text
from mtsearch.config.messages import Problem, did_you_mean, raise_problems, shown, unknown_key, unknown_tag
from mtsearch.config.nodes import Choice, Entry, Fields, Items, Leaf, Node, Open, Path, SameAs, Subsets, Where, dotted
from mtsearch.config.slots import Slot, alternatives
from mtsearch.config.syntax import read, written
from mtsearch.errors import ConfigError

__all__ = ["Override", "apply", "parse_override"]


@dataclass(frozen=True)
class Override:
    """A parsed ``--set``: the path, and the plain node to put there."""

    path: tuple[str, ...]
    value: Node
    where: Where


def parse_override(text: str) -> Override:
    """An override from ``KEY=VALUE``; the value is YAML 1.2.

    Raises:
        ConfigError: no such form, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set {text}: must be KEY=VALUE, such as --set optimizer.lr=3e-5")
    source = f"--set {text}"
    return Override(path, yaml12.parse(value, source, numbered=False), Where(source))


def apply(root: Fields, slot: Slot, override: Override) -> Fields:
    """``root`` with the override in it.

    Where the path runs through a choice, the value is set in the branches whose method has such a key.
    Setting a method's name (``optimizer.name=adamw``), or a choice of sub-trees to a label, takes that branch;
    a name without a branch takes that method with the keys given so far that it has too. A section set as a whole
    (``training={epochs: 3}``) is replaced, with defaults for the rest. Where sets of tasks are searched,
    ``tasks=pos+ner`` has these two in every trial, and ``tasks.ner=null`` leaves out the sets with it.

    Args:
        root: a space with its defaults filled in.
        slot: its schema.
        override: what to set.

    Raises:
        ConfigError: the path is unknown, or the value is a broken domain.
    """
    result = _Setting(root, override).set(root, slot, (), override.path)
    assert isinstance(result, Fields)
    return result


class _Setting:
    def __init__(self, root: Fields, override: Override) -> None:
        self._root = root
        self._override = override

    def set(self, node: Node, slot: Slot, done: Path, rest: tuple[str, ...]) -> Node:
        if not rest:
            return self._replaced(node, slot, done)
        match node:
            case Choice():
                return self._set_in_branches(node, slot, done, rest)
            case Fields():
                return self._set_in_fields(node, slot, done, rest)
            case Subsets():
                return self._set_in_subsets(node, slot, done, rest)
            case Items():
                index = int(rest[0]) if rest[0].isdigit() else -1
                child = slot.child(index)
                if not 0 <= index < len(node.nodes) or child is None:
                    raise self._error((*done, rest[0]), f"is not there; the list has {len(node.nodes)}, counted from 0")
                changed = self.set(node.nodes[index], child, (*done, index), rest[1:])
                nodes = (*node.nodes[:index], changed, *node.nodes[index + 1 :])
                return replace(node, nodes=nodes, where=self._override.where)
            case Leaf() if slot.models:
                return self.set(filled(Fields({}, node.where), slot), slot, done, rest)
            case SameAs():
                raise self._error(done, f"is the same as {dotted(node.target)}; set that, or {dotted(done)} as a whole")
            case Leaf() | Open():
                raise self._error(done, f"holds a value, and nothing is under it; set {dotted(done)} itself")

    def _replaced(self, node: Node, slot: Slot, path: Path) -> Node:
        value = self._override.value
        if isinstance(node, Choice) and isinstance(value, Leaf):
            for option in node.options:
                if not isinstance(option.node, Leaf) and option.label == scalar_text(value.value):
                    return option.node
        if isinstance(node, Subsets) and isinstance(value, Leaf):
            return self._set_of(node, value, path)
        problems: list[Problem] = []
        result = read(value, path, slot, problems)
        raise_problems(problems)
        return filled(result, slot)

    def _set_in_fields(self, node: Fields, slot: Slot, done: Path, rest: tuple[str, ...]) -> Node:
        key = rest[0]
        if key == slot.discriminator and len(rest) == 1:
            return self._renamed(node, slot, done)
        method = method_slot(node, slot)
        child = method.child(key)
        if child is None:
            raise self._error((*done, key), self._unknown(key, method))
        entry = node.entries.get(key)
        if entry is None:
            if child.models and len(rest) > 1:
                close = did_you_mean(key, node.entries)
                whole = f"--set '{dotted((*done, key))}={{...}}'"
                raise self._error((*done, key), f"is not there; {close} A new one is set as a whole: {whole}")
            entry = Entry(Leaf(None))
        changed = self.set(entry.node, child, (*done, key), rest[1:])
        return replace(node, entries={**node.entries, key: Entry(changed, self._override.where)})

    def _set_of(self, node: Subsets, value: Leaf, path: Path) -> Node:
        """The entries that ``value`` names, in whatever order, whether or not that is one of the sets."""
        names = scalar_text(value.value).split("+")
        if not set(names) <= set(node.entries):
            message = f"must name tasks of {', '.join(node.entries)}, joined by +, but got {shown(value.value)}"
            raise self._error(path, message)
        return Fields({key: entry for key, entry in node.entries.items() if key in names}, self._override.where)

    def _set_in_subsets(self, node: Subsets, slot: Slot, done: Path, rest: tuple[str, ...]) -> Node:
        key, path = rest[0], (*done, rest[0])
        child = slot.child(key)
        if key not in node.entries or child is None:
            raise self._error(path, f"is not there; {did_you_mean(key, node.entries)}")
        changed = self.set(node.entries[key].node, child, path, rest[1:])
        if changed != Leaf(None):
            return replace(node, entries={**node.entries, key: Entry(changed, self._override.where)})
        sets = tuple(keys for keys in node.sets if key not in keys)
        left = {name: entry for name, entry in node.entries.items() if any(name in keys for keys in sets)}
        if not left:
            raise self._error(path, f"is in every set of tasks; set {dotted(done)} as a whole")
        return replace(node, entries=left, sets=sets)

    def _renamed(self, node: Fields, slot: Slot, path: Path) -> Fields:
        """The method of the override's name, with those of the given keys that it has."""
        tag = self._tag(slot, path)
        model = slot.narrowed(tag.value)
        kept = {key: entry for key, entry in node.entries.items() if entry.given and model.child(key) is not None}
        entries = {**kept, str(slot.discriminator): Entry(tag, self._override.where)}
        result = filled(replace(node, entries=entries), slot)
        assert isinstance(result, Fields)
        return result

    def _tag(self, slot: Slot, path: Path) -> Leaf:
        tag = self._override.value
        if isinstance(tag, Leaf) and isinstance(tag.value, str) and tag.value in slot.tags:
            return tag
        path = (*path, str(slot.discriminator))
        raise self._error(path, unknown_tag(written(tag), path, slot))

    def _set_in_branches(self, node: Choice, slot: Slot, done: Path, rest: tuple[str, ...]) -> Node:
        if rest == (slot.discriminator,):
            tag = self._tag(slot, done)
            fitting = [option for option in node.options if tag.value in _names(option.node, rest[0])]
            if not fitting:
                return self._renamed(Fields({}, node.where), slot, done)
            if len(fitting) > 1:
                return replace(node, options=tuple(fitting))
            only = fitting[0].node
            return self._set_in_branches(only, slot, done, rest) if isinstance(only, Choice) else only
        if not any(_holds(option.node, slot, rest[0]) for option in node.options):
            raise self._error((*done, rest[0]), self._unknown(rest[0], slot))
        options = (
            replace(option, node=self.set(option.node, slot, done, rest))
            if _holds(option.node, slot, rest[0])
            else option
            for option in node.options
        )
        return replace(node, options=tuple(options))

    def _unknown(self, key: str, slot: Slot) -> str:
        close = unknown_key(key, slot)
        if "did you mean" in close:
            return close
        elsewhere = dict.fromkeys(path for path in _paths(self._root, ()) if path.rpartition(".")[2] == key)
        return f"unknown key; did you mean {alternatives(list(elsewhere)[:3])}?" if elsewhere else close

    def _error(self, path: Path, message: str) -> ConfigError:
        return ConfigError(str(Problem(self._override.where, dotted(path), message)))


def _names(node: Node, discriminator: str) -> set[Scalar]:
    """The methods that a branch, or a choice of branches, can be."""
    match node:
        case Choice():
            return {name for option in node.options for name in _names(option.node, discriminator)}
        case Fields() if discriminator in node.entries:
            tag = node.entries[discriminator].node
            return {tag.value} if isinstance(tag, Leaf) else set()
        case _:
            return set()


def _holds(node: Node, slot: Slot, key: str) -> bool:
    if isinstance(node, Choice):
        return any(_holds(option.node, slot, key) for option in node.options)
    return isinstance(node, Fields) and (key in node.entries or key in method_slot(node, slot).keys)


def _paths(node: Node, path: Path) -> list[str]:
    match node:
        case Fields():
            return [
                text
                for key, entry in node.entries.items()
                for text in (dotted((*path, key)), *_paths(entry.node, (*path, key)))
            ]
        case Subsets():
            return [text for label in node.labels for text in _paths(Fields(node.taken(label)), path)]
        case Choice():
            return [text for option in node.options for text in _paths(option.node, path)]
        case _:
            return []
