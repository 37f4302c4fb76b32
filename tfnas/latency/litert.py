"""Latency measured here, with LiteRT on the CPU: convert, warm up, time, and see whether the machine was quiet.

LiteRT is the package ai-edge-litert, the extra `litert`; the interpreter that TensorFlow itself has (`tf.lite`) is
deprecated in favour of it, its converter is not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfnas import environment
from tfnas.errors import InputError

if TYPE_CHECKING:
    import keras
    import numpy as np

PACKAGE = "ai-edge-litert"
THREADS = 1
# Of one network, until one of them is quiet.
ROUNDS = 3
# Half of the runs of a quiet machine lie within a few percent of each other.
WIDE = 0.1


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long one image takes.

    Attributes:
        median: milliseconds.
        fastest: milliseconds of the fastest run, which what else the machine does touches least.
        spread: distance of the quartiles over the median.
        repeats: timed runs.
        rounds: how often all of them were run before the spread was small.
    """

    median: float
    fastest: float
    spread: float
    repeats: int
    rounds: int

    @property
    def busy(self) -> bool:
        """Whether the runs differ by more than a quiet machine lets them."""
        return self.spread > WIDE


def require() -> None:
    """Refuses to go on without LiteRT.

    Raises:
        InputError: what to install.
    """
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Measuring latency needs LiteRT, which cannot be imported ({error}). "
            f'Install it: pip install {PACKAGE}, or with tfnas: pip install -e ".[litert]"'
        ) from None


def version() -> str:
    """Version of LiteRT, "" where it is not installed."""
    return environment.version(PACKAGE)


def convert(model: keras.Model) -> bytes:
    """A Keras model at inference as a LiteRT model (a FlatBuffer) for one image, float32.

    The weights are made constants first: the converter that takes a Keras model saves it to a folder before, which
    takes five times as long, and without either step batch normalisation stays and variables have no values.

    Args:
        model: of any number of inputs with fixed shapes.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    inputs = [tf.TensorSpec((1, *tensor.shape[1:]), tf.float32) for tensor in model.inputs]

    def infer(*images: Any) -> Any:
        return model(list(images) if len(images) > 1 else images[0], training=False)

    traced = tf.function(infer, input_signature=inputs, autograph=False).get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced)
    with _quiet():
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's advice to hand over the model too, whose variables are gone by then."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def interpreter(content: bytes) -> Any:
    """LiteRT with a model and noise for its inputs, ready to run on one thread.

    Raises:
        InputError: LiteRT is missing.
    """
    require()
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    with environment.quiet_start():
        found = Interpreter(model_content=content, num_threads=THREADS)
        found.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in found.get_input_details():
        found.set_tensor(detail["index"], rng.normal(size=detail["shape"]).astype(detail["dtype"]))
    return found


def predict(content: bytes, image: np.ndarray) -> np.ndarray:
    """Logits [classes] of one image [H, W, C]."""
    found = interpreter(content)
    found.set_tensor(found.get_input_details()[0]["index"], image[None])
    found.invoke()
    return found.get_tensor(found.get_output_details()[0]["index"])[0]


def measure(content: bytes, *, repeats: int = 50, warm_up: int = 5) -> Timing:
    """Times one image after the other.

    Where the spread is wide, all runs are done again, up to `ROUNDS` times, and the round of the least spread counts.

    Args:
        content: of `convert`.
        repeats: timed runs of a round, 2 at least.
        warm_up: runs before those.
    """
    import numpy as np

    run = interpreter(content).invoke
    for _ in range(warm_up):
        run()
    found: list[Timing] = []
    while len(found) < ROUNDS and not (found and not found[-1].busy):
        taken = np.empty(repeats)
        for index in range(repeats):
            started = time.perf_counter_ns()
            run()
            taken[index] = time.perf_counter_ns() - started
        fastest, low, median, high = map(float, np.quantile(taken / 1e6, (0, 0.25, 0.5, 0.75)))
        found.append(Timing(median, fastest, (high - low) / median, repeats, len(found) + 1))
    best = min(found, key=lambda timing: timing.spread)
    return dataclasses.replace(best, rounds=len(found))
