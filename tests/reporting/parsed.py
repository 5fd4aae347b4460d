"""Reads a page as a browser's parser would, and fails on what a browser would silently repair."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "input", "col"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str | None]
    children: list[Node] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    parent: Node | None = None

    def all(self, tag: str | None = None, **wanted: str) -> list[Node]:
        """Descendants in document order, by tag, class (``class_``) and attributes."""
        found = []
        for child in self.children:
            if (tag is None or child.tag == tag) and all(child.has(k, v) for k, v in wanted.items()):
                found.append(child)
            found += child.all(tag, **wanted)
        return found

    def has(self, name: str, value: str) -> bool:
        if name == "class_":
            return value in (self.attributes.get("class") or "").split()
        return self.attributes.get(name.replace("_", "-")) == value

    def text(self) -> str:
        """All text, children included, in no particular order between siblings and own text."""
        return " ".join(" ".join([*self.texts, *(child.text() for child in self.children)]).split())

    def __getitem__(self, name: str) -> str:
        value = self.attributes[name]
        assert value is not None
        return value


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("#root", {})
        self.stack = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"repeated attribute in <{tag}>: {attrs}"
        node = Node(tag, dict(attrs), parent=self.stack[-1])
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].texts.append(data)


def parse(text: str) -> Node:
    """Return the root; unbalanced or repeated markup is an assertion error."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert len(parser.stack) == 1, f"never closed: {[node.tag for node in parser.stack[1:]]}"
    return parser.root
