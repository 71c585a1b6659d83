"""What networks are told of the degradation."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.degradation.known import CLEAN, KNOWN_LENGTH, UNKNOWN, Known


def test_each_value_comes_with_whether_it_is_known() -> None:
    np.testing.assert_array_equal(UNKNOWN.vector(), np.zeros(KNOWN_LENGTH))
    np.testing.assert_array_equal(CLEAN.vector(), [0, 1, 0, 1, 0, 1])
    vector = Known(noise=8.0, quality=65.0).vector()
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, [0.5, 1, 0, 0, 0.5, 1])


@pytest.mark.parametrize(("field", "worst"), [("noise", 16.0), ("blur", 1.0), ("quality", 30.0)])
def test_what_training_draws_comes_to_about_one(field: str, worst: float) -> None:
    assert Known(**{field: worst}).vector().max() == pytest.approx(1)
