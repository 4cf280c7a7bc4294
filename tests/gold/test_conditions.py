"""[H24] Eq. 4, element by element."""

import pytest

from csn.conditions import INSTRUMENTS, SubspaceLayout


@pytest.mark.equation("H24", 4)
def test_eq_4_by_its_definition():
    # m_c[d] = 1 where c D <= d < (c + 1) D, else 0.
    number, size = 5, 128
    masks = SubspaceLayout(INSTRUMENTS, size).masks()
    for c in range(number):
        for d in range(number * size):
            assert masks[c, d] == (1.0 if c * size <= d < (c + 1) * size else 0.0)
