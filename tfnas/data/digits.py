"""The UCI digits that scikit-learn ships, as a TFDS builder: real images that need no download."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

NUM_TEST = 360
SPLIT_SEED = 0


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 handwritten digits, 8 x 8 pixels of 17 grey levels (0..16), ten classes.

    scikit-learn's copy has no published split, so one is fixed here: 1,437 training and 360 test images, stratified by
    class, drawn with seed 0.
    """

    VERSION = tfds.core.Version("1.0.0")
    # There are no addresses, and TFDS 4.9.10 cannot look for them without a package that it does not install.
    url_infos = None

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing is downloaded.
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        pixels, labels = load_digits(return_X_y=True)
        images = pixels.reshape(-1, 8, 8, 1).astype("uint8")
        train, test = train_test_split(range(len(labels)), test_size=NUM_TEST, stratify=labels, random_state=SPLIT_SEED)
        return {
            name: self._generate_examples(images, labels, sorted(indices))
            for name, indices in (("train", train), ("test", test))
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, indices: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in indices:
            yield index, {"image": images[index], "label": int(labels[index])}
