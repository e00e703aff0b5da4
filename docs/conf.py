"""Settings of the documentation's site; CONTRIBUTING.md says how it is built."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpydoc.docscrape_sphinx
from docutils import nodes
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

from members import write_lists  # noqa: E402

import fastgd  # noqa: E402

project = "fastgd"
author = "The fastgd developers"
project_copyright = "The fastgd developers, BSD 3-Clause"
version = release = fastgd.__version__

extensions = [
    "figures",
    "gallery",
    "helptext",
    "korean",
    "languages",
    "mathml",
    "members",
    "matplotlib.sphinxext.plot_directive",
    "myst_nb",
    "numpydoc",
    "repairs",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "speed",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "reference/_*"]
default_role = "py:obj"
templates_path = ["_templates"]

# The reference is made from the docstrings.
autodoc_typehints = "none"
write_lists(HERE / "reference")
autosummary_generate = [f"reference/{path.name}" for path in (HERE / "reference").glob("*.*")]
shutil.rmtree(HERE / "reference" / "generated", ignore_errors=True)  # no pages of names long gone
numpydoc_show_class_members = False
# Examples that draw show what they draw; numpydoc knows them by this.
numpydoc_use_plots = True
numpydoc.docscrape_sphinx.IMPORT_MATPLOTLIB_RE = r"from fastgd import plot"

# Pages in Markdown, and notebooks, which run while the site is built.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

# Pictures are made from the code on the page, while the site is built.
plot_formats = [("svg", 100)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
plot_rcparams = dict(
    mpl.rc_params_from_file(
        Path(fastgd.__file__).parent / "plot" / "light.mplstyle", use_default_template=False
    )
) | {
    "figure.figsize": (6.4, 3.6),
    "font.family": ["DejaVu Sans", "NanumGothic"],  # the second has the letters of Korean pages
    # site.css turns the colours for a dark page
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.hashsalt": "fastgd",  # one page, one file, whenever it is built
}
plot_apply_rcparams = True
mpl.use("Agg")
# for the notebooks, which run in processes of their own
style = Path(tempfile.mkdtemp()) / "matplotlibrc"
text = (Path(fastgd.__file__).parent / "plot" / "light.mplstyle").read_text()
style.write_text(text.replace("facecolor: FFFFFF", "facecolor: none") + "figure.dpi: 160\n")
os.environ["MATPLOTLIBRC"] = str(style)
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"

html_theme = "furo"
html_title = f"fastgd {release}"
html_logo = html_favicon = "_static/logo.svg"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css", "figures.css"]
html_js_files = [("figures.js", {"defer": "defer"}), ("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def strip_examples(app: Sphinx, page: nodes.document) -> None:
    """Leave out the empty line that tells doctest where an example in Markdown ends."""
    for block in page.findall(nodes.literal_block):
        text = block.astext().rstrip()
        block.children = []
        block.rawsource = text
        block += nodes.Text(text)


def skip_constants(
    app: Sphinx, what: str, name: str, value: object, skip: bool, options: object
) -> bool | None:
    """Leave out tables, type aliases, names that files need, and what scikit-learn generates."""
    if name.startswith("set_") and name.endswith("_request"):
        return True
    if what == "module" and not (inspect.isroutine(value) or isinstance(value, type)):
        return True
    return True if what == "class" and isinstance(value, str | int) else None


def hide_private(
    app: Sphinx,
    what: str,
    name: str,
    value: object,
    options: object,
    takes: str | None,
    gives: str | None,
) -> tuple[str, str | None] | None:
    """Leave out of signatures what is not for users to pass."""
    return takes and (re.sub(r", _\w+=(\(\)|[^,()]+)", "", takes), gives)


def setup(app: Sphinx) -> None:
    """Follow the pages as they are written."""
    app.connect("autodoc-process-signature", hide_private)
    app.connect("autodoc-skip-member", skip_constants)
    app.connect("doctree-read", strip_examples)
