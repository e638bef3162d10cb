"""Why a stream does not come to its end, in words that help its author."""

from __future__ import annotations

from pywasm_filter.testing.embedded.filter_iteration import FilterIteration, Iteration
from pywasm_filter.testing.embedded.header_map import RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.stream import HttpStream

AnyIteration = FilterIteration[RequestHeaderMap] | FilterIteration[ResponseHeaderMap]

_ALLOW = (
    "set allow_on_headers_stop_iteration=True (here: @pytest.mark.pywasm(allow_on_headers_stop_iteration=True); "
    "in Envoy: in the plugin's configuration)"
)


def stall_reason(stream: HttpStream) -> str:
    """Which filter paused, what it returned, and what to do about it."""
    paused: AnyIteration | None
    if stream.upstream_request_complete:
        name, paused = "response", stream.response_chain.paused
    else:
        name, paused = "request", stream.request_chain.paused
    if paused is None or not paused.paused_by:
        return f"the {name} is not complete, though no callback has paused it"
    context = next(
        context
        for context, callbacks in zip(stream.contexts, stream.callbacks, strict=True)
        if paused in (callbacks.request, callbacks.response)
    )
    plugin = f" of {context.root.plugin.plugin_name!r}" if len(stream.contexts) > 1 else ""
    what = f"{paused.paused_by}{plugin} returned {_name(context.results.get(paused.paused_by, 0))}"
    return f"{what}, and nothing is left that could resume the {name}: {_remedy(paused)}"


def _name(result: int) -> str:
    return f"PAUSE ({result})" if result == 1 else str(result)


def _remedy(paused: AnyIteration) -> str:
    if paused.resumed_within and paused.resumed_within == paused.paused_by:
        return f"continue_{paused.name}() was called before the pause, so it came too early; return CONTINUE instead"
    if paused.source_blocked:
        return "it holds back more than the buffer limit, so that the sender must wait; return CONTINUE earlier"
    if paused.paused_by.endswith("_headers"):
        return _remedy_after_headers(paused)
    if paused.paused_by.endswith("_body"):
        return "return CONTINUE when end_of_stream is true, or answer with send_local_response"
    return f"return CONTINUE, or call continue_{paused.name}() later"


def _remedy_after_headers(paused: AnyIteration) -> str:
    body_callback = f"on_{paused.name}_body"
    if not paused.has_body:
        return f"no body follows, so {body_callback} does not come; return CONTINUE when end_of_stream is true"
    if paused.iteration is Iteration.STOPPED:
        return f"let {body_callback} or on_{paused.name}_trailers return CONTINUE"
    return f"Envoy holds the body back as well, so {body_callback} never comes; {_ALLOW}, or return CONTINUE"
