"""Text of others shows all of it and does nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import pytest

from aiida_dpasse.quoting import line, lines, paragraph, plot, xml


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('Li₆PS₅Cl, 0.5 Å · σ = 3e-4', 'Li₆PS₅Cl, 0.5 Å · σ = 3e-4'),
        ('a\nb\tc', r'a\x0ab\x09c'),
        ('\x1b[2J\x1b]0;title\x07', r'\x1b[2J\x1b]0;title\x07'),
        ('\x9b2J', r'\x9b2J'),
        ('abc\u202edef\u2066', r'abc\u202edef\u2066'),
        ('a\u2028b\u2029c\x85d', r'a\u2028b\u2029c\x85d'),
        ('\ud800', r'\ud800'),
        ('\U000e0041', r'\U000e0041'),
        (3, '3'),
    ],
)
def test_nothing_invisible_is_left(text, shown):
    """Controls, direction marks, line separators, surrogates and tags are shown by their codes."""
    assert line(text) == shown
    line(text).encode()


def test_line_breaks_of_a_text_are_kept():
    """Nothing else is."""
    assert lines('one\ntwo\x1b[0m\r\n') == 'one\ntwo\\x1b[0m\\x0d\n'


def test_lines_of_a_message_are_marked():
    """All but the first, which stands in a line of ours."""
    assert paragraph('failed.\nTransport\n600 K') == 'failed.\n  | Transport\n  | 600 K'


def test_xml_stays_well_formed():
    """As content and as an attribute, for every character of the first plane."""
    text = ''.join(map(chr, range(0x10000)))
    quoted = xml(text)
    element = ElementTree.fromstring(f'<t a="{quoted}">{quoted}</t>')
    assert element.text == element.get('a') == line(text)


def test_matplotlib_draws_every_text():
    """A broken formula in the label of a node must not end a report."""
    figure, axes = plt.subplots()
    axes.set_title(plot(r'$\frac{$ \x00 $'))
    figure.canvas.draw()
    # A legend leaves out names that begin with an underscore.
    axes.plot([], [], label=plot('_hidden'))
    assert [text.get_text() for text in axes.legend().texts] == [' _hidden']
    plt.close(figure)
