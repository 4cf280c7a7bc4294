"""95 % intervals: of a rate of independent answers, and of an accuracy over tracks.

Conventions
-----------
Rates are shares in [0, 1], not percent.

Source
------
[H24] Table 3, whose printed intervals are ``1.96 sqrt(p (1 - p) / (n - 1))``: the normal interval
with the sample variance.

Choices
-------
The papers give no interval for P1 and P2. Segments of one track are right or wrong together, so an
interval over segments is far too narrow; we resample the tracks. Neighbours are not searched again
for a resample: the answers are given, and the interval is over which tracks are asked about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

from csn.errors import ProtocolError

_NORMAL_QUANTILE = 1.96
"""The papers' rounding of the 97.5 % quantile."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate, and where it lies with 95 % confidence; `low` and `high` stay within [0, 1]."""

    rate: float
    half_width: float
    low: float
    high: float


def correct_rate(num_correct: int, num_answers: int) -> Interval:
    """Rate of right answers with the normal interval of [H24] Table 3.

    Examples
    --------
    >>> interval = correct_rate(85, 120)
    >>> f"{100 * interval.rate:.1f} ± {100 * interval.half_width:.1f}"
    '70.8 ± 8.2'

    Raises
    ------
    ProtocolError
        If there are fewer than two answers, or more right answers than answers.
    """
    if num_answers < 2:
        raise ProtocolError(
            f"{num_answers} answer(s) found, an interval needs at least 2 (collect more answers)"
        )
    if not 0 <= num_correct <= num_answers:
        raise ProtocolError(
            f"{num_correct} right answers of {num_answers} found, at most as many as answers "
            "expected (are the two counts swapped?)"
        )
    return rate_interval(num_correct / num_answers, num_answers)


def rate_interval(rate: float, num_answers: int) -> Interval:
    """Give a rate over `num_answers` >= 2 answers its interval, as `correct_rate` does."""
    half_width = _NORMAL_QUANTILE * (rate * (1 - rate) / (num_answers - 1)) ** 0.5
    return Interval(rate, half_width, max(0.0, rate - half_width), min(1.0, rate + half_width))


def bootstrap_over_ids(
    correct: Bool[np.ndarray, " queries"],
    ids: Shaped[np.ndarray, " queries"],
    *,
    num_resamples: int,
    seed: int | Sequence[int],
) -> Interval:
    """Accuracy over queries with the percentile interval of resampling their ids.

    Each resample draws as many ids as there are, with replacement, and takes all queries of each;
    its accuracy is over those queries, so an id weighs as much as it has queries. `half_width` is
    half the distance from `low` to `high`, which need not lie evenly about the rate.

    Parameters
    ----------
    correct, ids
        Whether each query was answered rightly, and the track it belongs to.
    num_resamples : int > 0
        Draws of the set of ids.
    seed
        Of the draws; the same seed gives the same interval.

    Raises
    ------
    ProtocolError
        If there are fewer than two ids, of which nothing can be learnt about the spread.
    """
    names, codes = np.unique(ids, return_inverse=True)
    if len(names) < 2:
        raise ProtocolError(
            f"{len(names)} track(s) found, resampling tracks needs at least 2 (use more tracks)"
        )
    totals = np.bincount(codes)
    rights = np.bincount(codes, weights=correct)
    draws = np.random.default_rng(seed).integers(len(names), size=(num_resamples, len(names)))
    accuracies = rights[draws].sum(axis=1) / totals[draws].sum(axis=1)
    low, high = (float(bound) for bound in np.quantile(accuracies, (0.025, 0.975)))
    return Interval(float(correct.mean()), (high - low) / 2, low, high)


def bootstrap_balanced(
    correct: Bool[np.ndarray, " answers"],
    sounds: Bool[np.ndarray, " answers"],
    ids: Shaped[np.ndarray, " answers"],
    *,
    num_resamples: int,
    seed: int | Sequence[int],
) -> tuple[float, float]:
    """Bounds of a balanced accuracy: the mean of its rates where `sounds` and where not.

    Ids are resampled as in `bootstrap_over_ids`. A draw of tracks that all sound throughout, or
    never, has no balanced accuracy and is left out.

    Raises
    ------
    ProtocolError
        If there are fewer than two ids, or no draw has both kinds.
    """
    names, codes = np.unique(ids, return_inverse=True)
    draws = np.random.default_rng(seed).integers(len(names), size=(num_resamples, len(names)))
    rates = []
    for kind in (sounds, ~sounds):
        totals = np.bincount(codes, weights=kind)[draws].sum(axis=1)
        rights = np.bincount(codes, weights=kind & correct)[draws].sum(axis=1)
        rates.append(np.divide(rights, totals, out=np.full(len(draws), np.nan), where=totals > 0))
    balanced = np.mean(rates, axis=0)
    balanced = balanced[np.isfinite(balanced)]
    if len(names) < 2 or not len(balanced):
        raise ProtocolError(
            f"{len(names)} track(s) found, {len(balanced)} draws of them with sounding and silent "
            "segments; at least 2 and 1 needed (use more tracks)"
        )
    low, high = np.quantile(balanced, (0.025, 0.975))
    return float(low), float(high)
