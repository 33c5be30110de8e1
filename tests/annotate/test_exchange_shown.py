"""The images of an export are shown by a browser, and come back under the names that they have."""

import numpy as np
import pytest
from PIL import Image
from tests.helpers.asked import COLORS, queries_at, random_image, settings_of
from tests.helpers.exchanged import FORMATS, answer, name_of

from alseg.annotate.exchange import export_queries, import_answers
from alseg.cli.main import main
from alseg.queries.asked import AskedImage
from alseg.queries.asked_files import write_round

CLASSES = ("road", "sky")
SIZE = (12, 15)
PIXELS = random_image(*SIZE)


def asked_about(run, *files):
    """Write a round with a query in the middle of each file, named by its whole name."""
    images = [AskedImage(path.stem, *SIZE, str(path)) for path in files]
    sizes = {image.id: SIZE for image in images}
    return write_round(
        run,
        1,
        classes=CLASSES,
        colors=COLORS[:2],
        split="drop",
        images=images,
        queries=queries_at([(image.id, 5, 5) for image in images], sizes),
        settings=settings_of(),
    )


@pytest.fixture
def tiff(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).save(path)
    return path


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_tiff_goes_along_as_png_and_its_answer_comes_back(tmp_path, tiff, format_name):
    asked_about(tmp_path / "run", tiff)
    done = export_queries(tmp_path / "run", tmp_path / "out", format_name)
    (image,) = (tmp_path / "out/images").iterdir()
    assert (image.name, done.converted) == ("a.png", 1)
    with Image.open(image) as picture:
        assert picture.format == "PNG"
        assert np.array_equal(np.array(picture), PIXELS)
    if format_name == "label-studio":
        assert "images/a.png" in (tmp_path / "out/tasks.json").read_text()
    file = answer(tmp_path / "out", format_name, {name_of(1): "sky"})
    assert import_answers(tmp_path / "run", file).new == {"sky": 1}


def test_a_tiff_under_another_name_is_one_too(tmp_path, tiff):
    named = tiff.rename(tmp_path / "a.png")
    asked_about(tmp_path / "run", named)
    assert export_queries(tmp_path / "run", tmp_path / "out", "cvat", link=True).converted == 1
    with Image.open(tmp_path / "out/images/a.png") as picture:
        assert picture.format == "PNG"
    assert named.read_bytes()[:2] in (b"II", b"MM")


def test_values_of_twelve_bits_are_no_black_picture(tmp_path):
    """The darkest is 0 and the brightest 4,095, which a browser shows as 15 of 255."""
    values = np.linspace(0, 4095, 180).reshape(SIZE).astype(np.uint16)
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    asked_about(tmp_path / "run", path)
    export_queries(tmp_path / "run", tmp_path / "out", "label-studio")
    with Image.open(tmp_path / "out/images/a.png") as picture:
        assert picture.mode == "RGB"
        assert picture.convert("L").getextrema() == (0, 255)


def test_the_command_says_which_images_it_converted(tmp_path, tiff, capsys):
    other = tmp_path / "b.jpg"
    Image.fromarray(PIXELS).save(other)
    asked_about(tmp_path / "run", tiff, other)
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "run"), "--format", "cvat", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "as PNG    1 of them, since a browser does not show their files" in said
    assert (out / "images/b.jpg").read_bytes() == other.read_bytes()


def test_files_of_the_original_names_are_known_too(tmp_path, tiff):
    """Where the images stay where they are, a tool knows them by their own names."""
    asked_about(tmp_path / "run", tiff)
    folder = export_queries(tmp_path / "run", tmp_path / "out", "cvat", images=False).folder
    file = answer(folder, "cvat", {name_of(1): "road"})
    file.write_text(file.read_text().replace("a.png", "photos/a.tif"))
    assert import_answers(tmp_path / "run", file).new == {"road": 1}
