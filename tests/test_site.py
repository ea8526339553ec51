"The site, built with warnings as errors and walked in a real browser"
import functools
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE/"docs"))
from house import notebooks, parts, told
from outputs import captioned, one_a_row, titled
from pages import bar, example_of, page_of

SITE = HERE/"_docs"/"site"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
WIDTHS = (1280, 390)

# What a page holds that links and readers need
HELD = """() => ({
  ids: [...document.querySelectorAll('[id]')].map(e => e.id),
  links: [...document.querySelectorAll('a[href]')].map(e => e.href),
  mute: [...document.querySelectorAll('main img:not([alt]), main img[alt=""]')].length})"""

# Code whose lines end beyond their box, with all folds open
CUT = """() => [...document.querySelectorAll('article pre')]
  .filter(e => !e.closest('.cell_output') && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60))"""

# What is wider than the window, though nothing around it scrolls
OVERFLOWS = """() => {
  const scrolls = e => e && e !== document.body
    && (['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const shown = e => e.getClientRects().length && getComputedStyle(e).visibility !== 'hidden'
    && !e.closest('.bd-sidebar-secondary, dialog, .visually-hidden');
  return [...document.querySelectorAll('main *')]
    .filter(e => shown(e) && !scrolls(e.parentElement) && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName + ': ' + e.textContent.slice(0, 60)) }"""

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments): pass

@pytest.fixture(scope="module")
def site():
    "The address of the built site"
    env = os.environ | {"MAKEFLAGS": ""}
    make = ["make", "--no-print-directory", "docs"]
    subprocess.run(make, cwd=HERE, check=True, env=env, capture_output=True, text=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()

@pytest.fixture(scope="module")
def browser():
    "A real browser without a window"
    if not BROWSER: pytest.skip("no chromium or google-chrome on this machine to walk the site with")
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play: yield play.chromium.launch(executable_path=BROWSER, args=FLAGS)

def pages()->list[str]:
    "All pages but the listings of source code, of which one stands for all"
    paths = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    read = [path for path in paths if not path.startswith(("_modules", "_static"))]
    return [*read, "_modules/gradlr/networks/layers.html"]

def drawn(*rows_and_columns, **options)->str:
    "A figure of panels, as a notebook keeps it"
    fig, axes = plt.subplots(*rows_and_columns, **options)
    image = axes.flat[-1].imshow([[0, 1]]) if hasattr(axes, "flat") else None
    if image: fig.colorbar(image)
    file = io.StringIO()
    fig.savefig(file, format="svg")
    plt.close(fig)
    return file.getvalue()

def test_panels_of_one_row_come_one_a_row():
    for n in (2, 3, 5):
        height = float(re.search(r'height="([\d.]+)pt"', one_a_row(drawn(1, n)))[1])
        # A bar of colours is no panel of its own
        assert one_a_row(drawn(1, n)).count("#figure_1") == n and height > 300*n
    for other in (drawn(), drawn(2, 2), drawn(3, 1)): assert one_a_row(other) is None

def test_tables_are_captioned_and_nothing_else_is():
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert titled(f"x\n\n{table}\ny | z", count(1)) == f"x\n\n{table}\ny | z"
    assert titled(f"{table}\n: About *it*\n\nmore", count(3)) == f":::{{table}} Table 3. About *it*\n{table}:::\n\n\nmore"
    html = dict(data={"text/html": ["<div><table border=1>", "<tr></table>"], "text/plain": "<table>"})
    stream = dict(output_type="stream", text="<table>")
    assert captioned([stream, html], count(1), "") == [stream, html]
    shown = captioned([stream, html, html], count(1), "`a` < b")
    assert shown[0] == stream and [one["data"]["text/plain"] for one in shown[1:]] == ["<table>"]*2
    assert [re.search("<caption>(.*)</caption>", one["data"]["text/html"])[1] for one in shown[1:]] == [
        "Table 1. <code>a</code> &lt; b", "Table 2. <code>a</code> &lt; b"]

def test_a_table_without_a_caption_is_an_example_of_a_definition():
    def twice(x):
        """Two times x; raises `InputError` for words
        and more"""
    above = dict(twice=twice, half=lambda x: x/2, SIZES=(1, 2))
    for source in ("twice(1)", "x = twice(1)\nx", "half = 2\npd.DataFrame({half: twice(2)})[twice(half)].T"):
        assert example_of(source.replace("half", "h"), above) == "`twice`: Two times x."
    assert example_of("table.T", above) == example_of("pd.Series(SIZES)", above) == "What `SIZES` holds."
    assert example_of("half(1)", above) == "What `half` holds." and example_of("x", {}) == ""

@pytest.mark.parametrize("source, said", [
    ("import os\nfrom re import sub", "Imports"), ("assert x\ntest_eq(1, 1)", "Checks"), ("x = 1", "Code"), ("%pip install x\nimport os", "Imports"),
    ("def f(): pass\nSIZES = 1\nclass A: pass", "Code: f, SIZES, A"), ("def f(): pass\ndef _g(): pass", "Code: f"),
    ("def _g(): pass\nx = _g()", "Code: _g"), ("if x:\n    %pip install y\nelse: z()", "Code"), ("if TRAIN: go()", "Code")])
def test_a_fold_says_what_is_in_it(source, said): assert bar(source) == said

def test_it_is_built_without_warnings(site): assert (SITE/"index.html").is_file() and len(pages()) > 25

def test_every_notebook_has_its_page(site):
    for path in notebooks():
        title, _ = told(path)
        html = (SITE/f"{page_of(path.relative_to(HERE/'nbs').as_posix())}.html").read_text(encoding="utf-8")
        # With the site's apostrophes; pages of Sphinx's own have no such link
        shown = title.replace("'", "’")
        assert f'<h1>{shown}<a class="headerlink"' in html, path

def test_contents_follow_the_files(site):
    for part, paths in parts().items():
        html = (SITE/"parts"/f"{part.lower()}.html").read_text(encoding="utf-8")
        shown = re.findall(r'href="../([\w/]+)[.]html"', html[html.index("<h1>"):html.index("</section>")])
        assert shown == [page_of(path.name) for path in paths]

def test_language_models_find_a_line_a_page(site):
    listed = (SITE/"llms.txt").read_text(encoding="utf-8")
    for path in notebooks():
        if path.stem != "index": assert f"- [{told(path)[0]}](http" in listed
    pages = re.findall(r"\]\(https://gradlr[.]github[.]io/gradlr/(.*?)\)", listed)
    for page in pages: assert (SITE/page).is_file(), page

def test_every_page_loads_alone_renders_and_fits(site, browser):
    page, complaints, foreign = browser.new_page(), [], []
    page.on("console", lambda message: message.type == "error" and complaints.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("response", lambda answer: answer.status >= 400 and complaints.append(f"{answer.url}: {answer.status}"))
    page.on("request", lambda request: request.url.startswith((site, "data:")) or foreign.append(request.url))
    formulas, found = 0, dict.fromkeys(pages())
    for path in found:
        page.set_viewport_size(dict(width=WIDTHS[0], height=900))
        page.goto(site + path, wait_until="load")
        page.wait_for_function("!document.querySelector('.math') || document.querySelector('mjx-container')")
        formulas += page.evaluate("document.querySelectorAll('mjx-container').length")
        assert not page.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length"), path
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        for width in WIDTHS:
            page.set_viewport_size(dict(width=width, height=900))
            assert page.evaluate(CUT) == [], (path, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            assert page.evaluate(OVERFLOWS) == [], (path, width)
        found[path] = page.evaluate(HELD)
        assert not found[path]["mute"], f"a figure without alt text on {path}"
    assert not complaints + foreign, "\n".join(complaints + foreign)
    assert formulas > 20
    for path, there in found.items():
        for link in there["links"]:
            if not link.startswith(site): continue
            address, anchor = urldefrag(link)
            target = unquote(address.removeprefix(site)) or "index.html"
            assert (SITE/target).is_file(), f"{path} links to {target}"
            if not anchor or target not in found: continue
            assert unquote(anchor) in found[target]["ids"], f"{path} links to {target}#{anchor}"

def found(page, site:str, query:str)->list[tuple[str,str]]:
    "Address and excerpt of each result of a search, best first"
    page.goto(f"{site}search.html?q={query}")
    page.wait_for_selector("#search-results li p.context")
    page.wait_for_function("document.querySelector('.search-summary').textContent.includes('finished')")
    # excerpts are fetched page by page
    page.wait_for_load_state("networkidle")
    return page.eval_on_selector_all("#search-results li", """all => all.map(e =>
      [e.querySelector('a').href, e.querySelector('p.context')?.textContent ?? ''])""")

@pytest.mark.parametrize("query, pages, first", [
    ("fit_gradual", ["api/rates.learners.html", "/rates/learners.html"], 20), ("my own images", ["start/your_images.html"], 3),
    ("own images", ["start/your_images.html"], 3), ("What we got wrong", ["analysis/fair_comparison.html"], 3)])
def test_search_finds_what_people_look_for(site, browser, query, pages, first):
    results = found(browser.new_page(), site, query)
    addresses = [address for address, _ in results[:first]]
    for page in pages: assert any(page in address for address in addresses), addresses
    assert sum(len(excerpt) > 40 for _, excerpt in results) >= len(results)/2

def soup(path:str)->BeautifulSoup: return BeautifulSoup((SITE/path).read_text(encoding="utf-8"), "html.parser")

def test_figures_and_tables_count_anew_on_every_page(site):
    for path in pages():
        numbers = [found.text.strip() for found in soup(path).select("figure .caption-number")]
        assert numbers == [f"Fig. {i}" for i in range(1, len(numbers) + 1)], path
        captions = [found.text.split(".")[0].strip() for found in soup(path).select("article caption") if "Table" in found.text]
        assert captions == [f"Table {i}" for i in range(1, len(captions) + 1)], path

def test_every_table_has_a_caption(site):
    for path in pages():
        # Those of parameters stand beneath what they belong to; an index is laid out in one
        for table in soup(path).select("article table:not(.parameters, .indextable)"): assert table.caption, (path, table.text[:80])

def test_no_fold_is_opened_in_vain(site):
    for path in pages():
        for cell in soup(path).select("div.cell"):
            if cell.summary: assert cell.details.pre.text.strip() and cell.summary.text.strip(), path
            following = cell.find_next_sibling()
            shown = cell.select_one(".cell_output, .cell_input")
            assert shown and shown.text.strip() or cell.img, path
            # One fold is enough where nothing is shown between two
            if path.startswith("analysis/") and cell.summary and not cell.select_one(".cell_output"):
                assert not following or "cell" not in following.get("class", ()) or not following.summary, path

def test_no_bar_is_left_over(site):
    for path in pages():
        for left in ("it/s]", "image/s]", "interactive(children="): assert left not in soup(path).text, path

def test_a_page_links_to_its_notebook_and_to_colab_where_it_runs_alone(site):
    def links(path:str)->list[str]: return [link["href"] for link in soup(path).select(".article-header-buttons a[href]")]
    assert "https://github.com/gradlr/gradlr/blob/main/nbs/21_networks.layers.ipynb" in links("networks/layers.html")
    assert links("api/networks.layers.html") == ["https://github.com/gradlr/gradlr"]
    colab = "https://colab.research.google.com/github/gradlr/gradlr/blob/main/nbs/start/your_images.ipynb"
    assert colab in links("start/your_images.html") and not any("colab" in link for link in links("analysis/distances.html"))
    for path in notebooks():
        where = path.relative_to(HERE).as_posix()
        assert any(link.endswith(f"/blob/main/{where}") for link in links(f"{page_of(path.relative_to(HERE/'nbs').as_posix())}.html"))

@pytest.mark.parametrize("width", WIDTHS)
def test_on_a_phone_tables_stack_and_panels_come_one_a_row(site, browser, width):
    page, phone = browser.new_page(viewport=dict(width=width, height=900)), width < 640
    for path in ("analysis/gradual_rates.html", "analysis/predictors.html", "background.html", "api/rates.schedules.html"):
        page.goto(site + path)
        tables = page.eval_on_selector_all("article table", """all => all.map(table => [
          [...table.querySelectorAll('td')].some(e => getComputedStyle(e).display === 'grid'), table.rows[0].cells.length,
          table.scrollWidth <= table.clientWidth + 1, [...table.querySelectorAll('td')].every(e => e.dataset.label !== undefined)])""")
        assert tables and all(stacked == (phone and columns > 2) for stacked, columns, *_ in tables), path
        if phone: assert all(fits and said for _, columns, fits, said in tables if columns > 2), path
    page.goto(site + "analysis/distances.html")
    drawings = page.eval_on_selector_all("picture img", "all => all.map(e => [e.currentSrc, e.naturalHeight/e.naturalWidth])")
    assert len(drawings) == 4 and all(("-phone" in source) == (ratio > 1) == phone for source, ratio in drawings)

def test_it_is_dark_where_that_is_wanted(site, browser):
    def brightness(scheme:str)->float:
        page = browser.new_page(color_scheme=scheme)
        page.goto(site)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[colour.index("(") + 1:-1].split(",")[:3])/3
    assert brightness("dark") < 60 < 200 < brightness("light")
