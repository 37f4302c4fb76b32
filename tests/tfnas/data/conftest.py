import pytest

from tfnas import data


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    data.prepare_digits(folder)
    return folder
