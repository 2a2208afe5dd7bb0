"""How often Python looks for garbage that refers to itself, in programs that hold much for long.

By default it looks after each 700 new objects, and now and then at everything that there is, which
takes the longer the more is held: with a hundred thousand executions, seconds. Nearly all of what
is made here goes without that, as soon as nobody refers to it.
"""

import gc

THRESHOLDS = 50_000, 20, 100
"""New objects until the youngest are looked at, and how many such looks until older ones are."""


def look_seldom() -> None:
    """Look seldom from now on, in this process."""
    gc.set_threshold(*THRESHOLDS)
