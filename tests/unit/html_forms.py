"""Read forms from HTML as a browser does: what is sent, which labels and hints fields have."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(["input", "br", "hr", "img", "meta", "link"])


@dataclass
class Element:
    """Hold an element with its children, which are elements and texts."""

    name: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)
    parent: "Element | None" = None

    def all(self, *, in_templates: bool = False) -> Iterator["Element"]:
        """Yield the elements inside, in document order. A template's are not part of the page."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                if child.name != "template" or in_templates:
                    yield from child.all(in_templates=in_templates)

    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def words(self) -> str:
        return " ".join(self.text().split())


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.top = Element("top", {})
        self._open = self.top

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _value in attrs]
        assert len(names) == len(set(names)), f"an attribute twice: {tag} {names}"
        made = Element(tag, {name: value or "" for name, value in attrs}, parent=self._open)
        self._open.children.append(made)
        if tag not in VOID:
            self._open = made

    def handle_endtag(self, tag: str) -> None:
        assert self._open.name == tag, f"<{self._open.name}> is closed by </{tag}>"
        assert self._open.parent is not None
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        self._open.children.append(data)


def parsed(html: str) -> Element:
    """Return the tree. Fail where elements are not closed in order."""
    tree = _Tree()
    tree.feed(html)
    tree.close()
    assert tree._open is tree.top, f"<{tree._open.name}> is not closed"
    return tree.top


def sent(html: str) -> list[tuple[str, str]]:
    """Return the names and texts that a browser sends, with its line ends."""
    found = [pair for element in parsed(html).all() for pair in _pairs(element)]
    return [(_with_line_ends(name), _with_line_ends(text)) for name, text in found]


def _pairs(element: Element) -> Iterator[tuple[str, str]]:
    name, kind = element.attributes.get("name", ""), element.attributes.get("type", "text")
    if not name:
        return
    if element.name == "textarea":
        yield name, element.text().removeprefix("\n")
    elif element.name == "select":
        yield name, _chosen(element)
    elif element.name == "input" and kind in ("radio", "checkbox"):
        if "checked" in element.attributes:
            yield name, element.attributes["value"]
    elif element.name == "input":
        text = element.attributes.get("value", "")
        # A line of text has no line ends.
        yield name, text if kind == "hidden" else text.replace("\n", "").replace("\r", "")


def _chosen(element: Element) -> str:
    options = [each for each in element.all() if each.name == "option"]
    selected = [each for each in options if "selected" in each.attributes]
    return (selected or options)[0].attributes["value"]


def _with_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


def faults_of(html: str) -> list[str]:
    """Return what is wrong with a form: ids, labels, descriptions, inline styles and scripts."""
    tree = parsed(html)
    elements = [*tree.all()]
    ids = [each.attributes["id"] for each in elements if "id" in each.attributes]
    found = [f"id twice: {each}" for each in {*ids} if ids.count(each) > 1]
    found += [f"no id: {each!r}" for each in ids if not each or any(map(str.isspace, each))]
    for each in tree.all(in_templates=True):
        inline = [name for name in each.attributes if name == "style" or name.startswith("on")]
        found += [f"{each.name} has {name}" for name in inline]
        if each.name in ("script", "style", "iframe"):
            found.append(f"there is a {each.name}")
    for each in elements:
        found += _references(each, ids)
        found += _naming(each, elements)
    return found


def _references(element: Element, ids: list[str]) -> Iterator[str]:
    for name in ("for", "aria-describedby", "aria-labelledby"):
        for target in element.attributes.get(name, "").split():
            if target not in ids:
                yield f"{element.name} refers to {target}, which is not there"


def _naming(element: Element, elements: list[Element]) -> Iterator[str]:
    is_field = element.name in ("select", "textarea") or (
        element.name == "input" and element.attributes.get("type") != "hidden"
    )
    if is_field and not label_of(element, elements):
        yield f"{element.name} {element.attributes.get('name')} has no label"
    if element.name == "fieldset":
        legends = [each for each in element.children if not isinstance(each, str)]
        if legends[0].name != "legend" or not legends[0].words():
            yield "a fieldset does not begin with a legend"
    if element.name == "button" and not (
        element.words() or element.attributes.get("aria-label", "")
    ):
        yield "a button has no text"
    if element.name == "button" and element.attributes.get("type") != "button":
        yield "a button would send the form"


def label_of(element: Element, elements: list[Element]) -> str:
    """Return the label of a field: by its id, around it, or as an attribute."""
    own = element.attributes.get("id")
    for each in elements:
        if each.name == "label" and own and each.attributes.get("for") == own:
            return each.words()
    around = element.parent
    while around is not None:
        if around.name == "label":
            return around.words()
        around = around.parent
    return element.attributes.get("aria-label", "")
