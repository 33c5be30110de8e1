import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alseg_strategies import window_count, window_mean, window_sum
from alseg_strategies import windows as windows_module
from alseg_strategies.windows import window_entropy, window_minimum, window_variance

radii = st.integers(0, 12)
shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))


@given(shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(-99, 99))), radii)
def test_window_sum_of_integers_is_the_sum_of_the_clipped_window(plain, x, radius):
    expected = plain.per_pixel(np.sum, x, radius)
    assert np.array_equal(window_sum(torch.from_numpy(x), radius).numpy(), expected)


@given(
    shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1e6, width=32))),
    radii,
)
def test_window_sum_of_floats_keeps_the_digits_of_small_windows(plain, x, radius):
    expected = plain.per_pixel(lambda window: math.fsum(window.ravel()), x, radius)
    np.testing.assert_allclose(window_sum(torch.from_numpy(x), radius), expected, rtol=1e-6)


def test_window_sum_does_not_drift_over_a_large_image():
    x = np.random.default_rng(0).uniform(0, 20, (1024, 2048)).astype(np.float32)
    sums = window_sum(torch.from_numpy(x), 16).numpy()
    for row, column in [(0, 0), (512, 1024), (1023, 2047), (1007, 16), (3, 2040)]:
        window = x[max(0, row - 16) : row + 17, max(0, column - 16) : column + 17]
        assert sums[row, column] == pytest.approx(window.sum(dtype=np.float64), rel=1e-6)


def test_window_sum_of_leading_axes_and_small_types(plain):
    flags = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    sums = window_sum(flags, 1)
    assert sums.dtype == torch.int64
    for image in range(2):
        for channel in range(3):
            expected = plain.per_pixel(np.sum, flags[image, channel].numpy(), 1)
            assert np.array_equal(sums[image, channel].numpy(), expected)
    assert window_sum(torch.full((40, 40), 100, dtype=torch.uint8), 39)[0, 0] == 160_000
    assert window_sum(torch.full((40, 40), 100.0, dtype=torch.float16), 39)[0, 0] == 160_000


def test_window_sum_leaves_its_input_and_owns_its_output():
    x = torch.ones(3, 4)
    window_sum(x, 0).fill_(7)
    assert torch.equal(x, torch.ones(3, 4))


@given(shapes, radii)
def test_window_count_and_mean(plain, shape, radius):
    height, width = shape
    expected = plain.per_pixel(np.size, np.zeros(shape), radius)
    assert np.array_equal(window_count(height, width, radius).numpy(), expected)
    x = torch.arange(height * width, dtype=torch.float32).reshape(shape)
    np.testing.assert_allclose(
        window_mean(x, radius), plain.per_pixel(np.mean, x.numpy(), radius), rtol=1e-6
    )


@given(
    shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 20, width=32))),
    radii,
)
def test_window_variance_is_that_of_the_clipped_window(plain, x, radius):
    expected = plain.per_pixel(lambda window: window.astype(np.float64).var(), x, radius)
    variance = window_variance(torch.from_numpy(x), radius)
    np.testing.assert_allclose(variance, expected, rtol=1e-6, atol=1e-12)


def test_window_variance_of_a_smooth_map_far_from_its_mean():
    ramp = torch.linspace(0, 20, 2048, dtype=torch.float64).expand(3, 2048)
    step = 20 / 2047
    inside = window_variance(ramp, 1)[:, 1:-1]
    np.testing.assert_allclose(inside, np.full(inside.shape, 2 / 3 * step**2), rtol=1e-6)


@given(shapes.flatmap(lambda shape: arrays(np.int32, shape, elements=st.integers(-9, 99))), radii)
def test_window_minimum_is_that_of_the_clipped_window(plain, x, radius):
    expected = plain.per_pixel(np.min, x, radius)
    assert np.array_equal(window_minimum(torch.from_numpy(x), radius).numpy(), expected)


@given(
    shapes.flatmap(lambda shape: arrays(np.int16, shape, elements=st.integers(0, 4))),
    radii,
    st.integers(1, 64),
)
def test_window_entropy_is_that_of_the_class_histogram(plain, classes, radius, band):
    expected = plain.per_pixel(plain.histogram_entropy, classes, radius)
    # Bands of a row or two bring the seams of a large map to a small one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows_module, "_BAND", band)
        entropy = window_entropy(torch.from_numpy(classes), 5, radius)
    np.testing.assert_allclose(entropy, expected, atol=2e-6)


@pytest.mark.parametrize("num_classes", [2, 255, 256, 300, 40_000])
def test_window_entropy_of_many_classes_and_of_a_batch(plain, num_classes):
    numbers = np.random.default_rng(num_classes)
    classes = numbers.choice([0, 1, num_classes // 2, num_classes - 1], (1, 2, 5, 6))
    entropy = window_entropy(torch.from_numpy(classes), num_classes, 2)
    for index in np.ndindex(1, 2):
        expected = plain.per_pixel(plain.histogram_entropy, classes[index], 2)
        np.testing.assert_allclose(entropy[index], expected, atol=2e-6)


@pytest.mark.parametrize("radius", [1, 7, 8, 63, 64, 90, 127, 128, 200])
def test_window_entropy_counts_without_overflow(plain, radius):
    classes = (torch.arange(300)[:, None] + torch.arange(300)) % 2
    centre = window_entropy(classes, 2, radius)[150, 150].item()
    window = classes[max(0, 150 - radius) : 151 + radius, max(0, 150 - radius) : 151 + radius]
    assert centre == pytest.approx(plain.histogram_entropy(window.numpy()), abs=1e-5)


def test_a_negative_radius_is_refused():
    with pytest.raises(ValueError, match="window radius is -1"):
        window_sum(torch.ones(3, 3), -1)
