import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.toys import quiet_trainer

from alseg.cli.main import main
from alseg.data import load_label_space, open_dataset
from alseg.data.base import RelabelledDataset
from alseg.data.file_dataset import FileDataset
from alseg.data.image_files import find_images
from alseg.data.module import SegmentationDataModule
from alseg.data.scenes.dataset import Scenes
from alseg.data.transforms import eval_transform
from alseg.data.value_range import displayed
from alseg.errors import ConfigError, DatasetError
from alseg.models import Network
from alseg.training.module import SegmentationModule


def write_image(path, size=(48, 64), value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def names_of(found, folder):
    return {name: str(path.relative_to(folder.resolve())) for name, path in found.items()}


def test_labels_and_overlays_are_written_at_the_size_of_the_image(
    constant_checkpoint, tmp_path, capsys
):
    write_image(tmp_path / "photos/one.jpg")
    write_image(tmp_path / "photos/deeper/two.png", size=(50, 70))
    out = tmp_path / "out"
    arguments = [str(constant_checkpoint), str(tmp_path / "photos"), "-o", str(out)]
    assert main(["predict", *arguments, "--device", "cpu"]) == 0

    for name, size in {"one": (48, 64), "deeper/two": (50, 70)}.items():
        label = Image.open(out / f"labels/{name}.png")
        assert label.mode == "L"
        assert np.array_equal(label, np.full(size, 3))
        overlay = np.asarray(Image.open(out / f"overlays/{name}.png"))
        road = np.array(load_label_space("camvid11").colors[3])
        assert overlay.shape == (*size, 3)
        assert np.abs(overlay - (0.7 * 90 + 0.3 * road)).max() <= 2
    legend = np.asarray(Image.open(out / "legend.png")).reshape(-1, 3).tolist()
    assert road.tolist() in legend
    assert not (out / "probabilities").exists()
    assert "2 images" in capsys.readouterr().out


def test_a_file_that_is_no_image_is_left_out_and_counted(constant_checkpoint, tmp_path, capsys):
    write_image(tmp_path / "photos/good.png")
    (tmp_path / "photos/bad.png").write_bytes(b"no image")
    out = tmp_path / "out"
    arguments = [str(constant_checkpoint), str(tmp_path / "photos"), "-o", str(out)]
    assert main(["predict", *arguments, "--device", "cpu"]) == 1
    err = capsys.readouterr().err
    assert "bad.png" in err
    assert "1 file was left out" in err
    assert [path.name for path in (out / "labels").iterdir()] == ["good.png"]


@pytest.mark.parametrize("name", ["labels", "overlays", "probabilities", "legend.png"])
def test_an_earlier_result_is_not_overwritten(constant_checkpoint, tmp_path, capsys, name):
    image, out = write_image(tmp_path / "a.png"), tmp_path / "out"
    (out / name).mkdir(parents=True)
    assert main(["predict", str(constant_checkpoint), str(image), "-o", str(out)]) == 2
    assert f"{out / name} exists" in capsys.readouterr().err
    assert [path.name for path in out.rglob("*")] == [name]


def test_a_clear_class_leaves_the_image_as_it_is(constant_checkpoint, tmp_path):
    image, out = write_image(tmp_path / "a.png"), tmp_path / "out"
    arguments = [str(constant_checkpoint), str(image), "-o", str(out), "--device", "cpu"]
    assert main(["predict", *arguments, "--clear", "car", "--clear", "road"]) == 0
    assert np.array_equal(Image.open(out / "overlays/a.png"), Image.open(image))
    assert np.array_equal(Image.open(out / "labels/a.png"), np.full((48, 64), 3))


def test_a_clear_class_that_the_network_lacks_is_refused(constant_checkpoint, tmp_path, capsys):
    image, out = write_image(tmp_path / "a.png"), tmp_path / "out"
    arguments = [str(constant_checkpoint), str(image), "-o", str(out), "--device", "cpu"]
    assert main(["predict", *arguments, "--clear", "raod"]) == 2
    error = capsys.readouterr().err
    assert "--clear raod: the network has no such class" in error
    assert "Did you mean 'road'?" in error
    assert not out.exists()


def test_probabilities_are_the_softmax_of_the_logits(constant_checkpoint, tmp_path):
    image, out = write_image(tmp_path / "deep/a.png", size=(50, 70)), tmp_path / "out"
    arguments = [str(constant_checkpoint), str(image), "-o", str(out), "--device", "cpu"]
    assert main(["predict", *arguments, "--probabilities"]) == 0
    # The network's logits are 1 for road, the fourth of eleven classes, and 0 for the others.
    with np.load(out / "probabilities/a.npz") as written:
        probabilities, classes = written["probabilities"], written["classes"]
    assert (probabilities.shape, probabilities.dtype) == ((11, 50, 70), np.float16)
    assert tuple(classes) == load_label_space("camvid11").classes
    softmax = np.where(classes == "road", np.e, 1) / (np.e + 10)
    assert np.abs(probabilities - softmax[:, None, None]).max() < 2**-12
    assert np.abs(probabilities.astype(np.float64).sum(0) - 1).max() < 11 * 2**-12
    assert np.array_equal(Image.open(out / "labels/a.png"), np.full((50, 70), 3))
    assert [path.name for path in (out / "probabilities").iterdir()] == ["a.npz"]


def test_probabilities_vary_with_the_image_as_the_network_does():
    space = load_label_space("camvid11")
    torch.manual_seed(0)
    module = SegmentationModule(
        space, network=Network(encoder_weights="none"), protocol="source_only", flip=False
    )
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    module.eval()
    with torch.no_grad():
        inputs = eval_transform(pixels, module.eval_size)[None]
        logits = module.segmenter(inputs).logits
        logits = torch.nn.functional.interpolate(
            logits, (64, 96), mode="bilinear", align_corners=False
        )[0].numpy()
    raised = np.exp(logits - logits.max(0))
    expected = raised / raised.sum(0)
    assert np.abs(module.class_probabilities(pixels) - expected).max() < 1e-5
    assert np.array_equal(module.segment(pixels), expected.argmax(0))


def test_a_missing_checkpoint_is_told_before_anything_is_written(tmp_path, capsys):
    image = write_image(tmp_path / "a.png")
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "no.ckpt"), str(image), "-o", str(out)]) == 2
    assert "There is no checkpoint" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, capsys):
    image = write_image(tmp_path / "a.png")
    assert main(["predict", str(image), str(image), "-o", str(tmp_path / "out")]) == 2
    assert "is not a checkpoint" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(constant_checkpoint, tmp_path, capsys):
    image = write_image(tmp_path / "a.png")
    arguments = [str(constant_checkpoint), str(image), "-o", str(tmp_path / "out")]
    assert main(["predict", *arguments, "--device", "abacus"]) == 2
    assert "'abacus'" in capsys.readouterr().err


def test_evaluate_measures_what_the_labels_say(constant_checkpoint, tmp_path, capsys):
    label = np.full((48, 64), 3, np.uint8)
    label[:12] = 0
    label[12:24, :32] = 255
    write_image(tmp_path / "images/test/a.png")
    (tmp_path / "labels/test").mkdir(parents=True)
    Image.fromarray(label).save(tmp_path / "labels/test/a.png")
    arguments = [str(constant_checkpoint), "--target", f"camvid:{tmp_path}"]
    assert main(["evaluate", *arguments, "--device", "cpu", "--workers", "0"]) == 0
    out = capsys.readouterr().out
    # 768 pixels of sky, 1920 of road and 384 of void; all are called road.
    table = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert table["road"] == ["71.4", "%"]
    assert table["sky"] == ["0.0", "%"]
    assert table["car"] == ["-"]
    assert table["mIoU"] == ["35.7", "%"]
    assert table["pixel"] == ["accuracy", "71.4", "%"]


def test_a_killed_loading_process_is_said_in_one_line(
    constant_checkpoint, tmp_path, capfd, monkeypatch
):
    write_image(tmp_path / "images/test/a.png", (8, 8))
    (tmp_path / "labels/test").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "labels/test/a.png")
    monkeypatch.setattr(FileDataset, "image", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    arguments = [str(constant_checkpoint), "--target", f"camvid:{tmp_path}", "--workers", "1"]
    assert main(["evaluate", *arguments, "--device", "cpu"]) == 2
    err = capfd.readouterr().err
    assert "A process that loads images was killed" in err
    assert "Traceback" not in err


def test_evaluate_asks_for_labels(constant_checkpoint, tmp_path, capsys):
    write_image(tmp_path / "images/test/a.png")
    arguments = [str(constant_checkpoint), "--target", f"camvid:{tmp_path}", "--split", "test"]
    assert main(["evaluate", *arguments]) == 2
    assert "has no labels" in capsys.readouterr().err


def test_evaluate_needs_a_target(capsys):
    assert main(["evaluate", "some.ckpt"]) == 2
    assert "--target" in capsys.readouterr().err


def test_a_folder_keeps_its_structure_and_a_file_its_name(tmp_path):
    write_image(tmp_path / "a/x.png")
    write_image(tmp_path / "a/deep/y.JPG")
    write_image(tmp_path / "b/z.png")
    (tmp_path / "a/notes.txt").write_text("not an image")
    found = find_images([str(tmp_path / "a"), str(tmp_path / "b/z.png")], tmp_path / "out")
    assert names_of(found, tmp_path) == {"x": "a/x.png", "deep/y": "a/deep/y.JPG", "z": "b/z.png"}


def test_equal_names_in_two_folders_are_told_apart(tmp_path):
    for folder in ("cam0", "cam1"):
        write_image(tmp_path / folder / "0001.png")
    found = find_images([str(tmp_path / "cam0"), str(tmp_path / "cam1")], tmp_path / "out")
    assert set(found) == {"cam0/0001", "cam1/0001"}


def test_equal_names_of_two_formats_are_told_apart(tmp_path):
    write_image(tmp_path / "a/x.png")
    write_image(tmp_path / "a/x.jpg")
    assert set(find_images([str(tmp_path / "a")], tmp_path / "out")) == {"x.png", "x.jpg"}


def test_an_image_named_twice_is_segmented_once(tmp_path):
    image = write_image(tmp_path / "a/x.png")
    assert list(find_images([str(tmp_path / "a"), str(image)], tmp_path / "out")) == ["x"]


@pytest.mark.parametrize(
    ("path", "words"), [("nowhere", "no file or folder"), (".", "no image in")]
)
def test_nothing_to_segment_is_refused(path, words, tmp_path):
    with pytest.raises(DatasetError, match=words):
        find_images([str(tmp_path / path)], tmp_path / "out")


def sixteen_bits(path, top):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((32, 32), dtype=np.uint16)
    values[8:, 8:] = top
    Image.fromarray(values).save(path)


@pytest.fixture
def shown(monkeypatch):
    """Collect the brightest pixel of every image that a network is given."""
    seen = []
    segment = SegmentationModule.segment

    def watched(module, image):
        seen.append(int(displayed(image).max()))
        return segment(module, image)

    monkeypatch.setattr(SegmentationModule, "segment", watched)
    return seen


def test_images_of_sixteen_bits_are_scaled_by_one_range(
    constant_checkpoint, tmp_path, shown, capsys
):
    for name, top in {"a": 1000, "b": 4000}.items():
        sixteen_bits(tmp_path / f"images/{name}.png", top)
    arguments = [constant_checkpoint, tmp_path / "images", "-o", tmp_path / "out"]
    assert main(["predict", *map(str, arguments), "--device", "cpu"]) == 0
    # 1000 and 4000 of 4000, rounded to the even of two neighbours.
    assert shown == [64, 255]
    assert "scaled from 0 to 4000, the range of these images" in capsys.readouterr().out


def train(folder, checkpoint=None):
    """Train a step on the images that a description names, and save or resume a checkpoint."""
    pool = open_dataset(f"folder:{folder / 'mine.yaml'}", "train")
    scenes = Scenes("sim", "train", size=(32, 32), count=2)
    source = RelabelledDataset(scenes, pool.label_space)
    module = SegmentationModule(pool.label_space, network=Network(encoder_weights="none"))
    trainer = quiet_trainer(folder, 1)
    data = SegmentationDataModule(source=source, target=pool, batch_size=2)
    trainer.fit(module, data, ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "one.ckpt")


@pytest.fixture
def of_sixteen_bits(tmp_path):
    for split, top in {"train": 8000, "test": 2000}.items():
        sixteen_bits(tmp_path / f"images/{split}/a.png", top)
    (tmp_path / "mine.yaml").write_text("images: images\nclasses: [road, car]\n")
    train(tmp_path)
    return tmp_path


def test_a_network_takes_the_range_that_it_was_trained_with(of_sixteen_bits, shown, capsys):
    arguments = ["one.ckpt", "images/test", "-o", "out"]
    arguments = [word if word == "-o" else str(of_sixteen_bits / word) for word in arguments]
    assert main(["predict", *arguments, "--device", "cpu"]) == 0
    assert shown == [64]
    assert "scaled from 0 to 8000, as in training" in capsys.readouterr().out


def test_training_does_not_continue_in_another_range(of_sixteen_bits):
    checkpoint = of_sixteen_bits / "one.ckpt"
    train(of_sixteen_bits, checkpoint)
    sixteen_bits(of_sixteen_bits / "images/test/b.png", 9000)
    with pytest.raises(ConfigError, match=r"9000.*so far from .*8000.*Write `scale: \[0.0, 8000"):
        train(of_sixteen_bits, checkpoint)


def test_evaluate_says_that_the_range_is_not_that_of_training(of_sixteen_bits, capsys):
    (of_sixteen_bits / "labels/test").mkdir(parents=True)
    Image.new("L", (32, 32)).save(of_sixteen_bits / "labels/test/a.png")
    description = of_sixteen_bits / "mine.yaml"
    checkpoint = str(of_sixteen_bits / "one.ckpt")
    lines = "images: images\nlabels: labels\nclasses: [road, car]\n"
    for scale, differs in (("", False), ("scale: [0, 65535]\n", True)):
        description.write_text(lines + scale)
        arguments = ["--target", f"folder:{description}", "--device", "cpu", "--progress", "false"]
        assert main(["evaluate", checkpoint, *arguments]) == 0
        said = "from 0 to 65535 here; those of training from 0 to 8000." in capsys.readouterr().out
        assert said == differs
