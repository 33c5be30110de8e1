"""Whole images as regions: asked for by scripts, commands and people, and answered by masks."""

import io
import json
import shutil
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.archives import digests
from tests.helpers.processes import alseg, run_ranks
from tests.helpers.toys import SPACE, TINY, Toy, quiet_trainer

from alseg.active import ActiveLoop, WholeImage
from alseg.cli.main import main
from alseg.data import open_dataset
from alseg.data.module import SegmentationDataModule
from alseg.errors import ConfigError
from alseg.labels import LabelStore, verify
from alseg.labels.candidates import Thresholds
from alseg.models import Network
from alseg.queries.answers import Journal
from alseg.queries.asked_files import open_round
from alseg.training.module import SegmentationModule
from alseg_strategies import Strategy


def images_loop(tmp_path, strategy, **options):
    settings = {"budget": "3 images", "rounds": 2, "region": WholeImage()} | options
    budget = settings.pop("budget")
    return ActiveLoop(strategy, budget, store=tmp_path / "labels", progress=False, **settings)


def run_on(tmp_path, loop, pool, steps=4):
    torch.manual_seed(0)
    network = SegmentationModule(
        SPACE, network=Network(encoder_weights="none"), protocol="target_only", seed=0
    )
    data = SegmentationDataModule(target=pool, batch_size=2)
    quiet_trainer(tmp_path, steps, callbacks=[loop]).fit(network, data)
    return loop.store


class ByName(Strategy):
    """Ranks images by a list of names, best first."""

    name = "by-name"
    level = "image"

    def __init__(self, names):
        self.names = names

    def score(self, signals, generator=None):
        return -torch.tensor([float(self.names.index(name)) for name in signals.names])


@pytest.mark.parametrize("scope", ["image", "pool"])
def test_rounds_of_whole_images_take_the_best_until_the_number_is_reached(tmp_path, scope):
    order = [f"train-{index:03d}" for index in (4, 1, 3, 0, 2)]
    store = run_on(tmp_path, images_loop(tmp_path, ByName(order), scope=scope), Toy(5))
    asked = [
        [image.id for image in store.images if store.queries(image.id, number) is not None]
        for number in (1, 2)
    ]
    assert [sorted(names) for names in asked] == [sorted(order[:1]), sorted(order[1:3])]
    pool = Toy(5)
    for index, image_id in enumerate(pool.ids):
        expected = pool.label(index) if image_id in order[:3] else np.full((32, 48), 255)
        assert np.array_equal(store.label(image_id), expected)
    assert (store.regions, store.asked_pixels) == (3, 3 * 32 * 48)
    assert verify(tmp_path / "labels").problems == []


def test_a_strategy_of_pixels_ranks_images_by_their_mean_score(tmp_path):
    score = torch.rand(2, 3, dtype=torch.float64)
    asked, barred = np.zeros((2, 3), dtype=bool), np.zeros((2, 3), dtype=bool)
    found = WholeImage().candidates(score, 1, unit="regions", asked=asked, barred=barred)
    assert found.scores.tolist() == pytest.approx([sum(score.flatten().tolist()) / 6])
    assert (found.rows.tolist(), found.columns.tolist(), found.costs.tolist()) == ([0], [0], [1])
    pixels = WholeImage().candidates(score, 1, unit="pixels", asked=asked, barred=barred)
    assert pixels.costs.tolist() == [6]


@pytest.mark.parametrize(
    "barring",
    [
        {"need": 0},
        {"barred": np.ones((2, 3), dtype=bool)},
        {"asked": np.ones((2, 3), dtype=bool)},
        {"score": torch.full((2, 3), -torch.inf)},
        {"thresholds": Thresholds(0.6)},
    ],
)
def test_an_image_is_not_asked_for_twice_nor_where_it_is_not_wanted(barring):
    arguments = {
        "score": torch.full((2, 3), 0.5),
        "need": 1,
        "asked": np.zeros((2, 3), dtype=bool),
        "barred": np.zeros((2, 3), dtype=bool),
        **barring,
    }
    score, need = arguments.pop("score"), arguments.pop("need")
    assert len(WholeImage().candidates(score, need, unit="regions", **arguments)) == 0


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        (ByName([]), {"region": None, "budget": "1%"}, "by-name ranks whole images.*--region imag"),
        ("random", {"region": None}, "budget of 3 images in all counts whole images"),
    ],
)
def test_what_ranks_or_counts_images_needs_whole_images(tmp_path, strategy, options, message):
    with pytest.raises(ConfigError, match=message):
        images_loop(tmp_path, strategy, **options)


IMAGES = ["--strategy", "entropy", "--region", "image", "--budget", "2 images", "--rounds", "1"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(TINY)
    return path


def fit(*arguments):
    return main(["fit", *map(str, arguments)])


def truth(image_id):
    pool = open_dataset("scenes:dusk", "train", size=[48, 64], count=5)
    return pool.label(list(pool.ids).index(image_id))


@pytest.fixture(scope="module")
def original(settings, tmp_path_factory):
    """A run that waits for the masks of two images, and what it printed."""
    run, said = tmp_path_factory.mktemp("original") / "run", io.StringIO()
    with redirect_stdout(said):
        assert fit("-c", settings, "--out", run, *IMAGES, "--annotator", "manual") == 0
    return run, said.getvalue()


@pytest.fixture
def waiting(original, tmp_path):
    """A copy of the run to answer."""
    return shutil.copytree(original[0], tmp_path / "run")


def labels_of(run):
    return {name: data for name, data in digests(run / "labels").items() if name.endswith(".zip")}


def export(run, format_name):
    out = run.parent / format_name
    assert main(["export", str(run), "--format", format_name, "-o", str(out)]) == 0
    return out


def paint_masks(run):
    """Paint the exported PNGs as they should be; return their folder."""
    masks = export(run, "png") / "masks"
    for image_id in open_round(run, 1).images:
        path = masks / f"{image_id}.png"
        assert (np.array(Image.open(path)) == 255).all()
        Image.fromarray(truth(image_id)).save(path)
    return masks


def test_a_run_that_waits_for_masks_says_how_to_paint_them(original):
    run, said = original
    assert "Queries of round 1: 2, in 2 images." in said
    assert f"alseg export {run} --format png" in said
    assert "alseg annotate" not in said


def test_people_who_paint_the_truth_give_the_labels_that_the_oracle_gives(
    settings, waiting, tmp_path
):
    assert main(["import", str(waiting), str(paint_masks(waiting))]) == 0
    assert fit("--resume", waiting) == 0
    oracle = tmp_path / "oracle"
    assert fit("-c", settings, "--out", oracle, *IMAGES) == 0
    assert labels_of(waiting) == labels_of(oracle)
    store = LabelStore.open(oracle / "labels")
    assert (store.regions, store.asked_pixels) == (2, 2 * 48 * 64)
    assert verify(oracle / "labels").problems == []


def test_two_processes_ask_for_the_images_that_one_asks_for(settings, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    more = [*IMAGES, "--warm-start-steps", "0"]
    assert fit("-c", settings, "--out", one, *more) == 0
    command = ["fit", "-c", settings, "--out", two, *more, "--devices", 2]
    run_ranks(alseg, *command, ranks=2, folder=tmp_path)
    assert labels_of(one) == labels_of(two)


def test_a_mask_that_is_imported_again_is_known_and_one_that_is_changed_is_new(waiting, capsys):
    masks = paint_masks(waiting)
    assert main(["import", str(waiting), str(masks)]) == 0
    before = digests(waiting / "queries")
    assert main(["import", str(waiting), str(masks)]) == 0
    assert digests(waiting / "queries") == before
    path = next(masks.rglob("*.png"))
    values = np.array(Image.open(path))
    values[:8] = 0
    Image.fromarray(values).save(path)
    assert main(["import", str(waiting), str(masks)]) == 0
    assert len(Journal(open_round(waiting, 1), "import").entries()) == 3


def test_masks_of_a_tool_come_back_as_coco(waiting):
    content = json.loads(
        (export(waiting, "coco") / "annotations/instances_default.json").read_text()
    )
    assert content["annotations"] == []
    numbers = {category["name"]: category["id"] for category in content["categories"]}
    first, second = content["images"]
    box = [0, 0, 64, 0, 64, 24, 0, 24]
    content["annotations"] = [
        {"id": 1, "image_id": first["id"], "category_id": numbers["road"], "segmentation": [box]},
        {
            "id": 2,
            "image_id": second["id"],
            "category_id": numbers["sky"],
            "segmentation": {"size": [48, 64], "counts": [0, 48 * 64]},
        },
    ]
    file = waiting.parent / "instances_default.json"
    file.write_text(json.dumps(content))
    assert main(["import", str(waiting), str(file)]) == 0
    assert fit("--resume", waiting) == 0
    store = LabelStore.open(waiting / "labels")
    classes = list(open_round(waiting, 1).classes)
    upper = np.full((48, 64), 255)
    upper[:24] = classes.index("road")
    names = list(open_round(waiting, 1).images)
    assert np.array_equal(store.label(names[0]), upper)
    assert (store.label(names[1]) == classes.index("sky")).all()
    assert store.asked_pixels == 2 * 48 * 64


@pytest.fixture
def disputed(waiting):
    """A run in which ben paints a quarter of an image otherwise than anna, and the rest alike."""
    masks = paint_masks(waiting)
    assert main(["import", str(waiting), str(masks), "--as", "anna"]) == 0
    path = min(masks.rglob("*.png"))
    values = np.array(Image.open(path))
    values[:12] = (values[:12] + 1) % len(open_round(waiting, 1).classes)
    Image.fromarray(values).save(path)
    return waiting, masks


def test_the_report_names_the_images_whose_masks_differ_and_by_how_much(disputed, capsys):
    run, masks = disputed
    assert main(["import", str(run), str(masks), "--as", "ben"]) == 0
    capsys.readouterr()
    assert main(["annotate", str(run), "--report"]) == 0
    said = capsys.readouterr().out
    assert "50.0% of the answers are the same, on 2 of 2 common queries" in said
    assert "different answers: 1\n" in said
    name = min(open_round(run, 1).images)
    assert f"{name} 25.0% of the pixels differ: anna a mask, ben a mask\n" in said


def test_masks_that_differ_are_settled_by_the_command_that_is_named(disputed, capsys):
    run, masks = disputed
    assert main(["import", str(run), str(masks), "--as", "ben"]) == 0
    hint = f"`alseg import {run} FILE --as review`"
    assert hint in capsys.readouterr().out
    assert fit("--resume", run) == 2
    assert hint in capsys.readouterr().err
    assert main(["import", str(run), str(masks), "--as", "review"]) == 0
    assert fit("--resume", run) == 0


COCO = "annotations/instances_default.json"


def coco_file(run, change):
    """Return a COCO export of a run, changed by a function of its content."""
    content = json.loads((export(run, "coco") / COCO).read_text())
    change(content)
    file = run.parent / "changed.json"
    file.write_text(json.dumps(content))
    return file


def test_masks_go_out_as_coco_and_come_back_as_they_were_or_corrected(waiting):
    assert main(["import", str(waiting), str(paint_masks(waiting)), "--as", "anna"]) == 0
    asked = open_round(waiting, 1)
    assert main(["import", str(waiting), str(coco_file(waiting, lambda content: None))]) == 0
    assert Journal(asked, "import").entries() == []
    shutil.rmtree(waiting.parent / "coco")

    def swap(content):
        content["categories"][0]["name"], content["categories"][1]["name"] = asked.classes[1::-1]

    file = coco_file(waiting, swap)
    assert main(["import", str(waiting), str(file), "--as", "review"]) == 0
    assert fit("--resume", waiting) == 0
    store = LabelStore.open(waiting / "labels")
    swapped = np.array([1, 0, *range(2, 256)], dtype=np.uint8)
    for image_id in asked.images:
        assert np.array_equal(store.label(image_id), swapped[truth(image_id)])


@pytest.mark.parametrize("word", ["void", "skip"])
def test_a_shape_says_that_an_image_is_void_or_skipped(waiting, word, capsys):
    def say(content):
        numbers = {category["name"]: category["id"] for category in content["categories"]}
        assert {*numbers} == {*open_round(waiting, 1).classes, "void", "skip"}
        triangle = {"category_id": numbers[word], "segmentation": [[0, 0, 9, 0, 0, 9]]}
        content["annotations"] = [
            {"id": image["id"], "image_id": image["id"], **triangle} for image in content["images"]
        ]

    assert main(["import", str(waiting), str(coco_file(waiting, say))]) == 0
    assert ("void in the new masks: 100.0%" in capsys.readouterr().out) == (word == "void")
    assert fit("--resume", waiting) == 0
    store = LabelStore.open(waiting / "labels")
    assert store.void_pixels == (2 * 48 * 64 if word == "void" else 0)


def test_no_whole_image_is_mixed(waiting, capsys):
    name = open_round(waiting, 1).queries[0].id
    table = waiting.parent / "answers.csv"
    table.write_text(f"query,answer\n{name},mixed\n")
    assert main(["import", str(waiting), str(table)]) == 2
    assert "line 2: a whole image is not answered as mixed" in capsys.readouterr().err


def test_an_import_says_what_the_masks_leave_void_and_which_images_are_not_answered(
    waiting, capsys
):
    masks = export(waiting, "png") / "masks"
    path = min(masks.rglob("*.png"))
    values = np.array(Image.open(path))
    values[:3] = 0
    Image.fromarray(values).save(path)
    capsys.readouterr()
    assert main(["import", str(waiting), str(masks)]) == 0
    said = capsys.readouterr().out
    # 3 of 48 rows are painted.
    assert "void in the new masks: 93.8% of their pixels" in said
    assert "images in the file without an answer: 1" in said
    assert "answered by `void`" in said
    assert "window" not in said


@pytest.mark.parametrize(("format_name", "coco"), [("label-studio", True), ("png", False)])
def test_an_export_counts_images_and_says_what_the_tool_has_to_write(
    waiting, capsys, format_name, coco
):
    export(waiting, format_name)
    said = capsys.readouterr().out
    assert "round 1: 2 images, 0 of them answered" in said
    assert ("export them there as COCO" in said) == coco


@pytest.mark.parametrize(
    ("format_name", "file", "there", "absent"),
    [
        ("cvat", "annotations.xml", "<type>any</type>", "<box"),
        ("label-studio", "config.xml", "<PolygonLabels", "<RectangleLabels"),
        ("label-studio", "tasks.json", '"result": []', "rectanglelabels"),
    ],
)
def test_a_tool_is_given_images_to_paint_and_no_boxes(waiting, format_name, file, there, absent):
    text = (export(waiting, format_name) / file).read_text()
    assert there in text
    assert absent not in text


def test_the_page_says_that_it_labels_no_whole_images(waiting, capsys):
    assert main(["annotate", str(waiting), "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert "asks for whole images, which this page cannot label" in said
    assert f"alseg export {waiting} --format cvat" in said


def test_a_mask_that_is_damaged_is_named_and_nothing_is_taken_in(waiting, capsys):
    assert main(["import", str(waiting), str(paint_masks(waiting))]) == 0
    path = next((waiting / "queries/round-001/answers/masks").iterdir())
    path.write_bytes(path.read_bytes()[:-9])
    assert fit("--resume", waiting) == 2
    assert f"{path} cannot be used: its content is not what was written" in capsys.readouterr().err
    assert labels_of(waiting) == {}


def test_what_nobody_painted_is_missing(waiting, capsys):
    masks = export(waiting, "png") / "masks"
    assert main(["import", str(waiting), str(masks)]) == 0
    assert fit("--resume", waiting) == 2
    said = capsys.readouterr().err
    assert "Of the queries of round 1, 2 of 2 are not answered" in said
    assert f"alseg import {waiting}" in said
    assert fit("--resume", waiting, "--partial") == 2
    assert "--partial needs one answer or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budget", "2 images", "--region", "windows"], "counts whole images"),
        (["--region", "image", "--radius", "2"], "radius is 2, which windows have"),
        (["--region", "image", "--budget", "0.5 images"], "images are counted whole"),
        (["--region", "image", "--budget", "2 clicks"], "counts clicks, such as"),
        (["--region", "image", "--budget", "3 regions"], "counts regions per image"),
        (
            ["--region", "image", "--budget", "9 images"],
            "9 images in all is more than the 5 images of the pool",
        ),
        (["--region", "tile"], "windows"),
    ],
)
def test_a_region_that_does_not_fit_is_refused_before_anything_is_done(
    settings, tmp_path, capsys, more, message
):
    assert fit("-c", settings, "--out", tmp_path / "run", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
