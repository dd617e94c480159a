"""URLs of databases and object stores in a search's settings: their form, and how to show them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

__all__ = ["Url", "without_passwords"]

_FORM = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9]+)?://.+", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(?!\$\{)[^@\s]*@")
_SECRET = re.compile(r"(?<=[?&])[^=&\s]*(?:password|passwd|secret|token)[^=&\s]*=(?!\$\{)[^&\s'\"]*&?", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """``text`` with the passwords of all URLs in it left out: behind the user's name, and in the query.

    What stands there as ``${NAME}`` stays.
    """
    return _SECRET.sub("", _PASSWORD.sub(r"\1@", text)).replace("?&", "?")


def _has_form(url: str) -> str:
    if not _FORM.fullmatch(url):
        raise ValueError(f"must be a URL such as SCHEME://HOST/PATH, but got {without_passwords(url)!r}")
    return url


Url = Annotated[str, AfterValidator(_has_form), PlainSerializer(without_passwords, when_used="json")]
"""A URL; what is written of it has no password. A field of this type has ``repr=False``."""
