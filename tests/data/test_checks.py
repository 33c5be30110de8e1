"""What is known of images before anyone trains: sizes from headers, labels that teach."""

import numpy as np
import pytest
import yaml
from tests.helpers import trees
from tests.helpers.toys import SPACE, Toy, quiet_trainer

from alseg import ActiveLoop, SegmentationDataModule, SegmentationModule
from alseg.active.annotators import OracleAnnotator
from alseg.cli.main import main
from alseg.data import IGNORE, open_dataset
from alseg.data.checks import check_headers, check_teaches, check_training_sizes, say_stretched
from alseg.errors import ConfigError, DatasetError
from alseg.models import Network


@pytest.fixture
def write(tmp_path):
    """Write images of some sizes with labels, and return the spec of the data set."""

    def write(name, sizes, values=(0, 1), label_sizes=None, splits=("train",)):
        root = tmp_path / name
        for split in splits:
            for number, size in enumerate(sizes):
                trees.write_image(root / f"i/{split}/{number}.png", size)
                label = trees.stripes(list(values), (label_sizes or {}).get(number, size))
                trees.write_grey_label(root / f"l/{split}/{number}.png", label)
        mapping = {0: "left", 1: "right", 255: "void"}
        content = {"images": "i", "labels": "l", "classes": ["left", "right"], "mapping": mapping}
        (root / "d.yaml").write_text(yaml.safe_dump(content))
        return f"folder:{root / 'd.yaml'}"

    return write


def cut_off(path):
    """Leave the header of a PNG and the beginning of its pixels."""
    path.write_bytes(path.read_bytes()[:50])


def test_sizes_come_from_headers_alone(write, tmp_path):
    spec = write("x", [(40, 60), (44, 68)])
    for path in (tmp_path / "x").rglob("1.png"):
        cut_off(path)
    dataset = open_dataset(spec, "train")
    assert check_headers(dataset, labels=True) == [(40, 60), (44, 68)]
    with pytest.raises(DatasetError):
        dataset.label(1)


@pytest.mark.parametrize("space", [None, SPACE])
def test_a_label_of_another_size_is_refused_by_its_header(write, space):
    spec = write("x", [(40, 60)] * 3, label_sizes={2: (60, 40)})
    dataset = open_dataset(spec, "train", space)
    with pytest.raises(DatasetError, match=r"2.png is 40x60 pixels .*its image .*60x40"):
        check_headers(dataset, labels=True)
    assert len(check_headers(dataset, labels=False)) == 3


@pytest.mark.parametrize(
    ("sizes", "size", "crop", "message"),
    [
        ([(80, 96), (60, 128)], None, (80, 96), r"1 of 2 pool images: i1 is 60x128. .*take it out"),
        ([(80, 95), (79, 96)], None, (80, 96), r"2 of 2 pool images: i0 is 80x95. .*take them out"),
        ([(80, 96), (80, 97)], None, None, "i0 is 80x96, i1 is 80x97"),
        ([(80, 96), (160, 192)], None, (80, 96), None),
        ([(80, 96), (60, 128)], (90, 100), (80, 96), None),
        ([], None, (80, 96), None),
    ],
)
def test_images_that_make_no_batches_are_named(sizes, size, crop, message):
    names = [f"i{number}" for number in range(len(sizes))]
    if message is None:
        check_training_sizes(names, sizes, size, crop, "pool")
        return
    with pytest.raises(ConfigError, match=message):
        check_training_sizes(names, sizes, size, crop, "pool")


@pytest.mark.parametrize(
    ("own", "size", "words"),
    [
        # Twice as high as wide becomes square: twice as wide as before.
        ((200, 100), (50, 50), "2.00 times as wide. 50x25 keeps"),
        ((100, 200), (50, 50), "2.00 times as narrow. 50x100 keeps"),
        ((1052, 1914), (720, 1280), None),
        ((1024, 2048), (640, 1280), None),
        ((1024, 2048), None, None),
    ],
)
def test_a_size_that_distorts_is_reported_once(own, size, words, caplog):
    for _ in range(2):
        say_stretched(["fit", "odd"], [size or own, own], size, f"{own} and {size}")
    assert len(caplog.messages) == (words is not None)
    if words is not None:
        assert words in caplog.text
        assert "1 of 2" in caplog.text


class Labels(Toy):
    """Labels that are void but for those of some images."""

    def __init__(self, count, taught):
        super().__init__(count)
        self.taught = taught

    def label(self, index):
        label = np.full_like(super().label(index), IGNORE)
        label[-1, -1] = 2 if index in self.taught else IGNORE
        return label


def test_one_labelled_pixel_is_enough_and_the_first_ends_the_search():
    labels = Labels(90, taught={40})
    check_teaches(labels, "source")
    assert labels.labels_read == 41
    usual = Toy(90)
    check_teaches(usual, "source")
    assert usual.labels_read == 1


@pytest.mark.parametrize(
    ("count", "words"), [(3, "the labels of the source toy"), (30_000, "200 labels, .* all 30,000")]
)
def test_labels_that_are_all_void_are_refused_without_reading_thousands(count, words):
    labels = Labels(count, taught=())
    with pytest.raises(DatasetError, match=words):
        check_teaches(labels, "source")
    assert labels.labels_read == min(count, 200)


def network(protocol):
    return SegmentationModule(SPACE, network=Network(encoder_weights="none"), protocol=protocol)


FAULTY = [
    ("source_only", {"sizes": [(64, 64)] * 3, "label_sizes": {2: (60, 64)}}, "2.png is 64x60"),
    ("source_only", {"sizes": [(64, 64), (32, 70)]}, "1 of 2 source images: 1 is 32x70"),
    ("source_only", {"sizes": [(64, 64)], "values": (255,)}, "nothing to learn"),
    ("fully_supervised", {"sizes": [(64, 64)] * 2, "label_sizes": {1: (9, 64)}}, "1.png is 64x9"),
    ("fully_supervised", {"sizes": [(64, 64)], "values": (255,)}, "nothing to learn"),
    ("target_only", {"sizes": [(64, 64)] * 2, "label_sizes": {1: (9, 64)}}, "1.png is 64x9"),
]


@pytest.mark.parametrize(("protocol", "written", "message"), FAULTY)
def test_a_script_hears_of_it_before_a_step(protocol, written, message, write, tmp_path):
    faulty = open_dataset(write("x", **written), "train", SPACE)
    good = Toy(2, (64, 64))
    data = {"source": faulty, "target": good}
    if protocol != "source_only":
        data = {"source": good, "target": faulty}
    module = SegmentationDataModule(**data, crop=(48, 48), batch_size=2)
    loop = ActiveLoop("random", budget="2 regions", rounds=1, store=tmp_path / "store")
    callbacks = [loop] if protocol == "target_only" else []
    trainer = quiet_trainer(tmp_path, 2, callbacks=callbacks)
    with pytest.raises((ConfigError, DatasetError), match=message):
        trainer.fit(network(protocol), module)
    assert trainer.global_step == 0
    assert not (tmp_path / "store").exists()


class Four(Toy):
    channels = 4


def test_domains_of_different_channels_and_a_network_of_others_are_refused(tmp_path):
    mixed = SegmentationDataModule(source=Toy(2), target=Four(2), batch_size=2)
    with pytest.raises(DatasetError, match="3 channels in the source .*, 4 channels in the target"):
        mixed.check_images(["source", "target"])
    other = SegmentationDataModule(source=Four(2), batch_size=2)
    with pytest.raises(ConfigError, match="have 4 channels, and the network takes images of 3"):
        quiet_trainer(tmp_path, 1).fit(network("source_only"), other)


def test_labels_of_a_target_that_nobody_reads_may_differ(write):
    dataset = open_dataset(write("x", [(64, 64)], label_sizes={0: (9, 9)}), "train", SPACE)
    data = SegmentationDataModule(source=Toy(2, (64, 64)), target=dataset)
    data.check_images(["source", "target"])
    with pytest.raises(DatasetError, match="9x9"):
        OracleAnnotator.from_dataset(dataset)


@pytest.mark.parametrize("split", ["val", "test"])
def test_labels_of_evaluated_images_are_checked_at_the_start(split, write):
    dataset = open_dataset(write("x", [(64, 64)], label_sizes={0: (9, 9)}), "train", SPACE)
    data = SegmentationDataModule(target=Toy(2, (64, 64)), **{split: dataset})
    with pytest.raises(DatasetError, match="9x9"):
        data.check_images(["target"])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ({"sizes": [(64, 64)], "values": (255,)}, {"sizes": [(64, 64)]}, "nothing to learn"),
        (
            {"sizes": [(64, 64)]},
            {"sizes": [(64, 64), (32, 99)]},
            "1 of 2 target images: 1 is 32x99",
        ),
        ({"sizes": [(64, 64), (9, 99)]}, {"sizes": [(64, 64)]}, "1 of 2 source images"),
    ],
)
def test_a_run_is_refused_before_its_folder_is_made(
    source, target, message, write, tmp_path, capsys
):
    source = write("source", **source)
    target = write("target", **target, splits=("train", "test"))
    arguments = ["--source", source, "--target", target, "--crop", "48x48", "--batch-size", "2"]
    arguments += ["--encoder-weights", "none", "--steps", "2", "--warm-start-steps", "2"]
    arguments += ["--rounds", "1", "--budget", "2 regions", "--protocol", "source_free"]
    arguments += ["--accelerator", "cpu", "--out", str(tmp_path / "run"), "--workers", "0"]
    assert main(["fit", *arguments]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "run/config.yaml").exists()


def test_check_data_says_that_a_source_teaches_nothing(write, capsys):
    source = write("source", [(64, 64)] * 3, values=(255,))
    arguments = ["--source", source, "--target", write("target", [(64, 64)])]
    assert main(["check-data", *arguments]) == 1
    assert "All pixels of the labels of the source d are void" in capsys.readouterr().out
