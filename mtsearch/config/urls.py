"""URLs of databases and object stores in a search's settings: their form, and how to show them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

__all__ = ["Shown", "Url", "without_passwords"]

_FORM = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9]+)?://.+", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(?!\$\{)(?:[^/\s]*|[^@\s]*)@")  # up to the last @ before the path
_SECRET = re.compile(
    r"(?<=[?&])(?:[^=&\s]*(?:password|passwd|secret|token|signature|(?:account|access|api)_?key)[^=&\s]*|sig)="
    r"(?!\$\{)[^&\s'\"]*&?",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """``text`` with the passwords of all URLs in it left out: behind the user's name, and in the query.

    What stands there as ``${NAME}`` stays.
    """
    return _SECRET.sub("", _PASSWORD.sub(r"\1@", text)).replace("?&", "?")


def _has_form(url: str) -> str:
    if not _FORM.fullmatch(url):
        raise ValueError(f"must be a URL such as SCHEME://HOST/PATH, but got {without_passwords(url)!r}")
    return url


Shown = Annotated[str, PlainSerializer(without_passwords, when_used="json")]
"""What may be a URL; what is written of it has no password. A field of this type has ``repr=False``."""

Url = Annotated[Shown, AfterValidator(_has_form)]
"""A URL; likewise."""
