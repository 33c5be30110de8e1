"""What unasked pixels teach: the teacher, mixed views, pseudo-labels and contrast."""

import signal

import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.processes import Ranks, run_ranks
from tests.helpers.toys import SPACE, Toy, quiet_trainer
from tests.training.test_terms import UNTRAINED, digest, images, load, tensors, train_in_rounds
from torch import nn

from alseg.active import ActiveLoop
from alseg.config.protocols import PROTOCOLS
from alseg.data.module import SegmentationDataModule
from alseg.data.views import View, flip_geometry
from alseg.distributed import ranks
from alseg.errors import ConfigError
from alseg.models import Network, Prediction
from alseg.runs.checkpoint import load_module
from alseg.runs.fit import load_weights
from alseg.training.mixing import mix, mixing_mask
from alseg.training.module import SegmentationModule
from alseg.training.teacher import Teacher
from alseg.training.terms import build_terms, loss_settings
from alseg.training.unlabelled import Unlabelled, show_mixed, shrink


class OneNumber(nn.Module):
    """A network of one weight and one buffer."""

    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(value)))
        self.register_buffer("seen", torch.tensor(10 * float(value)))
        self.register_buffer("batches", torch.tensor(int(value)))


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=20), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_teacher_is_the_moving_average_of_the_networks_that_it_follows(values, decay):
    network = OneNumber(3)
    teacher = Teacher(network, num_classes=2, decay=decay)
    expected = 3.0
    for number, value in enumerate(values, start=1):
        with torch.no_grad():
            network.weight.fill_(value)
            network.seen.fill_(10 * value)
            network.batches.fill_(value)
        teacher.follow(network)
        own = min(1 - 1 / (number + 1), decay)
        expected = own * expected + (1 - own) * value
    assert teacher.network.weight.item() == pytest.approx(expected, abs=1e-3)
    assert teacher.network.seen.item() == pytest.approx(10 * expected, abs=1e-2)
    assert teacher.network.batches.item() == values[-1]
    assert not teacher.network.weight.requires_grad


def test_a_class_counts_once_the_teacher_is_right_about_it_on_the_answers():
    teacher = Teacher(OneNumber(0), num_classes=3, decay=0.5)
    classes = torch.tensor([[[0, 0, 0, 1, 1, 2]]])
    logits = nn.functional.one_hot(classes, 3).movedim(-1, 1).float()
    assert teacher.trusts(0.9).tolist() == [True, True, True]
    teacher.compare(logits, torch.tensor([[[0, 0, 2, 1, 255, 255]]]))
    # Of the answered pixels: class 0 right on 2 of 3, class 1 on 1 of 1, class 2 never predicted.
    assert teacher.trusts(0.6).tolist() == [True, True, True]
    assert teacher.trusts(0.7).tolist() == [False, True, True]
    teacher.compare(logits, torch.tensor([[[1, 1, 255, 255, 255, 255]]]))
    # 2 / 2 of before and 0 of 2 now: 1 of 3.5.
    assert teacher.trusts(0.28).tolist() == [True, True, True]
    assert teacher.trusts(0.29).tolist() == [False, True, True]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10**6))
def test_cutmix_pastes_a_rectangle_of_about_half_the_image(height, width, seed):
    classes = torch.zeros(1, height, width, dtype=torch.long)
    mask = mixing_mask("cutmix", classes, torch.Generator().manual_seed(seed))[0]
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert box.all()
    # The height is rounded to whole rows.
    assert abs(int(mask.sum()) - height * width / 2) <= max(width, height * width / 2) / 2 + width


def test_classmix_pastes_all_pixels_of_half_the_classes_and_no_others():
    classes = torch.tensor([[[0, 0, 3, 5, 255]], [[1, 1, 1, 255, 255]]])
    for seed in range(20):
        mask = mixing_mask("classmix", classes, torch.Generator().manual_seed(seed))
        pasted = set(classes[0][mask[0]].tolist())
        assert len(pasted) == 1
        assert not (set(classes[0][~mask[0]].tolist()) & pasted)
        assert 255 not in pasted
        assert not mask[1].any()


def test_mixing_pastes_the_same_pixels_into_images_and_labels():
    maps = torch.arange(2 * 3 * 4).view(2, 3, 4)
    mask = torch.zeros(2, 3, 4, dtype=torch.bool)
    mask[1, :2, 1:] = True
    expected = maps.clone()
    expected[0, :2, 1:] = maps[1, :2, 1:]
    assert torch.equal(mix(maps, mask), expected)
    channels = torch.stack([maps, -maps], dim=1)
    assert torch.equal(mix(channels, mask), torch.stack([expected, -expected], dim=1))


@given(st.integers(0, 10**6))
def test_a_cell_has_the_class_that_all_its_labelled_pixels_have(seed):
    labels = torch.randint(0, 3, (2, 8, 12), generator=torch.Generator().manual_seed(seed))
    labels[torch.rand(2, 8, 12, generator=torch.Generator().manual_seed(seed)) < 0.7] = 255
    found = shrink(labels, (4, 3))
    for image, row, column in np.ndindex(2, 4, 3):
        cell = labels[image, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4]
        held = set(cell[cell != 255].tolist())
        assert found[image, row, column] == (held.pop() if len(held) == 1 else 255)


class ByRed(nn.Module):
    """Predicts class 1 where the first channel is positive, else class 0."""

    def forward(self, images):
        logits = 4 * torch.cat([-images[:, :1], images[:, :1]], 1)
        return Prediction(logits, features=images)


def seen_by(teacher_images, strong_images, labels, how="none", flipped=False, trust=0.0):
    teacher = Teacher(ByRed(), num_classes=2)
    count = len(labels)
    base = View(teacher_images, labels, flip_geometry(False).expand(count, 2, 3))
    shown = labels.flip(-1) if flipped else labels
    strong = View(strong_images, shown, flip_geometry(flipped).expand(count, 2, 3))
    return show_mixed(ByRed(), teacher, base, strong, how, trust)


def test_the_teacher_says_what_the_student_is_to_learn_and_answers_are_never_overwritten():
    images = torch.tensor([1.0, 1.0, -1.0, -1.0]).expand(1, 3, 2, 4)
    labels = torch.full((1, 2, 4), 255)
    labels[0, 0, 0], labels[0, 1, 3] = 0, 1
    found = seen_by(images, -images.flip(-1), labels, flipped=True)
    # The strong view is the mirror image: its left half is what the teacher takes for class 0.
    expected = torch.tensor([[[0, 0, 1, 0], [1, 0, 1, 1]]])
    assert torch.equal(found.pseudo_labels, expected)
    assert torch.equal(found.answers, labels.flip(-1))
    assert torch.equal(found.images, -images.flip(-1))
    certain = found.taught.softmax(1).amax(1) > 0.9999999
    assert torch.equal(certain, found.answers != 255)


def test_maps_are_mixed_like_the_images():
    images = torch.randn(3, 3, 6, 8)
    labels = torch.full((3, 6, 8), 255)
    labels[1, :3] = 1
    torch.manual_seed(1)
    found = seen_by(images, images, labels, how="cutmix")
    # Each pixel came with its class: the student sees what the teacher saw.
    by_image = (found.images[:, 0] > 0).long()
    assert torch.equal(
        torch.where(found.answers == 255, by_image, found.answers), found.pseudo_labels
    )
    assert torch.equal(found.features, found.images)
    assert not torch.equal(found.images, images)


def test_a_class_that_the_teacher_is_wrong_about_is_no_pseudo_label():
    images = torch.tensor([1.0, 1.0, -1.0, -1.0]).expand(1, 3, 2, 4)
    labels = torch.full((1, 2, 4), 255)
    labels[0, 0, 0] = 0
    found = seen_by(images, images, labels, trust=0.5)
    assert found.pseudo_labels.tolist() == [[[0, 255, 0, 0], [255, 255, 0, 0]]]


WAYS = [("pseudo-labels", "linear"), ("u2pl", "linear"), ("u2pl", "hyperbolic")]


def train(folder, unlabelled, head, killed_at=None):
    L.seed_everything(0, verbose=False)
    network = SegmentationModule(
        SPACE,
        network=Network(encoder_weights="none", head=head),
        unlabelled=Unlabelled(unlabelled, trust=0.2),
        losses={"contrast_queue": 100},
        seed=0,
    )
    train_in_rounds(folder, network, killed_at)
    kept = {
        name: value
        for name, value in network.state_dict().items()
        if name.startswith("terms.") or not name.endswith(("running_mean", "running_var"))
    }
    names = [name for name in kept if "running" not in name]
    assert len(set(ranks.gather(digest({name: kept[name] for name in names})))) == 1


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("unlabelled", "head"), WAYS)
def test_what_is_learnt_is_equal_on_all_processes_and_resumed_after_a_kill_bit_for_bit(
    tmp_path, unlabelled, head, processes
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_ranks(train, whole, unlabelled, head, ranks=processes, folder=tmp_path / "whole-logs")
    logs = tmp_path / "broken-logs"
    killed = Ranks(train, broken, unlabelled, head, 3, ranks=processes, folder=logs)
    assert killed.wait() == [-signal.SIGKILL] * processes, killed.said()
    run_ranks(train, broken, unlabelled, head, ranks=processes, folder=logs)
    there, here = (load(folder / "end.ckpt") for folder in (whole, broken))
    assert int(there["state_dict"]["teacher.updates"]) == 4
    for part in ("state_dict", "optimizer_states"):
        expected, found = tensors(there[part]), tensors(here[part])
        assert expected.keys() == found.keys()
        assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def small(unlabelled="u2pl", protocol="target_only", **more):
    torch.manual_seed(0)
    return SegmentationModule(
        SPACE,
        network=UNTRAINED,
        protocol=protocol,
        unlabelled=Unlabelled(unlabelled, **more),
        losses={"contrast_queue": 100},
        seed=0,
    )


@pytest.mark.parametrize("protocol", ["source_target", "source_free", "target_only"])
@pytest.mark.parametrize("mixing", ["none", "cutmix", "classmix"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_trains_under_every_protocol_mix_and_precision(tmp_path, protocol, mixing, precision):
    network = small(protocol=protocol, mix=mixing)
    loop = ActiveLoop("random", 0.05, rounds=1, progress=False)
    runner = quiet_trainer(tmp_path, 2, callbacks=[loop], precision=precision)
    runner.fit(network, images())
    for name in ("pseudo", "contrast"):
        assert torch.isfinite(runner.callback_metrics[f"train/{name}"])
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    assert all(p.dtype == torch.float32 for p in network.teacher.parameters())


def test_the_images_of_the_source_may_have_another_size(tmp_path):
    data = SegmentationDataModule(
        source=Toy(3, (48, 64), seed=1),
        target=Toy(3),
        size=(32, 48),
        source_size=(48, 64),
        batch_size=2,
    )
    loop = ActiveLoop("random", 0.05, rounds=1, progress=False)
    runner = quiet_trainer(tmp_path, 2, callbacks=[loop])
    runner.fit(small(protocol="source_target"), data)
    assert torch.isfinite(runner.callback_metrics["train/contrast"])


def test_without_a_term_that_needs_it_there_is_no_teacher():
    network = small("none")
    assert network.teacher is None
    assert not any("teacher" in name for name in network.state_dict())
    assert "teacher_logits" not in network.offers


def test_the_teacher_is_evaluated_and_scores_unless_the_student_is_asked_for(tmp_path):
    network = small()
    with torch.no_grad():
        network.teacher.network.head.classifier.bias[2] = 100.0
    image = np.zeros((33, 47, 3), dtype=np.uint8)
    assert (network.segment(image) == 2).all()
    student = small(evaluate="student")
    student.load_state_dict(network.state_dict())
    assert not (student.segment(image) == 2).all()
    shown = torch.zeros(1, 3, 32, 48)
    with torch.no_grad():
        assert (network.eval().signals(shown, ("logits",)).logits.argmax(1) == 2).all()
        both = network.signals(shown, ("logits", "teacher_logits"))
    assert (both.teacher_logits.argmax(1) == 2).all()
    assert not (both.logits.argmax(1) == 2).all()
    for module, taught in ((network, True), (student, False)):
        path = tmp_path / f"{taught}.ckpt"
        runner = quiet_trainer(tmp_path, 1)
        runner.strategy.connect(module)
        runner.save_checkpoint(path)
        assert bool((load_module(str(path), "cpu").segment(image) == 2).all()) is taught
        start = small("none")
        load_weights(start, path)
        assert bool((start.segment(image) == 2).all()) is taught


def test_a_batch_with_everything_asked_or_nothing_trains(tmp_path):
    class Whole(Toy):
        def label(self, index):
            return np.zeros(self._size, dtype=np.uint8)

    for budget in ("100%", "1 regions"):
        loop = ActiveLoop("random", budget, rounds=1, progress=False, store=tmp_path / budget)
        network = small()
        data = SegmentationDataModule(target=Whole(3), batch_size=2)
        runner = quiet_trainer(tmp_path, 2, callbacks=[loop])
        runner.fit(network, data)
        assert all(torch.isfinite(value) for value in runner.callback_metrics.values())


@pytest.mark.parametrize("protocol", ["source_only", "fully_supervised"])
def test_a_protocol_without_unasked_pixels_is_refused(protocol):
    with pytest.raises(ConfigError, match=f"unlabelled is 'u2pl', and the protocol '{protocol}'"):
        build_terms(PROTOCOLS[protocol], loss_settings({}), "u2pl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabelled": "u3pl"}, "unlabelled is 'u3pl'; allowed are none, pseudo-labels, u2pl"),
        ({"mix": "mixup"}, "allowed are none, cutmix, classmix"),
        ({"evaluate": "both"}, "allowed are teacher, student"),
        ({"trust": 1.5}, "trust is 1.5; it must be from 0 to 1"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        Unlabelled(**options)
