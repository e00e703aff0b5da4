"""scikit-learn's estimators of these names, on fastgd's engine (extra ``sklearn``).

Changing the import line is all that a user of scikit-learn's classes does; docs/scikit-learn.md
says what is the same, and what comes on top.

>>> from fastgd.sklearn import MLPClassifier
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True)
>>> MLPClassifier(solver="lbfgs", random_state=0).fit(X, y).score(X, y) > 0.95
True
"""

from fastgd.sklearn._common import check_scikit_learn

check_scikit_learn()

from fastgd.sklearn._mlp import MLPClassifier, MLPRegressor  # noqa: E402, after the check
from fastgd.sklearn._sgd import SGDClassifier, SGDRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor"]
