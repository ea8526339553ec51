"The site, built with warnings as errors and walked in a real browser"
import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE/"docs"))
from house import notebooks, parts, told
from pages import page_of

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
        for width in WIDTHS:
            page.set_viewport_size(dict(width=width, height=900))
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

def test_search_finds_what_people_look_for(site, browser):
    page = browser.new_page()
    page.goto(site + "search.html?q=fit_gradual")
    page.wait_for_selector("#search-results li a")
    links = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
    for page in ("api/rates.learners.html", "/rates/learners.html"): assert any(page in link for link in links)

def test_it_is_dark_where_that_is_wanted(site, browser):
    def brightness(scheme:str)->float:
        page = browser.new_page(color_scheme=scheme)
        page.goto(site)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[colour.index("(") + 1:-1].split(",")[:3])/3
    assert brightness("dark") < 60 < 200 < brightness("light")
