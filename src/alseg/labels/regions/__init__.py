"""The shapes of regions, one per file; see ``alseg.labels.region_shape``."""
