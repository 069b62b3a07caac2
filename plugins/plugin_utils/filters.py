# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Functions as filters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError


def filters_of(*functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The functions by name; a value that one cannot use is an error of the template, not a traceback."""
    return {function.__name__: _said(function) for function in functions}


def _said(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*values: Any) -> Any:
        try:
            return function(*values)
        except ValueError as error:
            raise AnsibleFilterError(f"{function.__name__}: {error}") from error

    return call
