"""What launchers say when a job is done."""

import pandas as pd
import pytest

from launch.jobs import summary


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"naswot": 1.0, "synflow": 2.0}, 3.0),
        ({"test_accuracy": 9.0, "train_accuracy": 9.0, "val_accuracy": 9.0, "test_accuracy_epoch1": 3.0}, 9.0),
        ({"time_to_threshold": 6.0, "fear": 8.0}, 8.0),
        ({"shortreg_after1": 2.0, "shortreg_after3": 6.0, "lga_after1": 0.5, "lga_after3": 0.25}, 6.75),
    ],
)
def test_a_training_of_which_much_is_recorded_took_its_time_once(seconds, expected, capsys):
    rows = [("a", 0, 1.0), ("a", 1, 1.0), ("b", 0, 2.0)]
    frame = pd.DataFrame(
        [
            {"arch": arch, "repeat": repeat, "proxy": proxy, "seconds": factor * value, "status": "ok", "message": ""}
            for arch, repeat, factor in rows
            for proxy, value in seconds.items()
        ]
    ).assign(score=range(3 * len(seconds)))
    frame.attrs = {"skipped": [], "asked": len(frame)}
    assert summary.seconds(frame).tolist() == [expected, expected, 2 * expected]
    assert summary.tell(frame, "out") == 0
    assert f"; {expected * 4 / 3:.2f} s a network" in capsys.readouterr().out
