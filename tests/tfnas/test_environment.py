"""What a result was made with, and how TensorFlow is started for it."""

import importlib.metadata
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tfnas import environment
from tfnas.errors import InputError

THREADS = """
import sys
from tfnas import environment
environment.start_tensorflow(int(sys.argv[1]))
import tensorflow as tf, threadpoolctl
import scipy.linalg
threading = tf.config.threading
pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
print(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads(), *pools)
environment.start_tensorflow(int(sys.argv[1]))
tf.ones(2) + 1
environment.start_tensorflow(int(sys.argv[1]))
"""


def test_the_environment_names_versions_without_importing_them():
    found = environment.describe()
    assert found["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert found["packages"]["tfnas"]
    assert found["cores"] >= 1
    assert environment.version("no-such-package-at-all") == ""


def test_tensorflow_and_linear_algebra_get_their_threads_quietly():
    """Again with the same number is nothing, also when work has begun."""
    done = subprocess.run([sys.executable, "-c", THREADS, "1"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.split() == ["1", "1", "1"]


def test_other_threads_are_refused_where_tensorflow_is_at_work():
    tf.ones(2) + 1
    with pytest.raises(InputError, match=r"at work in this process already.*Received: 77"):
        environment.start_tensorflow(77)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError("all of it"), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), True),
        (tf.errors.InternalError(None, None, "could not create a memory object"), True),
        (tf.errors.InvalidArgumentError(None, None, "shapes"), False),
        (RuntimeError("broken"), False),
    ],
)
def test_out_of_memory_in_whatever_words(error, expected):
    assert environment.out_of_memory(error) is expected
