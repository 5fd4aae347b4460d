"""Sphinx configuration. Pages that follow from the code are generated first, so they cannot fall behind it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

import accord

generate.main()

project = "Accord"
author = "Accord maintainers"
copyright = "Accord maintainers, Apache-2.0"
version = release = accord.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "_generated/*.md"]  # the latter are included by pages
myst_heading_anchors = 3
autodoc_typehints = "none"  # signatures show them already
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"Accord {version}"
html_show_sourcelink = False
