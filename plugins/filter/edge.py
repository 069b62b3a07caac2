# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What templates of the proxies' configurations ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge import (
    nginx_access,
    nginx_cache,
    nginx_csp,
    nginx_oidc,
    nginx_pools,
    nginx_sites,
    waf,
    words,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.filters import filters_of


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return filters_of(
            words.nginx_word,
            words.haproxy_word,
            nginx_sites.merge_headers,
            nginx_sites.answers_late,
            nginx_sites.location_id,
            nginx_sites.site_headers,
            nginx_sites.site_problems,
            nginx_access.refused_agents,
            nginx_access.nginx_user_problems,
            nginx_access.nginx_password_file,
            nginx_cache.kept_seconds,
            nginx_csp.csp_path,
            nginx_oidc.signed_in_only,
            nginx_oidc.signs_in,
            nginx_oidc.sign_in_query,
            nginx_oidc.oidc_problems,
            nginx_pools.pool_tls_problems,
            nginx_pools.pool_tls_files,
            nginx_pools.client_certificate,
            waf.waf_problems,
            waf.waf_rules,
        )
