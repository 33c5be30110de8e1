"""Data sets, label spaces, transforms and the embedded scenes."""

from alseg.data.base import RelabelledDataset, SegmentationDataset
from alseg.data.label_space import IGNORE, LabelSpace, available_label_spaces, load_label_space
from alseg.data.registry import available_datasets, open_dataset
from alseg.data.statistics import DatasetSummary, describe, format_table

__all__ = [
    "IGNORE",
    "DatasetSummary",
    "LabelSpace",
    "RelabelledDataset",
    "SegmentationDataset",
    "available_datasets",
    "available_label_spaces",
    "describe",
    "format_table",
    "load_label_space",
    "open_dataset",
]
