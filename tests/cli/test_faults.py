"""What `alseg fit` does when something is wrong with its folder, its data or the disk."""

import errno
import json
import re
import shutil

import pytest
import yaml
from tests.helpers.archives import digests, read_bytes, write_bytes
from tests.helpers.disks import FaultyDisk
from tests.helpers.stores import edit_manifest
from tests.helpers.toys import SPACE, TINY, Toy, quiet_trainer
from tests.helpers.trees import stripes, write_grey_label, write_image

from alseg.active import ActiveLoop
from alseg.cli.main import main
from alseg.config.run import RunConfig, dump_settings
from alseg.data.label_space import LabelSpace
from alseg.data.module import SegmentationDataModule
from alseg.errors import FolderInUse, LabelStoreError
from alseg.labels import LabelStore
from alseg.models import Network
from alseg.runs.round_pictures import RoundPictures
from alseg.storage.folder_lock import lock_folder
from alseg.training.module import SegmentationModule

WORDS = {errno.EACCES: "Permission denied", errno.EROFS: "Read-only file system"}
SIZE = (48, 64)
POOL = [f"drive/{number}" for number in range(4)]


def write_city(root):
    """Write a target in CamVid's layout whose labels hold all classes and void."""
    for split, names in (("train", POOL), ("val", ["drive/8"]), ("test", ["drive/9"])):
        for seed, name in enumerate(names):
            write_image(root / f"images/{split}/{name}.png", SIZE, seed)
            values = stripes([*range(11), 255], SIZE)
            write_grey_label(root / f"labels/{split}/{name}.png", values)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a target, a run that was stopped after two of three rounds, and a whole one."""
    folder = tmp_path_factory.mktemp("faults")
    write_city(folder / "city")
    given = yaml.safe_load(TINY)
    given.update(target="camvid:city", size="48x64", rounds=3, steps=6)
    del given["target_options"]
    (folder / "fit.yaml").write_text(yaml.safe_dump(given))
    command = ["fit", "-c", "fit.yaml", "--strategy", "entropy", "--out"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*command, "whole"]) == 0
        patch.setattr(RoundPictures, "__call__", stop_at_round_2)
        assert main([*command, "run"]) == 130
    return folder


def stop_at_round_2(pictures, number, result, scores):
    if number == 2:
        raise KeyboardInterrupt


@pytest.fixture
def here(runs, tmp_path, monkeypatch):
    """A copy of these to do harm to, which is the current folder."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here, capsys):
    """Call the command, which must refuse in one paragraph and change nothing; return its words."""

    def call(*arguments):
        before = everything(here)
        capsys.readouterr()
        assert main(["fit", *arguments]) == 2
        return one_error(capsys.readouterr().err, before, here)

    return call


def one_error(err, before, here):
    errors = [line for line in err.splitlines() if line.startswith("alseg fit: ")]
    assert len(errors) == 1
    assert "Traceback" not in err
    assert everything(here) == before
    return errors[0]


def everything(folder):
    """Return the names of all folders and the content of all files, without lock files."""
    return digests(folder), {path for path in folder.rglob("*") if path.is_dir()}


def damage(path, how):
    data = read_bytes(path)
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    write_bytes(path, data[:middle] if how == "truncated" else flipped)


def test_a_run_that_was_stopped_has_two_rounds_and_its_resume_ends_like_the_whole_run(here):
    assert LabelStore.open("run/labels").rounds == 2
    assert main(["fit", "--resume", "run"]) == 0
    assert digests(here / "run/labels") == digests(here / "whole/labels")


@pytest.mark.parametrize("how", ["truncated", "flipped"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_label_is_refused(here, refused, how, number):
    folder = here / f"run/labels/round-00{number}"
    path = folder / "images.zip/labels/drive/0.png"
    damage(path, how)
    said = refused("--resume", "run")
    assert f"{path} cannot be used" in said
    assert f"remove {folder} and all later rounds, and the run's checkpoints/last.ckpt" in said


def test_without_a_copy_a_damaged_round_is_asked_for_again(here, refused):
    expected = digests(here / "whole/labels")
    damage(here / "whole/labels/round-002/images.zip/labels/drive/1.png", "flipped")
    refused("--resume", "whole")
    shutil.rmtree(here / "whole/labels/round-002")
    assert "round-003" in refused("--resume", "whole")
    shutil.rmtree(here / "whole/labels/round-003")
    (here / "whole/summary.json").unlink()
    (here / "whole/checkpoints/last.ckpt").unlink()
    assert main(["fit", "--resume", "whole"]) == 0
    assert digests(here / "whole/labels") == expected


def test_training_that_begins_again_begins_from_the_weights_it_was_given(here, monkeypatch):
    start = str(here / "whole/checkpoints/last.ckpt")
    settings = ["-c", "fit.yaml", "--init-from", start, "--strategy", "entropy", "--out", "next"]
    with monkeypatch.context() as patch:
        patch.setattr(RoundPictures, "__call__", stop_at_round_2)
        assert main(["fit", *settings]) == 130
    before = json.loads((here / "next/summary.json").read_text())["before"]
    (here / "next/checkpoints/last.ckpt").unlink()
    (here / "next/summary.json").unlink()
    assert main(["fit", "--resume", "next"]) == 0
    assert json.loads((here / "next/summary.json").read_text())["before"] == before


@pytest.mark.parametrize("gone", [["labels"], ["labels/round-001", "labels/round-002"]])
def test_a_round_is_not_asked_for_with_a_later_network(here, refused, gone):
    (here / "run/summary.json").unlink()
    for name in gone:
        shutil.rmtree(here / "run" / name)
    said = refused("--resume", "run")
    assert "Round 1 is missing in run/labels, and training goes on from step 2" in said
    assert "remove the run's checkpoints/last.ckpt and resume" in said


@pytest.mark.parametrize("name", ["last", "source", "best"])
@pytest.mark.parametrize("how", ["truncated", "emptied"])
def test_a_damaged_checkpoint_is_refused_before_anything_is_measured(here, refused, name, how):
    (here / "run/summary.json").unlink()
    path = here / f"run/checkpoints/{name}.ckpt"
    if name == "best":
        shutil.copy(here / "run/checkpoints/last.ckpt", path)
    if how == "truncated":
        damage(path, how)
    else:
        path.write_bytes(b"")
    said = refused("--resume", "run")
    again = {"last": "training begins", "source": "the source start is", "best": "the best is"}
    assert f"run/checkpoints/{name}.ckpt is not a checkpoint" in said
    assert f"Restore it from a copy, or remove it and resume: {again[name]}" in said


def test_a_run_that_has_ended_needs_no_checkpoint_to_say_so(here, capsys):
    for name in ("last", "source"):
        damage(here / f"whole/checkpoints/{name}.ckpt", "truncated")
    before = digests(here / "whole")
    assert main(["fit", "--resume", "whole"]) == 0
    assert "had ended already" in capsys.readouterr().err
    assert digests(here / "whole") == before


@pytest.mark.parametrize(
    "name", ["checkpoints/last.ckpt", "checkpoints/source.ckpt", "summary.json"]
)
def test_half_a_file_beside_the_labels_is_refused_and_without_it_the_run_goes_on(
    here, refused, name
):
    damage(here / "run" / name, "truncated")
    labels = digests(here / "run/labels")
    said = refused("--resume", "run")
    assert f"run/{name}" in said
    assert "emove it and resume" in said
    (here / "run" / name).unlink()
    assert main(["fit", "--resume", "run"]) == 0
    assert labels.items() <= digests(here / "run/labels").items()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", r"expected figures by name, got \[\]"),
        ('{"before": 3}', "before: expected figures by name, got 3"),
        ('{"seconds": []}', r"seconds: expected figures by name, got \[\]"),
        ('{"seconds": {"training": "long"}}', "seconds: training: expected a number, got 'long'"),
    ],
)
def test_a_summary_of_another_shape_is_refused(here, refused, content, words):
    (here / "run/summary.json").write_text(content)
    said = refused("--resume", "run")
    assert re.search(f"run/summary.json cannot be read: {words}", said)
    assert "Remove it and resume" in said


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_a_damaged_manifest_is_refused(here, refused, how):
    path = here / "run/labels/round-001/manifest.json"
    damage(path, how)
    said = refused("--resume", "run")
    assert f"{path} cannot be used" in said
    assert "Restore it from a copy" in said


def test_a_round_of_a_newer_version_is_refused(here, refused):
    edit_manifest(here / "run/labels", 2, lambda manifest: manifest.update(format=9))
    said = refused("--resume", "run")
    assert f"{here / 'run/labels/round-002/manifest.json'} has format 9" in said
    assert "Use the version of alseg that wrote it" in said


def test_a_round_of_a_newer_version_that_reckons_digests_in_another_way_is_refused(here, refused):
    path = here / "run/labels/round-002/manifest.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 9'))
    said = refused("--resume", "run")
    assert f"{path} cannot be used: it is of a newer version of alseg, or damaged" in said
    assert "remove" not in said


def test_a_damaged_list_of_images_is_refused(here, refused):
    path = here / "run/labels/pool.json"
    damage(path, "truncated")
    said = refused("--resume", "run")
    assert "run/labels/pool.json cannot be used" in said
    assert "Restore it from a copy" in said


def test_a_list_of_images_that_is_gone_is_refused(here, refused):
    (here / "run/labels/pool.json").unlink()
    said = refused("--resume", "run")
    assert "run/labels/pool.json is missing although round-001 is there" in said
    assert "Restore it from a copy; if there is none, start a new run in another folder" in said
    assert "Resume" not in said


def test_a_round_that_is_gone_is_refused(here, refused):
    shutil.rmtree(here / "run/labels/round-001")
    said = refused("--resume", "run")
    assert f"{here / 'run/labels/round-001'} is missing although round-002 is there" in said


def test_an_image_that_is_gone_is_refused(here, refused):
    (here / "city/images/train/drive/2.png").unlink()
    said = refused("--resume", "run")
    assert "drive/2" in said
    assert "have no image" in said


def test_data_that_are_not_found_from_another_directory_are_said_to_begin_elsewhere(
    runs, here, refused, monkeypatch
):
    monkeypatch.chdir(here / "city")
    said = refused("--resume", "../run")
    assert "No folder city" in said
    assert f"The run was started in {str(runs)!r}, where camvid:city begins" in said
    assert "resume it from there" in said


def test_data_that_are_gone_are_not_said_to_begin_elsewhere(here, refused):
    path = here / "run/config.yaml"
    path.write_text(path.read_text().replace("camvid:city", f"camvid:{here}/city"))
    shutil.rmtree(here / "city")
    said = refused("--resume", "run")
    assert f"No folder {here}/city" in said
    assert "started in" not in said


def test_a_run_is_resumed_with_data_that_were_moved(here, refused):
    (here / "city").rename(here / "moved")
    said = refused("--resume", "run")
    assert "If the data were moved, say where they are: --target ADAPTER:WHERE" in said
    assert main(["fit", "--resume", "run", "--target", "camvid:moved"]) == 0
    assert digests(here / "run/labels") == digests(here / "whole/labels")
    kept = yaml.safe_load((here / "run/config.yaml").read_text())
    before = yaml.safe_load((here / "whole/config.yaml").read_text())
    places = {"target": f"camvid:{here}/moved", "out": "run"}
    assert kept == {**before, **places}
    assert main(["fit", "--resume", "run"]) == 0


@pytest.mark.parametrize("split", ["train", "test"])
def test_data_that_are_not_those_of_the_run_are_refused(here, refused, split):
    shutil.copytree(here / "city", here / "other")
    image = next((here / f"other/images/{split}/drive").iterdir())
    image.write_bytes(image.read_bytes() + b"\n")
    said = refused("--resume", "run", "--target", "camvid:other")
    assert f"split {split}, are not those that the run was started with" in said


def test_a_data_set_of_another_kind_is_no_moved_one(here, refused):
    said = refused("--resume", "run", "--target", "scenes:fog")
    assert "The images of scenes-fog, split train, are not those that the run was started" in said


def test_an_image_that_is_gone_with_its_label_is_refused(here, refused):
    (here / "city/images/train/drive/2.png").unlink()
    (here / "city/labels/train/drive/2.png").unlink()
    said = refused("--resume", "run")
    assert "The pool lacks the image drive/2 that the label store knows" in said
    assert str(here / "run/labels/pool.json") in said
    assert "Resume with the same data as before" in said


def test_an_image_of_another_size_is_refused(here, refused):
    write_image(here / "city/images/train/drive/2.png", (48, 72))
    write_grey_label(here / "city/labels/train/drive/2.png", stripes([0], (48, 72)))
    said = refused("--resume", "run")
    assert "The image drive/2 was 48x64" in said
    assert "now it is 48x72" in said


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("strategy", "margin"),
        ("budget", "0.5"),
        ("label_space", "cityscapes19"),
    ],
)
def test_other_settings_on_the_command_line_are_refused(refused, setting, value):
    said = refused("--resume", "run", f"--{setting.replace('_', '-')}", value)
    assert f"{setting} would change" in said
    assert "start a new run" in said


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("strategy", "margin", r"run/labels .* strategy was entropy, is margin"),
        ("budget", 0.5, r"run/labels .* budget was 0\.02, is 0\.5"),
        ("target", "scenes:fog", r"lacks the image drive/0 .*run/labels/pool\.json"),
        ("label_space", "cityscapes19", "classes (are )?sky, building"),
    ],
)
def test_a_config_that_was_edited_since_is_refused(here, refused, setting, value, words):
    path = here / "run/config.yaml"
    settings = yaml.safe_load(path.read_text())
    settings[setting] = value
    path.write_text(yaml.safe_dump(settings))
    said = refused("--resume", "run")
    assert re.search(words, said)
    assert "run/" in said
    assert re.search("start a new run|resume with|start with the settings", said)


def test_a_config_that_was_emptied_is_refused(here, refused):
    (here / "run/config.yaml").write_text("")
    said = refused("--resume", "run")
    total = len(dump_settings(RunConfig()))
    assert "run/config.yaml lacks strategy, strategy_options, budget, annotator, " in said
    assert f" and {total - 5} more, though every setting was written there" in said
    assert "Restore it from a copy" in said


@pytest.mark.parametrize("last", ["seed", "budget", "pictures"])
def test_a_config_that_was_cut_off_between_two_settings_is_refused(here, refused, last):
    path = here / "run/config.yaml"
    settings = yaml.safe_load(path.read_text())
    kept = list(settings)[: list(settings).index(last) + 1]
    path.write_text(yaml.safe_dump({name: settings[name] for name in kept}, sort_keys=False))
    said = refused("--resume", "run")
    first = list(settings)[len(kept)]
    assert re.search(f"run/config.yaml lacks {first}\\b", said)
    assert "Restore it from a copy" in said


def test_a_config_that_is_no_yaml_any_more_is_refused(here, refused):
    (here / "run/config.yaml").write_text("source: [scenes")
    said = refused("--resume", "run")
    assert "run/config.yaml, line 1" in said
    assert "Restore it from a copy" in said


OTHER_SPACE = LabelSpace("other", ("left", "right", "floor"), SPACE.colors)


class Renamed(Toy):
    """The same images, whose classes have other names."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.label_space = OTHER_SPACE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strategy": "margin"}, "strategy was entropy, is margin"),
        ({"budget": 0.1}, r"budget was 0\.05, is 0\.1"),
        ({"pool": Toy(2)}, "lacks the image train-002"),
        ({"pool": Renamed(3)}, "left, right, bottom; this run has left, right, floor"),
    ],
)
def test_a_store_of_another_run_is_refused_by_the_library(tmp_path, change, words):
    def fit(folder, strategy="entropy", budget=0.05, pool=None):
        pool = pool or Toy(3)
        network = SegmentationModule(
            pool.label_space, network=Network(encoder_weights="none"), protocol="target_only"
        )
        loop = ActiveLoop(strategy, budget, rounds=2, store=tmp_path / "labels", progress=False)
        data = SegmentationDataModule(target=pool, batch_size=2)
        quiet_trainer(tmp_path / folder, 2, callbacks=[loop]).fit(network, data)

    fit("first")
    before = digests(tmp_path)
    with pytest.raises(LabelStoreError, match=words) as error:
        fit("second", **change)
    assert str(tmp_path / "labels") in str(error.value)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_run_folder_that_cannot_be_written_is_refused(here, refused, monkeypatch, number):
    disk = FaultyDisk(monkeypatch, here, number)
    said = refused("--resume", "run")
    assert disk.failures
    assert f"{disk.failures[-1].removesuffix('.part')}: {WORDS[number]}" in said
    assert "allow writing" in said
    assert "`alseg fit --resume run`" in said


def test_a_second_process_in_a_run_folder_is_refused(here, refused):
    lock = lock_folder(here / "run")
    said = refused("--resume", "run")
    assert "Another process is writing to run" in said
    lock.release()
    assert main(["fit", "--resume", "run"]) == 0


def test_a_second_process_on_a_label_store_is_refused(tmp_path):
    def train(store):
        loop = ActiveLoop("entropy", 0.05, rounds=1, progress=False, store=store)
        images = SegmentationDataModule(source=Toy(2), target=Toy(2), batch_size=2)
        network = SegmentationModule(SPACE, network=Network(encoder_weights="none"))
        quiet_trainer(tmp_path, 1, callbacks=[loop]).fit(network, images)

    store = tmp_path / "labels"
    store.mkdir()
    lock = lock_folder(store)
    with pytest.raises(FolderInUse, match="Another process is writing to"):
        train(store)
    assert digests(store) == {}
    lock.release()
    train(store)
    assert LabelStore.open(store).rounds == 1
    # The loop lets go of its store when the training ends.
    lock_folder(store).release()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_new_run_where_nothing_can_be_written_is_refused(here, refused, monkeypatch, number):
    FaultyDisk(monkeypatch, here, number)
    said = refused("-c", "fit.yaml", "--out", "new")
    assert f"Cannot write new: {WORDS[number]}" in said
    assert "allow writing there or name another folder with --out" in said
    assert not (here / "new").exists()


def test_a_new_run_on_a_full_disk_leaves_its_folder_free(here, refused, monkeypatch):
    (here / "new").mkdir()
    FaultyDisk(monkeypatch, here, errno.ENOSPC)
    for _ in range(2):
        said = refused("-c", "fit.yaml", "--out", "new")
        assert "new/config.yaml: No space left on device. Free some space" in said
    assert digests(here / "new") == {}


GOES_ON = {"checkpoints/last.ckpt", "summary.json", "provenance.json"}
"""The files of a run that are replaced while it trains."""


@pytest.mark.parametrize(
    "pattern",
    [
        "labels/.staging-003-*/labels/*.png",
        "labels/.staging-003-*/images.zip",
        "labels/.staging-003-*/manifest.json",
        "checkpoints/last.ckpt*",
        "summary.json*",
        "pictures/*",
        "metrics/*",
    ],
)
def test_a_full_disk_costs_nothing_that_was_there_and_the_resume_ends_like_the_whole_run(
    here, pattern, monkeypatch, capsys
):
    before = digests(here / "run")
    with monkeypatch.context() as patch:
        disk = FaultyDisk(patch, here / "run", errno.ENOSPC, str(here / "run" / pattern))
        assert main(["fit", "--resume", "run"]) == 2
    assert disk.failures
    err = capsys.readouterr().err
    errors = [line for line in err.splitlines() if line.startswith("alseg fit: ")]
    assert len(errors) == 1
    assert "Traceback" not in err
    assert "No space left on device" in errors[0]
    assert "alseg fit --resume" in errors[0]
    if "metrics" not in pattern:
        assert disk.failures[0].removesuffix(".part") in errors[0]
    after = digests(here / "run")
    assert {name for name in before if after.get(name) != before[name]} <= GOES_ON
    assert main(["fit", "--resume", "run"]) == 0
    assert digests(here / "run/labels") == digests(here / "whole/labels")


def test_a_disk_that_is_full_when_files_are_synced_is_told(here, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert main(["fit", "--resume", "run"]) == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "alseg fit --resume" in err
    assert main(["fit", "--resume", "run"]) == 0
    assert digests(here / "run/labels") == digests(here / "whole/labels")
