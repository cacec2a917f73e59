"""Two things measured in turn, so that what slows the machine slows both."""

import statistics
from typing import NamedTuple


class Medians(NamedTuple):
    """Medians over pairs; `ratio` is that of the second value of each pair to its first."""

    first: float
    second: float
    ratio: float


def in_turn(pair, count, warm_up=0):
    """Call `pair`, which measures both and returns two values, `count` times after some that do not count."""
    for _ in range(warm_up):
        pair()
    taken = [pair() for _ in range(count)]
    first, second = zip(*taken, strict=True)
    return Medians(
        statistics.median(first),
        statistics.median(second),
        statistics.median(other / one for one, other in taken),
    )
