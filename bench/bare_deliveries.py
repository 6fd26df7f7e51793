"""Post the same signed bodies with a bare aiohttp client: the most that one Python process can.

The signatures are made before the clock starts. No rows, no address check, no deadline. The program
prints, as JSON, how long the posts took and how much CPU time.
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


def signed(document: dict[str, Any], count: int) -> list[Post]:
    """Return the first posts of a file with their signatures."""
    at = datetime.now(UTC)
    posts = []
    for post in document["posts"][:count]:
        body = post["body"].encode()
        headers = signing.sign(
            secrets=document["keys"], message_id=post["webhook_id"], at=at, body=body
        )
        posts.append(Post(post["url"], {"Content-Type": "application/json", **headers}, body))
    return posts


async def send(posts: list[Post], *, in_flight: int) -> dict[str, float]:
    """Post all. Return wall and CPU seconds."""
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
        async with session.post(post.url, data=post.body, headers=post.headers) as response:
            await response.read()
            response.raise_for_status()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--posts", type=Path, required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--in-flight", type=int, required=True)
    arguments = options.parse_args()
    posts = signed(json.loads(arguments.posts.read_text()), arguments.count)
    print(json.dumps(asyncio.run(send(posts, in_flight=arguments.in_flight))))


if __name__ == "__main__":
    main()
