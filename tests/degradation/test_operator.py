"""The degradation operator against torch, Pillow and its own algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sr4.degradation import Degradation, gaussian_matrix, resize, resize_matrix
from sr4.degradation.banded import blocks, resized
from sr4.degradation.bicubic import Rows, RowsOf, keys_cubic, resize_rows
from sr4.degradation.fit import _TILE as TILE
from sr4.degradation.inverse import Adjoint, PseudoInverse
from sr4.errors import UsageError
from sr4.machine import processors

Float64 = NDArray[np.float64]
D = Degradation(4)


def noise(*shape: int, seed: int = 0) -> Float64:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((32, 32), (4, 4)),
        ((32, 48), (8, 6)),
        ((30, 17), (7, 11)),
        ((5, 7), (40, 21)),
        ((9, 9), (9, 9)),
    ],
)
def test_resize_equals_torch(before: tuple[int, int], after: tuple[int, int]) -> None:
    x = noise(2, 3, *before)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), size=after, mode="bicubic", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(resize(x, *after), expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [((256, 192), (32, 24)), ((16, 16), (64, 128))])
def test_resize_equals_pillow(before: tuple[int, int], after: tuple[int, int]) -> None:
    # Away from black and white, since Pillow clips between its two passes.
    pixels = np.random.default_rng(0).integers(64, 192, before, dtype=np.uint8)
    expected = Image.fromarray(pixels).resize(after[::-1], Image.Resampling.BICUBIC)
    ours = np.clip(np.round(resize(pixels.astype(np.float64), *after)), 0, 255)
    difference = ours - np.asarray(expected, dtype=np.float64)
    assert np.abs(difference).max() <= 1
    assert np.abs(difference.mean()) < 0.03


def test_constant_pictures_stay() -> None:
    constant = np.full((1, 16, 24), 0.3)
    np.testing.assert_allclose(D(constant), 0.3)
    np.testing.assert_allclose(D.upsample(D(constant)), constant)


def test_adjoint() -> None:
    x, y = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    np.testing.assert_allclose(np.sum(D(x) * y), np.sum(x * D.adjoint(y)), rtol=1e-12)


def test_pseudo_inverse_has_penroses_four_properties() -> None:
    x, y = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    other_x, other_y = noise(3, 16, 24, seed=2), noise(3, 4, 6, seed=3)
    invert = D.pseudo_inverse
    np.testing.assert_allclose(D(invert(D(x))), D(x), atol=1e-12)
    np.testing.assert_allclose(invert(D(invert(y))), invert(y), atol=1e-12)
    np.testing.assert_allclose(np.sum(D(invert(y)) * other_y), np.sum(y * D(invert(other_y))))
    np.testing.assert_allclose(np.sum(invert(D(x)) * other_x), np.sum(x * invert(D(other_x))))


def test_projection_is_exact_and_the_nearest() -> None:
    x, low_res = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    projected = D.project(x, low_res)
    assert np.abs(D(projected) - low_res).max() < 1e-10
    for seed in range(2, 7):  # any other picture that fits is farther away
        other = projected + D.null_space(noise(3, 16, 24, seed=seed))
        assert np.abs(D(other) - low_res).max() < 1e-10
        assert np.sum((other - x) ** 2) > np.sum((projected - x) ** 2)
    np.testing.assert_allclose(D.project(projected, low_res), projected, atol=1e-12)


def test_projection_with_clipping_converges_inside_the_range() -> None:
    low_res = D(noise(3, 16, 24))  # of a picture inside the range, so that one fits
    x = 1.5 * noise(3, 16, 24, seed=1)
    errors = []
    for rounds in (1, 2, 5, 20, 200):
        result = D.project(x, low_res, rounds=rounds, value_range=(-1.0, 1.0))
        assert np.abs(result).max() <= 1
        errors.append(float(np.mean((D(result) - low_res) ** 2)))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-6
    assert errors[-1] < 1e-12


def long_fit(pictures: Float64, low_res: Float64, rounds: int) -> Float64:
    """FISTA on the whole of it, as in its paper."""
    fitted = ahead = pictures
    for number in range(rounds):
        before = fitted
        fitted = np.clip(ahead + D.pseudo_inverse(low_res - D(ahead)), -1, 1)
        ahead = fitted + number / (number + 3) * (fitted - before)
    return fitted


def photograph(height: int, width: int, contrast: float) -> tuple[Any, Any]:
    """Smooth with sharp edges, and with black and white areas where the contrast is high; then a
    guess at it.
    """
    rows, columns = np.mgrid[:height, :width] / 60
    x = np.sin(3 * rows + np.sin(columns)) + 0.5 * np.sign(np.sin(2 * columns + rows**2))
    x = np.clip(contrast * np.stack([x, x[::-1], 0.3 * x]), -1, 1)
    return x, np.clip(x + 0.05 * noise(3, height, width), -1, 1)


@pytest.mark.parametrize("size", [(64, 96), (360, 680), (720, 1100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_gives_what_low_res_asks_for(
    size: tuple[int, int], dtype: type[np.floating[Any]]
) -> None:
    x, guess = (one.astype(dtype) for one in photograph(*size, contrast=0.5))
    low_res = D(x)
    fitted = D.fit(guess, low_res)
    assert fitted.dtype == dtype
    assert np.abs(fitted).max() <= 1
    assert np.abs(D(fitted) - low_res).max() < 2e-4
    assert np.mean((fitted - x) ** 2) < 0.96 * np.mean((guess - x) ** 2)


@pytest.mark.parametrize("size", [(64, 96), (720, 1100)])
def test_fit_of_black_and_white_is_that_of_a_long_run(size: tuple[int, int]) -> None:
    x, guess = photograph(*size, contrast=3.0)
    assert np.mean(np.abs(x) == 1) > 0.3
    low_res = D.observe(x)
    given = guess.copy()
    fitted = D.fit(guess, low_res)
    assert np.array_equal(guess, given)  # it works on a copy
    assert np.abs(fitted).max() <= 1
    long = long_fit(guess, low_res, 20)
    off, off_before, off_then = (
        np.sqrt(np.mean((D(one) - low_res) ** 2)) for one in (fitted, guess, long)
    )
    assert off <= 1.02 * off_then
    assert off < 0.02 * off_before
    assert np.mean(np.abs(fitted - long) > 1 / 255) < 2e-3


def test_fit_has_no_seams() -> None:
    """Where tiles meet it is no more off than a run of the whole."""
    x, guess = photograph(720, 1100, contrast=3.0)
    low_res = D(x)
    edges = [column for edge in range(TILE, 275, TILE) for column in (edge - 1, edge)]
    assert len(edges) == 4
    off, off_then = (
        np.sqrt(np.mean((D(one) - low_res)[:, :, edges] ** 2))
        for one in (D.fit(guess, low_res), long_fit(guess, low_res, 20))
    )
    assert off <= 1.05 * off_then


def test_fit_goes_on_with_what_is_off_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a grey picture with one black spot, rounds come to be of the spot and what it moves."""
    x = np.full((1, 320, 320), 0.25)
    x[:, 160:184, 96:120] = -1
    guess = np.clip(x + 0.2 * noise(1, 320, 320), -1, 1)
    low_res: Any = D(x)
    long = long_fit(guess, low_res, 20)
    sizes = []
    whole = Degradation.descent

    def counted(self: Degradation, y: Any) -> Any:
        sizes.append(y.shape[-2:])
        return whole(self, y)

    monkeypatch.setattr(Degradation, "descent", counted)
    fitted = D.fit(guess, low_res)  # type: ignore[arg-type]
    rounds = [height * width for height, width in sizes[:-1]]  # the last is again of all
    assert rounds == sorted(rounds, reverse=True)
    assert sizes[0] == sizes[-1] == (80, 80)
    assert rounds[-1] < 0.2 * 80**2
    off, off_then = (np.sqrt(np.mean((D(one) - low_res) ** 2)) for one in (fitted, long))
    assert off <= 1.02 * off_then


def test_null_space() -> None:
    x = noise(3, 16, 24)
    unseen = D.null_space(x)
    assert np.abs(D(unseen)).max() < 1e-12
    assert np.sum(unseen**2) > 0.5 * np.sum(x**2)
    np.testing.assert_allclose(D.null_space(unseen), unseen, atol=1e-12)
    np.testing.assert_allclose(unseen + D.pseudo_inverse(D(x)), x, atol=1e-12)


def test_scale_one_is_the_identity() -> None:
    x, identity = noise(3, 5, 7), Degradation(1)
    for result in (identity(x), identity.upsample(x), identity.pseudo_inverse(x)):
        np.testing.assert_allclose(result, x, atol=1e-14)


def test_observe_is_on_the_8_bit_grid() -> None:
    high_res = noise(3, 16, 24)
    high_res[0, :8] = 1.0
    high_res[0, 8:] = -1.0  # the edge between them overshoots
    assert np.abs(D(high_res)).max() > 1
    observed = D.observe(high_res)
    levels = (observed + 1) * 127.5
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-9)
    assert levels.min() >= 0
    assert levels.max() <= 255
    clipped = np.clip(D(high_res), -1, 1)
    assert np.abs(observed - clipped).max() <= 0.5 / 127.5 + 1e-12


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "degrade": lambda x, y: D(x),
    "adjoint": lambda x, y: D.adjoint(y),
    "pseudo_inverse": lambda x, y: D.pseudo_inverse(y),
    "upsample": lambda x, y: D.upsample(y),
    "null_space": lambda x, y: D.null_space(x),
    "project": lambda x, y: D.project(x, y, rounds=3, value_range=(-1.0, 1.0)),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_and_torch_agree(name: str, dtype: type[np.floating[Any]]) -> None:
    x, y = noise(2, 3, 16, 24).astype(dtype), noise(2, 3, 4, 6, seed=1).astype(dtype)
    ours = OPERATIONS[name](x, y)
    theirs = OPERATIONS[name](torch.from_numpy(x), torch.from_numpy(y))
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    assert ours.dtype == theirs.numpy().dtype == dtype
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=64 * np.finfo(dtype).eps)


def test_observations_of_numpy_and_torch_agree() -> None:
    x = noise(3, 16, 24)
    np.testing.assert_allclose(D.observe(x), D.observe(torch.from_numpy(x)).numpy(), atol=1e-12)


def test_gradients_are_the_adjoint() -> None:
    y = torch.from_numpy(noise(3, 4, 6, seed=1))
    x = torch.from_numpy(noise(3, 16, 24)).requires_grad_()
    torch.sum(D(x) * y).backward()
    torch.testing.assert_close(x.grad, D.adjoint(y))


@pytest.mark.parametrize("scale", [0, -2])
def test_impossible_scale(scale: int) -> None:
    with pytest.raises(UsageError, match=f"got scale {scale}"):
        Degradation(scale)


@pytest.mark.parametrize("operation", [D, D.null_space, D.observe])
def test_sizes_must_be_multiples_of_the_scale(operation: Callable[[Float64], Float64]) -> None:
    with pytest.raises(UsageError, match=r"got a 18x16 high-res size; expected multiples .* 4"):
        operation(noise(3, 16, 18))


def test_empty_axis() -> None:
    with pytest.raises(UsageError, match="got sizes 0 and 4"):
        resize_matrix(0, 4)
    with pytest.raises(UsageError, match="at least 1 pixel"):
        resize(noise(3, 4, 4), 0, 4)


def by_hand(high: int, low: int, blur: float = 0.0) -> dict[str, Float64]:
    """The matrices of an axis in full, by their definitions."""
    matrix = resize_matrix(high, low)
    if blur:
        matrix = matrix @ gaussian_matrix(high, blur * high / low)
    gram = matrix @ matrix.T + (0.05**2 * low / high * np.eye(low) if blur else 0)
    inverse = np.linalg.solve(gram, matrix).T
    return {"degrade": matrix, "adjoint": matrix.T, "pseudo_inverse": inverse}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("scale", "low"),
    [
        (1, (5, 300)),
        (2, (150, 129)),  # just above one block
        (3, (1, 211)),
        (4, (64, 65)),
        (4, (512, 7)),
        (5, (77, 100)),
        (8, (33, 130)),
        (16, (20, 40)),
        (64, (3, 9)),
    ],
)
@pytest.mark.parametrize("blur", [0.0, 0.8])
def test_products_are_those_of_full_matrices(
    scale: int, low: tuple[int, int], blur: float, dtype: type[np.floating[Any]]
) -> None:
    operator = Degradation(scale, blur)
    high = (low[0] * scale, low[1] * scale)
    rows, columns = (by_hand(a, b, blur) for a, b in zip(high, low, strict=True))
    x, y = noise(2, *high).astype(dtype), noise(2, *low, seed=1).astype(dtype)
    for name, picture in (("degrade", x), ("adjoint", y), ("pseudo_inverse", y)):
        got = operator(picture) if name == "degrade" else getattr(operator, name)(picture)
        expected = rows[name] @ picture.astype(np.float64) @ columns[name].T
        largest = max(1.0, np.abs(expected).max())
        tolerance = 2e-6 if dtype == np.float32 else 2e-8
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got / largest, expected / largest, rtol=0, atol=tolerance, err_msg=name
        )
    upsampled = resize_matrix(low[0], high[0]) @ y @ resize_matrix(low[1], high[1]).T
    np.testing.assert_allclose(operator.upsample(y), upsampled, rtol=0, atol=2e-6)


@pytest.mark.parametrize("before", [(700, 90), (90, 700)])
@pytest.mark.parametrize("after", [(301, 300), (1001, 37)])
def test_resizing_by_any_ratio_is_that_of_full_matrices(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    x = noise(1, *before)
    expected = resize_matrix(before[0], after[0]) @ x @ resize_matrix(before[1], after[1]).T
    np.testing.assert_allclose(resize(x, *after), expected, rtol=0, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(0, 2**32),
)
def test_adjoint_and_pseudo_inverse_at_any_size(scale: int, h: int, w: int, seed: int) -> None:
    operator = Degradation(scale)
    x, y = noise(h * scale, w * scale, seed=seed), noise(h, w, seed=seed + 1)
    np.testing.assert_allclose(np.sum(operator(x) * y), np.sum(x * operator.adjoint(y)), atol=1e-8)
    np.testing.assert_allclose(operator(operator.pseudo_inverse(y)), y, atol=1e-7)
    seen = operator.pseudo_inverse(operator(x))  # an orthogonal projection
    np.testing.assert_allclose(np.sum(seen * (x - seen)), 0, atol=1e-5)


@pytest.mark.parametrize("blur", [0.0, 0.5, 1.5])
@pytest.mark.parametrize(("h", "w"), [(75, 30), (90, 101)])
def test_large_pseudo_inverses_are_those_of_the_matrix(h: int, w: int, blur: float) -> None:
    """Made in two products, or in one, in which a blur keeps the digits of float32."""
    operator, y = Degradation(4, blur), noise(2, h, w)
    vertical, horizontal = (
        PseudoInverse(operator.rows, 0.05 if blur else 0)(side, 4 * side, 0, 4 * side).matrix
        for side in (h, w)
    )
    expected = vertical @ y @ horizontal.T
    np.testing.assert_allclose(operator.pseudo_inverse(y), expected, atol=1e-6)
    off = operator.pseudo_inverse(y.astype(np.float32)) - expected
    assert np.abs(off).max() < 1e-5 * max(1, np.abs(expected).max())


def test_a_longer_kernel_needs_its_rows_alone() -> None:
    """Half as wide again as bicubic: its inverse falls off far more slowly."""

    def wide(high: int, low: int, start: int, stop: int) -> Rows:
        centres = (np.arange(start, stop) + 0.5) * high / low
        distances = (np.arange(high) + 0.5 - centres[:, None]) / (1.5 * high / low)
        matrix = keys_cubic(distances)
        return Rows(0, matrix / matrix.sum(axis=1, keepdims=True))

    matrix = wide(1200, 300, 0, 300).matrix
    y = noise(1, 1, 300)
    for kind, expected in ((Adjoint, matrix.T), (PseudoInverse, np.linalg.pinv(matrix))):
        got = resized(y, lambda a, b, *rows, k=kind: _across(k(wide), a, b, *rows), 1, 1200)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got[0, 0] / scale, expected @ y[0, 0] / scale, atol=1e-6)


def _across(rows: RowsOf, size_in: int, size_out: int, start: int, stop: int) -> Rows:
    """Those rows for the axis across, which has one pixel, and stays."""
    return Rows(0, np.eye(1)) if size_in == size_out == 1 else rows(size_in, size_out, start, stop)


def test_blocks_that_repeat_are_made_once() -> None:
    for rows, size_in, size_out, block in (
        (resize_rows, 8192, 2048, 16),
        (PseudoInverse(resize_rows), 2048, 8192, 64),
    ):
        runs = blocks(rows, size_in, size_out, block)
        assert len(runs) < 12
        assert sum(run.repeats * len(run.matrix) for run in runs) == size_out
        starts = [run.start for run in runs]
        assert starts == sorted(starts)
    assert len(blocks(resize_rows, 1000, 301, 16)) == 19  # no two of which are equal


def test_views_are_taken_as_they_lie() -> None:
    x = noise(3, 300, 400)
    for view in (x[:, 3:283, 7:387], x[:, ::-1][:, :280], np.moveaxis(noise(280, 380, 3), 2, 0)):
        view = view[..., : view.shape[-1] // 4 * 4]
        np.testing.assert_array_equal(D(view), D(np.ascontiguousarray(view)))
        low = view[:, :250, :77]
        np.testing.assert_array_equal(D.upsample(low), D.upsample(np.ascontiguousarray(low)))


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise(3, 1024, 1056).astype(np.float32)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(processors, "available_cpus", lambda threads=threads: threads)
        found.append((D(x), D.pseudo_inverse(x[:, :256, :264])))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_very_long_axis_takes_little() -> None:
    """Its matrices would take 34 GB, and their inverse hours."""
    low_res = np.random.default_rng(0).uniform(-1, 1, (1, 2, 2**15)).astype(np.float32)
    large = Degradation(4).pseudo_inverse(low_res)
    assert large.shape == (1, 8, 2**17)
    np.testing.assert_allclose(Degradation(4)(large), low_res, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 40), (100, 333)])
def test_a_picture_alone_and_among_others_gives_the_same_bits(size: tuple[int, int]) -> None:
    low = noise(7, 3, *size).astype(np.float32)
    high = noise(7, 3, size[0] * 4, size[1] * 4, seed=1).astype(np.float32)
    for operator, pictures in ((D, high), (D.pseudo_inverse, low), (D.upsample, low)):
        together = operator(pictures)
        for count in (1, 2, 5):
            np.testing.assert_array_equal(operator(pictures[:count]), together[:count])
