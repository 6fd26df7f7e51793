"""Check that every text of the pages is translated, into every language."""

import re
from importlib import import_module
from pathlib import Path

import polib
import pytest
from django.conf import settings

from tests.architecture import untranslated
from tests.architecture.texts import (
    LOCALE,
    ROOT,
    Text,
    catalogue,
    compiled,
    key,
    languages,
    sources,
    texts,
    texts_of_python,
    texts_of_template,
)

PAGES = ("apps/ui", "apps/portal", "apps/console", "apps/notices")
PLACEHOLDER = re.compile(r'%\(\w+\)[sd]|%[sd]|\{\w*\}|"')  # A quote ends an attribute.
TAG = re.compile(r"</?\w+[^>]*>")
FORMATS = re.compile(r"\|(?:date|time):([\"'])(.*?)\1")
FORMAT_NAMES = {
    "c",  # for machines
    "DATE_FORMAT",
    "SHORT_DATE_FORMAT",
    "MONTH_DAY_FORMAT",
    "TIME_FORMAT",
    "DATETIME_FORMAT",
    "SHORT_DATETIME_FORMAT",
    "WEEKDAY_DATETIME_FORMAT",
}
PHYSICAL = re.compile(
    r"(?:(?:margin|padding|border)-(?:left|right)"
    r"|(?:text-align|float): *(?:left|right)"
    r"|(?<![\w-])(?:left|right): (?!50%))[^;]*"
)
MEND = "Mend: run `make messages`, then translate what it lists."


@pytest.fixture(scope="module")
def all_texts() -> set[Text]:
    return set(texts())


def templates() -> list[Path]:
    return [path for path in sources() if path.suffix != ".py"]


def page_files(suffix: str) -> list[Path]:
    return [path for folder in PAGES for path in sorted((ROOT / folder).rglob(f"*{suffix}"))]


def test_languages__have_catalogues() -> None:
    assert {"en", *languages()} == {code for code, _ in settings.LANGUAGES}


@pytest.mark.parametrize("language", languages())
def test_catalogue__has_exactly_the_texts_of_the_pages(language: str, all_texts: set[Text]) -> None:
    entries = polib.pofile(str(catalogue(language)))
    assert len({key(entry) for entry in entries}) == len(entries)
    stored = {key(entry) for entry in entries}
    assert sorted(all_texts ^ stored) == [], MEND


@pytest.mark.parametrize("language", languages())
def test_catalogue__is_complete(language: str) -> None:
    entries = polib.pofile(str(catalogue(language)))
    missing = [entry.msgid for entry in entries if not entry.translated() or entry.obsolete]
    assert missing == [], MEND


@pytest.mark.parametrize("language", languages())
def test_translations__have_the_placeholders_and_tags_of_the_text(language: str) -> None:
    wrong = []
    for entry in polib.pofile(str(catalogue(language))):
        # The text for one may leave its number out.
        pairs = [(entry.msgstr, {entry.msgid})]
        if entry.msgid_plural:
            one, *others = entry.msgstr_plural.values()
            pairs = [(one, {entry.msgid, entry.msgid_plural})]
            pairs += [(other, {entry.msgid_plural}) for other in others]
        for text, originals in pairs:
            if marks_of(text) not in [marks_of(original) for original in originals]:
                wrong.append(text)
    assert wrong == []


def marks_of(text: str) -> list[str]:
    """Return the placeholders and the tags, in order."""
    return sorted(PLACEHOLDER.findall(text) + TAG.findall(text))


@pytest.mark.parametrize("language", languages())
def test_translations__begin_and_end_as_the_text(language: str) -> None:
    wrong = [
        entry.msgstr
        for entry in polib.pofile(str(catalogue(language)))
        if entry.msgstr and _edges(entry.msgstr) != _edges(entry.msgid)
    ]
    assert wrong == []


def _edges(text: str) -> tuple[bool, bool, str]:
    """Return whether there are spaces at the ends, and the sign that ends a sentence."""
    end = text.rstrip()[-1:]
    return text[:1].isspace(), text[-1:].isspace(), end if end in ".?:…" else ""


@pytest.mark.parametrize("language", languages())
def test_binary_catalogue__is_that_of_the_text(language: str) -> None:
    path = catalogue(language)
    assert path.with_suffix(".mo").read_bytes() == compiled(polib.pofile(str(path))), MEND


def test_catalogues__are_in_one_place() -> None:
    elsewhere = [path for path in ROOT.glob("apps/**/locale") if path != LOCALE]
    assert elsewhere == []


def test_templates__are_translated() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in templates()
        for text in untranslated.in_template(path.read_text(), is_html=path.suffix == ".html")
    ]
    assert found == [], "Mend: use `translate` or `blocktranslate`, then `make messages`."


def test_forms_and_messages__are_translated() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in page_files(".py")
        for text in untranslated.in_python(path.read_text())
    ]
    assert found == [], "Mend: use `gettext` or `gettext_lazy`, then `make messages`."


def test_scripts__have_no_texts() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in page_files(".js")
        for text in untranslated.in_script(path.read_text())
    ]
    assert found == [], "Mend: render the text into a `data-` attribute, and read it from there."


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES])
def test_each_language__has_all_formats(language: str) -> None:
    module = import_module(f"apps.ui.formats.{language}.formats")
    assert {name for name in vars(module) if name.isupper()} == FORMAT_NAMES - {"c"}


def test_styles__work_in_both_directions() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {rule}"
        for path in page_files(".css")
        for rule in PHYSICAL.findall(path.read_text())
    ]
    assert found == [], "Mend: use the logical property, such as `margin-inline-start`."


def test_dates__are_written_as_the_language_does() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in templates()
        for _, name in FORMATS.findall(path.read_text())
        if name not in FORMAT_NAMES
    ]
    assert found == [], f"Mend: use one of {sorted(FORMAT_NAMES)} (apps/ui/formats)."


def test_texts__are_found_in_templates() -> None:
    source = """{% load i18n %}{% translate "One" %}{% translate "May" context "month" %}
        {% if x == _("Two") %}{% firstof x _("Three") %}{% endif %}{{ x|default:_("Four") }}
        {% blocktranslate count n=x trimmed %}
          {{ n }} is 5 %
        {% plural %}
          {{ n }} are 5 %
        {% endblocktranslate %}"""
    assert set(texts_of_template(source)) == {
        Text("One"),
        Text("May", context="month"),
        Text("Two"),
        Text("Three"),
        Text("Four"),
        Text("%(n)s is 5 %%", "%(n)s are 5 %%"),
    }


def test_texts__are_found_in_modules() -> None:
    source = """
from django.utils.translation import gettext as _, ngettext, pgettext_lazy as p
_("One"); ngettext("a", "b", 2); p("month", "May"); other("No")
"""
    expected = {Text("One"), Text("a", "b"), Text("May", context="month")}
    assert set(texts_of_python(source)) == expected


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Hello {{ x }}</p>", ["Hello"]),
        ('<p>{% translate "Hello" %} · {{ name }}, BioLayer</p>', []),
        ('<a title="More" class="b" href="{% url \'x\' %}">→</a>', ["title='More'"]),
        ('{% blocktranslate %}Hello{% endblocktranslate %}<script>let x = "Hi you"</script>', []),
    ],
)
def test_untranslated_texts__are_found(source: str, found: list[str]) -> None:
    assert untranslated.in_template(source, is_html=True) == found


def test_untranslated_arguments__are_found() -> None:
    source = 'CharField(label="Name", help_text=_("x"))\nmessages.success(request, f"Done {x}")'
    assert list(untranslated.in_python(source)) == ["line 1: 'Name'", "line 2: f'Done {x}'"]


def test_untranslated_sentences_of_scripts__are_found() -> None:
    source = "place.textContent = 'Try again later'\nthrow new Error('No place for it')\nuse('a b')"
    assert list(untranslated.in_script(source)) == ["line 1: Try again later"]
