"""What the tests of tables share."""

import numpy as np
import pandas as pd

from tfnas import tables


def make(**changes):
    frame = pd.DataFrame(
        {
            "arch": ["|a~0|", "|b~0|", "|ü~0|"],
            "accuracy": [91.5, np.nan, -np.inf],
            "small": np.array([1, 2, 3], np.float32),
            "params": np.array([10, 20, 30], np.int64),
            "valid": [True, False, True],
            "note": ["x", None, ""],
        }
    )
    fields = {
        "units": {"accuracy": "percent", "params": "count"},
        "provenance": "made for a test",
        "space": "nasbench201",
        "facts": {"dataset": "digits"},
    }
    return tables.Table(**({"frame": frame} | fields | changes))


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text
