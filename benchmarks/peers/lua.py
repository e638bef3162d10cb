"""Envoy's Lua filter, on LuaJIT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job, rules
from benchmarks.load import lua_string
from benchmarks.peers.peer import Peer, UnavailableError

_JSON_LIBRARY = Path("/usr/share/lua/5.1/dkjson.lua")


class Lua(Peer):
    """A script for each job, with its configuration as a table."""

    name = "lua"
    title = "Lua filter (LuaJIT)"

    def prepare(self, job: Job) -> Deployment:
        """Put the script into Envoy's configuration."""
        code = (self.sources / f"{job.name}.lua").read_text()
        if "dkjson" in code and not _JSON_LIBRARY.exists():
            raise UnavailableError("Lua has no JSON; on Debian: apt-get install lua-dkjson")
        prelude = [
            f"package.path = {lua_string(str(_JSON_LIBRARY.with_name('?.lua')))} .. ';' .. package.path",
            f"local configuration = {_literal(_configuration(job))}",
        ]
        if job.name == "jwt":
            prelude.append((self.sources / "sha256.lua").read_text())
        return Deployment(
            http_filters=[
                {
                    "name": "lua",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                        "default_source_code": {"inline_string": "\n".join([*prelude, code])},
                    },
                }
            ]
        )


def _configuration(job: Job) -> Any:
    match job.name:
        case "headers":
            return job.configuration
        case "routing":
            # Lua has no regular expressions; these rules can be said in its patterns, too.
            return {
                **json.loads(job.configuration),
                "rules": [{"pattern": f"^{rule.lua_pattern}$", "route": rule.route} for rule in rules()],
            }
    return json.loads(job.configuration)


def _literal(value: Any) -> str:
    """A value of JSON, without null, in Lua."""
    if isinstance(value, str):
        return lua_string(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{lua_string(name)}] = {_literal(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_literal, value)) + "}"
    return json.dumps(value)
