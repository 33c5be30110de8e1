"""Procedural street scenes in CamVid's 11 classes, in domains that differ in style."""

from alseg.data.scenes.dataset import Scenes
from alseg.data.scenes.render import render_scene
from alseg.data.scenes.styles import DOMAINS

__all__ = ["DOMAINS", "Scenes", "render_scene"]
