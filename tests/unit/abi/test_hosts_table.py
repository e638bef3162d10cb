"""The table of hosts: what it says, and what it refuses."""

from __future__ import annotations

from dataclasses import fields

import pytest
from proxy_wasm_abi import find_host, load, load_hosts
from proxy_wasm_abi.hosts import HOSTS_TABLE, Rules, base_hosts, hosts_without, parse_hosts

RULES = "[rules]\n" + "".join(f'{field.name} = "It has {{value}}."\n' for field in fields(Rules))
HOST = '\n[[host]]\nname = "h"\ntitle = "H"\norigin = "o"\nabi_versions = ["0.2.1"]\nabi_source = "s"\n'


def test_each_rule_is_some_hosts() -> None:
    used = {fact.name for host in load_hosts().values() for fact in host.rule_facts}
    assert used == {field.name for field in fields(Rules)}


def test_a_version_of_a_host_has_its_facts_and_its_own() -> None:
    older = find_host("envoy-1.32")
    assert older.rules.settings_lacking == ("allow_on_headers_stop_iteration",)
    assert older.rules.foreign_functions_lacking == ("clear_route_cache", "sign")
    assert find_host("envoy-1.34").rules.foreign_functions_lacking == ("sign",)
    assert older.abi_versions == find_host("envoy").abi_versions
    assert older not in base_hosts()
    assert [host.name for host in load_hosts().values() if host.is_plain_envoy] == ["envoy"]


def test_hosts_in_which_a_function_is_of_no_use() -> None:
    abi = load()
    size, call, trailers = (
        abi.hostcall("proxy_get_header_map_size"),
        abi.hostcall("proxy_http_call"),
        abi.callback("proxy_on_request_trailers"),
    )
    assert size is not None
    assert call is not None
    assert trailers is not None
    assert hosts_without(size) == ("ngx_wasm_module", "apisix", "mosn")
    assert hosts_without(call) == ("service-extensions",)  # ngx_wasm_module has it in some callbacks
    assert "ats" in hosts_without(trailers)


def test_an_unknown_host_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no such host profile: 'nginx'; there are envoy, envoy-1\.34, .*mosn"):
        find_host("nginx")


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        (
            '[[host.hostcall]]\nnames = ["proxy_shout"]\nanswer = "OK"\nsource = "s"',
            "no hostcalls of the ABI: proxy_shout",
        ),
        ('[[host.hostcall]]\nnames = ["proxy_log"]\nanswer = "NO"\nsource = "s"', "answer cannot be 'NO'"),
        ('[[host.never_called]]\nnames = ["on_tick"]\nsource = "s"', "no callbacks of the ABI: on_tick"),
        ('[[host.rule]]\nname = "shouts"\nvalue = true\nsource = "s"', "no such rule: shouts"),
        ('[[host.rule]]\nname = "no_trailers"\nvalue = 1\nsource = "s"', "the rule no_trailers cannot be 1"),
        (
            '[[host.rule]]\nname = "pauses_in"\nvalue = "on_tick"\nsource = "s"',
            "the rule pauses_in cannot be 'on_tick'",
        ),
        ('[[host.rule]]\nname = "no_trailers"\nvalue = true\nsource = ""', "a fact has no source"),
        (
            '[[host.rule]]\nname = "no_trailers"\nvalue = true\nsource = "s"\n' * 2,
            "said twice: no_trailers",
        ),
    ],
)
def test_what_the_table_cannot_say(fact: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"h: .*{message}"):
        parse_hosts(RULES + HOST + fact, load())


def test_rules_without_a_text_are_refused() -> None:
    text = HOSTS_TABLE.read_text(encoding="utf-8").replace("no_trailers = ", "no_trails = ", 1)
    with pytest.raises(ValueError, match="differ: no_trailers, no_trails"):
        parse_hosts(text, load())
