"""scikit-learn's own tests, imported with our classes in place of scikit-learn's."""

import importlib
import sys
import types
from unittest import mock


def their_tests(package, name, ours):
    """Return the tests of ``package.tests.name``, with `ours` in place of the package's classes."""
    name = f"{package.__name__}.tests.{name}"
    sys.modules.pop(name, None)
    with mock.patch.multiple(package, **ours):
        module = importlib.import_module(name)  # stays known: tests pickle subclasses of ours
    short = package.__name__.rpartition(".")[2]
    if hasattr(module, short):  # some look the classes up later, in the package itself
        setattr(module, short, types.SimpleNamespace(**{**vars(package), **ours}))
    return {test: value for test, value in vars(module).items() if test.startswith("test_")}
