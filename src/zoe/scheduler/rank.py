"""Which of the nodes with room for an instance comes first.

Equal ones stay as they come: those that have its image already first, where that is known, then
the really less loaded, then by name.
"""

from collections.abc import Callable
from functools import partial

Rank = Callable[[list[int], Callable[[int], int]], None]
"""Orders numbers of nodes in place, given what is free on each of the scarcest resource."""


def pack(nodes: list[int], free_on: Callable[[int], int]) -> None:
    """The one with the least room first (best fit): large rooms stay whole."""
    nodes.sort(key=free_on)


def spread(nodes: list[int], free_on: Callable[[int], int]) -> None:
    """The one with the most room first (worst fit): the load is even."""
    nodes.sort(key=lambda node: -free_on(node))


def shuffled(seed: int) -> Rank:
    """Return a rank that looks random and is the same each time."""
    return partial(_by_hash, seed)


def _by_hash(seed: int, nodes: list[int], free_on: Callable[[int], int]) -> None:
    nodes.sort(key=lambda node: (node * _MIX + seed * _SEED_MIX) % (1 << 32))


def rank_of(name: str, seed: int = 0) -> Rank:
    """Return the rank of that name: ``pack``, ``spread`` or ``random``."""
    return {"pack": pack, "spread": spread, "random": shuffled(seed)}[name]


_MIX, _SEED_MIX = 2654435761, 40503 * 65537
"""Multipliers of Knuth's multiplicative hash: neighbours land far apart."""
