"""Find the texts of the pages, and keep the catalogue of translations.

`make messages` (`python -m tests.architecture.texts`) writes `apps/ui/locale/*/LC_MESSAGES/`. Texts
are read from Django's parse tree of each template and from Python's syntax trees, so that no tool
of gettext is needed.
"""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polib

ROOT = Path(__file__).resolve().parents[2]
LOCALE = ROOT / "apps" / "ui" / "locale"
FOLDERS = ("apps", "config")
FUNCTIONS = {
    "gettext": ("singular",),
    "gettext_lazy": ("singular",),
    "gettext_noop": ("singular",),
    "ngettext": ("singular", "plural"),
    "ngettext_lazy": ("singular", "plural"),
    "pgettext": ("context", "singular"),
    "pgettext_lazy": ("context", "singular"),
    "npgettext": ("context", "singular", "plural"),
    "npgettext_lazy": ("context", "singular", "plural"),
}

PACKAGE_TEXTS = (
    "Be patient, you are sending too many requests.",
    "Incorrect code.",
    "Incorrect password.",
    "Password successfully changed.",
    "Password successfully set.",
    "This functionality requires JavaScript.",
    "Use a security key",
    "Use authenticator app or code",
    "Use your password",
    "You must type the same password each time.",
    "Your password has been changed.",
)
"""Name texts of allauth whose own German addresses people differently, or names other things."""


class Text(NamedTuple):
    """Hold what identifies an entry of a catalogue, as gettext does."""

    singular: str
    plural: str = ""
    context: str | None = None


def texts() -> dict[Text, list[str]]:
    """Return all texts of our pages with the files that have them."""
    found: dict[Text, list[str]] = {Text(text): ["(allauth)"] for text in PACKAGE_TEXTS}
    for path in sources():
        read = texts_of_template if path.suffix in {".html", ".txt"} else texts_of_python
        for text in read(path.read_text()):
            files = found.setdefault(text, [])
            if (name := str(path.relative_to(ROOT))) not in files:
                files.append(name)
    return found


def sources() -> Iterator[Path]:
    """Return the templates and modules that may have texts."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".py" or (path.suffix in {".html", ".txt"} and _is_template(path)):
                yield path


def _is_template(path: Path) -> bool:
    return "templates" in path.parts


# --- Python ---------------------------------------------------------------------------------------


def texts_of_python(source: str) -> Iterator[Text]:
    """Return the texts that are arguments of gettext's functions, also as `_`."""
    if "gettext" not in source:
        return
    tree = ast.parse(source)
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            kinds = FUNCTIONS.get(names.get(node.func.id, ""), ())
            values = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if kinds and len(values) >= len(kinds):
                yield Text(**dict(zip(kinds, map(str, values), strict=False)))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return the functions of gettext by the names that the module gives them."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
    }


# --- templates ------------------------------------------------------------------------------------


def texts_of_template(source: str) -> Iterator[Text]:
    """Return the texts of a template's `translate`, `blocktranslate` and `_("…")`."""
    from django.template import Engine
    from django.template.base import Template

    engine = Engine.get_default()
    yield from _texts_of_node(Template(source, engine=engine).nodelist, set())


def _texts_of_node(node: Any, seen: set[int]) -> Iterator[Text]:
    """Walk all that a node holds: nodes, lists of nodes, conditions, expressions, variables."""
    from django.templatetags.i18n import BlockTranslateNode, TranslateNode
    from django.utils.functional import Promise

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, BlockTranslateNode):
        yield _block(node)
    if isinstance(node, TranslateNode):
        yield _line(node)
    elif isinstance(node, Promise):
        # What the parser makes of `_("…")`.
        *context, singular = node._args  # type: ignore[attr-defined]
        yield Text(singular, context=context[0] if context else None)
    else:
        for part in _parts(node):
            yield from _texts_of_node(part, seen)


def _parts(node: Any) -> list[Any]:
    """Return what a node, an expression or a collection is made of."""
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, list | tuple):
        return list(node)
    if not type(node).__module__.startswith(("django.template", "allauth.")):
        return []
    slots = [getattr(node, name, None) for name in getattr(type(node), "__slots__", ())]
    return [*slots, *getattr(node, "__dict__", {}).values()]


def _line(node: Any) -> Text:
    """Return the text of a `translate`."""
    context = None if node.message_context is None else str(node.message_context.var)
    return Text(str(node.filter_expression.var.literal), context=context)


def _block(node: Any) -> Text:
    """Return the text of a `blocktranslate`, as it is looked up."""
    singular, _ = node.render_token_list(node.singular)
    plural = node.render_token_list(node.plural)[0] if node.plural else ""
    context = None if node.message_context is None else str(node.message_context.var)
    return Text(singular, plural, context)


# --- the catalogue --------------------------------------------------------------------------------


def languages() -> list[str]:
    """Return the languages that have a catalogue."""
    return sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def catalogue(language: str) -> Path:
    """Return the path of a language's catalogue."""
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def key(entry: polib.POEntry) -> Text:
    """Return what identifies an entry."""
    return Text(entry.msgid, entry.msgid_plural or "", entry.msgctxt)


def update(language: str) -> list[Text]:
    """Write a catalogue with exactly the present texts. Return those without a translation."""
    path = catalogue(language)
    known = {key(entry): entry for entry in polib.pofile(str(path))}
    written = polib.POFile(wrapwidth=98)
    written.metadata = {
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": polib.pofile(str(path)).metadata["Plural-Forms"],
    }
    missing = []
    for text, files in sorted(texts().items(), key=lambda item: (item[1][0], item[0].singular)):
        entry = _entry(text, files, known.get(text))
        written.append(entry)
        if not entry.translated():
            missing.append(text)
    path.write_text(str(written))
    path.with_suffix(".mo").write_bytes(compiled(written))
    return missing


def _entry(text: Text, files: list[str], known: polib.POEntry | None) -> polib.POEntry:
    # Without line numbers: they would change with every edit of a page.
    entry = polib.POEntry(
        msgid=text.singular, msgctxt=text.context, occurrences=[(name, "") for name in files]
    )
    if "%(" in text.singular + text.plural:
        entry.flags.append("python-format")
    if text.plural:
        entry.msgid_plural = text.plural
        entry.msgstr_plural = known.msgstr_plural if known else {0: "", 1: ""}
    elif known:
        entry.msgstr = known.msgstr
    return entry


def compiled(file: polib.POFile) -> bytes:
    """Return the binary form, the same for the same entries."""
    binary: bytes = file.to_binary()
    return binary


def main() -> int:
    """Update all catalogues. Return 1 if a translation is missing."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    is_complete = True
    for language in languages():
        missing = update(language)
        print(f"{language}: {len(texts())} texts, {len(missing)} without a translation")
        for text in missing:
            print(f"  {text.singular!r}")
        is_complete = is_complete and not missing
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
