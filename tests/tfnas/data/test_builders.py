"""Preparing and finding data sets."""

import multiprocessing
import shutil

import pytest

from tfnas import data
from tfnas.data import builders
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
