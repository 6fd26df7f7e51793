"""Render what requesters write for workers: Markdown without HTML, images or foreign code."""

from functools import lru_cache

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.token import Token

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
    "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "table": {"tabindex"}}
SCHEMES = {"http", "https", "mailto", "tel"}

# The page has headings of two levels above the text.
FIRST_LEVEL, LAST_LEVEL = 3, 6

# An image would be fetched from another host, which then knows who reads the task, and when. It
# becomes a link.
_parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": 20})
_parser.enable(["table", "strikethrough"]).disable(["image"])


@lru_cache(maxsize=256)
def render_markdown(text: str) -> SafeString:
    """Return the HTML of a text, of a few elements and attributes only."""
    tokens = _parser.parse(text)
    _lower_headings(tokens)
    for token in tokens:
        if token.type == "table_open":
            # A wide one is scrolled, also by keys.
            token.attrSet("tabindex", "0")
    html = _parser.renderer.render(tokens, _parser.options, {})
    cleaned = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    # It has been cleaned, which bandit cannot see.
    return SafeString(cleaned)  # nosec B703


def _lower_headings(tokens: list[Token]) -> None:
    """Let the headings begin below those of the page, and skip no level."""
    level = FIRST_LEVEL - 1
    for token in tokens:
        if token.type == "heading_open":
            level = min(FIRST_LEVEL - 1 + int(token.tag[1]), level + 1, LAST_LEVEL)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{level}"
