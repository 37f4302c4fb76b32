"""The jobs that score what a list of proxies asks for."""

from __future__ import annotations

import dataclasses

import proxies
from launch.flags.inference import Inference, Sizes
from launch.flags.networks import Networks
from launch.flags.predicting import Predicting, is_predictor
from launch.flags.scoring import Scoring
from launch.flags.trained import Trained
from launch.jobs.after import AfterJob, name_after
from launch.jobs.base import Job, narrow
from launch.jobs.fear import FearJob
from launch.jobs.inference import InferenceJob
from launch.jobs.predictors import PredictorJob
from launch.jobs.scores import ScoreJob


def jobs(scoring: Scoring, sizes: Sizes, output: str = "") -> list[Job]:
    """One job for each kind of subject that the proxies look at.

    Args:
        scoring: which proxies, and how; with `Trained` also those of trainings.
        sizes: of inference, for proxies of an ensemble.
        output: folder of the records, in which trainings keep their states.

    Raises:
        InputError: an unknown proxy, or none.
    """
    found: list[Job] = []
    plain = narrow(scoring, Scoring)
    trained = isinstance(scoring, Trained)
    if names := scoring.untrained() if trained else scoring.names():
        found.append(ScoreJob(dataclasses.replace(plain, proxies=tuple(names)) if trained else plain))
    if trained:
        kept = (scoring, output if scoring.checkpoint_seconds else "", scoring.checkpoint_seconds)
        found += [AfterJob(*kept)] * bool(scoring.after())
        found += [FearJob(*kept)] * bool(scoring.names("stages"))
    shared = dataclasses.asdict(narrow(scoring, Networks)) | dataclasses.asdict(sizes)
    shared["dtype"] = scoring.dtype
    networks = dataclasses.asdict(narrow(scoring, Networks))
    found += [PredictorJob(Predicting(proxy=name, **networks)) for name in scoring.predictors()]
    return found + [InferenceJob(Inference(kernel=name, **shared)) for name in scoring.names("ensemble")]


def record_names(proxy: str, scoring: Trained, sizes: Sizes) -> list[str]:
    """What records call the scores of a proxy.

    One of an ensemble has a score for each combination of sizes, one that training changes for each number of epochs.
    """
    if is_predictor(proxy):
        return [proxy]
    if proxies.get(proxy).subject != "ensemble":
        plain = [proxy] * (proxy not in scoring.after() or proxy in scoring.untrained())
        return plain + [name_after(proxy, time) for time in scoring.times() if proxy in scoring.after()]
    return ["_".join(map(str, (proxy, *combination))) for combination in sizes.combinations()]
