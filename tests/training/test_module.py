from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from tests.helpers.processes import run_ranks
from tests.helpers.toys import SPACE, Toy, quiet_trainer
from torch import nn
from torchmetrics import MetricCollection, SumMetric
from torchmetrics.classification import MulticlassAccuracy

from alseg.config.run import RunConfig
from alseg.data.label_space import load_label_space
from alseg.data.module import SegmentationDataModule
from alseg.data.transforms import eval_transform
from alseg.errors import ConfigError
from alseg.models import Network, Optimization, Prediction
from alseg.training.module import SegmentationModule
from alseg.training.step import LossTerm

UNTRAINED = Network(encoder_weights="none")


def module(kind=SegmentationModule, network=UNTRAINED, **settings):
    return kind(SPACE, network=network, **settings)


def train(folder, network, steps=1):
    """Train on two source images, validate on one."""
    data = SegmentationDataModule(
        source=Toy(2), val=Toy(1, split="val"), batch_size=2, augmentation="none"
    )
    runner = quiet_trainer(folder, steps, num_sanity_val_steps=0)
    runner.fit(network, data)
    return runner


@pytest.mark.parametrize("head", ["linear", "hyperbolic"])
@pytest.mark.parametrize("encoder", ["tu-vit_small_patch14_dinov2", "tu-vit_small_patch16_dinov3"])
def test_a_vision_transformer_trains_on_images_of_any_size_and_is_evaluated(
    encoder, head, tmp_path
):
    """Every parameter gets a gradient, as DDP requires."""
    missing = []

    class Watched(SegmentationModule):
        def on_after_backward(self):
            missing.extend(n for n, p in self.named_parameters() if p.grad is None)

    source, val = Toy(2, size=(45, 65)), Toy(1, size=(45, 65), split="val")
    data = SegmentationDataModule(source=source, val=val, batch_size=2)
    network = Network("dpt", encoder, "none", head=head, hyperbolic_dim=4)
    network = module(Watched, network=network, protocol="source_only")
    trainer = quiet_trainer(tmp_path, 1)
    trainer.fit(network, data)
    assert [name for name in missing if network.get_parameter(name).requires_grad] == []
    scores = trainer.validate(network, data, verbose=False)
    assert 0 <= scores[0]["val/mIoU"] <= 1


def train_frozen(folder, head, ranks):
    """Train twice as long at once and in two parts; check the encoder at every step."""
    network = Network("fpn", "resnet18", "none", freeze_encoder=True, head=head, hyperbolic_dim=4)

    class Watched(SegmentationModule):
        def on_after_backward(self):
            encoder = self.segmenter.network.encoder
            assert not any(part.training for part in encoder.modules())
            assert self.segmenter.network.decoder.training
            assert all(parameter.grad is None for parameter in encoder.parameters())

    def fit(steps, checkpoint=None):
        torch.manual_seed(0)
        kept = {"network": network, "protocol": "source_only", "seed": 0}
        trained = module(Watched, optimization=Optimization(decay_steps=4), **kept)
        before = {n: t.clone() for n, t in trained.segmenter.network.state_dict().items()}
        processes = {"devices": ranks, "strategy": "ddp"} if ranks > 1 else {}
        trainer = quiet_trainer(folder, steps, val_check_interval=1, **processes)
        data = SegmentationDataModule(source=Toy(4), val=Toy(2, split="val"), batch_size=2)
        trainer.fit(trained, data, ckpt_path=checkpoint)
        trainer.save_checkpoint(folder / f"{steps}.ckpt")
        after = trained.segmenter.network.state_dict()
        changed = {name for name, tensor in after.items() if not torch.equal(before[name], tensor)}
        assert changed
        assert all(name.startswith("decoder.") for name in changed)
        return trained.state_dict()

    whole = fit(4)
    fit(2)
    resumed = fit(4, folder / "2.ckpt")
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(("head", "ranks"), [("linear", 1), ("hyperbolic", 2)])
def test_a_frozen_encoder_is_bit_equal_after_training_and_resuming(head, ranks, tmp_path):
    run_ranks(train_frozen, tmp_path, head, ranks, ranks=ranks, folder=tmp_path / "logs")


def test_a_frozen_encoder_needs_no_second_image_in_a_batch(tmp_path):
    frozen = Network("deeplabv3plus", "resnet18", "none", freeze_encoder=True)
    with pytest.raises(ConfigError, match="batch_size is 1"):
        quiet_trainer(tmp_path, 1).fit(
            module(network=frozen, protocol="source_only"),
            SegmentationDataModule(source=Toy(2), batch_size=1),
        )
    frozen = Network("fpn", "tu-resnet18", "none", freeze_encoder=True)
    learner = module(network=frozen, protocol="source_only")
    quiet_trainer(tmp_path, 1).fit(learner, SegmentationDataModule(source=Toy(2), batch_size=1))
    assert not learner.segmenter.encoder.training


def rates(folder, steps, **optimization):
    """The learning rate of the encoder and of the head at every step."""
    seen = []

    class Watched(SegmentationModule):
        def on_before_optimizer_step(self, optimizer):
            seen.append([group["lr"] for group in optimizer.param_groups])

    optimization = Optimization(**optimization)
    train(folder, module(Watched, protocol="source_only", optimization=optimization), steps)
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


def test_signals_of_a_hyperbolic_head_come_at_the_resolution_of_the_decoder():
    network = module(network=replace(UNTRAINED, head="hyperbolic")).eval()
    images = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        signals, prediction = network.signals(images), network.segmenter(images)
    assert torch.equal(signals.logits, prediction.logits)
    assert torch.equal(signals.radius, prediction.radius)
    assert signals.radius.shape == (2, 8, 12)


def test_a_checkpoint_keeps_the_network_and_the_label_space_with_its_aliases(tmp_path):
    space = load_label_space("cityscapes19")
    network = SegmentationModule(space, network=UNTRAINED, protocol="source_only").eval()
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
        module(protocol="source_only", losses={"source_weight": 0.0})


def test_a_misspelt_setting_of_a_loss_is_named():
    with pytest.raises(ConfigError, match="'consistencyweight'. Did you mean 'consistency_weight'"):
        module(losses={"consistencyweight": 0.0})


def test_the_command_and_a_script_start_from_the_same_defaults():
    of_command = {entry.name: entry.default for entry in fields(RunConfig)}
    hparams = SegmentationModule(SPACE, network=replace(UNTRAINED, head="linear")).settings
    # The command chooses these by the strategy, by what can be downloaded, and by the images.
    of_images = {"in_channels", "label_space"}
    assert of_command.keys() >= hparams.keys() - of_images
    chosen = {"encoder_weights", "head", "seed"} | of_images
    assert {n: of_command[n] for n in hparams.keys() - chosen} == {
        n: v for n, v in hparams.items() if n not in chosen
    }


def test_a_checkpoint_holds_plain_values_in_groups_and_no_need_of_the_encoders_file(tmp_path):
    network = module(
        network=replace(UNTRAINED, hyperbolic_dim=8),
        losses={"consistency_weight": 0.5},
        optimization=Optimization("sgd", momentum=0.8),
        eval_size=(32, 48),
    )
    runner = quiet_trainer(tmp_path, 1)
    runner.strategy.connect(network)
    runner.save_checkpoint(tmp_path / "one.ckpt")
    found = torch.load(tmp_path / "one.ckpt", weights_only=True)["hyper_parameters"]
    assert found["network"]["encoder_weights"] == "none"
    again = SegmentationModule.load_from_checkpoint(tmp_path / "one.ckpt")
    assert again.settings == network.settings
    assert (again.losses["consistency_weight"], again.eval_size) == (0.5, (32, 48))
    assert again.optimization == Optimization("sgd", momentum=0.8)


class Brightness(LossTerm):
    """The mean square of the logits."""

    name = "brightness"
    domains = ("source",)

    def forward(self, step):
        return step["source"].logits.square().mean()


class Seen(SumMetric):
    """Counts the pixels that were looked at."""

    def update(self, prediction, label):
        super().update(label.numel())


class Own(SegmentationModule):
    """A module as a user writes it, with a setting of its own."""

    def __init__(self, label_space, brightness, **settings):
        super().__init__(label_space, **settings)
        self.save_hyperparameters()

    def configure_losses(self):
        return [*super().configure_losses(), Brightness(self.hparams["brightness"])]

    def configure_metrics(self):
        metrics = super().configure_metrics()
        metrics.add_metrics({"seen": Seen()})
        return metrics

    def configure_optimizers(self):
        return torch.optim.SGD(self.segmenter.parameters(), lr=0.0)


def test_a_subclass_brings_a_loss_a_metric_and_an_optimiser_of_its_own(tmp_path):
    network = Own(SPACE, 0.25, network=UNTRAINED, protocol="source_only")
    weights = [p.detach().clone() for p in network.segmenter.parameters()]
    runner = train(tmp_path, network)
    figures = runner.logged_metrics
    expected = figures["train/source"] + 0.25 * figures["train/brightness"]
    assert float(figures["train/loss"]) == pytest.approx(float(expected))
    assert float(figures["train/brightness"]) > 0
    # A rate of 0 leaves the weights as they are.
    assert all(map(torch.equal, weights, network.segmenter.parameters()))
    seen = runner.validate(network, runner.datamodule, verbose=False)[0]
    assert seen["val/seen"] == 32 * 48
    assert 0 <= seen["val/mIoU"] <= 1
    assert network.scores.miou == pytest.approx(seen["val/mIoU"])
    runner.save_checkpoint(tmp_path / "own.ckpt")
    again = Own.load_from_checkpoint(tmp_path / "own.ckpt")
    assert [term.weight for term in again.terms.values()] == [1.0, 0.25]


def test_metrics_can_be_replaced(tmp_path):
    class Accurate(SegmentationModule):
        def configure_metrics(self):
            return MetricCollection(
                {"hits": MulticlassAccuracy(3, average="micro", ignore_index=255)}
            )

    network = module(Accurate, protocol="source_only")
    runner = train(tmp_path, network)
    assert set(runner.validate(network, runner.datamodule, verbose=False)[0]) == {"val/hits"}
    assert network.scores is None


def test_a_term_of_a_domain_that_is_not_trained_on_is_refused():
    with pytest.raises(ConfigError, match="brightness looks at the source, which the protocol"):
        Own(SPACE, 1.0, network=UNTRAINED, protocol="target_only")
