"""Every option of Trainer works in a run, or is refused before anything is computed."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import ModelParallelStrategy
from tests.helpers.toys import SPACE, Toy

from alseg.active import ActiveLoop
from alseg.data.module import SegmentationDataModule
from alseg.errors import BudgetUnspent, ConfigError
from alseg.models import Network
from alseg.training.module import SegmentationModule

STEPS, ROUNDS, BUDGET = 6, 3, 0.05


class Watch(L.Callback):
    """Counts the optimiser's steps and the batches."""

    def __init__(self):
        self.steps = self.batches = 0
        self.seen = []

    def on_before_optimizer_step(self, *_):
        self.steps += 1

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches += 1
        self.seen.append(batch["target"]["round"].tolist())


def run(folder, *callbacks, strategy="ripu", head="linear", steps=STEPS, data=None, **options):
    torch.manual_seed(0)
    module = SegmentationModule(SPACE, network=Network(encoder_weights="none", head=head), seed=0)
    images = {"source": Toy(6, seed=1), "target": Toy(4), "val": Toy(2, split="val")}
    loop = ActiveLoop(
        strategy, BUDGET, rounds=ROUNDS, store=folder / "labels", seed=0, progress=False
    )
    settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    settings |= {"enable_model_summary": False, "enable_checkpointing": False}
    trainer = L.Trainer(
        max_steps=steps,
        default_root_dir=folder,
        callbacks=[loop, *callbacks],
        **{**settings, **options},
    )
    batches = SegmentationDataModule(**{**images, "batch_size": 2, **(data or {})})
    trainer.fit(module, batches)
    return trainer, module, loop, batches


WORK = [
    {},
    {"accumulate_grad_batches": 2},
    {"accumulate_grad_batches": 3, "strategy": "halo", "head": "hyperbolic"},
    {"accumulate_grad_batches": 2, "limit_train_batches": 3},
    {"accumulate_grad_batches": 2, "data": {"workers": 1}},
    {"precision": "64-true"},
    {"precision": "bf16-true"},
    {"precision": "bf16-mixed"},
    {"precision": "bf16-true", "strategy": "halo", "head": "hyperbolic"},
    {"precision": "64-true", "strategy": "halo", "head": "hyperbolic"},
    {"precision": "bf16-mixed", "strategy": "halo", "head": "hyperbolic"},
    {"max_epochs": 1},
    {"max_epochs": -1},
    {"min_epochs": 2, "max_epochs": 3},
    {"min_steps": 2},
    {"max_time": "00:01:00:00"},
    {"limit_train_batches": 4},
    {"limit_train_batches": 0.5},
    {"limit_train_batches": 1},
    {"limit_train_batches": 2, "reload_dataloaders_every_n_epochs": 1},
    {"limit_val_batches": 0},
    {"limit_val_batches": 1},
    {"limit_val_batches": 0.5},
    {"val_check_interval": 2},
    {"val_check_interval": 0.5},
    {"val_check_interval": 4, "check_val_every_n_epoch": None},
    {"check_val_every_n_epoch": 2},
    {"num_sanity_val_steps": 0},
    {"num_sanity_val_steps": -1},
    {"gradient_clip_val": 0.5},
    {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"},
    {"sync_batchnorm": True},
    {"use_distributed_sampler": False},
    {"detect_anomaly": True},
    {"benchmark": True},
    {"deterministic": True},
    {"deterministic": "warn"},
    {"inference_mode": False},
    {"profiler": "simple"},
    {
        "barebones": True,
        "logger": None,
        "enable_progress_bar": None,
        "enable_model_summary": None,
        "enable_checkpointing": None,
    },
    {"enable_checkpointing": True},
    {"enable_model_summary": True},
    {"enable_progress_bar": True},
    {"log_every_n_steps": 1, "logger": True},
    {"devices": 1},
    {"num_nodes": 1},
    {"enable_autolog_hparams": False},
]


def name(options):
    return " ".join(f"{key}={value}" for key, value in options.items()) or "nothing"


@pytest.mark.parametrize("options", WORK, ids=name)
def test_an_option_that_works_leaves_steps_rounds_and_budget_as_they_are(tmp_path, options):
    watch = Watch()
    try:
        trainer, module, loop, data = run(tmp_path, watch, **options)
    finally:
        torch.use_deterministic_algorithms(False)
    batches = options.get("accumulate_grad_batches", 1)
    assert trainer.global_step == watch.steps == STEPS
    if "limit_train_batches" not in options:
        assert watch.batches == STEPS * batches
        # The labels of a batch are those of the rounds held before its step.
        assert watch.seen == [[1 + n // (2 * batches)] * 2 for n in range(STEPS * batches)]
    assert [loop.store.settings(number)["step"] for number in (1, 2, 3)] == [0, 2, 4]
    asked = sum(int(loop.store.asked(image_id).sum()) for image_id in data.pool.ids)
    assert abs(asked - BUDGET * 4 * 32 * 48) < 9
    assert all(bool(part.isfinite().all()) for part in module.parameters())
    # A network is measured under the option that it was trained with.
    options = {k: v for k, v in options.items() if k in ("precision", "inference_mode")}
    figures = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        **options,
    ).validate(module, data, verbose=False)[0]
    assert 0 <= figures["val/mIoU"] <= 1


def test_accumulated_batches_are_those_of_one_large_batch(tmp_path):
    """Where no layer looks at the batch, two batches of two have the gradient of one of four."""

    class Gradient(L.Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            if trainer.global_step == 0:
                self.images = list(seen)

    seen = []

    class Images(L.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            seen.extend(batch["source"]["image"].flatten(1).sum(1).tolist())

    small = Gradient()
    run(tmp_path / "two", Images(), small, accumulate_grad_batches=2)
    seen.clear()
    large = Gradient()
    run(tmp_path / "four", Images(), large, data={"batch_size": 4})
    assert len(small.images) == 4
    assert small.images == pytest.approx(large.images)


class StopAt(L.Callback):
    """Asks the trainer to end after a step, as EarlyStopping does."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.should_stop = True


ENDS = [
    ({"limit_train_batches": 3, "max_epochs": 1}, 3, 2),
    ({"max_time": {"milliseconds": 1}}, None, 1),
    ({"stop": 1}, 1, 1),
]


@pytest.mark.parametrize(("options", "step", "held"), ENDS, ids=lambda value: str(value))
def test_a_run_that_ends_with_rounds_to_come_says_so_with_the_numbers(
    tmp_path, options, step, held
):
    callbacks = [StopAt(options["stop"])] if "stop" in options else []
    options = {key: value for key, value in options.items() if key != "stop"}
    with pytest.warns(BudgetUnspent) as warned:
        trainer, _, loop, _ = run(tmp_path, *callbacks, **options)
    if step is not None:
        assert trainer.global_step == step
    assert loop.store.rounds == held
    # 5 % of four images of 32×48 in three rounds.
    due = round(0.05 * 4 * 32 * 48)
    (said,) = (str(w.message) for w in warned if w.category is BudgetUnspent)
    assert f"step {trainer.global_step} of 6: {held} of 3 rounds" in said
    assert f"{loop.store.asked_pixels:,} of {due:,} pixels" in said


def test_a_run_that_ends_early_after_its_last_round_says_nothing(tmp_path, recwarn):
    run(tmp_path, StopAt(5))
    assert not [w for w in recwarn if issubclass(w.category, BudgetUnspent)]


class ManySteps(SegmentationModule):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.automatic_optimization = False


REFUSED = [
    ({"fast_dev_run": True}, "fast_dev_run is"),
    ({"fast_dev_run": 4}, "fast_dev_run is 4"),
    ({"overfit_batches": 1}, "overfit_batches is 1; it must be 0"),
    ({"overfit_batches": 0.5}, "overfit_batches is 0.5"),
    ({"max_epochs": 0}, "max_epochs is 0"),
    ({"limit_train_batches": 0}, "limit_train_batches is 0"),
    ({"limit_train_batches": 0.0}, "limit_train_batches is 0"),
    ({"steps": -1}, "max_steps"),
    ({"steps": -1, "max_epochs": 5}, "max_steps"),
    ({"precision": "16-true"}, "precision is 16-true; allowed are 32-true"),
    ({"strategy_": ModelParallelStrategy}, "ModelParallelStrategy; allowed are 'auto'"),
    ({"strategy_": "ddp_spawn"}, "allowed are 'auto' on one device, 'ddp'"),
    ({"callback": GradientAccumulationScheduler({0: 2})}, "accumulate_grad_batches"),
    ({"callback": ActiveLoop("random", 0.05, progress=False)}, "2 ActiveLoops; a training takes"),
    ({"data": {"batch_size": 1}}, "batch_size is 1; it must be 2 or more"),
    ({"data": {"batch_size": 0}}, "batch_size is 0; it must be 1 or more"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_an_option_that_does_not_is_refused_before_anything_is_computed(
    tmp_path, options, words, monkeypatch
):
    computed = []
    monkeypatch.setattr(SegmentationModule, "signals", lambda *_, **__: computed.append("signals"))
    monkeypatch.setattr(SegmentationModule, "_count", lambda *_, **__: computed.append("count"))
    options = dict(options)
    callbacks = [options.pop("callback")] if "callback" in options else []
    if "strategy_" in options:
        chosen = options.pop("strategy_")
        options["devices"] = 2 if chosen == "ddp_spawn" else 1
        options["strategy"] = chosen if isinstance(chosen, str) else chosen()
        with pytest.raises(ConfigError, match=words):
            fit_with(tmp_path, **options)
    else:
        with pytest.raises(ConfigError, match=words):
            run(tmp_path, *callbacks, **options)
    assert not computed
    assert not (tmp_path / "labels").exists()


def fit_with(folder, **options):
    """Train with a strategy of Lightning."""
    loop = ActiveLoop("random", BUDGET, rounds=1, store=folder / "labels", progress=False)
    trainer = L.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        callbacks=[loop],
        **options,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_checkpointing=False,
    )
    data = SegmentationDataModule(source=Toy(2), target=Toy(2), batch_size=2)
    trainer.fit(SegmentationModule(SPACE, network=Network(encoder_weights="none")), data)


def test_a_module_that_steps_by_itself_is_refused(tmp_path):
    loop = ActiveLoop("random", BUDGET, rounds=1, store=tmp_path / "labels", progress=False)
    trainer = L.Trainer(
        max_steps=2, accelerator="cpu", logger=False, callbacks=[loop], default_root_dir=tmp_path
    )
    data = SegmentationDataModule(source=Toy(2), target=Toy(2), batch_size=2)
    with pytest.raises(ConfigError, match="automatic_optimization"):
        trainer.fit(ManySteps(SPACE, network=Network(encoder_weights="none")), data)


def test_a_network_whose_batch_norm_copes_trains_on_batches_of_one(tmp_path):
    module = SegmentationModule(SPACE, network=Network("fpn", encoder_weights="none"))
    loop = ActiveLoop("random", BUDGET, rounds=1, store=tmp_path / "labels", progress=False)
    trainer = L.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        callbacks=[loop],
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    big = {"source": Toy(2, (64, 96)), "target": Toy(2, (64, 96))}
    trainer.fit(module, SegmentationDataModule(**big, batch_size=1))
    assert trainer.global_step == 2


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_accumulates_resumes_to_what_it_would_have_been(tmp_path, stop):
    class Stop(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == stop:
                trainer.save_checkpoint(tmp_path / "last.ckpt")
                raise KeyboardInterrupt

    _, whole, *_ = run(tmp_path / "whole", accumulate_grad_batches=2)
    with pytest.raises(SystemExit):
        run(tmp_path / "run", Stop(), accumulate_grad_batches=2)
    torch.manual_seed(1)
    module = SegmentationModule(SPACE, network=Network(encoder_weights="none"), seed=0)
    loop = ActiveLoop(
        "ripu", BUDGET, rounds=ROUNDS, store=tmp_path / "run" / "labels", progress=False
    )
    trainer = L.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        callbacks=[loop],
        accumulate_grad_batches=2,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    images = {"source": Toy(6, seed=1), "target": Toy(4), "val": Toy(2, split="val")}
    data = SegmentationDataModule(**images, batch_size=2)
    trainer.fit(module, data, ckpt_path=tmp_path / "last.ckpt")
    for ours, theirs in zip(module.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
