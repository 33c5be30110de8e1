"""Run folders written by hand, with figures that are known."""

import json

from alseg.config.run import RunConfig, dump_config

CLASSES = ("road", "sky", "car")


def write_run(folder, *, iou=0.5, share=None, regions=100, start=0.2, provenance=None, **settings):
    """Write the folder of a run that ended, as `alseg fit` leaves it, and return it.

    Args:
        folder: Where.
        iou: What it reached: one figure for all classes, or one for each.
        share: Share of the pool that it labelled; None is that of its budget.
        regions: Regions that it asked for.
        start: mIoU before training.
        provenance: What it was made with; None leaves no such file.
        settings: Settings that are not the defaults.
    """
    config = RunConfig(**{"strategy": "random", **settings})
    figures = list(iou) if isinstance(iou, list | tuple) else [iou] * len(CLASSES)
    known = [figure for figure in figures if figure is not None]
    after = {"mIoU": sum(known) / len(known), "accuracy": 0.9}
    after.update({f"IoU/{name}": figure for name, figure in zip(CLASSES, figures, strict=True)})
    summary = {
        "seconds": {"source start": 50.0, "evaluation": 10.0, "training": 100.0},
        "before": {"mIoU": start, **{f"IoU/{name}": start for name in CLASSES}},
        "after": after,
    }
    if config.protocol not in ("source_only", "fully_supervised"):
        summary["seconds"]["asking for labels"] = 20.0
        summary["labels"] = {
            "regions": regions,
            "asked_pixels": 9 * regions,
            "void_pixels": regions,
            "labelled_fraction": float(config.budget) if share is None else share,
            "shortfall": "",
        }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"# Relative paths begin in '/'\n\n{dump_config(config)}")
    (folder / "summary.json").write_text(json.dumps(summary))
    if provenance is not None:
        (folder / "provenance.json").write_text(json.dumps({"starts": [provenance]}))
    return folder


def write_matrix(folder, **settings):
    """Write a small comparison: two strategies, two budgets, three seeds, and the bounds.

    mIoU of ``random`` is 0.40, 0.42, 0.44 over the seeds at 1 % and 0.1 more at 3 %; ``halo`` is
    ahead of it by 0.05, 0.06, 0.07 at 1 % and by 0.01, -0.01, 0 at 3 %.
    """
    ahead = {"random": ([0, 0, 0], [0, 0, 0]), "halo": ([0.05, 0.06, 0.07], [0.01, -0.01, 0])}
    for strategy, more in ahead.items():
        for budget, base, gains in zip(("0.01", "0.03"), (0.40, 0.50), more, strict=True):
            for seed, gain in enumerate(gains):
                name = folder / f"{strategy}-{budget}-{seed}"
                reached = base + 0.02 * seed + gain
                share = float(budget)
                write_run(
                    name,
                    iou=reached,
                    strategy=strategy,
                    budget=budget,
                    seed=seed,
                    share=share,
                    regions=round(share * 10_000),
                    **settings,
                )
    for seed in range(3):
        write_run(folder / f"low-{seed}", iou=0.2 + seed / 100, protocol="source_only", seed=seed)
        top = folder / f"top-{seed}"
        write_run(top, iou=0.6 + seed / 100, protocol="fully_supervised", seed=seed)
    return folder
