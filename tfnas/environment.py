"""What a result was made with: versions, machine, commit. Nothing here imports TensorFlow."""

import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

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
