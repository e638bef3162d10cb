"""Why a stream does not come to its end, in words that help its author."""

from __future__ import annotations

from pywasm_filter.testing.embedded.filter_chain import FilterChain, Iteration
from pywasm_filter.testing.embedded.header_map import RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.stream import HttpStream

AnyChain = FilterChain[RequestHeaderMap] | FilterChain[ResponseHeaderMap]

_ALLOW = (
    "set allow_on_headers_stop_iteration=True (here: @pytest.mark.pywasm(allow_on_headers_stop_iteration=True); "
    "in Envoy: in the plugin's configuration)"
)


def stall_reason(stream: HttpStream) -> str:
    """What paused, what it returned, and what to do about it."""
    chain: AnyChain = stream.response_chain if stream.upstream_request_complete else stream.request_chain
    if not chain.paused_by:
        return f"the {chain.name} is not complete, though no callback has paused it"
    returned = stream.context.results.get(chain.paused_by, 0) if stream.context else 0
    what = f"{chain.paused_by} returned {_name(returned)}"
    return f"{what}, and nothing is left that could resume the {chain.name}: {_remedy(chain)}"


def _name(result: int) -> str:
    return f"PAUSE ({result})" if result == 1 else str(result)


def _remedy(chain: AnyChain) -> str:
    if chain.resumed_within and chain.resumed_within == chain.paused_by:
        return f"continue_{chain.name}() was called before the pause, so it came too early; return CONTINUE instead"
    if chain.source_blocked:
        return "it holds back more than the buffer limit, so that the sender must wait; return CONTINUE earlier"
    if chain.paused_by.endswith("_headers"):
        return _remedy_after_headers(chain)
    if chain.paused_by.endswith("_body"):
        return "return CONTINUE when end_of_stream is true, or answer with send_local_response"
    return f"return CONTINUE, or call continue_{chain.name}() later"


def _remedy_after_headers(chain: AnyChain) -> str:
    body_callback = f"on_{chain.name}_body"
    if not chain.has_body:
        return f"no body follows, so {body_callback} does not come; return CONTINUE when end_of_stream is true"
    if chain.iteration is Iteration.STOPPED:
        return f"let {body_callback} or on_{chain.name}_trailers return CONTINUE"
    return f"Envoy holds the body back as well, so {body_callback} never comes; {_ALLOW}, or return CONTINUE"
