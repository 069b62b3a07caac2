# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters that judge readiness and show the verdict; their documentation is in the .yml files beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time
from ansible_collections.slipway.ops.plugins.module_utils.readiness.verdict import assess
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.report import Page, render
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.summary import summary
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words


def readiness(
    policy: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
    waivers: Sequence[Mapping[str, Any]] = (),
    language: str = "en",
    now: str | None = None,
) -> dict[str, Any]:
    """Policy and evidence to a verdict."""
    with_time = parse_time(now) if now else None
    return Words(language).localised(assess(policy, records, waivers, with_time))


def readiness_summary(
    assessment: Mapping[str, Any], language: str = "en", damaged: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """A verdict as lines of at most 80 columns."""
    words = Words(language)
    return summary(assessment, words, Page(assessment, {}, words).sentence, damaged)


def readiness_report(
    assessment: Mapping[str, Any],
    evidence: Mapping[str, Any],
    about: Mapping[str, str],
    language: str = "en",
) -> str:
    """A verdict as one HTML page."""
    return render(assessment, evidence, Words(language), about)


def _explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter on plain data, its errors as Ansible's."""

    def wrapper(value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            # Ansible marks values with their origin; the pages and the JSON file are about the values alone.
            plain, plain_args, plain_kwargs = json.loads(json.dumps([value, args, kwargs], default=str))
            return function(plain, *plain_args, **plain_kwargs)
        except (ValueError, EvidenceError) as error:
            raise AnsibleFilterError(f"{function.__name__}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise AnsibleFilterError(
                f"{function.__name__}: {type(error).__name__} {error}; is the input a policy with records of"
                " slipway.ops.evidence_info, or a verdict of slipway.ops.readiness?"
            ) from error

    return wrapper


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            function.__name__: _explained(function) for function in (readiness, readiness_summary, readiness_report)
        }
