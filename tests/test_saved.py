"""Files of earlier versions load, predict the same numbers, and resume training."""

import pickle

import numpy as np
import pytest
from saved.make import HERE, X, Y, fit, predict

import fastgd as gd

ESTIMATORS = [
    pytest.param(*saved, id=f"{path.stem} {name}")
    for path in sorted(HERE.glob("estimators-*.pickle"))
    for name, saved in pickle.loads(path.read_bytes()).items()
]


@pytest.mark.parametrize(("state", "before", "after"), ESTIMATORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_saved_estimators_predict_and_resume_as_before(state, before, after):
    estimator = pickle.loads(state)
    np.testing.assert_allclose(predict(estimator), before, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(fit(estimator), after, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("path", sorted(HERE.glob("checkpoint-*.npz")), ids=lambda path: path.stem)
def test_checkpoints_resume_as_before(path):
    with np.load(path.with_name(path.name.replace("checkpoint", "expected"))) as expected:
        before, after = expected["before"], expected["after"]
    net, history = gd.load_checkpoint(path)
    np.testing.assert_array_equal(net.params, before)
    gd.train(net, X, Y, epochs=3, resume=history)
    np.testing.assert_allclose(net.params, after, rtol=1e-7, atol=1e-12)


def test_there_are_saved_files():
    assert len(ESTIMATORS) >= 5
