import pytest
import torch

from alseg_strategies import SignalError, Signals, create
from alseg_strategies.signals import signal_names

LOGITS = torch.zeros(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"logits": LOGITS[0]}, r"logits have the shape \(3, 4, 5\)"),
        ({"logits": LOGITS[:, :1]}, "two classes or more"),
        ({"logits": LOGITS.long()}, r"logits is of type torch.int64"),
        ({"logits": LOGITS, "radius": LOGITS}, r"it must be \(2, 4, 5\)"),
        ({"logits": LOGITS, "embeddings": LOGITS[:1]}, r"must be \(2, dimensions, height, width\)"),
        ({"logits": LOGITS, "embeddings": LOGITS[0]}, r"embeddings has the shape \(3, 4, 5\)"),
        ({"logits": LOGITS, "previous_logits": LOGITS[:, :2]}, r"it must be \(2, 3, 4, 5\)"),
        ({"logits": LOGITS, "teacher_logits": LOGITS[0]}, r"it must be \(2, 3, 4, 5\)"),
        ({"logits": LOGITS, "predicted_loss": LOGITS}, r"it must be \(2, 4, 5\)"),
        ({"logits": LOGITS, "views": LOGITS}, r"it must be \(2, views, 3, 4, 5\)"),
        ({"logits": LOGITS, "image_features": LOGITS[0, 0]}, r"it must be \(2, vectors, dim"),
        ({"logits": LOGITS, "views": LOGITS[:, None].long()}, "views is of type torch.int64"),
        ({"logits": LOGITS, "names": ["one"]}, "1 names were given for 2 images"),
    ],
)
def test_shapes_and_types_are_checked(given, message):
    with pytest.raises(SignalError, match=message):
        Signals(**given)


def test_signals_of_every_kind_fit_together():
    signals = Signals(
        LOGITS,
        radius=LOGITS[:, 0],
        embeddings=torch.zeros(2, 7, 2, 3),
        previous_logits=LOGITS,
        teacher_logits=LOGITS,
        views=torch.zeros(2, 6, 3, 4, 5),
        predicted_loss=LOGITS[:, 0],
        image_features=torch.zeros(2, 1, 9),
    )
    assert all(getattr(signals, name) is not None for name in signal_names())


@pytest.mark.parametrize("name", sorted(signal_names() - {"logits"}))
def test_a_signal_that_is_missing_says_how_to_get_it(name):
    with pytest.raises(SignalError, match=rf"{name}'.*: (it|they) .*Signals\(logits, {name}="):
        Signals(LOGITS).require(frozenset({name}), asked_by="Mine")


def test_halo_without_a_radius_says_how_to_get_one():
    with pytest.raises(SignalError, match=r"hyperbolic head.*--head hyperbolic.*radius=") as caught:
        create("halo").score(Signals(LOGITS))
    assert "HALO" in str(caught.value)


def test_a_radius_that_is_not_finite_names_image_and_count():
    radius = torch.ones(2, 4, 5)
    radius[1, 0, :3] = torch.inf
    with pytest.raises(SignalError, match=r"in radius \(image 'b': 3 of 20\)"):
        create("halo").score(Signals(LOGITS, radius=radius, names=["a", "b"]))


def test_many_bad_images_are_summed_up():
    with pytest.raises(SignalError, match=r"image 4: 12 of 12; and 3 more images"):
        create("entropy").score(Signals(torch.full((8, 3, 2, 2), torch.nan)))
