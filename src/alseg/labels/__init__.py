"""The label store: what was asked for, in which round, and what was answered."""

from alseg.labels.export import export_labels
from alseg.labels.records import ImageRecord, PoolImage, RoundResult
from alseg.labels.region_shape import Box, RegionShape
from alseg.labels.regions.image import WholeImage
from alseg.labels.regions.windows import Windows
from alseg.labels.store import LabelStore
from alseg.labels.verification import Verification, verify

__all__ = [
    "Box",
    "ImageRecord",
    "LabelStore",
    "PoolImage",
    "RegionShape",
    "RoundResult",
    "Verification",
    "WholeImage",
    "Windows",
    "export_labels",
    "verify",
]
