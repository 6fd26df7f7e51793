"""Configure Celery, which only wakes the drains: all work is stored in rows of PostgreSQL."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    setup_logging,
    task_postrun,
    task_prerun,
    worker_ready,
    worker_shutdown,
)

from config.drains import DRAINS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery's command line imports this before the settings; every other process imports it as well.
if "worker" in sys.argv:
    os.environ.setdefault("BIOLAYER_PROCESS", "worker")

app = Celery("biolayer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")

DRAIN_OF_JOB = {drain.job: drain.name for drain in DRAINS}


@worker_ready.connect
def _report_process(sender: Any, **_: object) -> None:
    """Begin the heartbeat of this worker process, named as by `config.processes`."""
    from apps.operations import heartbeat

    heartbeat.start(str(sender.hostname).partition("@")[0])


@worker_shutdown.connect
def _forget_process(**_: object) -> None:
    from apps.operations import heartbeat

    heartbeat.stop()


@task_prerun.connect
def _drain_began(task: Any, **_: object) -> None:
    from apps.operations.heartbeat import drain_log

    drain_log.began(DRAIN_OF_JOB.get(task.name, task.name))


@task_postrun.connect
def _drain_ended(task: Any, **_: object) -> None:
    from apps.operations.heartbeat import drain_log

    drain_log.ended(DRAIN_OF_JOB.get(task.name, task.name))


@setup_logging.connect
def _log_like_django(**_: object) -> None:
    """Prevent Celery from installing log handlers of its own."""
