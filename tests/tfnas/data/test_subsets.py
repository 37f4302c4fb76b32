"""Subsets: labels drawn by the seed, balanced, splits apart."""

import numpy as np
import pytest

from tfnas import data
from tfnas.data import reading
from tfnas.errors import InputError

SPLITS = ("train", "validation")


class TestDrawnLabels:
    def test_are_fixed_by_the_seed_and_nested(self, digits_dir):
        def draw(count, seed=0, name="digits"):
            return data.draw_labels(name, count, seed, ("train", "test"), data_dir=digits_dir)

        assert draw(5) == draw(5) == tuple(sorted(set(draw(5))))
        assert set(draw(3)) < set(draw(5)) < set(draw(10)) == set(range(10))
        assert len({draw(5, seed) for seed in range(8)}) > 4
        assert len(draw(4, name="synthetic")) == 4

    def test_all_labels_come_up_equally_often(self):
        counts = np.zeros(10)
        for seed in range(400):
            counts[list(data.draw_labels("synthetic", 5, seed, ("train",)))] += 1
        # Each of 400 draws takes a label with probability 1/2: five deviations are 50.
        assert np.abs(counts - 200).max() < 50

    def test_have_examples_in_every_split(self, pictures):
        """Class 5 is not in validation."""
        drawn = {data.draw_labels("pictures", 5, seed, SPLITS, data_dir=pictures) for seed in range(10)}
        assert drawn == {(0, 1, 2, 3, 4)}
        with pytest.raises(
            InputError, match=r"Received: 6. Available: 5; train has 6 labels with 10 to 10 images each"
        ):
            data.draw_labels("pictures", 6, 0, SPLITS, data_dir=pictures)

    @pytest.mark.parametrize("count", [0, -1, 11])
    def test_more_than_there_are(self, count):
        with pytest.raises(InputError, match=rf"synthetic has 10 labels. Received: {count}"):
            data.draw_labels("synthetic", count, 0, ("train",))

    def test_photographs_of_which_there_is_one_a_class(self, shared):
        folder = shared / "data" / "tfds"
        with pytest.raises(
            InputError, match=r"Received: 20. Available: 0; train\[:80%\] has 640 labels with 1 to 1 images"
        ):
            data.draw_labels("imagenet2012", 20, 0, ("train[:80%]", "train[80%:]"), data_dir=folder)
        labels = data.draw_labels("imagenet2012", 20, 0, ("train", "train"), data_dir=folder)
        images, found = data.balanced_prefixes("imagenet2012/32x32", "train", 20, 0, data_dir=folder, labels=labels)
        assert found.tolist() == list(range(20))
        assert images.shape == (20, 32, 32, 3)


class TestBatchesOfLabels:
    LABELS = (1, 4, 7)

    @pytest.mark.parametrize("name", ["digits", "synthetic"])
    def test_are_balanced_and_count_from_0(self, digits_dir, name):
        for size in (3, 10, 29):
            for draw in (data.balanced_prefixes, lambda *a, **k: data.batch(*a, balanced=True, **k)):
                images, labels = draw(name, "train", size, 2, data_dir=digits_dir, labels=self.LABELS)
                counts = np.bincount(labels, minlength=3)
                assert len(images) == counts.sum() == size
                assert len(counts) == 3
                assert counts.max() - counts.min() <= 1

    def test_are_of_these_labels_with_their_own_images(self, digits_dir):
        images, labels = data.load("digits", "train", data_dir=digits_dir)
        known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        for draw in (data.batch, data.balanced_prefixes):
            some, targets = draw("digits", "train", 60, 2, data_dir=digits_dir, labels=self.LABELS)
            assert [known[image.tobytes()] for image in some] == [self.LABELS[target] for target in targets]
            assert len({image.tobytes() for image in some}) == 60

    def test_prefixes_are_nested(self, digits_dir):
        images, labels = data.balanced_prefixes("digits", "train", 30, 2, data_dir=digits_dir, labels=self.LABELS)
        fewer, _ = data.balanced_prefixes("digits", "train", 11, 2, data_dir=digits_dir, labels=self.LABELS)
        np.testing.assert_array_equal(fewer, images[:11])
        assert labels.tolist() == [number % 3 for number in range(30)]

    def test_more_than_there_are_is_told(self, digits_dir):
        split, where = "train[:300]", {"data_dir": digits_dir, "labels": self.LABELS}
        size = data.split_size("digits", split, **where)
        _, labels = data.load("digits", split, data_dir=digits_dir)
        counts = np.bincount(labels)[list(self.LABELS)]
        assert size == counts.sum()
        with pytest.raises(InputError, match=rf"Received: {size + 1} examples. Available: {size}"):
            data.batch("digits", split, size + 1, 0, **where)
        least, rare = counts.min(), self.LABELS[counts.argmin()]
        assert 3 * (least + 1) <= size
        message = rf"{least + 1} examples of class {rare} \(balanced\). Available: {least}"
        for draw in (data.balanced_prefixes, lambda *a, **k: data.batch(*a, balanced=True, **k)):
            with pytest.raises(InputError, match=message):
                draw("digits", split, 3 * (least + 1), 0, **where)

    def test_twenty_labels_of_a_hundred(self, shared):
        folder, parts = shared / "data" / "tfds", ("train[:35%]", "train[35%:]")
        labels = data.draw_labels("cifar100", 20, 0, parts, data_dir=folder)
        train, val = (
            data.balanced_prefixes("cifar100", part, size, 0, data_dir=folder, labels=labels)
            for part, size in zip(parts, (500, 1000), strict=True)
        )
        assert np.bincount(train[1]).tolist() == [25] * 20
        assert np.bincount(val[1]).tolist() == [50] * 20
        assert not {image.tobytes() for image in train[0]} & {image.tobytes() for image in val[0]}


class TestOverlap:
    @pytest.mark.parametrize(
        ("one", "other", "shared"),
        [
            ("train[:80%]", "train[80%:]", 0),
            ("train", "validation", 0),
            ("train", "train", 60),
            ("train[:30]", "train[20:50]", 10),
            ("train+validation", "validation[5:]", 13),
        ],
    )
    @pytest.mark.parametrize("shards", [1, 3])
    def test_is_that_of_the_images(self, pictures, pictures_dirs, shards, one, other, shared):
        folder = pictures_dirs[shards]
        assert data.overlap("pictures", one, other, data_dir=folder) == shared
        images = [data.load("pictures", split, data_dir=folder)[0] for split in (one, other)]
        assert len({i.tobytes() for i in images[0]} & {i.tobytes() for i in images[1]}) == shared

    def test_of_noise(self):
        assert data.overlap("synthetic", "train[:80%]", "train[80%:]") == 0
        assert data.overlap("synthetic", "test", "test") == 1024
        with pytest.raises(InputError, match="Unknown split"):
            data.overlap("digits", "train", "tset")


def test_labels_are_read_without_decoding(pictures, monkeypatch):
    monkeypatch.setattr(reading, "_decode", lambda *_: pytest.fail("decoded"))
    assert data.split_size("pictures", "train", data_dir=pictures, labels=(0, 1)) == 20
