"""Members of the registries, in every form that they have, for tests to run over."""

from dataclasses import fields
from itertools import product

from fastgd.optimizers import OPTIMIZERS


def forms(kind):
    """Return what distinguishes the forms of an optimizer: each switch, and momentum or none."""
    switches = {
        field.name: [False, True] for field in fields(kind) if isinstance(field.default, bool)
    }
    if "momentum" in {field.name for field in fields(kind)}:
        switches["momentum"] = [0.0, 0.5]
    for values in product(*switches.values()):
        yield dict(zip(switches, values, strict=True))


def optimizers(learning_rate=0.01, **settings):
    """Return every optimizer in every form, by the name of its kernel.

    Settings are for those that have an argument of the name.
    """
    found = {}
    for kind in OPTIMIZERS.values():
        own = {f.name: settings[f.name] for f in fields(kind) if f.name in settings}
        for form in forms(kind):
            try:
                optimizer = kind(learning_rate, **own | form)
            except ValueError:  # Nesterov's momentum needs momentum
                continue
            found.setdefault(optimizer.kernel, optimizer)
    return found
