import numpy as np
import pytest
import torch
from tests.helpers.toys import SPACE, Toy, quiet_trainer
from torch import nn

from alseg.data.label_space import load_label_space
from alseg.data.module import SegmentationDataModule
from alseg.data.transforms import eval_transform
from alseg.errors import ConfigError
from alseg.models import Prediction
from alseg.training.module import SegmentationModule


def module(**settings):
    return SegmentationModule(SPACE, encoder_weights="none", **settings)


def rates(folder, steps, **settings):
    """The learning rate of the encoder and of the head at every step."""
    seen = []

    class Watched(SegmentationModule):
        def on_before_optimizer_step(self, optimizer):
            seen.append([group["lr"] for group in optimizer.param_groups])

    network = Watched(SPACE, encoder_weights="none", protocol="source_only", **settings)
    data = SegmentationDataModule(source=Toy(2), batch_size=2, augmentation="none")
    quiet_trainer(folder, steps).fit(network, data)
    return np.array(seen)


def test_the_rate_warms_up_linearly_and_decays_by_the_polynomial(tmp_path):
    seen = rates(tmp_path, 6, learning_rate=0.01, head_lr_factor=10, warmup_steps=2, poly_power=0.5)
    factors = [1 / 2, 1, 1, (3 / 4) ** 0.5, (2 / 4) ** 0.5, (1 / 4) ** 0.5]
    assert seen[:, 0] == pytest.approx(0.01 * np.array(factors))
    assert seen[:, 1] == pytest.approx(0.1 * np.array(factors))


def test_a_decay_can_outlast_the_training(tmp_path):
    seen = rates(tmp_path, 3, learning_rate=0.01, poly_power=1.0, decay_steps=10)
    assert seen[:, 0] == pytest.approx([0.01, 0.009, 0.008])


class LeftIsClass0(nn.Module):
    """Logits that say class 0 on the left half with weight 2, class 1 elsewhere."""

    def forward(self, images):
        height, width = images.shape[-2:]
        logits = torch.zeros(len(images), 3, height, width)
        logits[:, 0, :, : width // 2] = 2.0
        return Prediction(logits, None)


def test_flipping_averages_the_probabilities_of_image_and_mirror_image():
    network = module()
    network.segmenter = LeftIsClass0()
    probabilities = network.probabilities(torch.zeros(1, 3, 4, 6), (4, 6))
    left = np.exp(2) / (np.exp(2) + 2)
    assert probabilities[0, 0].numpy() == pytest.approx(np.full((4, 6), (left + 1 / 3) / 2))
    network.flip = False
    plain = network.probabilities(torch.zeros(1, 3, 4, 6), (4, 6))
    assert float(plain[0, 0, 0, 0]) == pytest.approx(left)
    assert float(plain[0, 0, 0, 5]) == pytest.approx(1 / 3)


def test_signals_of_a_hyperbolic_head_come_on_the_label_grid():
    network = module(head="hyperbolic").eval()
    with torch.no_grad():
        signals = network.signals(torch.randn(2, 3, 32, 48), (40, 60))
    assert signals.logits.shape == (2, 3, 40, 60)
    assert signals.radius.shape == (2, 40, 60)


def test_a_checkpoint_keeps_the_network_and_the_label_space_with_its_aliases(tmp_path):
    space = load_label_space("cityscapes19")
    network = SegmentationModule(space, encoder_weights="none", protocol="source_only").eval()
    runner = quiet_trainer(tmp_path, 1)
    runner.strategy.connect(network)
    runner.save_checkpoint(tmp_path / "one.ckpt")
    again = SegmentationModule.load_from_checkpoint(tmp_path / "one.ckpt").eval()
    assert again.label_space == space
    image = np.random.default_rng(0).integers(0, 255, (33, 47, 3), dtype=np.uint8)
    assert np.array_equal(again.segment(image), network.segment(image))


def test_segment_answers_at_the_resolution_of_the_image():
    network = module(eval_size=(32, 32), flip=False).eval()
    image = np.zeros((50, 70, 3), dtype=np.uint8)
    label = network.segment(image)
    with torch.no_grad():
        logits = network.segmenter(eval_transform(image, (32, 32))[None]).logits
        resized = nn.functional.interpolate(logits, size=(50, 70), mode="bilinear")
    assert np.array_equal(label, resized.argmax(1)[0].numpy())


def test_training_images_of_different_sizes_need_a_training_size(tmp_path):
    class Mixed(Toy):
        def size(self, index):
            return (32, 48 + index)

    data = SegmentationDataModule(source=Mixed(2), batch_size=2)
    with pytest.raises(ConfigError, match=r"train-000 is 32x48, train-001 is 32x49"):
        quiet_trainer(tmp_path, 1).fit(module(protocol="source_only"), data)


@pytest.mark.parametrize("protocol", ["source_target", "target_only"])
def test_a_missing_domain_is_named(tmp_path, protocol):
    data = SegmentationDataModule(source=Toy(2), batch_size=2)
    with pytest.raises(ConfigError, match="no target images"):
        quiet_trainer(tmp_path, 1).fit(module(protocol=protocol), data)


def test_unknown_protocols_and_protocols_without_a_loss_are_refused():
    with pytest.raises(ConfigError, match="choose from source_only"):
        module(protocol="magic")
    with pytest.raises(ConfigError, match="weight 0"):
        module(protocol="source_only", source_weight=0.0)
