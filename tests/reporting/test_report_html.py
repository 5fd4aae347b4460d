import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.parsed import parse

from accord.reporting.html import Markup, bdi, el, escape
from accord.reporting.tinted import tinted_yaml

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)",
    "</title></style></script><svg onload=alert(1)>",
    "&lt;b&gt; & &amp;",
    "nul\x00 escape\x1b[31m bell\x07",
    "half \ud800 surrogate",
    "\u202eevil",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_and_attributes_are_inert_and_read_back(text):
    made = el("p", text, el("b", Markup("&copy;")), title=text, data_x=text)
    made.encode("utf-8")
    node = parse(made).children[0]
    assert [child.tag for child in node.children] == ["b"]
    assert set(node.attributes) == {"title", "data-x"}
    visible = text.replace("\ud800", "?").replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\x07", "\ufffd")
    assert "".join(node.texts) == visible == node["title"]


def test_markup_stays_markup_only_as_a_child():
    assert el("p", Markup("<b>x</b>")) == "<p><b>x</b></p>"
    assert el("p", title=Markup("<b>")) == '<p title="&lt;b&gt;"></p>'


def test_attributes():
    made = el("rect", class_="a", x=1.0, y=2.345, hidden=True, tabindex=None, role=False, aria_label="n")
    assert made == '<rect class="a" x="1" y="2.35" hidden aria-label="n"></rect>'
    assert el("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert el("p", ["a", None, [1, el("br")]], False) == "<p>a1<br></p>"


def test_names_are_isolated():
    assert bdi("\u202e<") == "<bdi>\u202e&lt;</bdi>"


@given(st.text())
def test_escaped_text_parses_to_no_element(text):
    assert parse(f"<p>{escape(text)}</p>").children[0].children == []


def test_yaml_is_tinted():
    made = tinted_yaml("data:\n  source: a.csv  # from <there>\n  rate: 1e-3\ntasks:\n- name: 'x: y'\n")
    node = parse(f"<pre>{made}</pre>")
    assert [n.text() for n in node.all("span", class_="y-key")] == ["data", "source", "rate", "tasks", "name"]
    assert [n.text() for n in node.all("span", class_="y-atom")] == ["1e-3"]
    assert [n.text() for n in node.all("span", class_="y-comment")] == ["# from <there>"]


def flat(node):
    """Text in document order, which tinting must not change."""
    import html
    import re

    return html.unescape(re.sub("<[^>]*>", "", node))


@given(st.text(alphabet=st.characters(blacklist_categories=["Cc", "Cs", "Cn", "Zl", "Zp"]), max_size=80))
def test_tinting_never_changes_the_text(text):
    assert flat(tinted_yaml(text)) == text


@pytest.mark.parametrize("text", ["a: b\nc:\n  - d: 'e # f'\n", "- - 1\n", ": :\n# x", 'k: "<script>" # y'])
def test_tinting_keeps_lines(text):
    assert flat(tinted_yaml(text)) == text.rstrip("\n")
