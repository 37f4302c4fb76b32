"""Images and labels through TFDS: fixed batches for scoring, whole splits for training.

Nothing here downloads but `prepare`, and only `python -m launch.prepare` calls that; the digits of scikit-learn need no
download and are prepared at first use (a few seconds). Published split sizes are never assumed: sizes are read from the
data set found. A new data set is an entry in `tfnas.data.sources`.
"""

from tfnas.data.batches import balanced_prefixes, batch, load, opened, split_size, stream
from tfnas.data.builders import prepare, prepare_digits
from tfnas.data.sources import Source, info, names
from tfnas.data.subsets import draw_labels, overlap

__all__ = [
    "Source",
    "balanced_prefixes",
    "batch",
    "draw_labels",
    "info",
    "load",
    "names",
    "opened",
    "overlap",
    "prepare",
    "prepare_digits",
    "split_size",
    "stream",
]
