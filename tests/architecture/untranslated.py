"""Find what a person reads on a page and gettext does not know."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser

BLOCK_TRANSLATED = re.compile(r"{% blocktranslate\b.*?{% endblocktranslate %}", re.S)
COMMENTS = re.compile(r"{#.*?#}|{% comment %}.*?{% endcomment %}", re.S)
CLASSES = re.compile(r"{% block \w*class %}.*?{% endblock %}")
# A tag whose name is chosen: `<{% if … %}a{% else %}button{% endif %} …>`.
CHOSEN_TAGS = re.compile(r"</?{%[^>]*>")
TAGS = re.compile(r"{%.*?%}|{{.*?}}", re.S)
# In a template that is a part of a tag.
ATTRIBUTES = re.compile(r'[\w-]+="[^"]*"')
LETTER = re.compile(r"[^\W\d_]")
READ_ALOUD = {"alt", "aria-label", "aria-description", "label", "placeholder", "title"}
NAMES = re.compile(r"\b(BioLayer|UTC|JSON|GPS)\b|(?:/[\w-]+)+/")
"""Match what no language translates: names, paths."""

TEXT_ARGUMENTS = {"label", "help_text", "empty_label"}
TEXT_FUNCTIONS = {
    "messages.error",
    "messages.info",
    "messages.success",
    "messages.warning",
    "forms.ValidationError",
    "ValidationError",
}
# Two words, the first with a capital: no identifier, selector or event.
SENTENCE = re.compile(r"""(['"`])([A-Z][^'"`\n]*?[a-z]{2}[^'"`\n]*? [a-z][^'"`\n]*)\1""")
THROWN = re.compile(r"\b(throw|Error\(|console\.)")


def in_template(source: str, *, is_html: bool) -> list[str]:
    """Return texts of a template that stand outside of `translate` and `blocktranslate`."""
    for pattern in (COMMENTS, BLOCK_TRANSLATED, CLASSES, CHOSEN_TAGS, TAGS):
        source = pattern.sub(" ", source)
    if not is_html:
        return [line.strip() for line in source.splitlines() if _has_words(line)]
    reader = _Reader()
    reader.feed(source)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    """Collect the texts and the attributes that people read or hear."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._unread = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            f"{name}={value!r}" for name, value in attrs if name in READ_ALOUD and _has_words(value)
        ]
        if tag in {"script", "style", "code", "svg"}:
            self._unread = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unread:
            self._unread = ""

    def handle_data(self, data: str) -> None:
        if not self._unread and _has_words(ATTRIBUTES.sub("", data)):
            self.found.append(" ".join(data.split()))


def _has_words(text: str | None) -> bool:
    return LETTER.search(NAMES.sub("", text or "")) is not None


def in_python(source: str) -> Iterator[str]:
    """Return the literal texts that a module gives to a form's field or to a message."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = [word.value for word in node.keywords if word.arg in TEXT_ARGUMENTS]
        if ast.unparse(node.func) in TEXT_FUNCTIONS:
            given += node.args
        for value in given:
            if any(_has_words(text) for text in _literals(value)):
                yield f"line {value.lineno}: {ast.unparse(value)}"


def _literals(value: ast.expr) -> list[str]:
    """Return the literal texts of an expression: of a format string, those between its values."""
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    return [
        part.value
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def in_script(source: str) -> Iterator[str]:
    """Return the literals of a script that look like sentences, and are no error of a program."""
    for number, line in enumerate(source.splitlines(), start=1):
        code = line.partition("//")[0]
        if not THROWN.search(code):
            yield from (f"line {number}: {text}" for _, text in SENTENCE.findall(code))
