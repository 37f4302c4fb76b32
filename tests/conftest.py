"""What all tests share: where the reference data lies, and a quiet, deterministic TensorFlow."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
# On a GPU as `environment.start_tensorflow` has it: shared among the processes of xdist, and full float32.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Not the user's own cache.
os.environ["TFNAS_CACHE"] = str(ROOT / ".pytest_cache" / "tfnas")


def shared_path() -> pathlib.Path:
    return pathlib.Path(os.environ.get("TFNAS_SHARED", ROOT.parent / "shared"))


def needed(path: pathlib.Path) -> pathlib.Path:
    """A file or folder of reference data; a test skips where it is absent, but fails under CI=true."""
    if not path.exists():
        absent = pytest.fail if os.environ.get("CI", "").lower() in ("true", "1") else pytest.skip
        absent(f"reference data not found: {path} (set TFNAS_SHARED)")
    return path


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Folder with golden values and real data."""
    return needed(shared_path() / "golden").parent


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory) -> pathlib.Path:
    """Folder with the digits as TFDS has them."""
    from tfnas import data

    folder = tmp_path_factory.mktemp("tfds")
    data.prepare_digits(folder)
    return folder


@pytest.fixture
def uncompiled(monkeypatch):
    """Predictors take their few steps one by one: compiling them takes longer, and has tests of its own."""
    import tensorflow as tf

    from tfnas.predictor import training

    monkeypatch.setattr(training, "_STEPS", 8)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
