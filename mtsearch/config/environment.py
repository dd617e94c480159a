"""``${NAME}`` in a space's text, for the environment variables that it declares.

::

    environment: [SCRATCH]
    encoder: {model: "${SCRATCH}/models/minilm"}

``$${`` stands for a plain ``${``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from mtsearch.config.messages import Problem
from mtsearch.config.nodes import Fields, Items, Leaf, Node, Path, dotted

__all__ = ["declared", "escaped", "escaped_tree", "expanded"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"\$(\$?)\{([^}]*)\}")


def declared(node: Node, problems: list[Problem]) -> tuple[str, ...]:
    """The variables that an ``environment`` section names; each must be set."""
    names = []
    for item in node.nodes if isinstance(node, Items) else (node,):
        name = item.value if isinstance(item, Leaf) and isinstance(node, Items) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            message = "must be a list of names of environment variables, such as [SCRATCH]"
            problems.append(Problem(item.where, "environment", message))
        elif name not in os.environ:
            problems.append(Problem(item.where, "environment", f"the variable {name} is not set; export {name}=..."))
        else:
            names.append(name)
    return tuple(names)


def expanded(node: Node, path: Path, names: Collection[str], problems: list[Problem]) -> Node:
    """Plain nodes with the variables' values; one that is not declared becomes a problem."""
    match node:
        case Leaf(value=str(text)) if "${" in text:

            def value_of(match: re.Match[str]) -> str:
                escape, name = match.groups()
                if escape:
                    return f"${{{name}}}"
                if name not in names:
                    remedy = f"; add environment: [{name}] at the top" if _NAME.fullmatch(name) else ""
                    problems.append(
                        Problem(node.where, dotted(path), f"${{{name}}} is not a declared environment variable{remedy}")
                    )
                    return ""
                return os.environ[name]

            return replace(node, value=_VARIABLE.sub(value_of, text))
        case Items():
            nodes = (expanded(child, (*path, i), names, problems) for i, child in enumerate(node.nodes))
            return replace(node, nodes=tuple(nodes))
        case Fields():
            entries = {
                key: replace(entry, node=expanded(entry.node, (*path, key), names, problems))
                for key, entry in node.entries.items()
            }
            return replace(node, entries=entries)
        case _:
            return node


def escaped(text: str) -> str:
    """``text`` so that :func:`expanded` gives it back."""
    return _VARIABLE.sub(lambda match: f"$${{{match[2]}}}" if not match[1] else f"$$${{{match[2]}}}", text)


def escaped_tree(data: Any) -> Any:
    """Plain data whose text says nothing about environment variables: those are settled."""
    match data:
        case str():
            return escaped(data)
        case dict():
            return {key: escaped_tree(value) for key, value in data.items()}
        case list():
            return [escaped_tree(value) for value in data]
        case _:
            return data
