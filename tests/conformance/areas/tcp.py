"""TCP connections: a network filter before the TCP proxy."""

from __future__ import annotations

from tests.conformance.program import (
    CONTINUE_AT_END,
    PAUSE,
    ROOT,
    SELF,
    TRAP,
    act_for,
    at_end,
    at_least,
    attribute,
    attributes,
    before_end,
    body,
    close,
    dump,
    edit,
    foreign,
    get,
    joined,
    reply,
    resume,
    returns,
    set_attribute,
)
from tests.conformance.tcp_scenario import (
    TcpScenario,
    answer,
    answer_end,
    close_client,
    close_upstream,
    end,
    reset_client,
    reset_upstream,
    send,
)

DOWNSTREAM, UPSTREAM = 2, 3
"""Of the buffers, and of the streams."""
UPSTREAM_ENDS_FIRST = (send(b"hello"), answer_end(b"world"), end(b"more"))
GATHER_4 = at_least(4, returns(0))
OBJECT = b"\x0a\x17envoy.tcp_proxy.cluster\x12\x05other"
"""Arguments of set_envoy_filter_state: a name and a value."""
SET_OBJECT = foreign("set_envoy_filter_state", OBJECT)
BUFFERS = body(DOWNSTREAM) + body(UPSTREAM)


SCENARIOS = {
    # --- the order of callbacks, and who closes ---
    "client ends first": TcpScenario(),
    "upstream ends first": TcpScenario(steps=UPSTREAM_ENDS_FIRST),
    "upstream speaks first": TcpScenario(steps=(answer(b"hello"), send(b"x"), end(), answer_end())),
    "client closes": TcpScenario(steps=(send(b"hello"), close_client, answer(b"one"), answer(b"two"))),
    "client closes, upstream ends": TcpScenario(steps=(send(b"hello"), close_client, answer_end(b"one"))),
    "client resets": TcpScenario(steps=(send(b"hello"), reset_client)),
    "upstream closes": TcpScenario(steps=(send(b"hello"), close_upstream, send(b"one"), send(b"two"))),
    "upstream closes, client ends": TcpScenario(steps=(close_upstream, end())),
    "upstream resets": TcpScenario(steps=(send(b"hello"), reset_upstream)),
    "nothing is sent": TcpScenario(steps=(end(), answer_end())),
    "two connections": TcpScenario(connections=2),
    # --- holding data back ---
    "client's data held for good": TcpScenario({"d": PAUSE}, {"d": BUFFERS}),
    "client's data held for good, upstream ends first": TcpScenario({"d": PAUSE}, {}, UPSTREAM_ENDS_FIRST),
    "client's data held until there is enough": TcpScenario(
        {"d": PAUSE}, {"d": GATHER_4}, (send(b"ab"), send(b"cd"), send(b"e"), end(), answer_end())
    ),
    "client's data held until the end": TcpScenario({"d": PAUSE}, {"d": CONTINUE_AT_END}),
    "client's data held with another number": TcpScenario({"d": 2}),
    "upstream's data held for good": TcpScenario({"u": PAUSE}, {"u": BUFFERS}),
    "upstream's data held for good, upstream ends first": TcpScenario({"u": PAUSE}, {}, UPSTREAM_ENDS_FIRST),
    "upstream's data held until there is enough": TcpScenario(
        {"u": PAUSE}, {"u": GATHER_4}, (answer(b"ab"), answer(b"cd"), answer(b"e"), end(), answer_end())
    ),
    "upstream's data held until the end": TcpScenario({"u": PAUSE}, {"u": CONTINUE_AT_END}, UPSTREAM_ENDS_FIRST),
    "upstream's data held with another number": TcpScenario({"u": 99}),
    "held data seen from the other side": TcpScenario({"d": PAUSE, "u": PAUSE}, {"d": BUFFERS, "u": BUFFERS}),
    "new connection held for good": TcpScenario({"N": PAUSE}, {}, (send(b"ab"), end())),
    "new connection held, client resets": TcpScenario({"N": PAUSE}, {}, (send(b"ab"), reset_client)),
    "client's data over the limit": TcpScenario(
        {"d": PAUSE}, {}, (send(b"x" * 600),) * 4, settings={"buffer_limit_bytes": 1000}
    ),
    "upstream's data over the client's limit": TcpScenario(
        {"u": PAUSE}, {}, (answer(b"x" * 600),) * 3, settings={"buffer_limit_bytes": 1000}
    ),
    # --- continuing ---
    "continue within a new connection that is held": TcpScenario({"N": PAUSE}, {"N": resume(DOWNSTREAM)}),
    "continue within a new connection that passes": TcpScenario({}, {"N": resume(DOWNSTREAM)}),
    "continue within held data": TcpScenario({"d": PAUSE}, {"d": resume(DOWNSTREAM) + BUFFERS}),
    "continue within data that passes": TcpScenario({}, {"d": resume(DOWNSTREAM)}),
    "continue from the other side": TcpScenario(
        {"d": PAUSE},
        {"u": BUFFERS + resume(DOWNSTREAM) + BUFFERS},
        (send(b"ab"), answer(b"c"), send(b"d"), answer(b"e"), end(), answer_end()),
    ),
    "continue held data and its end": TcpScenario(
        {"d": PAUSE}, {"u": resume(DOWNSTREAM)}, (send(b"ab"), end(), answer(b"c"), answer_end())
    ),
    "continue makes room": TcpScenario(
        {"d": PAUSE},
        {"u": resume(DOWNSTREAM)},
        (*(send(b"x" * 600),) * 4, answer(b"y"), send(b"z"), answer(b"y")),
        settings={"buffer_limit_bytes": 1000},
    ),
    "continue the other types": TcpScenario(
        {"u": PAUSE}, {"u": resume(UPSTREAM) + resume(0) + resume(1) + resume(4)}, (answer(b"ab"), answer(b"c"))
    ),
    "continue at the end": TcpScenario({}, dict.fromkeys("yxDLX", resume(DOWNSTREAM))),
    # --- closing ---
    **{
        f"close {stream_type} in a new connection": TcpScenario({}, {"N": close(stream_type)}, (send(b"ab"),))
        for stream_type in range(5)
    },
    "close in client's data": TcpScenario({}, {"d": close(DOWNSTREAM)}, (send(b"ab"), send(b"c"))),
    "close in client's data that is held": TcpScenario({"d": PAUSE}, {"d": close(DOWNSTREAM)}, (send(b"ab"),)),
    "close the upstream in client's data": TcpScenario({}, {"d": close(UPSTREAM)}, (send(b"ab"),)),
    "close in upstream's data": TcpScenario({}, {"u": close(DOWNSTREAM)}, (answer(b"ab"),)),
    "close in upstream's data that is held": TcpScenario({"u": PAUSE}, {"u": close(DOWNSTREAM)}, (answer(b"ab"),)),
    "close at the end of upstream's data": TcpScenario({}, {"u": at_end(close(DOWNSTREAM))}, (answer_end(b"ab"),)),
    "close at the end of client's data": TcpScenario({}, {"d": at_end(close(DOWNSTREAM))}, (end(b"ab"),)),
    "close in on_upstream_close": TcpScenario({}, {"y": close(DOWNSTREAM)}, UPSTREAM_ENDS_FIRST[:2]),
    "close in the last callbacks": TcpScenario({}, dict.fromkeys("xDLX", close(DOWNSTREAM))),
    "close, then continue": TcpScenario({"d": PAUSE}, {"d": close(DOWNSTREAM) + resume(DOWNSTREAM)}, (send(b"ab"),)),
    "continue, then close": TcpScenario({"d": PAUSE}, {"d": resume(DOWNSTREAM) + close(DOWNSTREAM)}, (send(b"ab"),)),
    "done refused": TcpScenario({"D": 0}),
    # --- buffers ---
    "buffers in all callbacks": TcpScenario({}, dict.fromkeys("CNduyxDLX", BUFFERS)),
    "parts of a buffer": TcpScenario(
        {}, {"d": body(DOWNSTREAM, 1, 2) + body(DOWNSTREAM, 4, 9) + body(DOWNSTREAM, 9, 9)}, (send(b"hello"),)
    ),
    **{
        f"edit {start} {size} of {buffer}": TcpScenario(
            {}, dict.fromkeys("du", before_end(edit(buffer, start, size))), (send(b"hello"), answer(b"world"))
        )
        for buffer in (DOWNSTREAM, UPSTREAM)
        for start, size in ((0, 0), (0, 2), (0, 99), (1, 1), (5, 0), (6, 0), (99, 0))
    },
    "edit what is held": TcpScenario(
        {"d": PAUSE, "u": PAUSE}, {"d": edit(DOWNSTREAM, 0, 99) + BUFFERS, "u": edit(UPSTREAM, 0, 99) + BUFFERS}
    ),
    "edit what is held, then continue": TcpScenario(
        {"d": PAUSE}, {"u": edit(DOWNSTREAM, 0, 99) + resume(DOWNSTREAM)}, (send(b"hello"), answer(b"c"))
    ),
    "add to the end": TcpScenario({}, {"d": at_end(edit(DOWNSTREAM, 0, 0)), "u": at_end(edit(UPSTREAM, 0, 0, "BYE"))}),
    "swallow": TcpScenario({}, {"d": edit(DOWNSTREAM, 0, 99, ""), "u": edit(UPSTREAM, 0, 99, "")}),
    "write where nothing is lent": TcpScenario(
        {}, dict.fromkeys("CNyxDLX", edit(DOWNSTREAM, 0, 0) + edit(UPSTREAM, 0, 0))
    ),
    # --- what belongs to HTTP ---
    "hostcalls of HTTP": TcpScenario(
        {}, dict.fromkeys("NdL", get(0, ":path") + dump(0) + joined(body(n) for n in (0, 1, 4, 5, 6, 7)) + reply())
    ),
    # --- properties ---
    "attributes": TcpScenario(
        {},
        dict.fromkeys(
            "CNduyxDLX",
            attributes(
                *("source.address", "source.port", "destination.address", "destination.port", "connection.id"),
                *("connection_id", "connection.mtls", "connection.requested_server_name", "request.time"),
                *("connection.termination_details", "upstream.address", "upstream.port", "upstream.local_address"),
                *(
                    "upstream.cx_pool_ready_duration",
                    "upstream.num_endpoints",
                    "request.headers",
                    "request.duration",
                ),
                *("request.path", "request.protocol", "response.code", "response.code_details", "response.headers"),
                *("upstream.locality", "response.grpc_status", "response.backend_latency"),
                shown="size",
            )
            + attributes(
                *("request.size", "request.total_size", "response.size", "response.total_size", "response.flags"),
                *("upstream.transport_failure_reason", "upstream.request_attempt_count"),
                *("xds.cluster_name", "xds.cluster_metadata", "xds.route_name", "xds.virtual_host_name"),
                *("xds.filter_chain_name", "xds.listener_direction", "xds.route_metadata", "xds.listener_metadata"),
                *("xds.upstream_host_metadata", "plugin_name", "plugin_root_id", "metadata", "cluster_name"),
                *("connection", "nope"),
            ),
        ),
    ),
    "attributes set": TcpScenario(
        {},
        {
            "N": attribute("mine") + set_attribute("mine", b"some\xffvalue"),
            **dict.fromkeys("duyxL", attribute("mine") + attribute("filter_state", "wasm.mine")),
        },
    ),
    "an object of Envoy's own set": TcpScenario(
        {},
        {
            "d": SET_OBJECT,
            **dict.fromkeys("uL", attribute("filter_state", "envoy.tcp_proxy.cluster")),
        },
    ),
    # --- contexts ---
    "effective context": TcpScenario(
        {},
        {"d": act_for(ROOT) + body(DOWNSTREAM) + resume(DOWNSTREAM) + act_for(SELF) + body(DOWNSTREAM)},
    ),
    "continue another connection": TcpScenario(
        {"d": PAUSE},
        {"u": act_for(["context", 1]) + resume(DOWNSTREAM)},
        connections=2,
    ),
    # --- traps: one for each Envoy, which it takes with it ---
    "trap in on_downstream_data": TcpScenario({}, {"d": TRAP}, connections=2, kills=True),
    "trap in on_new_connection": TcpScenario(
        {}, {"N": TRAP}, connections=2, settings={"buffer_limit_bytes": 1000}, kills=True
    ),
}
