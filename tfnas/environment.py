"""What a result was made with: versions, machine, commit; and how TensorFlow is started for it."""

import contextlib
import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tfnas.errors import InputError

PACKAGES = (
    "tfnas",
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "tensorflow-datasets",
    "scikit-learn",
)


def start_tensorflow(threads: int = 0) -> None:
    """Imports TensorFlow for full float32, without the messages it prints while it starts and no log level silences.

    Call this before the first thing that imports it. The messages are shown after all if the import fails.

    Args:
        threads: that one process computes with; 0 leaves the choice to TensorFlow, which takes all cores.

    Raises:
        InputError: TensorFlow is at work already, with another number of threads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "tensorflow" not in sys.modules:
        _import_quietly()
    if threads:
        _limit(threads)


def _limit(threads: int) -> None:
    import scipy.linalg  # noqa: F401  (brings a BLAS of its own, which can be limited once it is there)
    import tensorflow as tf
    import threadpoolctl

    threading = tf.config.threading
    if (threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()) != (threads,) * 2:
        try:
            threading.set_intra_op_parallelism_threads(threads)
            threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            raise InputError(
                f"TensorFlow is at work in this process already, its threads cannot be changed. Received: {threads}"
            ) from None
    threadpoolctl.threadpool_limits(threads)  # linear algebra of numpy and SciPy


def _import_quietly() -> None:
    with quiet_start():
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            # Several processes may share one: each takes what it needs, none takes all there is.
            tf.config.experimental.set_memory_growth(gpu, True)
        # Ampere and later GPUs would multiply float32 with 10 bits of mantissa.
        tf.config.experimental.enable_tensor_float_32_execution(False)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Without what libraries print to the file of standard error, past Python; it is shown if something is raised."""
    sys.stderr.flush()
    keep = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(keep, messages.read())
            raise
        finally:
            os.dup2(keep, 2)
            os.close(keep)


@functools.cache
def version(package: str) -> str:
    """Version of an installed distribution, or "" where it is not installed. Does not import it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return _source_version() if package == "tfnas" else ""


def describe() -> dict[str, object]:
    """Everything about this process that could change a number, or the time it took; ready for JSON."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [pathlib.Path(sys.executable).name, *sys.orig_argv[1:]],
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()} {'-'.join(platform.libc_ver())}",
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "git": git_commit(),
    }


def cpu_model() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


@functools.cache
def device() -> str:
    """What TensorFlow computes on, e.g. "GPU: NVIDIA H100" or "CPU: ..."; imports TensorFlow."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU: {cpu_model()}"
    return f"GPU: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unknown')}"


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in whatever words; imports TensorFlow."""
    import tensorflow as tf

    # oneDNN has no error of its own for it.
    told = "could not create a memory object" in str(error)
    return told or isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)


def raise_interruption(error: BaseException) -> None:
    """Raises what interrupted the process, where C code that it hit has made an error of its own of it.

    numpy, for one, raises SystemError with the KeyboardInterrupt as its cause.
    """
    cause = error.__cause__
    while cause is not None:
        if not isinstance(cause, Exception):
            raise cause
        cause = cause.__cause__


def usable_cores() -> int:
    """Cores this process may run on (a container or taskset may allow fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def git_commit() -> str:
    """Commit of the clone this package is imported from, with "+changes" if files differ; "" outside a clone."""
    root = pathlib.Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: pathlib.Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def _source_version() -> str:
    import tomllib

    path = pathlib.Path(__file__).resolve().parent.parent / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return ""
