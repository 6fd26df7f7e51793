"""Compute when a team's windows open: pure arithmetic on times."""

from datetime import datetime, timedelta


def first_window(*, created_at: datetime, cadence: timedelta) -> datetime:
    """Return when the first window of a team opens."""
    return created_at + cadence


def following_window(*, due_at: datetime, cadence: timedelta, at: datetime) -> datetime:
    """Return the first point of the grid `due_at` + k * `cadence` after `at`.

    The windows that were due while no process opened them are one, which opens late.
    """
    missed = (at - due_at) // cadence
    return due_at + (missed + 1) * cadence


def changed_window(*, last_at: datetime, cadence: timedelta, at: datetime) -> datetime:
    """Return when the next window opens after a resume or a new cadence: never before `at`.

    `last_at` is when the latest window opened, or when the team was created.
    """
    return max(at, last_at + cadence)
