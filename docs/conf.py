"""Sphinx configuration: `sphinx-build -W docs docs/_build`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import rooms

from aiida_dpasse import __version__

project = 'aiida-dpasse'
author = 'The aiida-dpasse authors'
copyright = f'2026, {author}'
release = __version__

extensions = ['myst_parser', 'dpasse_pages']
myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 3
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = 'aiida-dpasse'
html_static_path: list[str] = []

rooms.draw(Path(__file__).with_name('rooms.svg'))
