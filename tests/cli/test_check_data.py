import numpy as np
import pytest
from PIL import Image

from alseg.cli.main import main


@pytest.fixture
def camvid(tmp_path):
    """Two training images of 8×10: sky above, road below, and a column of void in one of them."""
    for split, names in {"train": ["a", "b"], "test": ["c"]}.items():
        for name in names:
            label = np.zeros((8, 10), dtype=np.uint8)
            label[6:] = 3
            if name == "b":
                label[:, 0] = 255
            for kind, array, suffix in (
                ("images", np.full((8, 10, 3), 90, dtype=np.uint8), "jpg"),
                ("labels", label, "png"),
            ):
                folder = tmp_path / kind / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / f"{name}.{suffix}")
    return tmp_path


def rows(out):
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}


def test_the_table_counts_images_classes_and_void(camvid, capsys):
    assert main(["check-data", "--target", f"camvid:{camvid}"]) == 0
    out = capsys.readouterr().out
    table = rows(out)
    assert table["images"] == ["2", "1"]
    # Of 160 training pixels 8 are void, 114 sky and 38 road.
    assert table["sky"] == ["71.2%", "75.0%"]
    assert table["road"] == ["23.8%", "25.0%"]
    assert table["void"][0] == "5.0%"
    assert "8x10" in out
    assert "no val split of camvid" in out


def test_the_source_is_counted_in_the_classes_of_the_target(camvid, capsys):
    arguments = ["--source", "scenes:sim", "--target", f"camvid:{camvid}", "--limit", "1"]
    assert main(["check-data", *arguments]) == 0
    table = rows(capsys.readouterr().out)
    assert table["looked"] == ["at", "1", "1", "1"]
    assert len(table["bicyclist"]) == 3


def test_the_file_of_a_run_names_the_data(camvid, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(f"target: camvid:{camvid}\nbudget: 0.01\nsteps: 5\n")
    assert main(["check-data", "-c", str(config)]) == 0
    assert rows(capsys.readouterr().out)["images"] == ["2", "1"]


def test_embedded_scenes_are_named_as_such(capsys):
    assert main(["check-data", "--limit", "1"]) == 0
    assert "embedded scenes" in capsys.readouterr().out


def test_a_label_that_cannot_be_used_is_listed_and_gives_a_status_of_1(camvid, capsys):
    Image.fromarray(np.full((8, 10), 77, np.uint8)).save(camvid / "labels/train/a.png")
    assert main(["check-data", "--target", f"camvid:{camvid}"]) == 1
    out = capsys.readouterr().out
    assert "1 files cannot be used" in out
    assert "77" in out


def test_missing_data_is_refused_in_one_line(tmp_path, capsys):
    assert main(["check-data", "--target", f"camvid:{tmp_path / 'nowhere'}"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert "nowhere" in err[0]


def test_a_negative_limit_is_refused(capsys):
    assert main(["check-data", "--limit", "-1"]) == 2
    assert "--limit is -1" in capsys.readouterr().err
