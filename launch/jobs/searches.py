"""Searches by several predictors, numbers of networks and features: what is computed, and gone on with."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.flags.learning import Learning
from launch.flags.predictors import AUTO, GCN, Predictors
from launch.jobs import prediction
from launch.jobs.base import narrow
from launch.jobs.knowledge import Known
from launch.jobs.prediction import RANDOM
from launch.jobs.search_files import REPEATS, WIDTHS, SearchFiles
from launch.jobs.variants import Variant, variants

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.predictor.settings import Settings

# Part of every digest: another one wherever repeats or widths come about in another way, so that none are mixed.
_FORM = "2"


@dataclasses.dataclass(frozen=True)
class Searches:
    """Searches of one table, kept in a folder.

    Attributes:
        asked: flags.
        known: the table.
        files: of the folder that they are kept in.
    """

    asked: Learning
    known: Known
    files: SearchFiles

    def of(self, variant: Variant) -> Known:
        """The table as a variant sees it."""
        return self.known if variant.scores else self.known.without_scores()

    def cut(self, variant: Variant) -> float | None:
        """The threshold of a variant, as a fraction."""
        return self.asked.cut() if variant.stages == 2 else None

    def settings(self, variant: Variant) -> Settings:
        """Of the gcn; where the width is to be chosen, the one that the first repeat's networks decide on."""
        settings = narrow(self.asked, Predictors).settings()
        if self.asked.width != AUTO or variant.predictor != GCN:
            return settings
        return dataclasses.replace(settings, width=self._widths[variant.n_train, variant.scores])

    @functools.cached_property
    def _widths(self) -> dict[tuple[int, int], int]:
        """The width by numbers of networks and of scores; what widths.csv has already is not computed anew."""
        import pandas as pd

        kept, tables, found = self.files.read("widths.csv", WIDTHS), [], {}
        for variant in variants(self.asked, self.known):
            key = variant.n_train, variant.scores
            if variant.predictor != GCN or key in found:
                continue
            digest = self.digest(dataclasses.replace(variant, stages=1))
            mine = kept[kept.settings == digest]
            tables.append(self._choose(variant).assign(settings=digest) if mine.empty else mine)
            found[key] = int(tables[-1].chosen.iloc[0])
            self.files.write("widths.csv", pd.concat(tables))
            print(f"{variant.name}, N = {variant.n_train}: width {found[key]}, 1.5 times the parameters of the best")
        return found

    def _choose(self, variant: Variant) -> pd.DataFrame:
        """The error of each width, and which is chosen."""
        from tfnas.predictor import choosing

        known, settings = self.of(variant), narrow(self.asked, Predictors).settings()
        rows = prediction.draw(known, variant.n_train, 0, self.asked.seed)
        graphs, accuracies = known.graphs.take(rows), known.accuracies[rows]
        found, table = choosing.choose_width(settings, graphs, accuracies, seed=self.asked.seed)
        return table.assign(n_train=variant.n_train, scores=variant.scores, chosen=found.width)

    def digest(self, variant: Variant) -> str:
        """Of all that changes a repeat of a variant."""
        known, asked = self.of(variant), self.asked
        data = [*known.archs, known.accuracies.tobytes().hex(), known.tests.tobytes().hex()]
        data += [known.graphs.extras.tobytes().hex()]
        fields = dataclasses.asdict(narrow(asked, Predictors)) | {"top_k": asked.top_k}
        del fields["predictors"]
        parts = [_FORM, repr(sorted(fields.items())), repr(variant), str(asked.seed), *data]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def cross_validate(self) -> pd.DataFrame:
        """Errors of every variant on held-out thirds of what its first repeat learns from, a row for each split."""
        import pandas as pd

        frames = []
        for variant in variants(self.asked, self.known):
            if variant.predictor == RANDOM:
                continue
            known, asked = self.of(variant), self.asked
            frame = prediction.cross_validation(
                variant.predictor,
                self.settings(variant),
                known,
                prediction.draw(known, variant.n_train, 0, asked.seed),
                asked.splits,
                asked.seed,
                threshold=self.cut(variant),
                above=asked.cut(),
            )
            frames.append(frame.assign(**dataclasses.asdict(variant)))
        found = pd.concat(frames, ignore_index=True)
        self.files.write("cross_validation.csv", found)
        return found

    def repeats(self) -> pd.DataFrame:
        """A row for each variant and repeat; what repeats.csv has already is not computed anew.

        Raises:
            InputError: repeats.csv or widths.csv is another file.
        """
        import pandas as pd

        wanted = range(self.asked.repeats)
        rows = self.files.read("repeats.csv", REPEATS).to_dict("records")
        done = {(row["settings"], row["repeat"]) for row in rows}
        digests = {variant: self.digest(variant) for variant in variants(self.asked, self.known)}
        for variant in digests:
            self.settings(variant)  # so that widths.csv is that of these settings where nothing is left to compute, too
        for variant, digest in digests.items():
            for row in self._found(variant, [repeat for repeat in wanted if (digest, repeat) not in done]):
                row["picks"] = json.dumps([int(pick) for pick in row["picks"]])
                rows.append({**dataclasses.asdict(variant), "settings": digest, **row})
                self.files.write("repeats.csv", pd.DataFrame(rows))
        first, digest = next(iter(digests.items()))
        if not self.files.has_predictions(digest):
            _, predicted, _ = next(self._predictions(first, [0]))
            self.files.write_predictions(self.known, predicted, digest)
        frame = pd.DataFrame(rows)
        frame = frame[frame.settings.isin(digests.values()) & frame["repeat"].isin(wanted)]
        # In the order of the variants, whichever was computed first.
        order = {digest: place for place, digest in enumerate(digests.values())}
        frame = frame.sort_values("repeat", kind="stable").sort_values(
            "settings", key=lambda s: s.map(order), kind="stable"
        )
        return frame.assign(picks=[json.loads(text) for text in frame.picks])

    def _found(self, variant: Variant, repeats: Sequence[int]) -> Iterator[dict[str, Any]]:
        """What repeats of a variant find."""
        known, n_train, top_k, seed = self.of(variant), variant.n_train, self.asked.top_k, self.asked.seed
        first = variants(self.asked, self.known)[0]
        if variant.predictor == RANDOM:
            for repeat in repeats:
                yield {"repeat": repeat, **prediction.random_search(known, n_train, top_k, repeat, seed)}
            return
        for repeat, predicted, told in self._predictions(variant, repeats):
            learned = prediction.draw(known, n_train, repeat, seed)
            if not repeat and variant == first:
                self.files.write_predictions(self.known, predicted, self.digest(first))
            top = prediction.ranking(predicted, learned, repeat, seed)[:top_k]
            found = prediction.judged(known, predicted, learned, top, above=self.asked.cut(), told=told)
            yield {"repeat": repeat, **found}

    def _predictions(
        self, variant: Variant, repeats: Sequence[int]
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """(repeat, predictions by which networks rank [N], of two stages what the second tells of all of them [N])."""
        known, n_train, seed = self.of(variant), variant.n_train, self.asked.seed
        if variant.predictor != GCN:
            codes = known.flat(slice(None)) if repeats else None
            for repeat in repeats:
                yield repeat, prediction.baseline(variant.predictor, known, codes, n_train, repeat, seed), None
            return
        from tfnas.predictor import model

        for part in prediction.together(repeats):
            predictor = prediction.train(self.settings(variant), known, n_train, part, seed, self.cut(variant))
            told, probability = predictor.predict_stages(known.graphs)
            predicted = model.ranked(told, probability)
            for place, repeat in enumerate(part):
                yield repeat, predicted[:, place], None if probability is None else told[:, place]
