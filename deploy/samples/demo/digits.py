"""The data and the model that training and evaluation share.

The data set is drawn, not downloaded: digits in a 5x7 font, anywhere on a small canvas, of any brightness, under noise.
The same seed gives the same images.
"""

import keras
import numpy as np
from numpy.typing import NDArray

FONT = """
.###. ..#.. .###. .###. ...#. ##### .###. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... #.... ....# #...# #...#
#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# .#... #...# ....#
.###. .###. ##### .###. ...#. .###. .###. .#... .###. .###.
"""
CANVAS = 28
NOISE = 0.35


def glyphs() -> NDArray[np.float32]:
    """Return the ten digits, [10, 21, 15], ink 1 on 0: the font at three times its size."""
    rows = [[[pixel == "#" for pixel in digit] for digit in line.split()] for line in FONT.split("\n") if line]
    font = np.array(rows, dtype=np.float32).transpose(1, 0, 2)
    return font.repeat(3, axis=1).repeat(3, axis=2)


def draw(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return images [count, CANVAS, CANVAS, 1] and their digits [count]."""
    random = np.random.default_rng(seed)
    font = glyphs()
    _, height, width = font.shape
    digits = random.integers(10, size=count)
    tops = random.integers(CANVAS - height + 1, size=count)
    lefts = random.integers(CANVAS - width + 1, size=count)
    images = random.normal(0.0, NOISE, size=(count, CANVAS, CANVAS, 1)).astype(np.float32)
    inks = random.uniform(0.5, 1.0, size=count).astype(np.float32)
    for image, digit, top, left, ink in zip(images, digits, tops, lefts, inks, strict=True):
        image[top : top + height, left : left + width, 0] += ink * font[digit]
    return images, digits


def build_model() -> keras.Model:
    """Return the small convolutional network, compiled: its optimizer warms up and calms down again in 1200 steps."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((CANVAS, CANVAS, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(0.0, decay_steps=800, warmup_target=5e-4, warmup_steps=400)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model
