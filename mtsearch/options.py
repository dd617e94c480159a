"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AddressOption", "DataOption", "FromOption", "NameOption", "RunsOption", "SetOption", "SpaceArgument"]

SpaceArgument = Annotated[str, typer.Argument(help="A YAML file, or a shipped space such as baseline.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value: --set optimizer.lr=3e-5. May be repeated."),
]
DataOption = Annotated[
    str | None, typer.Option(help="The folder of data sets, else MTSEARCH_DATA; else the hub, or the sample corpus.")
]
RunsOption = Annotated[Path, typer.Option(help="The folder of run folders.")]
NameOption = Annotated[str | None, typer.Option(help="The run folder's name, if not the space's.")]
FromOption = Annotated[Path | None, typer.Option("--from", metavar="RUN", help="Start from what an earlier run found.")]
AddressOption = Annotated[str | None, typer.Option(help="A Ray cluster to use: auto, or HOST:PORT.")]
