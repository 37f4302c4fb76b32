"""Thresholds of FEAR: how far a shallow network comes on hand-made features of the same images (Dey et al. 2021).

Features are histograms of oriented gradients (Dalal and Triggs 2005): 9 orientations, 4 x 4 cells, blocks of 3 x 3
cells, L2-Hys: 324 numbers whatever the size of the images. The network has two layers of 2048 ReLU units.

Deviations: images are as networks see them, normalised by channel; the rate falls to 0 along its cosine and not to
0.001; initial weights are PyTorch's.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfnas import seeds
from tfnas.errors import InputError
from tfnas.networks import weights
from tfnas.networks.builder import GraphBuilder
from tfnas.networks.graph import Graph
from tfnas.training.recipes import Recipe
from tfnas.training.trainer import Arrays, Trainer

UNITS = 2048
SHALLOW = Recipe(epochs=200, batch_size=1024, learning_rate=0.5, weight_decay=3e-4, nesterov=False, flip=False, crop=0)
_CELLS = 4  # of an image in each direction


def hog_threshold(train: Arrays, classes: int, *, recipe: Recipe = SHALLOW, units: int = UNITS, seed: int = 0) -> float:
    """Training accuracy (a fraction) over the last epoch of a shallow network on features of the images.

    Args:
        train: images [N, H, W, C] and labels [N].
        classes: of the labels.
        recipe: of the training; its batch is no larger than the data.
        units: of either hidden layer.
        seed: of initial weights and order.

    Raises:
        InputError: images are smaller than 4 pixels, or the training diverges.
        ModuleNotFoundError: scikit-image is not installed (the extra `fear`).
    """
    found = hog(np.asarray(train[0]))[:, None, None, :]
    recipe = dataclasses.replace(recipe, batch_size=min(recipe.batch_size, len(found)))
    graph = shallow(found.shape[-1], classes, units)
    trainer = Trainer(graph, recipe)
    trainer.start(weights.initialize(graph, "torch", seeds.derive_seed(seed, "threshold")))
    *_, last = trainer.run((found, train[1]), seed=seed)
    if not math.isfinite(last.train_loss):
        raise InputError(
            f"No threshold of fear: the training of the shallow network diverged. Received: learning_rate="
            f"{recipe.learning_rate:g} on {len(found)} images, epoch {last.epoch}. Allowed: a threshold that is given"
        )
    return last.train_accuracy


def hog(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients of images [N, H, W, C]: [N, 324] float32, of the channel of largest gradient.

    Raises:
        InputError: images are smaller than 4 pixels.
    """
    from skimage.feature import hog as features

    sides = images.shape[1:3]
    if min(sides) < _CELLS:
        raise InputError(f"Images are too small for cells. Received: {sides}. Allowed: from {_CELLS} pixels on")
    cell = tuple(side // _CELLS for side in sides)
    # Of sides that four cells do not fill, the pixels in the middle: more cells would be more features.
    top, left = ((side - _CELLS * size) // 2 for side, size in zip(sides, cell, strict=True))
    images = images[:, top : top + _CELLS * cell[0], left : left + _CELLS * cell[1]]
    options = {"orientations": 9, "pixels_per_cell": cell, "cells_per_block": (3, 3), "block_norm": "L2-Hys"}
    return np.stack([features(image, channel_axis=-1, **options) for image in images]).astype(np.float32)


def shallow(features: int, classes: int, units: int = UNITS) -> Graph:
    """Two hidden layers of ReLU units on features [1, 1, D], and logits."""
    builder = GraphBuilder((1, 1, features))
    last = builder.flatten("features", "input")
    for layer in range(2):
        last = builder.activation(f"relu.{layer}", builder.dense(f"hidden.{layer}", last, units), "relu")
    return builder.finish(builder.dense("classifier", last, classes))
