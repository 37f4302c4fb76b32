"""Preparing and finding data sets."""

import dataclasses
import io
import multiprocessing
import shutil
import tarfile

import pytest

from tfnas import data
from tfnas.data import builders, sources
from tfnas.errors import InputError


def test_digits_are_prepared_at_first_use(tmp_path):
    images, _ = data.batch("digits", "test", 4, 0, data_dir=tmp_path / "new" / "folder")
    assert images.shape == (4, 8, 8, 1)
    assert list((tmp_path / "new" / "folder" / "digits").iterdir())


def test_digits_in_a_folder_that_cannot_be_written_go_to_the_users_own(tmp_path, monkeypatch, digits_dir):
    import tensorflow_datasets as tfds

    own = tmp_path / "own"
    shutil.copytree(digits_dir, own)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(own))
    monkeypatch.setattr(builders.os, "access", lambda path, mode: False)
    images, _ = data.batch("digits", "test", 4, 0, data_dir=tmp_path / "shared")
    assert images.shape == (4, 8, 8, 1)
    assert not (tmp_path / "shared").exists()


def test_two_processes_may_prepare_the_digits_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=data.prepare_digits, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert data.split_size("digits", "train", data_dir=tmp_path) == 1437
    assert len(list((tmp_path / "digits").iterdir())) == 1, "no unfinished folder stays behind"


def test_absent_data_name_the_folder_and_the_command(tmp_path):
    with pytest.raises(InputError) as caught:
        data.batch("cifar10", "train", 8, 0, data_dir=tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert f"python -m launch.prepare --dataset=cifar10 --data_dir={tmp_path}" in message
    assert "\n" not in message


def test_a_data_set_that_is_one_config_of_a_builder(tmp_path, monkeypatch):
    """As the resized ImageNets: the config is a part of the name, and a folder."""
    import numpy as np
    import tensorflow_datasets as tfds

    class Shades(tfds.core.GeneratorBasedBuilder):
        """Pixels of one value, which is the label."""

        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("16x16", "32x32")]  # noqa: RUF012
        url_infos = None

        def _info(self):
            size = int(self.builder_config.name[:2])
            features = {
                "image": tfds.features.Image(shape=(size, size, 3)),
                "label": tfds.features.ClassLabel(num_classes=4),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(), "validation": self._generate_examples()}

        def _generate_examples(self):
            shape = self.info.features["image"].shape
            for label in range(4):
                yield label, {"image": np.full(shape, label, np.uint8), "label": label}

    source = data.info("imagenet_resized/32x32")
    source = dataclasses.replace(source, name="shades/32x32", builder="shades/32x32", classes=4)
    monkeypatch.setitem(sources.SOURCES, "shades/32x32", source)
    with pytest.raises(InputError, match=r"Looked for shades/32x32 in .* --dataset=shades/32x32"):
        data.batch("shades/32x32", "train", 4, 0, data_dir=tmp_path)
    for config in ("16x16", "32x32"):
        Shades(config=config, data_dir=tmp_path).download_and_prepare()
    images, labels = data.batch("shades/32x32", "validation", 4, 0, data_dir=tmp_path, balanced=True)
    assert images.shape == (4, 32, 32, 3)
    np.testing.assert_allclose(images[:, 0, 0] * source.std + source.mean, labels[:, None] * np.ones(3), atol=1e-4)


class TestImagenet:
    """What only the user can download."""

    STEPS = (
        "register at https://image-net.org/download-images",
        "ILSVRC2012_img_train.tar (147.9 GB, 147897477120 bytes)",
        "ILSVRC2012_img_val.tar (6.7 GB, 6744924160 bytes)",
        "python -m launch.prepare --dataset=imagenet2012 --data_dir={} --manual_dir=FOLDER",
    )

    def told(self, tmp_path, call):
        with pytest.raises(InputError) as caught:
            call()
        assert "\n" not in str(caught.value)
        for step in self.STEPS:
            assert step.format(tmp_path) in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("name", ["imagenet2012", "imagenet2012/64x64"])
    def test_absent(self, tmp_path, name):
        assert str(tmp_path) in self.told(tmp_path, lambda: data.batch(name, "train", 8, 0, data_dir=tmp_path))

    def test_without_a_folder(self, tmp_path):
        assert "needs --manual_dir" in self.told(tmp_path, lambda: data.prepare("imagenet2012", data_dir=tmp_path))

    def test_without_one_of_the_files_or_with_a_part_of_it(self, tmp_path):
        manual = tmp_path / "manual"

        def told():
            return self.told(tmp_path, lambda: data.prepare("imagenet2012", data_dir=tmp_path, manual_dir=manual))

        both = "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"
        assert f"{manual} lacks {both}." in told()
        manual.mkdir()
        (manual / "ILSVRC2012_img_val.tar").write_bytes(b"part")
        assert f"{manual} lacks ILSVRC2012_img_train.tar." in told()
        (manual / "ILSVRC2012_img_train.tar").write_bytes(b"part")
        message = told()
        assert f"{manual}/ILSVRC2012_img_train.tar is not the published file" in message
        assert "Received: 4 bytes" in message
        assert not (tmp_path / "imagenet2012").exists()

    def test_archives_become_the_data_set(self, tmp_path, monkeypatch):
        """Archives of the published form with two classes, one photograph each."""
        import numpy as np
        import tensorflow as tf

        def tar(members):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                for name, content in members.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
            return buffer.getvalue()

        def photograph(value):
            return tf.io.encode_jpeg(np.full((300, 400, 3), value, np.uint8), quality=95).numpy()

        classes = {
            name: tar({f"{name}_1.JPEG": photograph(50 * rank)}) for rank, name in enumerate(("n01440764", "n01443537"))
        }
        train = tar({f"{name}.tar": content for name, content in classes.items()})
        val = tar({f"ILSVRC2012_val_{number:08d}.JPEG": photograph(200) for number in (1, 2)})
        manual = tmp_path / "manual"
        manual.mkdir()
        for name, content in (("ILSVRC2012_img_train.tar", train), ("ILSVRC2012_img_val.tar", val)):
            (manual / name).write_bytes(content)
        known = (("ILSVRC2012_img_train.tar", len(train)), ("ILSVRC2012_img_val.tar", len(val)))
        monkeypatch.setitem(
            sources.SOURCES, "imagenet2012", dataclasses.replace(data.info("imagenet2012"), manual=known)
        )
        data.prepare("imagenet2012", data_dir=tmp_path / "tfds", manual_dir=manual)
        images, labels = data.load("imagenet2012/32x32", "train", data_dir=tmp_path / "tfds")
        source = data.info("imagenet2012")
        pixels = {label: image * source.std + source.mean for image, label in zip(images, labels, strict=True)}
        assert {label: round(float(image.mean())) for label, image in pixels.items()} == {0: 0, 1: 50}
        assert data.split_size("imagenet2012", "validation", data_dir=tmp_path / "tfds") == 2
