"How Sphinx builds the site: `make docs`"
import importlib.util
import sys
from configparser import ConfigParser
from pathlib import Path

here = Path(__file__).parent
sys.path.insert(0, str(here))
import gradlr.all  # noqa: F401  patches `Learner`, which the API pages show
from parameters import add_parameters

parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here.parent/"settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]
project, author, copyright, release = (settings[name] for name in ("title", "author", "copyright", "version"))

extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["**.ipynb_checkpoints"]
# `make test` and `make notebooks` run the notebooks
nb_execution_mode = "off"
# No scripts from elsewhere: a page shows pictures and tables
nb_ipywidgets_js = {}
nb_merge_streams = True
# Tables in outputs too
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
numfig = True
math_numfig = False
default_role = "py:obj"
# Types stand in the table of parameters
autodoc_typehints = "none"
autodoc_preserve_defaults = True
add_module_names = False

# One file of that package: maths without a network
mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent/"static"/"mathjax"/"tex-svg.js"
mathjax_path = mathjax.name
html_static_path = [str(here/"style.css"), str(mathjax)]
html_css_files = ["style.css"]
html_favicon = str(here/"favicon.svg")
html_title = project
html_theme = "sphinx_book_theme"
html_theme_options = dict(show_toc_level=2, home_page_in_toc=True, use_download_button=False,
                          use_fullscreen_button=False, navbar_start=[], navbar_center=[], navbar_end=[],
                          navbar_persistent=[])
# Light or dark, as the reader's system has it
html_context = dict(default_mode="auto")
html_show_sphinx = html_show_sourcelink = html_copy_source = html_show_search_summary = False

def setup(app):
    "Tables of parameters, and the list for language models beside the pages"
    app.connect("autodoc-process-docstring", add_parameters)
    app.config.html_extra_path = [str(Path(app.srcdir)/"llms.txt")]
