"""The light of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alseg.data.scenes.textures import between


@dataclass(frozen=True)
class Light:
    """Sun and ambient light.

    Attributes:
        azimuth: direction towards the sun in radians, 0 ahead of the camera, positive to the right.
        tangent: length of a shadow over the height that casts it.
        ambient: share of the light that comes from the whole sky; 1 is overcast.
    """

    azimuth: float
    tangent: float
    ambient: float

    def wall(self, s: float, z: float) -> float:
        """Brightness of a vertical surface whose outward normal is (s, z)."""
        towards = s * np.sin(self.azimuth) + z * np.cos(self.azimuth)
        return float(self.ambient + (1.1 - self.ambient) * max(towards, 0.0))

    @property
    def flat(self) -> float:
        """Brightness of a horizontal surface in the sun."""
        return 0.5 + 0.5 * self.ambient + 0.3 * (1 - self.ambient)

    @property
    def shadow(self) -> float:
        """Brightness of a shadow on the ground over that of the sunlit ground."""
        return min(1.0, 0.25 + 0.75 * self.ambient)

    @property
    def reach(self) -> tuple[float, float]:
        """Where the shadow of a point one metre up falls, (s, z) from its foot."""
        return (
            -float(np.sin(self.azimuth)) * self.tangent,
            -float(np.cos(self.azimuth)) * self.tangent,
        )


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a light: overcast, or a sun anywhere with the low stand of northern Europe."""
    overcast = rng.random() < 0.4
    ambient = between(rng, 0.8, 1.0) if overcast else between(rng, 0.35, 0.75)
    return Light(between(rng, -np.pi, np.pi), between(rng, 0.5, 3.0), ambient)
