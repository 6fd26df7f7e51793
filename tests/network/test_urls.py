"""Test URLs: which are invalid, and that the registered target is the one called."""

import pytest

from apps.webhooks.destination_urls import url_problem
from apps.webhooks.http_client.http1 import Target


# RFC 9112, 3.2.1 with RFC 3986: the path and the query stay as they are.
@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example/a?u=https%3A%2F%2Fx", "/a?u=https%3A%2F%2Fx"),
        ("https://hooks.example/a%2Fb/%2e%2E/c", "/a%2Fb/%2e%2E/c"),
        ("https://hooks.example/a/../b/./c//d", "/a/../b/./c//d"),
        ("https://hooks.example", "/"),
        ("https://hooks.example?x=1", "/?x=1"),
        ("https://hooks.example/?", "/?"),
        ("https://hooks.example/a#fragment?x", "/a"),
        ("https://hooks.example#a/b", "/"),
        ("https://hooks.example/%7Euser/~user", "/%7Euser/~user"),
        ("https://hooks.example/?a=b+c&d=%20;e=[1]&f='(x)'*", "/?a=b+c&d=%20;e=[1]&f='(x)'*"),
        ("https://hooks.example:/x", "/x"),
        ("https://hooks.example/gr\u00fc\u00dfe?q=\u4f60", "/gr%C3%BC%C3%9Fe?q=%E4%BD%A0"),
        ("https://[2606:4700::1]:8443/a", "/a"),
    ],
)
def test_target__is_the_registered_one(url: str, target: str) -> None:
    assert url_problem(url) is None
    head = Target.of(url).head({}, 0).decode()
    assert head.startswith(f"POST {target} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1]x:8080/",
        "https://[2606:4700::1]8080/",
        "https://[2606:4700::1/",
        "https://2606:4700::1/",
        "https://[hooks.example]/",
        "https://hooks.example:80:80/",
        "https://hooks.example:x/",
        "https://hooks.example/%zz",
        "https://hooks.example/100%",
        "https://hooks.example/<a>",
        "https://hooks.example/{a}|b",
        "https://a.1/",
        "https://1.2.3.4.5/",
        "https://a-.example/",
        "https://-a.example/",
        "https://hooks.example:+80/",
        "https://hooks.example:99999/",
        "https://hooks.example:0/",
        "https://hooks.example:\u0668/",
        "https://",
        "https:///a",
        "https://:443/",
        "https:hooks.example",
        "https:/hooks.example/",
        "https://hooks<b>.example/",
        "https://hooks%2Eexample/",
        "https://a..example/",
        "https://.example/",
        "https://hooks.example\\@x/",
        "https://hooks example/",
        "//hooks.example/",
        "hooks.example/a",
        "ftp://hooks.example/",
        "",
    ],
)
def test_url__that_is_invalid(url: str) -> None:
    assert url_problem(url) is not None
