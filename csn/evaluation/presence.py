"""Whether the length of a subspace's vector tells that its instrument sounds.

Conventions
-----------
A segment a row: the norm of its vector in the instrument's subspace, and whether the part sounds.
A part is heard where the norm reaches the threshold (``norm >= threshold``).

Metrics
-------
`presence_accuracy` : balanced accuracy, the mean of the shares of sounding segments that are heard
and of silent ones that are not; chance is 1/2, however rarely the part is silent.

Source
------
Ours; the presence loss that makes norms tell it is [LAB]'s.

Choices
-------
The threshold is fitted on one split and scored on another. Candidates are the norms themselves; of
equally good ones the lowest is taken, so that in doubt a part is said to sound.
"""

import numpy as np
from jaxtyping import Bool, Float

from csn.errors import ProtocolError


def fit_threshold(
    norms: Float[np.ndarray, " segments"], sounds: Bool[np.ndarray, " segments"]
) -> float:
    """Norm from which on a part is said to sound, of the best balanced accuracy.

    Parameters
    ----------
    norms, sounds
        Of the validation split.

    Examples
    --------
    >>> fit_threshold(np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, False, True, True]))
    0.3

    Raises
    ------
    ProtocolError
        If a norm is not finite, or not both sounding and silent segments are there.
    """
    _check(norms, sounds)
    candidates, codes = np.unique(norms, return_inverse=True)
    silent = np.bincount(codes, weights=~sounds, minlength=len(candidates))
    sounding = np.bincount(codes, weights=sounds, minlength=len(candidates))
    # The i-th candidate hears all from i on: right of the sounding, wrong of the silent ones.
    heard = sounding[::-1].cumsum()[::-1]
    missed = silent.cumsum() - silent
    # As whole numbers, over a common denominator: equally good candidates tie exactly.
    rights = heard * silent.sum() + missed * sounding.sum()
    return float(candidates[np.argmax(rights)])


def presence_accuracy(
    norms: Float[np.ndarray, " segments"], sounds: Bool[np.ndarray, " segments"], threshold: float
) -> float:
    """Balanced accuracy of saying that a part sounds where its norm reaches `threshold`.

    Parameters
    ----------
    norms, sounds
        Of the test split.
    threshold : float
        From `fit_threshold`, of another split.

    Examples
    --------
    >>> presence_accuracy(np.array([0.1, 0.4, 0.9]), np.array([False, False, True]), 0.3)
    0.75

    Raises
    ------
    ProtocolError
        If a norm is not finite, or not both sounding and silent segments are there.
    """
    _check(norms, sounds)
    heard = norms >= threshold
    return float((heard[sounds].mean() + (~heard[~sounds]).mean()) / 2)


def _check(norms: Float[np.ndarray, " segments"], sounds: Bool[np.ndarray, " segments"]) -> None:
    broken = np.count_nonzero(~np.isfinite(norms))
    if broken:
        raise ProtocolError(
            f"{broken} of {len(norms)} norms are not finite, all must be "
            "(did the training diverge? try a smaller optimizer.learning_rate)"
        )
    num_sounding = np.count_nonzero(sounds)
    if num_sounding in (0, len(sounds)):
        raise ProtocolError(
            f"{num_sounding} sounding and {len(sounds) - num_sounding} silent segments found, at "
            "least one of each needed (does the split leave out the silent segments?)"
        )
