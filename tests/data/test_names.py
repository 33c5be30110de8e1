"""Names of images as names of files, and folders to write to among images."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers import trees
from tests.helpers.toys import SPACE as TOYS
from tests.helpers.toys import Toy, quiet_trainer

from alseg import ActiveLoop, SegmentationDataModule, SegmentationModule
from alseg.active.requirements import pool_images
from alseg.cli.main import main
from alseg.data import open_dataset
from alseg.data.image_files import find_images
from alseg.data.names import check_storable
from alseg.errors import ConfigError, DatasetError
from alseg.labels.committed import SUFFIXES
from alseg.models import Network


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a", "plain relative"),
        ("a/../b", "plain relative"),
        ("/a", "plain relative"),
        ("a//b", "plain relative"),
        ("a\\b", "plain relative"),
        ("a\nb", "control"),
        ("a\x1b[31m", "control"),
        ("a /b", "space"),
        ("a./b", "dot"),
        ("caf\udce9", "not UTF-8"),
        ("é" * 120, "240 bytes"),
        ("x" * 231, "231 bytes"),
    ],
)
def test_a_name_that_no_file_can_have_everywhere_is_refused(name, reason):
    with pytest.raises(DatasetError, match=reason):
        check_storable(["fine", name])


@pytest.mark.parametrize(
    ("image", "other"),
    [
        ("a", "a.csv/b"),
        ("a", "a.png/b"),
        ("a", "A.PNG/b"),
        ("a", "a.png.part/b"),
        ("d/a", "d/a.jpg/deep/b"),
        ("a.x", "a.x.csv/b"),
    ],
)
def test_images_of_which_one_is_the_folder_of_the_other_are_both_named(image, other):
    for names in ([image, other], [other, image]):
        with pytest.raises(DatasetError) as refused:
            check_storable(names)
        assert repr(image) in str(refused.value)
        assert repr(other) in str(refused.value)


def test_usual_names_are_stored():
    check_storable(
        [
            "a",
            "a/b",
            "a.b/c",
            "a.png",
            "x.csv/y",
            "größe 1",
            "trailing ",
            " leading",
            "a.",
            ".d/e",
            "x" * 230,
        ]
    )


PART = st.text("ab.", min_size=1, max_size=3).filter(lambda part: not part.endswith("."))
ENDED = st.builds(lambda part, end: part + end, PART, st.sampled_from(["", ".png", ".csv"]))
NAME = st.lists(ENDED, min_size=1, max_size=3).map("/".join)


@given(st.sets(NAME, min_size=2, max_size=6))
def test_what_is_accepted_can_be_written_side_by_side(tmp_path_factory, names):
    try:
        check_storable(names)
    except DatasetError:
        return
    root = tmp_path_factory.mktemp("store")
    for suffix in set(SUFFIXES.values()):
        for name in names:
            path = root / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.is_dir()
            path.write_bytes(b"")


def names_of(images):
    pool = Toy(len(images))
    pool.ids = images
    return pool


def test_a_pool_and_results_of_files_are_refused_alike(tmp_path):
    with pytest.raises(DatasetError, match="'a' and 'a.csv/b'"):
        pool_images(names_of(["a", "a.csv/b"]))
    for name in ("p/a.jpg", "p/a.csv/b.jpg"):
        trees.write_image(tmp_path / name)
    with pytest.raises(DatasetError, match="'a' and 'a.csv/b'"):
        find_images([str(tmp_path / "p")], tmp_path / "out")


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path):
    trees.write_image(tmp_path / "p/a.png")
    (tmp_path / "p/a.png").rename(tmp_path / "p/caf\udce9.png")
    with pytest.raises(DatasetError, match="not UTF-8"):
        find_images([str(tmp_path / "p")], tmp_path / "out")


def test_a_loop_refuses_names_before_anything_is_computed(tmp_path):
    network = SegmentationModule(
        TOYS, network=Network(encoder_weights="none"), protocol="target_only"
    )
    loop = ActiveLoop("random", budget="2 regions", rounds=1, store=tmp_path / "store")
    with pytest.raises(DatasetError, match="cannot both be stored"):
        loop.check(network, names_of(["a", "a.png/b"]), 4)


@pytest.fixture
def described(tmp_path):
    trees.write_folder(tmp_path)
    path = tmp_path / "warehouse.yaml"
    content = yaml.safe_load(path.read_text())
    content["mapping"] = {0: "void", 10: "floor", 20: "shelf", 30: "floor"}
    path.write_text(yaml.safe_dump(content))
    return f"folder:{path}"


@pytest.mark.parametrize("place", ["photos/train/run", "photos/test/deep/run"])
def test_a_run_folder_among_images_is_refused(place, described, tmp_path, capsys):
    arguments = ["--source", described, "--target", described, "--encoder-weights", "none"]
    arguments += ["--size", "32x64", "--steps", "2", "--rounds", "1", "--accelerator", "cpu"]
    arguments += ["--budget", "2 regions", "--out", str(tmp_path / place)]
    before = sorted(tmp_path.rglob("*"))
    assert main(["fit", *arguments]) == 2
    assert "holds the images" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_among_images_is_refused_in_a_script(described, tmp_path):
    pool = open_dataset(described, "train")
    data = SegmentationDataModule(target=pool, size=(32, 64), batch_size=2)
    network = SegmentationModule(
        pool.label_space, network=Network(encoder_weights="none"), protocol="target_only"
    )
    place = tmp_path / "photos/train/labels"
    loop = ActiveLoop("random", budget="2 regions", rounds=1, store=place)
    with pytest.raises(ConfigError, match="holds the images"):
        quiet_trainer(tmp_path, 2, callbacks=[loop]).fit(network, data)
    assert not place.exists()


@pytest.mark.parametrize("command", ["query", "predict"])
def test_results_among_images_are_refused(command, constant_checkpoint_path, tmp_path, capsys):
    trees.write_image(tmp_path / "p/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "p", target_is_directory=True)
    for out in ("p", "p/out", "link/out"):
        arguments = [constant_checkpoint_path, str(tmp_path / "p"), "-o", str(tmp_path / out)]
        assert main([command, *arguments]) == 2
        assert "holds the images" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["a.png"]


@pytest.fixture
def constant_checkpoint_path(tmp_path):
    """Name a checkpoint that is not reached: what is refused is refused before it is read."""
    return str(tmp_path / "none.ckpt")
