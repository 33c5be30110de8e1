"""A label store as a run on random scores writes it, and ways to tamper with it."""

import json

import numpy as np
import pytest
import torch
from tests.helpers.archives import ARCHIVE, split, write_bytes
from tests.helpers.rounds import hold_round

from alseg.active import OracleAnnotator
from alseg.labels import LabelStore, PoolImage, Windows
from alseg.storage.regular_files import digest
from alseg.storage.sealed_json import encode_json

CLASSES = ["road", "sky", "car"]
SIZES = {"city/a": (30, 40), "city/b": (17, 23), "c": (25, 26), "never asked": (9, 9)}
RADIUS = 2


class Ask(OracleAnnotator):
    """Answers from random labels, void among them, and keeps what it was asked."""

    def __init__(self, truth):
        super().__init__(truth.__getitem__)
        self.truth, self.asked = truth, []

    def label(self, image_id, asked):
        self.asked.append((image_id, asked.copy()))
        return super().label(image_id, asked)


def random_store(folder, rounds=3, after_round=lambda store, number: None):
    """Do as `_random_store` says, without waiting for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        return _random_store(folder, rounds, after_round)


def _random_store(folder, rounds, after_round):
    """Return a store of several rounds, who answered, and the results of the rounds.

    Regions are clipped by the images' borders. After each round ``after_round`` is called.
    """
    rng = np.random.default_rng(7)
    truth = {
        name: rng.choice([0, 1, 2, 255], size).astype(np.uint8) for name, size in SIZES.items()
    }
    pool = [PoolImage(name, *size) for name, size in SIZES.items()]
    store, annotator = LabelStore.create(folder, pool, CLASSES), Ask(truth)
    results = []
    for number in range(1, rounds + 1):
        scores = [torch.from_numpy(rng.random(size)) for size in SIZES.values()]
        scores[-1] -= 2
        result = hold_round(
            store,
            enumerate(scores),
            annotator,
            number=number,
            rounds=rounds,
            budget="50%",
            region=Windows(RADIUS, RADIUS, "any"),
            scope="pool",
        )
        results.append(result)
        after_round(store, number)
    return store, annotator, results


def edit_manifest(folder, number, edit):
    """Change the manifest of a round and seal it again, so that its digest is right."""
    path = folder / f"round-{number:03d}" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["digest"]
    edit(manifest)
    path.write_bytes(encode_json(manifest))


def path_of(folder, number, kind, image_id):
    ending = "csv" if kind == "queries" else "png"
    return folder / f"round-{number:03d}" / ARCHIVE / kind / f"{image_id}.{ending}"


def replace_file(folder, number, kind, image_id, data):
    """Replace a file of a round and its digest in the manifest."""
    path = path_of(folder, number, kind, image_id)
    write_bytes(path, data)
    archive = digest(split(path)[0].read_bytes())

    def edit(manifest):
        record = next(record for record in manifest["images"] if record["id"] == image_id)
        record["digests"][kind] = digest(data)
        manifest["archive"] = archive

    edit_manifest(folder, number, edit)
    return path
