"""What tests of figures and lists share: all of it read as it is listed, or counted."""

from apps.operations.services import recount, recount_listed

WAYS = ("counted", "listed")


def read_by(way: str) -> None:
    """Have readers read what is listed, as after the first recount; or count what is stored."""
    if way == "listed":
        assert recount() is not None
        assert recount_listed() == 0
