"Text that others wrote is shown at every exit, and acts at none: terminal, TOML, figure, page"
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import TINY, gradlr
from gradlr.cli import Terminal
from gradlr.errors import InputError, visible
from gradlr.evidence.figures import plot_curves, plot_ladders
from gradlr.evidence.report import facts_of, page_of, picture, pictures_of
from gradlr.evidence.tables import made_up_results
from gradlr.images.samples import Sample
from gradlr.study.ladders import made_up_outcomes
from gradlr.study.questions import wanted
from gradlr.study.results import outcomes
from gradlr.study.settings import PRESETS, Experiment
from gradlr.study.toml import check_study, read_study, to_toml
from test_site import browser  # noqa: F401

SCRIPT = "<script>window.ran = 1</script>"
IMAGE = "<img src=x onerror='window.ran = 1'>"
ODD = (SCRIPT, IMAGE, "\"'><svg onload=window.ran=1>", "cost $5^$ and $\\frac$", r"\$ \u001b", "x\x1b[2J\x07\u202ey",
       "\x7f\x85\x9b1m", "a\rb\u2028c\ufeff", "{{ 7*7 }}{% raw %}", "]]> &amp; -->", "\x00", "\ufffe\udc80", "😀猫 Größe",
       "javascript:window.ran=1", "", " ", "a\nb", "'; rm -rf ~; '")
# What acts on a terminal, or turns what is read; lines and tabs do not
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\udc80-\udcff]")
pieces = st.one_of(st.sampled_from(ODD), st.text(max_size=12), st.text("\x1b[2J$^{}\\<>&\"'\u202e\x7f\r", max_size=12))
texts = st.lists(pieces, min_size=1, max_size=3).map("".join)
often = settings(max_examples=100, deadline=None, derandomize=True)
seldom = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

@pytest.fixture(scope="module")
def report():
    "Facts and pictures of a study that is kept"
    facts = facts_of(Path(__file__).parents[1]/"data"/"results"/"pilot")
    return facts, pictures_of(facts)

def with_text(facts, text:str):
    "Facts in which a stranger wrote every text"
    whole = text.encode(errors="replace").decode()                             # pandas holds no half of a pair
    samples = facts.samples.rename(index=lambda _: whole).map(lambda _: whole)
    study = replace(facts.study, name=text, network=text)
    return replace(facts, study=study, settings=text, status=text, failed=[text], precisions=[text, "float32"],
                   machines=[text], groups=[text], samples=samples,
                   decided=facts.decided.map(lambda _: whole), versions=facts.versions.map(lambda _: whole))

@often
@given(texts, st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"]))
def test_terminal(text, encoding):
    held = io.BytesIO()
    terminal = Terminal(io.TextIOWrapper(held, encoding, newline=""))
    print(f"name: {text}", file=terminal, flush=True)
    assert not ACTS.search(held.getvalue().decode(encoding))

@often
@given(texts, texts)
def test_toml(tmp_path_factory, name, sample):
    study = replace(PRESETS["demo"], name=name, samples={sample: Sample("digits", (name, sample), train=4, valid=2)})
    try: check_study(study)
    except InputError: return
    try: written = to_toml(study).encode()
    except UnicodeEncodeError: return
    file = tmp_path_factory.mktemp("toml")/"study.toml"
    file.write_bytes(written)
    assert not ACTS.search(written.decode())
    assert read_study(file) == study

def ladders(source:str, target:str):
    "The figure of a study whose outcomes are made up"
    study = replace(PRESETS["demo"], experiments=(Experiment(source, target),))
    losses = dict(scratch=1., uniform=0.9, gradual=0.8, frozen=0.9)
    return plot_ladders(study, made_up_outcomes(wanted(study, outcomes([])), losses))

@seldom
@given(texts)
def test_figures(text):
    table = made_up_results(repeats=(0, 1)).replace({"source": {"a": text or "a"}, "target": {"c": text or "c"}})
    source, target = text or "a", text or "c"
    for fig in (plot_curves(table, source, target), ladders(source, target)):
        assert not ACTS.search(str(picture(fig, text, "one").drawn))

@pytest.mark.parametrize("text", ["cost $5^$", "$x$", r"\$5^\$", "$", "$$"])
def test_a_dollar_is_a_dollar(text):
    assert f"{text}</text>" in picture(ladders("a", text), text, "one").drawn

@seldom
@given(texts)
def test_page(report, text):
    facts, pictures = report
    page = page_of(with_text(facts, text), pictures)
    assert not ACTS.search(page)
    own = page_of(facts, pictures)
    for tag in ("<script", "<img", "<svg onload"): assert page.count(tag) == own.count(tag)

def test_nothing_runs_in_a_real_browser(report, browser, tmp_path):  # noqa: F811
    facts, pictures = report
    page, asked, complaints = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_content(SCRIPT)
    assert page.evaluate("window.ran") == 1                                    # it would be seen
    everything = "".join(ODD)
    spoken = {name: replace(shown, says=everything) for name, shown in pictures.items()}
    file = tmp_path/"report.html"
    file.write_text(page_of(with_text(facts, everything), spoken), encoding="utf-8")
    page.goto(file.as_uri(), wait_until="load")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    assert visible(SCRIPT) in page.text_content("main")
    assert (asked, complaints) == ([file.as_uri()], [])

def test_a_page_forbids_what_a_hole_would_let_in(report, browser, tmp_path):  # noqa: F811
    page = browser.new_page()
    file = tmp_path/"report.html"
    file.write_text(page_of(*report).replace("</main>", f"{SCRIPT}{IMAGE}</main>"), encoding="utf-8")
    page.goto(file.as_uri(), wait_until="load")
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("window.ran") is None

def test_a_study_whose_every_name_is_odd(tmp_path):
    sample, images = "cost $5^$ <b>\x1b]0;x\x07\u202e", tmp_path/"images"
    for name in ("$a^$\x1b[2J", "<script>b", "\u202ec\x7f"):
        (images/name).mkdir(parents=True)
        for i in range(6): Image.new("RGB", (20, 20), (i, len(name), 99)).save(images/name/f"{i}.png")
    study = TINY.replace('"tiny"', json.dumps("<i>x\x1b[2J\x07\x7f\u202e")[:-1].replace("\x7f", r"\u007f") + '"')
    study = study.replace("repeats = 3", "repeats = 1").replace("batch_size = 32", "batch_size = 4")
    named = json.dumps(sample)
    study = study.replace('"digits02"', named) + f'[samples.{named}]\ndata = "{images.as_posix()}"\ntrain = 3\nvalid = 2\n'
    (tmp_path/"odd.toml").write_text(study, encoding="utf-8")
    out = tmp_path/"out"
    for words in (("run", tmp_path/"odd.toml", "--out", out, "--jobs", 1), ("status", out), ("show", tmp_path/"odd.toml")):
        result = gradlr("study", *words, env=os.environ | {"PYTHONIOENCODING": "utf-8"})
        assert result.returncode == 0, result.stderr
        assert not ACTS.search((result.stdout + result.stderr).replace("\r", ""))  # of the progress bar
    (tmp_path/"shown.toml").write_text(result.stdout, encoding="utf-8")
    assert read_study(tmp_path/"shown.toml") == read_study(tmp_path/"odd.toml")
    page = (out/"report.html").read_text(encoding="utf-8")
    assert not ACTS.search(page) and "<i>x" not in page and "<script" not in page
    assert "cost $5^$ &lt;b&gt;" in page
