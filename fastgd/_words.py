"""Texts for messages: values, names and counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = [
    "also_called",
    "count",
    "did_you_mean",
    "kind_of",
    "listed",
    "near_name",
    "show",
    "there_are",
]


#: names in other libraries, in lower case, and the corresponding names here: for hints
ELSEWHERE = {
    "activation": ("hidden",),
    "alpha": ("l2",),
    "average": ("mean",),
    "avg": ("mean",),
    "batch": ("update",),
    "bce": ("log_loss",),
    "bcewithlogits": ("log_loss",),
    "beta1": ("betas",),
    "beta2": ("betas",),
    "binarycrossentropy": ("log_loss",),
    "bootstrap": ("replacement",),
    "categoricalcrossentropy": ("cross_entropy",),
    "cython": ("compiled",),
    "epsilon": ("eps",),
    "generator": ("rng",),
    "hiddenlayersizes": ("sizes", "--hidden"),
    "iteration": ("update",),
    "l1": ("absolute_error",),
    "learningrateinit": ("learning_rate", "--learning-rate"),
    "linear": ("identity",),
    "logistic": ("log_loss", "sigmoid"),
    "lr": ("learning_rate", "--learning-rate"),
    "mae": ("absolute_error",),
    "maxiter": ("epochs", "--epochs"),
    "meanabsoluteerror": ("absolute_error", "mae"),
    "meansquarederror": ("squared_error", "mse"),
    "mse": ("squared_error",),
    "multinomial": ("cross_entropy",),
    "njobs": ("n_threads", "--threads"),
    "nll": ("cross_entropy",),
    "none": ("identity", "sequential"),
    "numpy": ("vectorized",),
    "ordered": ("sequential",),
    "python": ("loop",),
    "random": ("shuffle",),
    "randomstate": ("rng", "--seed"),
    "rho": ("alpha",),
    "rng": ("--seed",),
    "rootmeansquarederror": ("rmse",),
    "seed": ("rng",),
    "shuffle": ("sampling",),
    "smoothl1": ("huber",),
    "softmax": ("cross_entropy",),
    "sparsecategoricalcrossentropy": ("cross_entropy",),
    "step": ("update",),
    "swish": ("silu",),
    "time": ("second",),
    "weights": ("params",),
}


def show(value: Any) -> str:
    """Return a value for a message: data as their shape, anything else as a shortened repr."""
    if shape := getattr(value, "shape", ()):
        return f"{kind_of(value)} of shape {shape}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to print integers of thousands of digits
        return f"{kind_of(value)} too long to write"
    return text if len(text) <= 80 else text[:77] + "..."


def kind_of(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' or name == 'ndarray' else 'a'} {name}"


def near_name(name: str, allowed: Collection[str]) -> str | None:
    """Return the allowed name that an unknown name probably means, or None.

    Case and punctuation are ignored. Names from other libraries, and the first letters of a name,
    at least three, are recognised.
    """
    import difflib  # only needed for messages

    if meant := also_called(name, allowed):
        return meant
    word = _plain(name)
    plain = {_plain(one): one for one in allowed}
    starts = [one for one in plain if len(word) > 2 and one.startswith(word)]
    near = starts if len(starts) == 1 else difflib.get_close_matches(word, plain, 1)
    return plain[near[0]] if near else None


def also_called(name: str, allowed: Collection[str]) -> str | None:
    """Return the allowed name that differs only in case and punctuation, or means the same."""
    word = _plain(name)
    for one in allowed:
        if _plain(one) == word:
            return one
    return next((one for one in ELSEWHERE.get(word, ()) if one in allowed), None)


def did_you_mean(name: str, allowed: Collection[str]) -> str:
    """Return a suggestion to append to a message about an unknown name; empty if none is near."""
    near = near_name(name, allowed)
    return f": did you mean {near!r}?" if near else ""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in names)


def count(number: int, thing: str, things: str = "") -> str:
    """Return a count with its noun, such as "1 sample" or "2,000 samples"."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def there_are(n: int) -> str:
    """Return "there is 1 sample" or "there are 2 samples"."""
    return f"there {'is' if n == 1 else 'are'} {count(n, 'sample')}"
