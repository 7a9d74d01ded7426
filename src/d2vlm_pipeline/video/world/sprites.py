"""Objects and backgrounds, drawn. Each sprite has its own silhouette and texture, and one dominant colour."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from d2vlm_pipeline.video.world.vocabulary import RGB, Colour, ObjectClass

_SIDE = 192  # drawn large and scaled down: cheap antialiasing
_DARK = 0.45


def _shade(rgb: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    red, green, blue = (max(0, min(255, round(channel * factor))) for channel in rgb)
    return red, green, blue


def _polygon(
    points: int, outer: float, inner: float, turn: float = -math.pi / 2
) -> list[tuple[float, float]]:
    centre = _SIDE / 2
    radii = (outer, inner)
    corners = []
    for index in range(2 * points):
        angle = turn + math.pi * index / points
        radius = radii[index % 2] * centre
        corners.append((centre + radius * math.cos(angle), centre + radius * math.sin(angle)))
    return corners


def _draw_ball(pen: ImageDraw.ImageDraw, body: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    pen.ellipse((12, 12, 180, 180), fill=body, outline=dark, width=6)
    for centre in (40, 96, 152):
        pen.arc((centre - 60, 6, centre + 60, 186), 300, 60, fill=dark, width=8)


def _draw_crate(pen: ImageDraw.ImageDraw, body: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    pen.rectangle((14, 14, 178, 178), fill=body, outline=dark, width=14)
    pen.line((20, 20, 172, 172), fill=dark, width=12)
    pen.line((20, 172, 172, 20), fill=dark, width=12)


def _draw_star(pen: ImageDraw.ImageDraw, body: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    pen.polygon(_polygon(5, 0.98, 0.42), fill=body, outline=dark, width=6)


def _draw_tree(pen: ImageDraw.ImageDraw, body: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    pen.rectangle((82, 130, 110, 188), fill=dark)
    for top, half in ((4, 44), (46, 64), (92, 84)):
        pen.polygon(
            [(96, top), (96 - half, top + 62), (96 + half, top + 62)], fill=body, outline=dark, width=5
        )


def _draw_car(pen: ImageDraw.ImageDraw, body: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    pen.polygon([(46, 92), (70, 50), (128, 50), (154, 92)], fill=body, outline=dark, width=6)
    pen.rounded_rectangle((4, 88, 188, 140), 18, fill=body, outline=dark, width=6)
    for left in (26, 122):
        pen.ellipse((left, 118, left + 44, 162), fill=(28, 28, 28), outline=(120, 120, 120), width=6)


def _draw_fish(pen: ImageDraw.ImageDraw, body: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    pen.polygon([(132, 96), (188, 44), (188, 148)], fill=body, outline=dark, width=6)
    pen.ellipse((4, 44, 150, 148), fill=body, outline=dark, width=6)
    pen.ellipse((30, 76, 46, 92), fill=dark)
    for left in (66, 90, 114):
        pen.arc((left - 20, 66, left + 14, 126), 290, 70, fill=dark, width=6)


_DRAW = {
    "ball": _draw_ball,
    "crate": _draw_crate,
    "star": _draw_star,
    "tree": _draw_tree,
    "car": _draw_car,
    "fish": _draw_fish,
}


@lru_cache(maxsize=256)
def sprite(object_class: ObjectClass, colour: Colour, side_px: int) -> Image.Image:
    """The object as a square RGBA image of the given side."""
    body = RGB[colour]
    image = Image.new("RGBA", (_SIDE, _SIDE), (*body, 0))
    _DRAW[object_class](ImageDraw.Draw(image), body, _shade(body, _DARK))
    return image.resize((side_px, side_px), Image.Resampling.LANCZOS)


@lru_cache(maxsize=8)
def stray_sprite(side_px: int) -> Image.Image:
    """A grey triangle: an object nobody annotates, of no class or colour in the vocabulary."""
    image = Image.new("RGBA", (_SIDE, _SIDE), (96, 96, 96, 0))
    ImageDraw.Draw(image).polygon(
        [(96, 12), (10, 178), (182, 178)], fill=(104, 104, 104), outline=(60, 60, 60), width=6
    )
    return image.resize((side_px, side_px), Image.Resampling.LANCZOS)


@lru_cache(maxsize=1)
def _photographs() -> tuple[Image.Image, ...]:
    from sklearn.datasets import load_sample_images  # two CC-BY photographs that ship with scikit-learn

    return tuple(Image.fromarray(picture) for picture in load_sample_images().images)


def background(seed: int, width: int, height: int) -> np.ndarray:
    """Muted background with a margin for the pan: uint8 [1.2 H, 1.2 W, 3], photo or texture by seed."""
    rng = np.random.default_rng(seed)
    wide, tall = int(width * 1.2) + 1, int(height * 1.2) + 1
    base = _photo_crop(rng, wide, tall) if rng.random() < 0.5 else _texture(rng, wide, tall)
    grey = base.mean(axis=2, keepdims=True)
    # Backgrounds keep a little colour, but never as much as an object.
    muted = grey + 0.35 * (base - grey)
    return np.clip(0.55 * muted + rng.uniform(20, 70), 0, 255).astype(np.uint8)


def _photo_crop(rng: np.random.Generator, wide: int, tall: int) -> np.ndarray:
    photo = _photographs()[rng.integers(2)]
    share = rng.uniform(0.4, 0.9)
    crop_w, crop_h = int(photo.width * share), int(photo.height * share)
    left, top = int(rng.integers(photo.width - crop_w)), int(rng.integers(photo.height - crop_h))
    crop = photo.crop((left, top, left + crop_w, top + crop_h))
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(crop.resize((wide, tall), Image.Resampling.BILINEAR), dtype=np.float32)


def _texture(rng: np.random.Generator, wide: int, tall: int) -> np.ndarray:
    """Three octaves of smooth coloured noise."""
    total = np.zeros((tall, wide, 3), dtype=np.float32)
    for cells, weight in ((3, 1.0), (9, 0.6), (27, 0.35)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        smooth = coarse.resize((wide, tall), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
        total += weight * np.asarray(smooth, dtype=np.float32)
    return total / 1.95
