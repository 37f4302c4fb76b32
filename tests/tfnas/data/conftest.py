import dataclasses

import numpy as np
import pytest

from tfnas import data
from tfnas.data import index, reading, sources

# Height and width of pictures; one after the other.
SIZES = ((60, 40), (37, 90), (64, 64), (20, 31))
CLASSES = 6


@pytest.fixture(scope="session")
def pictures_dirs(tmp_path_factory):
    """Folders with the same pictures, as JPEG and of several sizes, in so many files of each split."""
    import tensorflow_datasets as tfds

    class Pictures(tfds.core.GeneratorBasedBuilder):
        """Noise of any size: 60 in train, ten of each class; 18 in validation, in which class 5 does not occur."""

        VERSION = tfds.core.Version("1.0.0")
        url_infos = None

        def _info(self):
            features = {
                "image": tfds.features.Image(encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(num_classes=CLASSES),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(60, 6, 0), "validation": self._generate_examples(18, 5, 1)}

        def _generate_examples(self, count, classes, seed):
            rng = np.random.default_rng(seed)
            for number in range(count):
                coarse = rng.integers(0, 256, (5, 5, 3), np.uint8)
                height, width = SIZES[number % len(SIZES)]
                image = coarse.repeat(-(-height // 5), 0).repeat(-(-width // 5), 1)[:height, :width]
                yield number, {"image": image, "label": number % classes}

    folders = {}
    for shards in (1, 3):
        folders[shards] = tmp_path_factory.mktemp(f"pictures_{shards}")
        config = tfds.download.DownloadConfig(num_shards=shards)
        Pictures(data_dir=folders[shards]).download_and_prepare(download_config=config)
        assert len(list(folders[shards].glob("pictures/*/*train.tfrecord*"))) == shards
    return folders


@pytest.fixture
def pictures(monkeypatch, pictures_dirs):
    """The pictures as data set "pictures", at 32 pixels; gives the folder in which they are one file a split."""
    imagenet = data.info("imagenet2012")
    source = dataclasses.replace(
        imagenet, name="pictures", builder="pictures", classes=CLASSES, input_shape=(32, 32, 3), manual=()
    )
    monkeypatch.setitem(sources.SOURCES, "pictures", source)
    return pictures_dirs[1]


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """What another process would find: a function that forgets, and a cache of its own."""
    monkeypatch.setenv("TFNAS_CACHE", str(tmp_path / "cache"))

    def forget():
        monkeypatch.setattr(index, "_KNOWN", {})
        monkeypatch.setattr(reading, "_LABELS", {})

    forget()
    return forget


@pytest.fixture
def large(monkeypatch, fresh):
    """Every data set counts as large, so that its files are looked through once."""
    monkeypatch.setattr(reading, "_LARGE", 0)
    monkeypatch.setattr(reading, "_SEEK_BYTES", 0)
    return fresh
