"""The same signed bodies from a bare aiohttp client: what one Python process can post at all.

The signatures are made before the clock starts. No rows, no guards, no deadline, no attempts. It is
a program: it prints, as JSON, how long the posts took and how much processor time.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from biolayer import signing


@dataclass(frozen=True, slots=True)
class Post:
    url: str
    headers: dict[str, str]
    body: bytes


def signed(kept: dict[str, Any], count: int) -> list[Post]:
    at = datetime.now(UTC)
    posts = []
    for post in kept["posts"][:count]:
        body = post["body"].encode()
        headers = signing.sign(
            secrets=kept["keys"], message_id=post["webhook_id"], at=at, body=body
        )
        posts.append(Post(post["url"], {"Content-Type": "application/json", **headers}, body))
    return posts


async def send(posts: list[Post], *, in_flight: int) -> dict[str, float]:
    """Post all; what it took."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        waiting = iter(posts)
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(_post_all(session, waiting) for _ in range(in_flight)))
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
        }


async def _post_all(session: aiohttp.ClientSession, posts: Iterator[Post]) -> None:
    for post in posts:
        async with session.post(post.url, data=post.body, headers=post.headers) as answer:
            await answer.read()
            answer.raise_for_status()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--posts", type=Path, required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--in-flight", type=int, required=True)
    said = options.parse_args()
    posts = signed(json.loads(said.posts.read_text()), said.count)
    print(json.dumps(asyncio.run(send(posts, in_flight=said.in_flight))))


if __name__ == "__main__":
    main()
