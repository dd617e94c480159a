"""Ports for servers that must be told theirs."""

from __future__ import annotations

import itertools
import random
import socket

__all__ = ["free_port"]

# Below those that the kernel gives to whoever asks for any (from 32768 on, as a rule): one that is free now is free
# still when the server begins to listen, whatever else runs here.
_PORTS = itertools.cycle(random.SystemRandom().sample(range(21_000, 32_000), 11_000))


def free_port() -> int:
    """A port of the loopback interface that nothing listens on; each call gives another one."""
    for port in _PORTS:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # who has left it a moment ago is gone
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("unreachable: the ports are gone through again and again")
