"How Sphinx builds the site: `make docs`"
import importlib.util
import sys
from configparser import ConfigParser
from pathlib import Path

here = Path(__file__).parent
sys.path.insert(0, str(here))
from sphinx.search.en import SearchEnglish

import gradlr.all  # noqa: F401  patches `Learner`, which the API pages show
from house import NOTEBOOKS, notebooks
from pages import page_of
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
# What names no language is of none
highlight_language = "none"
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
html_static_path = [str(here/"style.css"), str(here/"tables.js"), str(mathjax)]
html_css_files = ["style.css"]
html_js_files = [("tables.js", dict(type="module"))]
html_search_scorer = str(here/"search.js")
html_favicon = str(here/"favicon.svg")
html_title = project
html_theme = "sphinx_book_theme"
html_theme_options = dict(show_toc_level=2, home_page_in_toc=True, use_download_button=False,
                          use_fullscreen_button=False, navbar_start=[], navbar_center=[], navbar_end=[],
                          navbar_persistent=[])
# Light or dark, as the reader's system has it
html_context = dict(default_mode="auto")
html_show_sphinx = html_show_sourcelink = html_copy_source = False

class Search(SearchEnglish):
    "Who asks for *my own images* means *own*, which the list of words to pass over holds"
    stopwords = SearchEnglish.stopwords - {"own"}

def number_by_page(app, env):
    "Figures count anew on every page; tables have their numbers already"
    for kinds in env.toc_fignumbers.values():
        kinds.pop("table", None)
        for numbers in kinds.values(): numbers.update({label: (i,) for i, label in enumerate(numbers, 1)})

SOURCES = {page_of(path): path for path in (path.relative_to(NOTEBOOKS).as_posix() for path in notebooks())}
# Pages that need no file of the repository
ALONE = ("start/your_images", "start/rates")

def add_links(app, page, template, context, doctree):
    "In the head of a page: its notebook in the repository, and in Colab where it runs alone"
    path = f"blob/{settings['branch']}/nbs/{SOURCES[page]}" if page in SOURCES else ""
    def link(url, icon, tooltip): return dict(type="link", url=url, icon=icon, tooltip=tooltip, label=icon.split("-")[-1])
    buttons = [link(f"{settings['git_url']}/{path}".rstrip("/"), "fab fa-github", "This page in the repository" if path else "Repository")]
    if page in ALONE:
        colab = settings["git_url"].replace("https://github.com", "https://colab.research.google.com/github")
        buttons.append(link(f"{colab}/{path}", "fab fa-google", "Open in Colab"))
    context["header_buttons"] += buttons

def setup(app):
    "Tables of parameters, numbers by page, links, search, and what lies beside the pages"
    app.connect("autodoc-process-docstring", add_parameters)
    app.connect("env-check-consistency", number_by_page)
    app.connect("html-page-context", add_links, priority=502)
    app.add_search_language(Search)
    app.config.html_extra_path = [str(Path(app.srcdir)/"beside")]
