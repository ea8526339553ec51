"Packaging: everything comes from settings.ini"
import shlex
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here/"settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(here/"README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    license="Apache-2.0",
    keywords=settings["keywords"],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=["gradlr", "gradlr.*"]),
    install_requires=shlex.split(settings["requirements"]),
    extras_require={extra: shlex.split(settings[f"{extra}_requirements"])
                    for extra in ("dev", "docs", "tsne", "dask", "ray", "ratefree", "bench")},
    entry_points={"console_scripts": shlex.split(settings["console_scripts"]),
                  "nbdev": [f"{settings['lib_name']}={settings['lib_name']}._modidx:d"]},
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Science/Research",
                 *(f"Programming Language :: Python :: {version}" for version in ("3", "3.11", "3.12", "3.13"))],
    package_data={"gradlr": ["style.mplstyle", "advice.json", "report.html", "report_parts.html", "report.css",
                              "page.html", "trial.html", "train_alone.py.jinja", "winner.py.jinja"]},
    zip_safe=False,
)
