"""Cross-validation over the training and validation splits together."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.data.subset import strata
from qvit_qiskit.exceptions import DataError

SEED = 0
"""The cut's seed: all models and seeds see the same folds, so that pairs can be compared."""


def fold_of(data: MedImages, fold: int, folds: int) -> MedImages:
    """A data set in which one stratified fold of train and val validates and the rest trains.

    Its test split is that fold as well: cross-validation has no business with test images.

    Args:
        data: The official splits.
        fold: Which, from 0.
        folds: How many.

    Raises:
        DataError: If a class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    # in this order, which all machines share
    images = np.concatenate([data.train.images, data.val.images])
    labels = np.concatenate([data.train.labels, data.val.labels])
    groups = strata(labels)
    fewest = int(np.bincount(groups)[np.unique(groups)].min())  # scikit-learn would only warn
    if fewest < folds:
        raise DataError(
            f"Expected at least {folds} images of every class for {folds} folds, but {data.name} "
            f"has {fewest} of one. Choose fewer folds."
        )
    cut = StratifiedKFold(folds, shuffle=True, random_state=SEED)
    # it looks at the groups alone
    rest, held = list(cut.split(np.zeros(len(groups)), groups))[fold]
    identity = f"{data.md5} fold {fold} of {folds}, cut {SEED}"
    held_out = Split(images[held], labels[held])
    return replace(
        data,
        train=Split(images[rest], labels[rest]),
        val=held_out,
        test=held_out,
        md5=hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest(),
    )
