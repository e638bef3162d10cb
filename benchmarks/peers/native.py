"""Envoy's own filters in C++, configured: what nobody needs to write a filter for."""

from __future__ import annotations

import json

from benchmarks.envoys import Deployment
from benchmarks.jobs import DEFAULT_ROUTE, ROUTE_HEADER, Job, rules
from benchmarks.peers.peer import Peer, UnavailableError
from pywasm_filter.testing.envoy.config import JSON

_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters.http"


class Native(Peer):
    """Built into Envoy."""

    name = "native"
    title = "Envoy's own filter (C++)"

    def prepare(self, job: Job) -> Deployment:
        """Configure it."""
        match job.name:
            case "headers":
                return Deployment(http_filters=[_header_mutation(job.configuration)])
            case "jwt":
                return Deployment(http_filters=[_jwt_authn(json.loads(job.configuration))])
            case "routing":
                return Deployment(routes=_routes())
        raise UnavailableError("Envoy has no filter that edits JSON")


def _header_mutation(value: str) -> JSON:
    mutation = {"append": {"header": {"key": "x-hello", "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    mutations = {"request_mutations": [mutation], "response_mutations": [mutation]}
    return {
        "name": "header_mutation",
        "typed_config": {"@type": f"{_EXTENSIONS}.header_mutation.v3.HeaderMutation", "mutations": mutations},
    }


def _jwt_authn(settings: JSON) -> JSON:
    provider = {
        "issuer": settings["issuer"],
        "audiences": settings["audiences"],
        "local_jwks": {"inline_string": json.dumps({"keys": [{"alg": "HS256", **key} for key in settings["keys"]]})},
        "claim_to_headers": [
            {"header_name": name, "claim_name": claim} for name, claim in settings["claim_headers"].items()
        ],
    }
    return {
        "name": "jwt_authn",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.jwt_authn.v3.JwtAuthentication",
            "providers": {"benchmark": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "benchmark"}}],
        },
    }


def _routes() -> list[JSON]:
    """Routes with regular expressions (RE2), in order."""
    return [
        *(_route({"safe_regex": {"regex": rule.regex}}, rule.route) for rule in rules()),
        _route({"prefix": "/"}, DEFAULT_ROUTE),
    ]


def _route(match: JSON, name: str) -> JSON:
    told = {"header": {"key": f"x-upstream-{ROUTE_HEADER}", "value": name}}
    return {"match": match, "direct_response": {"status": 200}, "response_headers_to_add": [told]}
