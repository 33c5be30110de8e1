"""A round on Weights & Biases: its picks as a table, its pictures with the answers as masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import wandb
from lightning.pytorch.loggers import WandbLogger

from alseg.labels import LabelStore
from alseg.labels.queries import header_of
from alseg.runs.pictures import RGB
from alseg.runs.wandb_names import FRACTION, PICKS, PICTURES

TABLE_ROWS = 1000
"""The most picks that the table of a round lists."""


class Picture(NamedTuple):
    """What is pictured of an image: itself, its scores and its picks, H×W×3 each."""

    image_id: str
    image: RGB
    scores: RGB
    picks: RGB


def log_round(
    logger: WandbLogger, number: int, pictures: Sequence[Picture], store: LabelStore
) -> None:
    """Log what is known after a round: figures of the labels, the table of picks, and pictures.

    All of it is one row of the run's history, so that it stands over the same step.
    """
    rounds = range(1, store.rounds + 1)
    row: dict[str, Any] = {
        "round": number,
        FRACTION: store.labelled_fraction,
        "labels/regions": store.regions,
        "labels/asked_pixels": store.asked_pixels,
        "labels/void_pixels": store.void_pixels,
        "labels/clicks": sum(record.clicks for held in rounds for record in store.records(held)),
        PICKS: wandb.Table(
            columns=["image", *header_of(store.region(number))],
            data=picks_of(store, number),
        ),
    }
    if pictures:
        row.update(_galleries(number, pictures, store))
    logger.experiment.log(row)


def picks_of(store: LabelStore, number: int, rows: int = TABLE_ROWS) -> list[list[Any]]:
    """Return picks of a round: the image and what ``header_of`` names of each.

    There are at most ``rows``, and at most so many images are read: a round on a large data set has
    millions. First comes the best pick of every image, then the second of every image, and so on.
    Of more images than rows every n-th is taken, evenly over the pool. The label store has all.
    """
    asked = [record.id for record in store.records(number) if record.regions]
    shown = asked[:: max(1, -(-len(asked) // rows))]
    found = ((image_id, store.queries(image_id, number)) for image_id in shown)
    queries = {image_id: of for image_id, of in found if of is not None}
    turns = range(max(map(len, queries.values()), default=0))
    picks = (
        [image_id, *of.line(turn)]
        for turn in turns
        for image_id, of in queries.items()
        if turn < len(of)
    )
    return [pick for pick, _ in zip(picks, range(rows), strict=False)]


def _galleries(
    number: int, pictures: Sequence[Picture], store: LabelStore
) -> dict[str, list[wandb.Image]]:
    names = {**dict(enumerate(store.classes)), 255: "not asked, or void"}
    galleries: dict[str, list[wandb.Image]] = {name: [] for name in PICTURES.values()}
    for image_id, image, scores, picks in pictures:
        mask = {"mask_data": store.label(image_id), "class_labels": names}
        shown = {
            "labels": wandb.Image(
                image,
                caption=f"{image_id}: answered up to round {number}",
                masks={"labels": mask},
            ),
            "scores": wandb.Image(scores, caption=f"{image_id}: scores of round {number}"),
            "picks": wandb.Image(picks, caption=f"{image_id}: picks of round {number}"),
        }
        for kind, picture in shown.items():
            galleries[PICTURES[kind]].append(picture)
    return galleries
