from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.net.url import UrlError, parse_url


@pytest.mark.parametrize(
    ("text", "authority", "port", "target"),
    [
        ("http://shop.example", "shop.example", 80, "/"),
        ("https://Shop.Example?x=1", "shop.example", 443, "/?x=1"),
        ("http://shop.example:8080/a?b#c", "shop.example:8080", 8080, "/a?b"),
        ("https://shop.example:443/", "shop.example", 443, "/"),
        ("http://[FD00::5]:8000/", "[fd00::5]:8000", 8000, "/"),
        ("http://[fd00::5]/", "[fd00::5]", 80, "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://b%C3%BCcher.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://shop.example/한국?q=é%20", "shop.example", 443, "/%ED%95%9C%EA%B5%AD?q=%C3%A9%20"),
    ],
)
def test_a_url_is_taken_apart_as_it_is_sent(text, authority, port, target):
    url = parse_url(text)
    assert (url.authority, url.port, url.target) == (authority, port, target)
    assert url.tls == text.startswith("https")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a URL such as http://shop.example/health or https://shop.example/health"),
        ("shop.example/health", "is not a URL such as"),
        ("ftp://shop.example/", "is not a URL such as"),
        ("http:///health", "is not a URL such as"),
        ("http://shop.example/a b", "percent-encoded, such as %20"),
        ("http://shop.example:http/", "'http' is no port"),
        ("http://shop.example:99999/", "'99999' is no port"),
        ("http://:80/", "has no host"),
        ("http://fd00::5/", "an IPv6 address stands in brackets"),
        ("http://[fd00::5/", "Invalid IPv6 URL"),
        ("http://[shop]/", "is not a URL"),
        ("http://a..b.ü/", "is no host"),
        ("http://sho%20p/", "is no host"),
        ("http://sh\u2100p.example/", "NFKC"),
    ],
)
def test_what_is_no_url_is_refused_in_words(text, said):
    with pytest.raises(UrlError) as caught:
        parse_url(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["http://ann:secret@shop/", "ftp://ann:secret@shop/", "http://ann:secret@shop/a b"])
def test_credentials_are_refused_and_not_repeated(text):
    with pytest.raises(UrlError, match="credentials do not belong into a URL") as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)
