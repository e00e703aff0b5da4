"""The checks of user input, and its conversions.

What several arguments must have in common is checked where they meet, such as in `training`. A
check returns the value in the form that the rest of the package computes with, or raises a
TypeError or ValueError that says what was given, what is allowed, and what to do. Nothing
here, and nothing before the last check, changes anything of the user's.
"""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES

if TYPE_CHECKING:
    from fastgd.network import Network
    from fastgd.optimizers import Optimizer

__all__ = [
    "also_called",
    "as_float",
    "check_X",
    "check_batch_size",
    "check_batch_sizes",
    "check_bool",
    "check_callbacks",
    "check_choice",
    "check_class_weight",
    "check_dropout",
    "check_dtype",
    "check_function",
    "check_hidden",
    "check_inputs",
    "check_int",
    "check_network",
    "check_optimizer",
    "check_numbers",
    "check_order",
    "check_params",
    "check_pair",
    "check_point",
    "check_real",
    "check_rates",
    "check_record",
    "check_rng",
    "check_sample_weight",
    "check_samples",
    "check_sizes",
    "check_threads",
    "check_y",
    "count",
    "did_you_mean",
    "is_true",
    "near_name",
    "show",
]

CHUNK_BYTES = 1 << 20

#: what other libraries call a thing, in small letters alone, and its names here: for hints
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
    "seed": ("rng",),
    "shuffle": ("sampling",),
    "smoothl1": ("huber",),
    "softmax": ("cross_entropy",),
    "sparsecategoricalcrossentropy": ("cross_entropy",),
    "step": ("update",),
    "swish": ("silu",),
    "threads": ("n_threads",),
    "time": ("second",),
    "validationdata": ("validation",),
    "weights": ("params",),
}


def show(value: Any) -> str:
    """Return a value for a message: data by their shape, others as they are, cut short."""
    if shape := getattr(value, "shape", ()):
        return f"{_kind(value)} of shape {shape}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no whole number of thousands of digits
        return f"{_kind(value)} too long to write"
    return text if len(text) <= 80 else text[:77] + "..."


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' or name == 'ndarray' else 'a'} {name}"


def check_network(net: Any) -> Network:
    """Return a network that is one."""
    from fastgd.network import Network  # it needs this module

    if not isinstance(net, Network):
        hint = ": make one of it, as in fastgd.Network([3, 1])" if net is Network else ""
        raise TypeError(f"net must be a fastgd.Network, not {show(net)}{hint}")
    check_inputs(net)
    return net


def check_inputs(net: Network) -> None:
    """Refuse to read samples with a network whose inputs are a table's columns, encoded.

    Whether an array holds them raw or encoded can not be seen.
    """
    if net._table is None:
        return
    from fastgd._encoding import Encoding  # the command line's models alone need it

    encoding = Encoding.from_fields(net._table)
    raise ValueError(
        f"this network was saved by the command line: it predicts {encoding.target.name!r}, and "
        f"its {encoding.n_features} inputs are the columns {encoding.describe()}, with numbers "
        "standardised and categories as 0 and 1. It can not do this itself, nor tell whether it "
        "was done: predict with python -m fastgd predict. For samples that you have encoded in "
        "this way, make other = fastgd.Network(net.sizes, hidden=net.hidden, loss=net.loss) and "
        "set other.params = net.params"
    )


def check_optimizer(optimizer: Any) -> Optimizer:
    """Return an optimizer that is one."""
    from fastgd.optimizers import OPTIMIZERS, Optimizer  # which need this module

    if isinstance(optimizer, Optimizer):
        return optimizer
    hint = ""
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        hint = f": make one of it, as in fastgd.{optimizer.__name__}(0.01)"
    elif isinstance(optimizer, str):
        names = [kind.__name__ for kind in OPTIMIZERS.values()]
        near = near_name(optimizer, names)
        hint = f": did you mean fastgd.{near}(0.01)?" if near else f"; there are {', '.join(names)}"
    raise TypeError(
        f"optimizer must be an optimizer such as fastgd.SGD(0.1), not {show(optimizer)}{hint}"
    )


def check_int(name: str, value: Any, *, at_least: int, at_most: int | None = sys.maxsize) -> int:
    """Return a whole number that is not too small, and that compiled code can hold."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, not the truth value {value}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {show(value)}") from None
    if number < at_least:
        raise ValueError(f"{name} is {show(number)}, but must be at least {at_least}")
    if at_most is not None and number > at_most:
        raise ValueError(f"{name} is {show(number)}, but must be at most {at_most}")
    return number


def check_real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return a finite number within bounds."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        hint = f": use float({value})" if type(value).__name__ == "Decimal" else ""
        raise TypeError(f"{name} must be a number, not {show(value)}{hint}")
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    number = as_float(value)
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (at_least is None or number >= at_least)
        and (below is None or number < below)
        and (at_most is None or number <= at_most)
    )
    if not inside:
        wanted = [f"{words} {bound}" for words, bound in bounds.items() if bound is not None]
        given = value if math.isfinite(number) else number
        raise ValueError(f"{name} is {given}, but must be {' and '.join(['finite', *wanted])}")
    return number


def as_float(value: Any) -> float:
    """Return a real number as a float, infinite where it is beyond all finite ones."""
    try:
        return float(value)
    except OverflowError:  # a whole number or a fraction
        return math.inf if value > 0 else -math.inf


def check_pair(name: str, value: Any, *, at_least: float, below: float) -> tuple[float, float]:
    """Return two numbers within bounds."""
    if not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"{name} must be two numbers, not {show(value)}")
    first, second = (
        check_real(f"{name}[{place}]", number, at_least=at_least, below=below)
        for place, number in enumerate(value)
    )
    return first, second


def check_bool(name: str, value: Any) -> bool:
    """Return a truth value that is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {show(value)}")
    return bool(value)


def check_choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """Return a name that is one of those allowed."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {_list(allowed)}, not {show(value)}")
    if value not in allowed:
        raise ValueError(
            f"{name} is {value!r}, but must be one of {_list(allowed)}"
            f"{did_you_mean(value, allowed)}"
        )
    return value


def check_function(name: str, value: Any, *arguments: str) -> None:
    """Check that a value can be called with so many arguments, which are named here.

    One whose signature can not be known, as that of some compiled functions, is not looked at.
    """
    takes = f"({', '.join(arguments)})"
    if not callable(value):
        raise TypeError(f"{name} must be a function that takes {takes}, not {show(value)}")
    try:
        signature = inspect.signature(value, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(
            f"{name} must be a function that takes {takes}, but {show(value)} takes {signature}: "
            f"{error}"
        ) from None


def check_callbacks(callbacks: Any, *arguments: str) -> tuple[Callable[..., Any], ...]:
    """Return the functions that are called after each epoch, with these arguments."""
    listed = tuple(callbacks) if isinstance(callbacks, Iterable) else ()
    if not isinstance(callbacks, Iterable) or not all(map(callable, listed)):
        raise TypeError(
            f"callbacks must list functions that take ({', '.join(arguments)}), as in "
            f"callbacks=[function], not {show(callbacks)}"
        )
    for place, callback in enumerate(listed):
        check_function(f"callbacks[{place}]", callback, *arguments)
    return listed


def is_true(answer: Any) -> bool:
    """Return whether a callback's answer is True, Python's or NumPy's: it ends a training."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def check_record(record: Any, allowed: Collection[str]) -> set[str]:
    """Return the names of what a trace is to keep."""
    if isinstance(record, str) or not isinstance(record, Iterable):
        name = record if isinstance(record, str) else "loss"
        raise TypeError(f"record must list names, as in record=({name!r},), not {show(record)}")
    return {check_choice("record", name, allowed) for name in record}


def near_name(name: str, allowed: Collection[str]) -> str | None:
    """Return the allowed name that is probably meant by one that is not, or None.

    Capitals and the marks between words do not count, and what others call a thing does.
    """
    import difflib  # only for messages

    if meant := also_called(name, allowed):
        return meant
    plain = {_plain(one): one for one in allowed}
    near = difflib.get_close_matches(_plain(name), plain, 1)
    return plain[near[0]] if near else None


def also_called(name: str, allowed: Collection[str]) -> str | None:
    """Return the allowed name that differs in capitals and marks alone, or means the same."""
    word = _plain(name)
    for one in allowed:
        if _plain(one) == word:
            return one
    return next((one for one in ELSEWHERE.get(word, ()) if one in allowed), None)


def did_you_mean(name: str, allowed: Collection[str]) -> str:
    """Return the end of a message about a name that is not allowed; empty if none is near."""
    near = near_name(name, allowed)
    return f": did you mean {near!r}?" if near else ""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _list(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in names)


def count(number: int, thing: str, things: str = "") -> str:
    """Return a number of things in words, as in "1 sample" and "2,000 samples"."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def _there_are(n: int) -> str:
    """Return "there is 1 sample" or "there are 2 samples"."""
    return f"there {'is' if n == 1 else 'are'} {count(n, 'sample')}"


def check_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the units of each layer."""
    if isinstance(sizes, (str, bytes)) or not hasattr(sizes, "__iter__"):
        raise TypeError(
            f"sizes must list the units of each layer, as [3, 1] does, not {show(sizes)}"
        )
    checked = tuple(check_int(f"sizes[{i}]", size, at_least=1) for i, size in enumerate(sizes))
    if len(checked) < 2:
        raise ValueError(
            f"sizes is {list(checked)}, but must hold at least the number of inputs and of "
            "outputs: [3, 1] is a linear model of three inputs"
        )
    return checked


def check_hidden(hidden: Any, n_hidden: int) -> tuple[str, ...]:
    """Return the activation of each hidden layer, from one name or one a layer."""
    if isinstance(hidden, str):
        return (check_choice("hidden", hidden, ACTIVATIONS),) * n_hidden
    if not isinstance(hidden, Sequence):
        raise TypeError(
            f"hidden must be one of {_list(ACTIVATIONS)}, or one such name a hidden layer, "
            f"not {show(hidden)}"
        )
    if len(hidden) != n_hidden:
        raise ValueError(
            f"hidden names {count(len(hidden), 'activation')}, but sizes has "
            f"{count(n_hidden, 'hidden layer')}: give one name for all, or one a layer"
        )
    return tuple(check_choice(f"hidden[{i}]", name, ACTIVATIONS) for i, name in enumerate(hidden))


def check_dropout(dropout: Any, n_hidden: int) -> tuple[float, ...]:
    """Return the shares of the hidden layers' units that are left out; empty for none."""
    if isinstance(dropout, str) or not isinstance(dropout, Iterable):
        rates = [dropout] * max(n_hidden, 1)
    else:
        rates = list(dropout)
    checked = tuple(check_real("dropout", rate, at_least=0, below=1) for rate in rates)
    if not any(checked):
        return ()
    if len(checked) != n_hidden or n_hidden == 0:
        hint = "give one number for all of them, or one for each"
        if n_hidden == 0:
            hint = "only their units can be left out"
        raise ValueError(
            f"dropout is {show(dropout)}, but the network has {count(n_hidden, 'hidden layer')}: "
            f"{hint}"
        )
    return checked


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64."""
    checked: np.dtype[Any] | None
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    # None, which is float64 to NumPy, would not be the default here
    if dtype is None or checked is None or checked not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype!r}, but must be 'float32' or 'float64'")
    return checked


def check_rng(rng: Any) -> np.random.Generator:
    """Return a generator from a seed, a generator, or None for a fresh one."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is not None and not isinstance(
        rng, (int, np.integer, np.random.BitGenerator, np.random.SeedSequence)
    ):
        raise TypeError(
            "rng must be None, a whole number as seed, or a numpy.random.Generator, such as "
            f"numpy.random.default_rng(0), not {show(rng)}"
        )
    if isinstance(rng, (int, np.integer)):
        check_int("rng", rng, at_least=0, at_most=None)
    return np.random.default_rng(rng)


def _as_array(name: str, value: Any) -> AnyArray:
    """Return anything that holds values as an array, of whatever dtype."""
    if value is None:
        raise TypeError(f"{name} is None, but must be an array of numbers")
    ma = sys.modules.get("numpy.ma")  # a masked array comes with its module
    if ma is not None and ma.is_masked(value):
        raise ValueError(
            f"{name} has masked values: remove such samples, or fill the values in, for example "
            f"by {name}.filled({name}.mean())"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: its rows differ in length ({error})") from None
    if array.ndim == 0 and array.dtype.kind in "OUST" and not isinstance(value, numbers.Real):
        what = repr(value) if array.dtype.kind != "O" else _kind(value)
        raise TypeError(
            f"{name} is {what}, but must be an array of numbers{_how_to_array(name, value)}"
        )
    return _from_objects(array) if array.dtype.kind == "O" else array


def _how_to_array(name: str, value: Any) -> str:
    """Return how a value that is no array becomes one; empty if that is not known."""
    if hasattr(value, "toarray"):
        return (
            f": use {name}.toarray(), or fastgd.sklearn, whose linear models take sparse rows "
            "as they are"
        )
    if hasattr(value, "collect"):
        return f": use {name}.collect()"
    if isinstance(value, Iterator):
        return f": use list({name})"
    if isinstance(value, Mapping):
        return f": use numpy.column_stack(list({name}.values()))"
    if isinstance(value, str) and "." in value:
        return ": a file is read by numpy.load, numpy.loadtxt or pandas.read_csv"
    return ""


def _from_objects(array: AnyArray) -> AnyArray:
    """Return an array of numbers where all objects are numbers, as a frame's mixed columns are.

    One dimension of whole numbers, such as class indices, stays whole where 64 bits hold it.
    """
    values = list(array.flat)
    if not all(isinstance(value, (numbers.Real, np.bool_)) for value in values):
        return array
    try:
        if array.ndim == 1 and (plain := np.array(values)).dtype.kind != "O":
            return plain
        return np.array([float(value) for value in values], np.float64).reshape(array.shape)
    except OverflowError:
        return array  # a number beyond floats: left to the check that names it


def _dtype_error(name: str, array: AnyArray, hint: str = "") -> TypeError:
    """Return the error for an array that holds no real numbers."""
    if array.dtype.kind == "O":
        place, value = next(
            (place, value)
            for place, value in np.ndenumerate(array)
            if not isinstance(value, (numbers.Real, np.bool_)) or not _is_float(value)
        )
        where = f"[{', '.join(map(str, place))}]" if place else ""
        missing = value is None or type(value).__name__ in ("NAType", "NaTType")
        if not hint and not missing and not isinstance(value, int):
            hint = "; turn such values into numbers first, text into a column for each category"
        return TypeError(
            f"{name}{where} is {show(value)} ({type(value).__name__}), but every value must be "
            f"a real number that fits a float{hint or '; remove or fill in such samples first'}"
        )
    if not hint:
        hint = {
            "c": f"; take {name}.real or {name}.imag",
            "M": f"; take the time since some moment, such as {name} - {name}.min(), in some unit",
            "m": f"; divide by a unit, as in {name} / numpy.timedelta64(1, 's')",
            "V": f"; numpy.lib.recfunctions.structured_to_unstructured({name}) has no fields",
            "U": f"; convert text that spells numbers by {name}.astype(float), encode other text",
        }.get(array.dtype.kind.replace("T", "U").replace("S", "U"), "")
    return TypeError(f"{name} has dtype {array.dtype}, but must hold real numbers{hint}")


def _is_float(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def check_numbers(name: str, value: Any) -> AnyArray:
    """Return an array of real numbers, finite or not, in place where they are one."""
    array = _as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise _dtype_error(name, array)
    return array


def _check_array(name: str, value: Any, dtype: np.dtype[Any]) -> FloatArray:
    """Return real numbers as an array of dtype, C-contiguous; in place where they are so."""
    array = check_numbers(name, value)
    with np.errstate(over="ignore"):  # what overflows is found as infinite
        return np.require(array, dtype, ["C", "A"])


def _check_finite(name: str, array: FloatArray, given: AnyArray | None = None) -> None:
    """Check that no element is infinite or not a number, without a copy of the data.

    What was `given`, before its conversion, tells a number too large from an infinite one, and
    its indices are those of the message.
    """
    rows = array.reshape(len(array), -1)
    step = max(1, CHUNK_BYTES // max(1, rows[0].nbytes))
    for start in range(0, len(rows), step):
        finite = np.isfinite(rows[start : start + step])
        if finite.all():
            continue
        row, column = np.argwhere(~finite)[0]
        row += start
        given = array if given is None else given
        where = f"[{row}, {column}]" if given.ndim == 2 else f"[{row}]"
        value = given.reshape(rows.shape)[row, column]
        if np.isfinite(value):
            raise ValueError(
                f"{name}{where} is {value}, which is more than {array.dtype} holds: scale the "
                "values, such as to mean 0 and variance 1"
            )
        raise ValueError(
            f"{name}{where} is {value}: every value must be finite; remove or fill in such "
            "samples first"
        )


def _all_finite(array: FloatArray) -> bool:
    from fastgd._kernels import all_finite  # compiled: a pass at the speed of memory

    return all_finite(array)


def check_batch_size(batch_size: int | None, n_samples: int) -> int:
    """Return the samples a batch; None means all, and so does a number above that of all."""
    if batch_size is None:
        return n_samples
    if isinstance(batch_size, str):
        raise TypeError(
            f"batch_size must be a whole number, or None for all samples, not {batch_size!r}"
        )
    return min(check_int("batch_size", batch_size, at_least=1), n_samples)


def check_batch_sizes(batch_sizes: Any, n_samples: int) -> list[int]:
    """Return the samples a batch of each of several batch sizes; all that mean all are one."""
    if isinstance(batch_sizes, (str, bytes)) or not isinstance(batch_sizes, Iterable):
        raise TypeError(
            f"batch_sizes must list numbers or None, as [1, 32], not {show(batch_sizes)}"
        )
    sizes = [check_batch_size(size, n_samples) for size in batch_sizes]
    if not sizes:
        raise ValueError("batch_sizes is empty: name at least one, such as [1, 32, None]")
    for size in sizes:
        if size < n_samples and sizes.count(size) > 1:
            raise ValueError(f"batch_sizes has {size} twice: name each once")
    return list(dict.fromkeys(sizes))


def check_threads(n_threads: int | None) -> int:
    """Return the most threads to use; 0 for as many as OpenMP would."""
    return 0 if n_threads is None else check_int("n_threads", n_threads, at_least=1)


def check_X(  # noqa: N802, the field's name for samples
    X: Any, n_features: int, dtype: np.dtype[Any], name: str = "X"
) -> FloatArray:
    """Return samples of shape (n, n_features), used in place where possible."""
    given = _as_array(name, X)
    if given.shape and len(given) == 0:
        raise ValueError(f"{name} has no samples: its shape is {given.shape}")
    if given.ndim == 1 and given.dtype.kind in "fiub":
        raise ValueError(
            f"{name} has shape {given.shape}, but must have one row a sample: for one feature "
            "use .reshape(-1, 1), for one sample .reshape(1, -1)"
        )
    array = _check_array(name, given, dtype)
    if array.ndim != 2:
        hint = "; .reshape(len(X), -1) makes a row of each sample" if array.ndim > 2 else ""
        raise ValueError(f"{name} has shape {array.shape}, but must have two dimensions{hint}")
    if array.shape[1] != n_features:
        hint = "the first of a network's sizes is the number of columns"
        if len(array) == n_features:
            hint = f"{name} has a row for each sample, so that {name}.T may be meant"
        raise ValueError(
            f"{name} has {count(array.shape[1], 'column')}, but the network has "
            f"{count(n_features, 'input')}: {hint}"
        )
    if not _all_finite(array):
        _check_finite(name, array, given)
    return array


def check_y(
    y: Any, n: int, outputs: int, loss: str, dtype: np.dtype[Any], name: str = "y"
) -> AnyArray:
    """Return targets: (n, outputs) of dtype, or (n,) class indices as int32."""
    array = given = _as_array(name, y)
    if array.ndim == 0 or len(array) != n:
        length = "is a single value" if array.ndim == 0 else f"has length {len(array)}"
        raise ValueError(f"{name} {length}, but {_there_are(n)}: it needs a target for each")
    kind = LOSSES[loss].targets
    if kind == "class" and array.ndim == 1:
        return _check_classes(array, outputs, name)
    if array.dtype.kind in "OUST":
        hint = "; numpy.unique(y, return_inverse=True) turns labels into numbers"
        raise _dtype_error(name, array, hint)
    array = _check_array(name, array, dtype)
    if array.ndim == 1 and outputs == 1:
        array = array.reshape(-1, 1)
    if array.shape != (n, outputs):
        also = f" or ({n},)" if outputs == 1 or kind == "class" else ""
        raise ValueError(
            f"{name} has shape {array.shape}, but the loss {loss!r} with "
            f"{count(outputs, 'output')} takes ({n}, {outputs}){also}"
            f"{_how_to_shape(array, kind, outputs)}"
        )
    if not _all_finite(array):
        _check_finite(name, array, given)
    _check_target_values(array, kind, loss, name)
    return array


def _how_to_shape(array: AnyArray, kind: str, outputs: int) -> str:
    """Return what to do about targets of another shape; empty if that is not known."""
    if array.ndim == 1 and kind == "real":
        return "; for one class out of several use loss='cross_entropy'"
    if array.shape[1:] == (1,) and kind == "class":
        return "; .ravel() makes one dimension of a column of classes"
    if array.ndim == 2 and outputs == 1:
        return f"; for {array.shape[1]} targets a sample let the network's sizes end with that"
    return ""


def _check_classes(array: AnyArray, classes: int, name: str) -> AnyArray:
    """Return class indices as int32, in a copy: kernels go where they say.

    The user's array may change during a training, by a callback, and during this check, by
    another thread: the copy comes first.
    """
    array = np.array(array)
    if array.dtype.kind == "f":
        bad = array != np.trunc(array)
        bad |= ~(np.abs(array.astype(np.float64)) < 2.0**62)
        if bad.any():
            first = int(np.argmax(bad))
            raise TypeError(
                f"{name}[{first}] is {array[first]}, but the loss 'cross_entropy' takes class "
                f"indices (whole numbers from 0 to {classes - 1}) or a matrix of probabilities; "
                "numpy.unique(y, return_inverse=True) turns labels into indices"
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"{name} has dtype {array.dtype}, but the loss 'cross_entropy' takes class indices "
            f"(whole numbers from 0 to {classes - 1}) or a matrix of probabilities; "
            "numpy.unique(y, return_inverse=True) turns labels into indices"
        )
    bad = (array < 0) | (array >= classes)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name}[{first}] is {array[first]}, but class indices run from 0 to {classes - 1}, "
            f"as the network has {count(classes, 'output')}: give it one for each class; "
            "numpy.unique(y, return_inverse=True) turns labels into indices"
        )
    return np.array(array, np.int32, order="C")


def _check_target_values(array: FloatArray, kind: str, loss: str, name: str) -> None:
    """Check that the targets are what the loss is defined for."""
    if kind == "real":
        return
    if kind == "class":
        sums = array.sum(axis=1)
        bad_rows = (np.abs(sums - 1) > 1e-4) | (array < 0).any(axis=1)
        if bad_rows.any():
            row = int(np.argmax(bad_rows))
            raise ValueError(
                f"{name}[{row}] must be probabilities that add up to 1; it is {array[row].tolist()}"
            )
        return
    bad, allowed = {
        "probability": (
            (array < 0) | (array > 1),
            "0 and 1, or probabilities between them (for labels -1 and 1 use (y + 1) / 2, for more "
            "than two classes loss='cross_entropy')",
        ),
        "sign": (np.abs(array) != 1, "-1 and 1 (for labels 0 and 1 use 2 * y - 1)"),
        "count": (array < 0, "values of at least 0"),
    }[kind]
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{name}[{row}] is {array[row, column]}, but the loss {loss!r} takes {allowed}"
        )


def check_params(params: FloatArray) -> None:
    """Check that a network's parameters, which its user may write to, can be trained."""
    if not _all_finite(params):
        first = int(np.argmin(np.isfinite(params)))
        raise ValueError(
            f"the network's params[{first}] is {params[first]}: training needs finite parameters "
            "to begin with; set them, or make a new network"
        )


def check_sample_weight(
    weight: Any, n: int, dtype: np.dtype[Any], name: str = "sample_weight"
) -> FloatArray | None:
    """Return one weight a sample, or None."""
    if weight is None:
        return None
    given = _as_array(name, weight)
    array = _check_array(name, given, dtype)
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}, but must have ({n},), one a sample")
    if not _all_finite(array):
        _check_finite(name, array, given)
    if (array < 0).any():
        first = int(np.argmax(array < 0))
        raise ValueError(f"{name}[{first}] is {array[first]}, but weights must be at least 0")
    if not array.any():
        raise ValueError(f"{name} holds only zeros: no sample would count")
    return array


def check_point(
    name: str, value: Any, n_params: int | None = None, dtype: np.dtype[Any] | None = None
) -> FloatArray:
    """Return a parameter vector, a copy; a single number is a vector of one.

    Without a dtype it keeps float32 and float64, and is float64 else.
    """
    given = np.atleast_1d(_as_array(name, value))
    if dtype is None:
        dtype = given.dtype if given.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    array = _check_array(name, given, dtype).copy()
    if array.ndim != 1 or len(array) != (n_params or len(array)) or len(array) == 0:
        wanted = "(n_params,)" if n_params is None else f"({n_params},), one value a parameter"
        raise ValueError(f"{name} has shape {array.shape}, but must have {wanted}")
    _check_finite(name, array, given)
    return array


def check_class_weight(class_weight: Any, labels: AnyArray | None) -> AnyArray | None:
    """Return each sample's weight by its class; None for ones."""
    if class_weight is None:
        return None
    if labels is None:
        raise ValueError(
            "class_weight needs targets that are classes: the losses 'cross_entropy' (with class "
            "indices), 'log_loss', 'hinge' and 'squared_hinge' have them"
        )
    classes, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if isinstance(class_weight, str):
        check_choice("class_weight", class_weight, ("balanced",))
        return (len(labels) / (len(classes) * counts))[members]
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight must be 'balanced' or a mapping of classes to weights, as in "
            f"{{0: 1.0, 1: 5.0}}, not {show(class_weight)}"
        )
    known = classes.tolist()
    unknown = [label for label in class_weight if label not in known]
    if unknown:
        raise ValueError(f"class_weight has {unknown[0]!r}, but the classes are {_list(known)}")
    weights = [
        check_real(f"class_weight[{label!r}]", class_weight.get(label, 1.0), at_least=0)
        for label in known
    ]
    return np.array(weights)[members]


def check_samples(samples: Any, n: int) -> IndexArray:
    """Return indices into n samples."""
    array = _as_array("samples", samples)
    if array.size == 0:
        raise ValueError("samples is empty: a network needs at least one sample to train on")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"samples must list indices into X, not {array.dtype} of shape {array.shape}; "
            "numpy.flatnonzero(mask) turns a mask into indices"
        )
    array = np.array(array)  # before the check: kernels go where it says
    _check_within("samples holds", array, n)
    return np.ascontiguousarray(array, np.uint32 if n <= 1 << 32 else np.int64)


def check_order(order: Any, n: int) -> IndexArray:
    """Return the sample indices of an epoch, as a sampling gave them."""
    array = _as_array("what the sampling's epoch() returned", order)
    if array.size == 0:
        raise ValueError("the sampling's epoch() returned no samples")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            "the sampling's epoch() must return a one-dimensional array of whole numbers, not "
            f"{array.dtype} of shape {array.shape}"
        )
    array = np.array(array)  # before the check: kernels go where it says
    _check_within("the sampling's epoch() returned", array, n)
    return np.ascontiguousarray(array, np.uint32 if array.dtype == np.uint32 else np.int64)


def check_rates(rates: Any, steps: int) -> FloatArray:
    """Return learning rates that a schedule gave, one a step, in a copy."""
    array = np.array(rates, np.float64)
    if array.shape != (steps,) or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"the schedule's rates() must return ({steps},) finite learning rates of at least 0, "
            f"not {show(array)}"
        )
    return array


def _check_within(what: str, indices: IndexArray, n: int) -> None:
    """Check that indices are those of n samples."""
    low, high = indices.min(), indices.max()
    if low < 0 or high >= n:
        raise ValueError(
            f"{what} the index {low if low < 0 else high}, but {_there_are(n)}, from 0 on"
        )
