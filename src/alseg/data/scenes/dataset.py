"""The embedded scenes as a data set."""

from __future__ import annotations

from alseg.data.base import SegmentationDataset
from alseg.data.label_space import load_label_space
from alseg.data.scenes.canvas import Bytes
from alseg.data.scenes.render import render_scene
from alseg.data.scenes.styles import DOMAINS
from alseg.errors import DatasetError

COUNTS = {"train": 400, "val": 50, "test": 100}


class Scenes(SegmentationDataset):
    """Rendered street scenes of one domain and split, with CamVid's 11 classes.

    Scenes are rendered when first asked for and kept in memory. No two splits and no two domains
    show the same street.
    """

    def __init__(
        self,
        domain: str,
        split: str,
        size: tuple[int, int] = (360, 480),
        count: int | None = None,
        seed: int = 0,
    ) -> None:
        """Open the scenes; nothing is rendered yet.

        Args:
            domain: `sim`, `dusk`, `fog` or `camera`.
            split: `train`, `val` or `test`.
            size: height and width of the images in pixels.
            count: number of scenes; 400, 50 or 100 by split if left out.
            seed: not negative; other seeds show other streets.

        Raises:
            DatasetError: an unknown domain or split, or a count below 1.
        """
        if domain not in DOMAINS:
            raise DatasetError(f"No scenes called {domain!r}; there are {', '.join(DOMAINS)}.")
        if split not in COUNTS:
            raise DatasetError(f"No split called {split!r}; there are {', '.join(COUNTS)}.")
        number = COUNTS[split] if count is None else count
        if number < 1:
            raise DatasetError(f"{number} scenes were asked for; ask for 1 or more.")
        self.domain = domain
        self.name = f"scenes-{domain}"
        self.split = split
        self.label_space = load_label_space("camvid11")
        self.ids = tuple(f"{domain}-{split}-{i:05d}" for i in range(number))
        self.has_labels = True
        self._size = size
        place = DOMAINS.index(domain) * len(COUNTS) + tuple(COUNTS).index(split)
        self._seed = seed * len(DOMAINS) * len(COUNTS) + place
        self._rendered: dict[int, tuple[Bytes, Bytes]] = {}

    def size(self, index: int) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._size

    def image(self, index: int) -> Bytes:
        """The image (H, W, 3), RGB."""
        return self._scene(index)[0]

    def label(self, index: int) -> Bytes:
        """The train ids (H, W), 255 is void."""
        return self._scene(index)[1]

    def preload(self) -> None:
        """Render all scenes, so that loading processes find them rendered."""
        for place in range(len(self.ids)):
            self._scene(place)

    def _scene(self, index: int) -> tuple[Bytes, Bytes]:
        place = range(len(self.ids))[index]
        if place not in self._rendered:
            self._rendered[place] = render_scene(self.domain, self._seed, place, self._size)
        return self._rendered[place]
