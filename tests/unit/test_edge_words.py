"""Values as words of nginx's and HAProxy's configuration: read back by their own rules they are the same."""

from __future__ import annotations

import re
import shlex

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.words import WordError, haproxy_word, nginx_word

VALUES = [
    "/old",
    "",
    "https://example.test/app;v=1/",
    r"^/a\\b/\d+$",
    'say "hi"',
    "it's",
    "{a} # b",
    "\\",
    'end\\"',
    "${x}",
    "~^re\\d{2}$",
    "a\\nb",
    "bücher",
    "[::]:80",
]


def read_by_nginx(word: str) -> list[str]:
    """The words of a directive, as ngx_conf_read_token splits and unescapes them."""
    token = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^\s;{}"\'\\#]|\\.)+)', re.DOTALL)
    escapes = {'\\"': '"', "\\'": "'", "\\\\": "\\", "\\t": "\t", "\\r": "\r", "\\n": "\n"}
    assert "".join(found[0] for found in token.finditer(word)) == word
    words = (found[1] if found[1] is not None else found[2] for found in token.finditer(word))
    return [re.sub(r"\\.", lambda found: escapes.get(found[0], found[0]), each) for each in words]


@pytest.mark.parametrize("value", VALUES)
def test_nginx_reads_the_value(value):
    assert read_by_nginx(nginx_word(value)) == [value]


@pytest.mark.parametrize("value", VALUES)
def test_haproxy_reads_the_value(value):
    """Its strong quotes and backslashes are a shell's; nothing that it looks into stands bare."""
    word = haproxy_word(value)
    assert shlex.split(word) == [value]
    assert word != value or not re.search(r"[\s$#'\"\\]", value)


@pytest.mark.parametrize("word", [nginx_word, haproxy_word])
def test_numbers_are_words_and_other_values_are_refused(word):
    assert word(30) == "30"
    for value in (None, True, {"a": 1}, ["a"]):
        with pytest.raises(WordError, match="is not a text"):
            word(value)
    for text in ("two\nlines", "tab\t", "\x00"):
        with pytest.raises(WordError, match="must be one line"):
            word(text)
