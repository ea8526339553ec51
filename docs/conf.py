"How Sphinx builds the site: `make docs`"
import importlib.util
import sys
from configparser import ConfigParser
from pathlib import Path

here = Path(__file__).parent
sys.path.insert(0, str(here))
import gradlr.all                                                           # patches `Learner`, which the API pages show
from parameters import add_parameters

parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here.parent/"settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]
project, author, copyright, release = (settings[name] for name in ("title", "author", "copyright", "version"))

extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["**.ipynb_checkpoints"]
nb_execution_mode = "off"                                                   # `make test` and `make notebooks` run them
nb_ipywidgets_js = {}                                                       # no scripts from elsewhere: a page shows pictures and tables
nb_merge_streams = True
nb_render_markdown_format = "myst"                                          # tables in outputs too
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
numfig = True
math_numfig = False
default_role = "py:obj"
autodoc_typehints = "none"                                                  # they stand in the table of parameters
autodoc_preserve_defaults = True
add_module_names = False

mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent/"static"/"mathjax"/"tex-svg.js"
mathjax_path = mathjax.name                                                 # one file of that package: maths without a network
html_static_path = [str(here/"style.css"), str(mathjax)]
html_css_files = ["style.css"]
html_favicon = str(here/"favicon.svg")
html_title = project
html_theme = "sphinx_book_theme"
html_theme_options = dict(show_toc_level=2, home_page_in_toc=True, use_download_button=False, use_fullscreen_button=False,
                          navbar_start=[], navbar_center=[], navbar_end=[], navbar_persistent=[])
html_context = dict(default_mode="auto")                                   # as the reader's system has it
html_show_sphinx = html_show_sourcelink = html_copy_source = html_show_search_summary = False

def setup(app):
    app.connect("autodoc-process-docstring", add_parameters)
