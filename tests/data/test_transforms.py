"""From images and labels to tensors."""

import pickle
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.utils.data import DataLoader, Dataset

from alseg.data.transforms import AUGMENTATIONS, TrainTransform, eval_transform
from alseg.data.views import View, carry, flip_geometry
from alseg.errors import ConfigError

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
LABEL = np.random.default_rng(1).integers(0, 11, (60, 80), dtype=np.uint8)
# Every pixel of this image tells where it lies: its row, its column, nothing.
PLACES = np.stack([*np.mgrid[0:60, 0:80], np.zeros((60, 80))], axis=2).astype(np.uint8)
PLACES_LABEL = (PLACES[..., 0] // 3 * 7 + PLACES[..., 1] // 3).astype(np.uint8)


# Of ImageNet's RGB values, as encoders' weights are published with.
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def denormalise(image):
    """The RGB image of a normalised tensor 3×h×w."""
    values = image.permute(1, 2, 0).numpy() * STD + MEAN
    return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)


@pytest.fixture(scope="module", params=AUGMENTATIONS)
def transform(request):
    return TrainTransform((33, 41), augment=request.param)


def test_a_sample_has_the_types_and_shapes_that_training_expects(transform):
    sample = transform(IMAGE, LABEL, 0)
    assert sample["image"].dtype == torch.float32
    assert sample["image"].shape == (3, 33, 41)
    assert sample["label"].dtype == torch.int64
    assert sample["label"].shape == (33, 41)
    assert sample["image"].is_contiguous()
    assert sample["label"].is_contiguous()


def test_the_same_seed_gives_the_same_sample_whatever_came_before(transform):
    first = [transform(IMAGE, LABEL, seed) for seed in range(12)]
    for seed in reversed(range(12)):
        again = transform(IMAGE, LABEL, seed)
        assert torch.equal(again["image"], first[seed]["image"])
        assert torch.equal(again["label"], first[seed]["label"])


def test_the_arrays_of_the_caller_stay_as_they_are(transform):
    image, label = IMAGE.copy(), LABEL.copy()
    for seed in range(6):
        sample = transform(image, label, seed)
        sample["image"].zero_()
        sample["label"].zero_()
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(label, LABEL)


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_nothing_is_shared_with_the_caller_without_a_resize(augment):
    keeps = TrainTransform(None, augment=augment)
    image, label = IMAGE.copy(), LABEL.copy()
    for seed in range(6):
        sample = keeps(image, label, seed)
        sample["image"].zero_()
        sample["label"].zero_()
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(label, LABEL)


@pytest.mark.parametrize("augment", ["light", "strong"])
def test_seeds_differ_and_flip_image_and_label_together(augment):
    augmented = TrainTransform((30, 40), augment=augment)
    label = np.zeros((60, 80), dtype=np.uint8)
    label[:, 40:] = 1
    image = np.where(label[..., None] == 0, 200, 50).astype(np.uint8).repeat(3, axis=2)
    flipped = 0
    looks = set()
    for seed in range(40):
        sample = augmented(image, label, seed)
        bright, dark = (sample["image"][:, sample["label"] == i].mean() for i in (0, 1))
        assert bright > dark + 0.5
        flipped += int(sample["label"][0, 0] == 1)
        looks.add(round(float(bright), 4))
    assert 8 <= flipped <= 32
    assert len(looks) > 20


def test_strong_changes_more_than_light():
    change = {}
    for augment in ("light", "strong"):
        augmented = TrainTransform(None, augment=augment)
        image = np.broadcast_to(np.array([90, 140, 60], dtype=np.uint8), (24, 24, 3)).copy()
        samples = [augmented(image, LABEL[:24, :24], seed)["image"] for seed in range(60)]
        change[augment] = torch.stack([s.mean(dim=(1, 2)) for s in samples]).std(dim=0).mean()
    assert change["strong"] > 1.5 * change["light"] > 0


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_every_asked_for_region_is_in_every_full_sample(augment):
    label = np.full((360, 480), 255, dtype=np.uint8)
    for region in range(240):
        row, column = 1 + region // 20 * 29, 1 + region % 20 * 23
        label[row : row + 3, column : column + 3] = region
    full = TrainTransform((180, 240), augment=augment)
    image = np.zeros((360, 480, 3), dtype=np.uint8)
    for seed in range(4):
        assert set(full(image, label, seed)["label"].unique().tolist()) == {*range(240), 255}


@settings(deadline=None)
@given(seed=st.integers(0, 2**40), height=st.integers(1, 60), width=st.integers(1, 80))
def test_a_crop_at_full_resolution_is_a_piece_of_the_image_and_its_label(seed, height, width):
    sample = TrainTransform(None, crop=(height, width), augment="none")(PLACES, PLACES_LABEL, seed)
    image = denormalise(sample["image"])
    top, left = int(image[0, 0, 0]), int(image[0, 0, 1])
    window = np.s_[top : top + height, left : left + width]
    assert np.array_equal(image, PLACES[window])
    assert np.array_equal(sample["label"].numpy(), PLACES_LABEL[window])


def test_crops_reach_every_edge():
    cropped = TrainTransform(None, crop=(58, 78), augment="none")
    corners = {
        tuple(denormalise(cropped(PLACES, PLACES_LABEL, seed)["image"])[0, 0, :2].tolist())
        for seed in range(200)
    }
    assert corners == {(row, column) for row in range(3) for column in range(3)}


def test_a_crop_of_a_resized_image_shows_that_share_of_it():
    cropped = TrainTransform((30, 40), crop=(15, 10), augment="none")
    for seed in range(20):
        image = denormalise(cropped(PLACES, PLACES_LABEL, seed)["image"])
        assert image.shape == (15, 10, 3)
        # Each output pixel averages 2×2 of the input: rows 2r and 2r+1 give 2r + 0.5.
        steps = np.diff(image.astype(int), axis=0)[..., 0]
        assert (np.abs(steps - 2) <= 1).all()
        assert abs(int(image[-1, 0, 0]) - int(image[0, 0, 0]) - 28) <= 1
        assert abs(int(image[0, -1, 1]) - int(image[0, 0, 1]) - 18) <= 1


def test_shrinking_averages_and_normalising_is_imagenet_s():
    checkers = np.indices((8, 8)).sum(axis=0) % 2 * 255
    image = np.repeat(checkers[..., None], 3, axis=2).astype(np.uint8)
    small = eval_transform(image, (4, 4))
    grey = 128 / 255
    expected = [(grey - 0.485) / 0.229, (grey - 0.456) / 0.224, (grey - 0.406) / 0.225]
    assert torch.allclose(small, torch.tensor(expected)[:, None, None].expand(3, 4, 4), atol=1e-5)


@settings(deadline=None)
@given(image=arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8), st.just(3))))
def test_denormalising_gives_the_picture_back(image):
    assert np.array_equal(denormalise(eval_transform(image, None)), image)


def test_training_and_evaluation_see_the_same_pixels():
    sample = TrainTransform((31, 47), augment="none")(IMAGE, LABEL, 5)
    assert torch.equal(sample["image"], eval_transform(IMAGE, (31, 47)))


def test_a_scaled_image_is_a_larger_or_smaller_piece_resized_once():
    """At a factor of 2 every pixel and label is seen twice as large; which piece is random."""
    doubled = TrainTransform((60, 80), crop=(30, 40), augment="none", random_scale=[2.0, 2.0])
    corners = set()
    for seed in range(12):
        label = doubled(PLACES, PLACES_LABEL, seed)["label"].numpy()
        matching = [
            (top, left)
            for top in range(46)
            for left in range(61)
            if np.array_equal(
                np.kron(PLACES_LABEL[top : top + 15, left : left + 20], np.ones((2, 2))), label
            )
        ]
        assert matching
        corners.add(matching[0])
    assert len(corners) > 6
    halved = TrainTransform((60, 80), crop=(30, 40), augment="none", random_scale=[0.5, 0.5])
    sample = halved(PLACES, PLACES_LABEL, 3)
    means = PLACES.reshape(30, 2, 40, 2, 3).mean(axis=(1, 3))
    assert np.abs(denormalise(sample["image"]) - means).max() <= 1


def test_beside_an_image_that_is_smaller_than_the_cut_is_void_in_the_mean_colour():
    smaller = TrainTransform((60, 80), crop=(50, 80), augment="none", random_scale=[0.25, 0.25])
    sample = smaller(IMAGE, np.zeros_like(LABEL), 0)
    seen = sample["label"] == 0
    assert seen[:15, :20].all()
    assert seen.sum() == 15 * 20
    assert (sample["label"][~seen] == 255).all()
    assert sample["image"][:, ~seen].abs().max() < 0.01


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [3, 5])
def test_what_is_beside_an_image_is_constant_and_not_valid_in_any_view(channels, dtype):
    white = 255 if dtype == "uint8" else 1
    image = (np.random.default_rng(4).random((60, 80, channels)) * white).astype(dtype)
    views = {"a": "strong", "b": "light"}
    halved = TrainTransform((60, 80), views=views, augment="light", random_scale=[0.5, 0.5])
    sides = set()
    for seed in range(12):
        sample = halved(image, np.zeros_like(LABEL), seed)
        for view in (sample, *sample["views"].values()):
            left = 40 if view["geometry"][0, 0] < 0 else 0
            expected = torch.zeros(60, 80, dtype=torch.bool)
            expected[:30, left : left + 40] = True
            assert torch.equal(view["valid"], expected)
            assert torch.equal(view["label"] == 0, expected)
            assert (view["image"][:, ~expected] == 0).all()
            sides.add(left)
    assert sides == {0, 40}
    assert "valid" not in TrainTransform((60, 80), augment="none")(image, LABEL, 0)


def test_nothing_is_carried_from_or_to_what_is_beside_an_image():
    shown = TrainTransform(
        (32, 32), views={"s": "strong"}, augment="light", random_scale=[0.5, 0.5]
    )
    samples = [shown(IMAGE, np.zeros_like(LABEL), seed) for seed in range(8)]
    batch = batch_of(samples)
    valid = {
        "base": torch.stack([one["valid"] for one in samples]),
        "s": torch.stack([one["views"]["s"]["valid"] for one in samples]),
    }
    source, target = (replace(batch[name], valid=valid[name]) for name in ("base", "s"))
    _, inside = carry(torch.ones(8, 1, 32, 32), source, target)
    assert torch.equal(inside, valid["s"])
    _, inside = carry(torch.ones(8, 1, 4, 4), source, target)
    assert torch.equal(inside, valid["s"][:, ::8, ::8])
    # A view of the whole crop at half its size, in which the image takes a quarter of each side.
    half = View(torch.zeros(8, 3, 32, 32), target.labels, affine(2.0).expand(8, 2, 3))
    whole = replace(source, geometry=affine(1.0).expand(8, 2, 3))
    _, inside = carry(torch.ones(8, 1, 32, 32), whole, half)
    # Pixels 8 to 23 of the half show the crop; of those, each shows two by two of its pixels.
    seen = whole.valid.reshape(8, 16, 2, 16, 2).all(4).all(2)
    assert torch.equal(inside[:, 8:24, 8:24], seen)
    assert inside.sum() == seen.sum()


def test_factors_are_uniform_between_the_smallest_and_the_largest():
    scaled = TrainTransform((40, 40), augment="none", random_scale=[0.25, 1.0])
    label = np.zeros((60, 80), dtype=np.uint8)
    sides = [int((scaled(IMAGE, label, seed)["label"][0] == 0).sum()) for seed in range(400)]
    assert (min(sides), max(sides)) == (10, 40)
    # Of a uniform factor: the mean, and the share below the middle, within four deviations.
    assert abs(np.mean(sides) - 25) < 4 * 30 / np.sqrt(12 * 400)
    assert abs(np.mean(np.array(sides) < 25) - 0.5) < 4 * 0.5 / np.sqrt(400)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**40),
    low=st.floats(0.05, 1.0),
    asked=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 79)), min_size=1, max_size=12),
)
def test_asked_pixels_survive_a_random_scale(seed, low, asked):
    """The cell under the centre of an asked pixel has a label of a pixel in it."""
    label = np.full((60, 80), 255, dtype=np.uint8)
    for number, place in enumerate(asked):
        label[place] = number
    scaled = TrainTransform((48, 72), augment="none", random_scale=[low, 1.0])
    sample = scaled(np.full((60, 80, 3), 255, dtype=np.uint8), label, seed)
    # White stands out from the colour of what is beside the image.
    shown = sample["image"][0] > 1
    height, width = int(shown[:, 0].sum()), int(shown[0].sum())
    found = sample["label"].numpy()
    assert (found[~shown.numpy()] == 255).all()
    for row, column in np.argwhere(label != 255):
        cell = (2 * row + 1) * height // 120, (2 * column + 1) * width // 160
        candidates = [
            label[place]
            for place in asked
            if ((2 * place[0] + 1) * height // 120, (2 * place[1] + 1) * width // 160) == cell
        ]
        assert found[cell] in candidates


@pytest.mark.parametrize("augment", ["light", "strong"])
def test_a_random_scale_is_drawn_by_the_seed_alone_and_one_of_1_is_none(augment):
    scaled = TrainTransform((48, 64), crop=(30, 40), augment=augment, random_scale=[0.5, 2.0])
    first = [scaled(IMAGE, LABEL, seed) for seed in range(6)]
    for seed in reversed(range(6)):
        assert identical(scaled(IMAGE, LABEL, seed), first[seed])
    none = TrainTransform((48, 64), augment="none", random_scale=[1.0, 1.0])
    assert identical(
        none(IMAGE, LABEL, 1), TrainTransform((48, 64), augment="none")(IMAGE, LABEL, 1)
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8, 13])
@pytest.mark.parametrize("augment", ["light", "strong"])
def test_no_augmentation_cuts_images_of_more_than_8_bits(augment, channels):
    """Levels that become neither black nor white stay apart, whatever changes the light."""
    ramp = np.linspace(0.3, 0.7, 1000, dtype=np.float32).reshape(20, 50, 1)
    image = np.repeat(ramp, channels, axis=2)
    transform = TrainTransform((20, 50), crop=(20, 40), augment=augment, views={"a": "strong"})
    looks = set()
    for seed in range(12):
        sample = transform(image, LABEL[:20, :50], seed)
        for shown in (sample, sample["views"]["a"]):
            assert shown["image"].shape == (channels, 20, 40)
            for channel in shown["image"]:
                inside = channel[(channel > channel.min()) & (channel < channel.max())]
                assert len(inside.unique()) > 0.8 * inside.numel()
        assert identical(transform(image, LABEL[:20, :50], seed), sample)
        looks.add(float(sample["image"].mean()))
    assert len(looks) > 8


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_resizing_keeps_every_channel_apart(channels):
    image = np.random.default_rng(2).random((12, 8, channels), dtype=np.float32)
    means = image.reshape(6, 2, 4, 2, channels).mean(axis=(1, 3))
    seen = eval_transform(image, (6, 4)).numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(seen, (means - 0.5) / 0.25, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_shrink_that_is_no_whole_factor_averages_by_area_in_every_channel(channels, dtype):
    white = 200 if dtype == "uint8" else 1
    image = (np.random.default_rng(3).random((12, 9, channels)) * white).astype(dtype)

    def shares(length, cells):
        """How much of each cell each pixel covers, cells×length."""
        starts, ends = np.arange(cells)[:, None], np.arange(1, cells + 1)[:, None]
        pixels = np.arange(length + 1) * cells / length
        covered = np.minimum(ends, pixels[1:]) - np.maximum(starts, pixels[:-1])
        return np.clip(covered, 0, None)

    means = np.einsum("ih,jw,hwc->cij", shares(12, 7), shares(9, 5), image.astype(np.float64))
    found = eval_transform(image, (7, 5)).numpy()
    own, spread = (MEAN, STD) if channels == 3 else (np.full(channels, 0.5), 0.25)
    spread = np.broadcast_to(spread, channels)[:, None, None]
    values = (found * spread + own[:, None, None]) * (255 if dtype == "uint8" else 1)
    assert np.abs(values - means).max() < (0.51 if dtype == "uint8" else 1e-5)
    scaled = TrainTransform((7, 5), augment="light", random_scale=[0.7, 1.3])
    for seed in range(6):
        sample = scaled(image, np.zeros((12, 9), np.uint8), seed)
        assert sample["image"].shape == (channels, 7, 5)


class Seeded(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 4

    def __getitem__(self, seed):
        return self.transform(IMAGE, LABEL, seed)["image"]


def test_a_worker_makes_the_same_samples_as_the_main_process(transform):
    data = Seeded(transform)
    here = torch.stack([data[seed] for seed in range(4)])
    torch.manual_seed(12345)
    loader = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="fork")
    assert torch.equal(next(iter(loader)), here)


def test_it_survives_pickling_for_workers_that_are_spawned(transform):
    copy = pickle.loads(pickle.dumps(transform))
    assert torch.equal(copy(IMAGE, LABEL, 3)["image"], transform(IMAGE, LABEL, 3)["image"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (30, 40), "crop": (31, 40)}, r"crop of 31x40 .* does not fit .* 30x40"),
        ({"size": (30, 40), "augment": "lihgt"}, "Did you mean 'light'"),
        ({"size": None, "random_scale": [0.5, 2.0]}, "give crop or size"),
        ({"size": (30, 40), "random_scale": [2.0, 0.5]}, "two numbers above 0"),
        ({"size": (30, 40), "random_scale": [0.0, 0.5]}, "two numbers above 0"),
        ({"size": (30, 40), "random_scale": [1.0]}, "two numbers above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TrainTransform(**arguments)


def test_a_crop_larger_than_an_image_is_refused():
    with pytest.raises(ConfigError, match="does not fit"):
        TrainTransform(None, crop=(61, 10), augment="none")(IMAGE, LABEL, 0)


def test_albumentations_is_imported_only_for_augmentation_and_never_asks_the_network():
    program = (
        "import os, sys; os.environ.pop('NO_ALBUMENTATIONS_UPDATE', None); "
        "from alseg.data.transforms import TrainTransform; TrainTransform((9, 9), augment='none'); "
        "assert 'albumentations' not in sys.modules; TrainTransform((9, 9)); "
        "assert 'albumentations' in sys.modules; print(os.environ['NO_ALBUMENTATIONS_UPDATE'])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr


def identical(one, other):
    return all(torch.equal(one[name], other[name]) for name in ("image", "label", "geometry"))


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_a_sample_does_not_depend_on_its_views_nor_a_view_on_the_others(augment):
    plain = TrainTransform(None, crop=(40, 50), augment=augment)
    one = TrainTransform(None, crop=(40, 50), augment=augment, views={"b": "strong"})
    both = TrainTransform(None, crop=(40, 50), augment=augment, views={"a": "light", "b": "strong"})
    for seed in range(8):
        samples = [transform(IMAGE, LABEL, seed) for transform in (plain, one, both)]
        assert "views" not in samples[0]
        assert all(identical(samples[0], sample) for sample in samples[1:])
        assert identical(samples[1]["views"]["b"], samples[2]["views"]["b"])


def test_views_of_one_strength_differ_and_those_of_none_are_the_crop_itself():
    shown = TrainTransform(None, crop=(40, 50), views={"a": "strong", "b": "strong", "c": "none"})
    plain = TrainTransform(None, crop=(40, 50), augment="none")
    for seed in range(8):
        views = shown(IMAGE, LABEL, seed)["views"]
        assert not torch.equal(views["a"]["image"], views["b"]["image"])
        assert identical(views["c"], plain(IMAGE, LABEL, seed))


def test_an_augmentation_of_a_view_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'strong'"):
        TrainTransform(None, views={"a": "stong"})


def batch_of(samples):
    """The views of a batch by name, the samples themselves under ``base``."""
    shown = [{"base": sample, **sample["views"]} for sample in samples]
    return {
        name: View(
            *(
                torch.stack([one[name][key] for one in shown])
                for key in ("image", "label", "geometry")
            )
        )
        for name in shown[0]
    }


def test_labels_carried_from_one_view_to_another_are_its_labels_bit_for_bit():
    views = {"a": "light", "b": "strong", "c": "none"}
    shown = TrainTransform((30, 40), crop=(20, 30), augment="light", views=views)
    batch = batch_of([shown(IMAGE, LABEL, seed) for seed in range(16)])
    flips = {name: view.geometry[:, 0, 0].tolist() for name, view in batch.items()}
    assert len({tuple(signs) for signs in flips.values()}) == 4
    assert all({-1.0, 1.0} == set(flips[name]) for name in ("base", "a", "b"))
    assert flips["c"] == [1.0] * 16
    for source, target in product(batch.values(), repeat=2):
        # Bits that no arithmetic would leave alone: the smallest numbers that there are.
        maps = source.labels[:, None].float() * 2.0**-149
        carried, valid = carry(maps, source, target)
        assert torch.equal(carried, target.labels[:, None].float() * 2.0**-149)
        assert valid.all()
        assert valid.shape == target.labels.shape


def affine(scale, right=0.0, below=0.0):
    return torch.tensor([[scale, 0.0, right], [0.0, scale, below]])[None]


def view_of(geometry):
    return View(torch.zeros(len(geometry), 3, 8, 8), torch.zeros(len(geometry), 8, 8), geometry)


def test_a_map_is_carried_into_a_view_that_shows_a_part_of_the_crop():
    # The part is the lower right quarter; a linear map stays linear where nothing is outside.
    whole, part = view_of(affine(1.0)), view_of(affine(0.5, 0.5, 0.5))
    rows, columns = np.mgrid[0:8, 0:8]
    maps = torch.from_numpy(3.0 * rows + columns)[None, None].float()
    carried, valid = carry(maps, whole, part)
    # The centre of the cell i of the part lies at 4 + (i + 0.5) / 2 cells of the whole.
    row, column = (4 + (cells + 0.5) / 2 - 0.5 for cells in (rows, columns))
    expected = torch.from_numpy(3.0 * row + column).float()
    assert torch.allclose(carried[0, 0, :-1, :-1], expected[:-1, :-1])
    assert valid.all()
    back, valid = carry(carried, part, whole)
    assert valid[0].sum() == 16
    assert valid[0, 4:, 4:].all()
    assert torch.allclose(back[0, 0, 5:7, 5:7], maps[0, 0, 5:7, 5:7])


@settings(deadline=None)
@given(
    flips=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=4),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_flipped_maps_of_any_resolution_are_carried_there_and_back(flips, size):
    source, target = (
        view_of(torch.stack([flip_geometry(pair[place]) for pair in flips])) for place in (0, 1)
    )
    maps = torch.randn(len(flips), 2, *size, dtype=torch.float64)
    carried, _ = carry(maps, source, target)
    for one, moved, (here, there) in zip(maps, carried, flips, strict=True):
        assert torch.equal(moved, one if here == there else one.flip(-1))
    assert torch.equal(carry(carried, target, source)[0], maps)
