from __future__ import annotations

import pytest

from mtsearch.config.load import load_space
from mtsearch.config.urls import without_passwords
from mtsearch.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me@host:5432/db"),
        ("--set=search.storage=mysql+pymysql://me:a/b:c@host/db", "--set=search.storage=mysql+pymysql://me@host/db"),
        ("postgresql://host/db?user=me&password=hunter2", "postgresql://host/db?user=me"),
        ("postgresql://host/db?sslpassword=hunter2&user=me", "postgresql://host/db?user=me"),
        ("s3://KEY:SECRET@bucket/prefix?region=x", "s3://KEY@bucket/prefix?region=x"),
        ("search: {storage: 'postgresql://me:hunter2@host/db'}", "search: {storage: 'postgresql://me@host/db'}"),
        ("postgresql://me:hunt@er2@host/db?email=a@b", "postgresql://me@host/db?email=a@b"),
        ("abfs://container@account/x?sv=2024&sig=hunter2", "abfs://container@account/x?sv=2024"),
        ("abfs://c@a.dfs.core.windows.net/x?account_key=hunter2&y=1", "abfs://c@a.dfs.core.windows.net/x?y=1"),
        ("s3://bucket/x?X-Amz-Signature=hunter2&region=x", "s3://bucket/x?region=x"),
    ],
)
def test_a_password_is_left_out(text: str, shown: str) -> None:
    assert without_passwords(text).rstrip("&") == shown


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:${PASSWORD}@host/db",
        "postgresql://host/db?password=${PASSWORD}",
        "postgresql://me@host:5432/db",
        "s3://bucket/prefix?endpoint_override=http://127.0.0.1:5000&scheme=http",
        "postgresql://host/db?sslkey=client.pem&sslmode=verify-full",
        "optimizer: {lr: 1e-5}  # a@b, see http://host/page",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert without_passwords(text) == text


def test_a_password_from_the_environment_is_used_but_nowhere_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    space = load_space(
        {
            "environment": ["DATABASE_PASSWORD"],
            "tasks": {"sentiment": {"kind": "classification", "data": "sst5"}},
            "search": {"storage": "postgresql://me:${DATABASE_PASSWORD}@host/db"},
        }
    )
    assert space.search.storage == "postgresql://me:hunter2@host/db"
    for written in (space.to_yaml(), repr(space), str(space.identity())):
        assert "hunter2" not in written
    assert "storage: postgresql://me@host/db" in space.to_yaml()


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"storage": "host/db"}, "search.storage: must be a URL such as SCHEME://HOST/PATH, but got 'host/db'"),
        ({"copy_to": "bucket/prefix"}, "search.copy_to: must be a URL"),
        ({"copy_to": "ftp://host/x"}, "search.copy_to: must begin with one of s3, gs, .*, but got 'ftp'"),
    ],
)
def test_what_is_no_url_is_refused(search: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_space({"tasks": {"sentiment": {"kind": "classification", "data": "sst5"}}, "search": search})
