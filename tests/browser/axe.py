"""Look for faults of accessibility with axe-core."""

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Page

RUN = """() => axe.run({resultTypes: ['violations']})
  .then(({violations}) => ({violations}))"""


def axe_faults(page: Page) -> str:
    """Return a report of what axe finds; empty without any. It is loaded once a page."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = AxeResults(page.evaluate(RUN))
    return found.generate_report() if found.violations_count else ""
