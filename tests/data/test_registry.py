"""Opening data sets by name, and what is said when that fails."""

import subprocess
import sys

import numpy as np
import pytest
from tests.helpers import trees

from alseg.data import LabelSpace, available_datasets, load_label_space, open_dataset
from alseg.data.registry import is_relative
from alseg.errors import DatasetError


def test_every_publisher_s_tree_has_an_adapter():
    assert set(trees.WRITERS) <= set(available_datasets())
    assert {"scenes", "camvid-day", "camvid-dusk"} <= set(available_datasets())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cityscape:/data", "No data set adapter is called 'cityscape'. Did you mean 'cityscapes'"),
        ("/data/cityscapes", "named ADAPTER:WHERE"),
        ("cityscapes", "such as cityscapes:/data/cityscapes; got 'cityscapes'"),
        ("scenes:", "such as scenes:sim; got 'scenes:'"),
        ("camvd", "Did you mean 'camvid'"),
    ],
)
def test_a_spec_that_names_nothing_is_explained(spec, message):
    with pytest.raises(DatasetError) as error:
        open_dataset(spec, "train")
    assert message in str(error.value)
    assert "Adapters: acdc, camvid" in str(error.value)


def test_an_unknown_split_gets_a_hint(tmp_path):
    with pytest.raises(DatasetError, match=r"No split is called 'trian'. Did you mean 'train'"):
        open_dataset(f"camvid:{tmp_path}", "trian")


def test_an_unknown_option_gets_a_hint(tmp_path):
    with pytest.raises(DatasetError, match=r"'acdc' has no option 'conditon'. Did you mean"):
        open_dataset(f"acdc:{tmp_path}", "train", conditon="fog")
    with pytest.raises(DatasetError, match=r"'gtav' has no option 'size'. It takes none"):
        open_dataset(f"gtav:{tmp_path}", "train", size=3)


def test_scenes_take_their_domain_and_options():
    scenes = open_dataset("scenes:sim", "train", count=3, size=(90, 120))
    assert (len(scenes), scenes.size(0)) == (3, (90, 120))
    with pytest.raises(DatasetError):
        open_dataset("scenes:moon", "train")


def test_any_data_set_opens_in_another_label_space(tmp_path):
    spec = trees.write_camvid(tmp_path)
    own = open_dataset(spec, "train")
    other = open_dataset(spec, "train", label_space="cityscapes19")
    cityscapes = load_label_space("cityscapes19")
    assert other.label_space == cityscapes
    assert (other.name, other.split, other.ids) == (own.name, own.split, own.ids)
    assert np.array_equal(other.image(0), own.image(0))
    # Columns show CamVid's 0-10 and void: sky, building, pole, road, pavement, tree, ...
    names = ["sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence"]
    names += ["car", "person"]
    assert other.label(0)[0, :12].tolist() == [*map(cityscapes.classes.index, names), 255, 255]


def test_a_space_of_the_caller_s_own_will_do(tmp_path):
    space = LabelSpace("driving", ("road", "rest"), ((0, 0, 0), (1, 1, 1)))
    dataset = open_dataset(trees.write_camvid(tmp_path), "train", label_space=space)
    assert set(np.unique(dataset.label(0))) == {0, 255}


def test_a_space_that_shares_no_class_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="shares no class"):
        open_dataset(trees.write_folder(tmp_path), "train", label_space="synthia16")


def test_a_misspelt_space_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="Did you mean 'camvid11'"):
        open_dataset(f"camvid:{tmp_path}", "train", label_space="camvid12")


@pytest.mark.parametrize(
    ("spec", "relative"),
    [
        ("camvid:city", True),
        ("folder:../mine.yaml", True),
        ("camvid:/data/city", False),
        ("camvid:~/city", False),
        ("scenes:sim", False),
    ],
)
def test_the_current_directory_matters_to_relative_paths_alone(spec, relative):
    assert is_relative(spec) is relative


def test_opening_imports_nothing_heavy(tmp_path):
    spec = trees.write_synthia(tmp_path)
    program = (
        "import sys; from alseg.data import open_dataset, describe; "
        f"open_dataset({spec!r}, 'train').size(0); "
        "print(*{'torch', 'albumentations', 'cv2', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
