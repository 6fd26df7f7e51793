"""Check that the generated pages are up to date."""

from pathlib import Path

import pytest

from config.documents import DOCUMENTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_generated_page_is_current(name: str) -> None:
    message = f"{name} is stale. Mend: run `python3 manage.py document`."
    assert (ROOT / name).read_text() == DOCUMENTS[name](), message
