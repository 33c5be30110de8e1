"""What a run sends, as a server gets it."""

import json
import logging
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tests.helpers.archives import query_lines
from tests.helpers.stores import CLASSES, SIZES, random_store
from tests.helpers.wandb_account import logged_out, sync
from tests.helpers.wandb_server import serving

from alseg.config.run import config_from
from alseg.errors import ConfigError
from alseg.labels import LabelStore
from alseg.runs.folder import RunFolder
from alseg.runs.run_summary import Evaluation, RunSummary
from alseg.runs.wandb_logger import open_run, wandb_logger
from alseg.runs.wandb_names import summary_figures
from alseg.runs.wandb_round import Picture, log_round

PICTURED = "city/b"

SUMMARY = {
    "before": {"mIoU": 0.25, "IoU/road": 0.125},
    "after": {"mIoU": 0.5, "IoU/road": 0.75, "IoU/car": None},
    "labels": {"regions": 12, "asked_pixels": 300, "shortfall": ""},
    "seconds": {"training": 12.5},
}


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path)


def run_folder(parent):
    """Return the folder of a run that has held two rounds."""
    path = parent / "halo-1"
    random_store(path / "labels", rounds=2)
    return RunFolder(path)


def config(**settings):
    return config_from({"strategy": "ripu", "seed": 3, **settings})


def hold_run(folder, config, *, rounds=(1, 2), figures=SUMMARY):
    """Log as a training does: after each round its picks, and a validation."""
    store = LabelStore.open(folder.path / "labels")
    logger = wandb_logger(config, folder)
    with open_run([logger], config, folder, CLASSES):
        for number in rounds:
            log_as_trained(logger, number, store)
        folder.summary.content.update(figures)
        folder.record()
    return store


def log_as_trained(logger, number, store):
    log_round(logger, number, [picture()], store)
    logger.log_metrics({"val/mIoU": number / 10, "val/IoU/road": 0.5}, step=number)


def picture():
    height, width = SIZES[PICTURED]
    return Picture(PICTURED, *(np.full((height, width, 3), grey, np.uint8) for grey in (9, 8, 7)))


def offline_runs(folder):
    return sorted((folder.path / "wandb").glob("offline-run-*"))


def rows_with(backend, run, name):
    return [row for row in backend.history[run] if name in row]


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Return the server after an offline run was sent, the run's name there, and its labels."""
    place = tmp_path_factory.mktemp("sent")
    folder = run_folder(place)
    with logged_out(place), serving() as backend:
        store = hold_run(folder, config(experiment="first sweep", wandb_project="roads"))
        assert backend.asked == []
        sync(backend, *offline_runs(folder))
    assert backend.failed == []
    return backend, folder.summary.wandb_id, store


def test_an_offline_run_arrives_as_what_it_is(sent):
    backend, run, _ = sent
    known = backend.runs[run]
    assert known["project"] == "roads"
    assert known["groupName"] == "first sweep"
    assert known["jobType"] == "source_target"
    assert known["tags"] == ["ripu"]
    assert known["displayName"] == "halo-1"
    settings = json.loads(known["config"])
    assert settings["variant"]["value"] == "ripu at 1 %"
    assert settings["seed"]["value"] == 3


def test_validation_runs_over_the_share_of_labelled_pixels(tmp_path, backend):
    folder, settings = RunFolder(tmp_path / "halo-1"), config()
    folder.path.mkdir()
    logger = wandb_logger(settings, folder)
    with open_run([logger], settings, folder, CLASSES):
        store, *_ = random_store(
            folder.path / "labels",
            rounds=2,
            after_round=lambda store, number: log_as_trained(logger, number, store),
        )
    sync(backend, *offline_runs(folder))
    (run,) = backend.runs
    rows = rows_with(backend, run, "val/mIoU")
    assert [row["val/mIoU"] for row in rows] == [0.1, 0.2]
    area = sum(height * width for height, width in SIZES.values())
    maps = [store.round_map(name) for name in SIZES]
    asked = [sum(np.sum((of > 0) & (of <= number)) for of in maps) for number in (1, 2)]
    assert [row["labelled_fraction"] for row in rows] == pytest.approx([n / area for n in asked])
    assert 0 < asked[0] < asked[1]
    labels = [store.label(name) for name in SIZES]
    pairs = list(zip(labels, maps, strict=True))
    void = [sum(np.sum((a == 255) & (of > 0) & (of <= n)) for a, of in pairs) for n in (1, 2)]
    held = rows_with(backend, run, "labels/regions")
    assert [row["labels/asked_pixels"] for row in held] == asked
    assert [row["labels/void_pixels"] for row in held] == void
    picks = [len(json.loads(backend.files[run][row["picks"]["path"]])["data"]) for row in held]
    assert [row["labels/regions"] for row in held] == [picks[0], sum(picks)]
    # Of labels that are there already each region is a click.
    assert [row["labels/clicks"] for row in held] == [picks[0], sum(picks)]
    metrics = json.loads(backend.runs[run]["config"])["_wandb"]["value"]["m"]
    # As on the wire: 1 is the name of a metric, 5 the place of its axis in the list, from 1.
    axes = {of["1"]: metrics[of["5"] - 1]["1"] for of in metrics if {"1", "5"} <= of.keys()}
    assert axes["val/mIoU"] == axes["val/IoU/road"] == axes["test/IoU/sky"] == "labelled_fraction"


def test_a_round_arrives_with_its_picks_as_a_table(sent):
    backend, run, store = sent
    for number, row in enumerate(rows_with(backend, run, "picks"), start=1):
        table = json.loads(backend.files[run][row["picks"]["path"]])
        assert table["columns"] == ["image", "row", "column", "radius", "score", "asked", "void"]
        assert row["round"] == number
        expected = []
        for name in SIZES:
            lines = query_lines(store, number, name)
            expected += [[name, *map(float, line.split(","))] for line in lines]
        assert sorted(table["data"]) == sorted(expected)
    assert number == 2


def test_a_round_arrives_with_pictures_and_the_answers_as_masks(sent):
    backend, run, store = sent
    row = rows_with(backend, run, "pictures/labels")[-1]
    shown = row["pictures/labels"]
    assert "city/b" in shown["captions"][0]
    mask = shown["all_masks"][0]["labels"]["path"]
    assert np.array_equal(pixels(backend.files[run][mask]), store.label(PICTURED))
    for name, grey in (("labels", 9), ("scores", 8), ("picks", 7)):
        sent_as = row[f"pictures/{name}"]["filenames"][0]
        assert set(np.unique(pixels(backend.files[run][sent_as]))) == {grey}
    classes = json.loads(backend.runs[run]["config"])["_wandb"]["value"]["mask/class_labels"]
    (names,) = [entry["value"] for entry in classes.values()]
    assert names == {"0": "road", "1": "sky", "2": "car", "255": "not asked, or void"}


def pixels(png):
    return np.asarray(Image.open(BytesIO(png)))


def test_the_summary_arrives_with_the_figures_before_and_after(sent):
    backend, run, _ = sent
    got = backend.summary[run]
    assert got["before/mIoU"] == 0.25
    assert got["after/mIoU"] == 0.5
    assert got["after/IoU/road"] == 0.75
    assert got["labels/regions"] == 12
    assert got["seconds/training"] == 12.5
    assert "after/IoU/car" not in got
    assert summary_figures(RunSummary(SUMMARY)).items() <= got.items()


def test_a_resumed_run_goes_on_under_its_id(folder, backend):
    hold_run(folder, config(), rounds=[1], figures={"before": {"mIoU": 0.25}})
    folder.path.joinpath("config.yaml").touch()
    again = RunFolder.open(folder.path)
    hold_run(again, config(resume=str(folder.path)), rounds=[2])
    sync(backend, *offline_runs(folder))
    assert list(backend.runs) == [folder.summary.wandb_id]
    (run,) = backend.runs
    assert [row["round"] for row in rows_with(backend, run, "picks")] == [1, 2]
    assert backend.summary[run]["before/mIoU"] == 0.25
    assert backend.summary[run]["after/mIoU"] == 0.5
    # A server takes rows whose step rises alone.
    steps = [row["_step"] for row in backend.history[run]]
    assert steps == sorted(set(steps))


def test_a_run_that_was_killed_goes_on_beyond_all_that_it_may_have_logged(folder, backend):
    settings = config(steps=50)
    logger = wandb_logger(settings, folder)
    with open_run([logger], settings, folder, CLASSES):
        # As it stands when the process is killed.
        written = (folder.path / "summary.json").read_text()
        killed = RunFolder(folder.path, RunSummary.decode(written))
        for number in range(40):
            logger.log_metrics({"val/mIoU": 0.5}, step=number)
    hold_run(killed, settings, rounds=[2])
    sync(backend, *offline_runs(folder))
    (run,) = backend.runs
    steps = [row["_step"] for row in backend.history[run]]
    assert steps == sorted(set(steps))


def test_the_id_that_the_agent_of_a_sweep_gives_is_kept(folder, nobody, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_RUN_ID", "ofagent1")
    hold_run(folder, config())
    (run,) = offline_runs(folder)
    assert run.name.endswith("-ofagent1")
    assert folder.summary.wandb_id == "ofagent1"


def test_the_networks_own_parameters_change_no_setting(folder, backend):
    settings = config(encoder_weights="imagenet")
    logger = wandb_logger(settings, folder)
    with open_run([logger], settings, folder, CLASSES):
        logger.log_hyperparams({"encoder_weights": "none"})
    sync(backend, *offline_runs(folder))
    (run,) = backend.runs
    kept = json.loads(backend.runs[run]["config"])["encoder_weights"]["value"]
    assert kept == "imagenet"


def test_whoever_is_logged_in_sends_at_once(folder, account):
    hold_run(folder, config())
    (run,) = account.runs
    assert [row["val/mIoU"] for row in rows_with(account, run, "val/mIoU")] == [0.1, 0.2]
    assert account.summary[run]["after/mIoU"] == 0.5
    assert offline_runs(folder) == []


def test_where_nobody_is_logged_in_one_line_says_how_to_send_later(folder, nobody, caplog):
    with caplog.at_level(logging.INFO, "alseg"):
        hold_run(folder, config())
    (line,) = said_by_alseg(caplog)
    assert "nobody is logged in" in line
    assert f"wandb sync {folder.path}" in line
    assert len(offline_runs(folder)) == 1


def said_by_alseg(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "alseg"]


def test_a_mode_that_is_set_is_kept_without_a_word(folder, nobody, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with caplog.at_level(logging.INFO, "alseg"):
        hold_run(folder, config())
    assert said_by_alseg(caplog) == []
    assert offline_runs(folder) == []


def test_processes_but_the_first_have_no_run(folder, nobody, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    settings = config()
    logger = wandb_logger(settings, folder)
    with open_run([logger], settings, folder, CLASSES):
        pass
    assert not (folder.path / "wandb").exists()
    assert not (folder.path / "summary.json").exists()


@pytest.mark.parametrize(("protocol", "share"), [("source_only", 0.0), ("fully_supervised", 1.0)])
def test_a_run_without_rounds_has_a_share_and_no_strategy(tmp_path, backend, protocol, share):
    folder = RunFolder(tmp_path / protocol)
    folder.path.mkdir()
    settings = config(protocol=protocol)
    logger = wandb_logger(settings, folder)
    with open_run([logger], settings, folder, CLASSES):
        logger.log_metrics({"val/mIoU": 0.5}, step=1)
    sync(backend, *offline_runs(folder))
    (run,) = backend.runs
    assert rows_with(backend, run, "val/mIoU")[0]["labelled_fraction"] == share
    assert json.loads(backend.runs[run]["config"])["variant"]["value"] == protocol
    assert not backend.runs[run].get("tags")


def test_a_key_that_is_none_is_refused_before_anything_is_written(folder, nobody, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(ConfigError, match=r"40\+ characters.*WANDB_MODE=offline"):
        wandb_logger(config(), folder)
    assert not (folder.path / "wandb").exists()


def one_round_and_no_more():
    yield 1
    raise RuntimeError("out of memory")


def test_a_run_that_fails_sends_what_is_known(folder, backend):
    folder.summary.before = Evaluation({"mIoU": 0.25})
    folder.record()
    with pytest.raises(RuntimeError, match="out of memory"):
        hold_run(folder, config(), rounds=one_round_and_no_more())
    sync(backend, *offline_runs(folder))
    (run,) = backend.runs
    assert backend.summary[run]["before/mIoU"] == 0.25


def test_a_server_that_refuses_the_run_is_answered_with_how_to_go_on(folder, account, monkeypatch):
    def refuse(given):
        raise PermissionError("not your project")

    monkeypatch.setattr(account, "_UpsertBucket", refuse)
    settings = config()
    logger = wandb_logger(settings, folder)
    with (
        pytest.raises(ConfigError, match=r"WANDB_MODE=offline.*--resume"),
        open_run([logger], settings, folder, CLASSES),
    ):
        pytest.fail("the run was opened")
    account.failed.clear()
