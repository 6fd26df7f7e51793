"""Send webhooks as a Django project usually does: a Celery task for each, with `requests`.

HMAC signature, timeout, retries by Celery; no rows, no order, no recorded attempts. As a program it
enqueues the deliveries of a file (see bench/deliveries.py).
"""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import requests
from celery import Celery

from biolayer import signing

QUEUE = "usual_deliveries"
TIMEOUT_SECONDS = 10

app = Celery("usual_deliveries", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
)


@app.task(
    name="deliver", autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=8
)
def deliver(url: str, webhook_id: str, body: str, secret: str) -> None:
    signature = signing.sign(
        secrets=[secret], message_id=webhook_id, at=datetime.now(UTC), body=body.encode()
    )
    response = requests.post(
        url,
        data=body.encode(),
        headers={"Content-Type": "application/json", **signature},
        timeout=TIMEOUT_SECONDS,
    )
    response.raise_for_status()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--posts", type=Path, required=True)
    options.add_argument("--count", type=int, required=True)
    arguments = options.parse_args()
    document = json.loads(arguments.posts.read_text())
    for post in document["posts"][: arguments.count]:
        deliver.delay(post["url"], post["webhook_id"], post["body"], document["keys"][0])


if __name__ == "__main__":
    main()
