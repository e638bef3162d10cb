"""A gate for Redis: commands that clients must not use do not reach the server.

Configuration (JSON), all of it optional:

    {"deny": ["FLUSHALL", "CONFIG", "EVAL"], "on_refused": "error"}

By default the commands of `DANGEROUS` are refused, with `deny` those that it lists, with `allow` all that it does not
list. A refused command is replaced by one that no server knows, which answers with an error in its turn: replies stay
in order, pipelines and transactions intact. With `"on_refused": "close"` the connection is closed instead, as it always
is for what is no request. A request is an array of strings (RESP): inline commands, as people type them into telnet,
are none here.

Nothing is collected but the beginning of a command, up to its name: values of any size stream through.
"""

import logging
import re
from dataclasses import dataclass
from enum import Enum

from pywasm_filter import Action, Counter, RootContext, StreamContext, register_root_context

logger = logging.getLogger(__name__)
commands = Counter("redis_gate.commands", labels=("outcome",))

DANGEROUS = frozenset(
    {"ACL", "BGREWRITEAOF", "BGSAVE", "CLUSTER", "CONFIG", "DEBUG", "EVAL", "EVALSHA", "FCALL", "FLUSHALL", "FLUSHDB"}
    | {
        "FUNCTION",
        "KEYS",
        "MIGRATE",
        "MODULE",
        "MONITOR",
        "PSYNC",
        "REPLICAOF",
        "RESTORE",
        "SAVE",
        "SCRIPT",
        "SHUTDOWN",
    }
    | {"SLAVEOF", "SWAPDB", "SYNC"}
)
REPLACEMENT = b"*1\r\n$16\r\nREFUSED-BY-PROXY\r\n"
NAME = re.compile(r"[A-Z0-9._-]+")
LONGEST_LINE = 14
LONGEST_NAME = 64


class OnRefused(Enum):
    """What a refused command leads to."""

    ERROR = "error"
    CLOSE = "close"


@dataclass(frozen=True)
class Settings:
    """The configuration."""

    allow: frozenset[str] | None = None
    deny: frozenset[str] | None = None
    on_refused: OnRefused = OnRefused.ERROR

    def __post_init__(self) -> None:
        if self.allow is not None and self.deny is not None:
            raise ValueError("allow and deny exclude each other")
        for name in self.allow or self.deny or ():
            if not NAME.fullmatch(name):
                raise ValueError(f"the name of a command is in capital letters, not {name!r}")

    def permits(self, name: bytes) -> bool:
        """Whether clients may use the command."""
        command = name.decode("ascii", "replace").upper()
        if self.allow is not None:
            return command in self.allow
        return command not in (DANGEROUS if self.deny is None else self.deny)


class NoRequest(Exception):  # noqa: N818 - reads as what happened
    """What the client sends is not in the protocol."""


class Refused(Exception):  # noqa: N818 - reads as what happened
    """A command that closes the connection."""


class Gate:
    """Reads the requests of one connection, in pieces that may end anywhere."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.permitted = self.refused = 0
        self.start = b""
        """The beginning of a command whose name is not here yet, or of an argument whose size is not."""
        self.arguments = 0
        """How many arguments of the present command are still to begin."""
        self.rest = 0
        """How many bytes of the present argument are still to come, its line end included."""
        self.passing = True
        """Whether the present command is a permitted one."""

    def feed(self, piece: bytes) -> bytes:
        """What may pass, now that this piece has come. Raises NoRequest and Refused."""
        data, self.start = self.start + piece, b""
        passed: list[bytes] = []
        position = 0
        while position < len(data):
            if self.rest:
                end = min(position + self.rest, len(data))
                self.rest -= end - position
            elif self.arguments:
                line = number_line(data, position, b"$")
                if line is None:
                    break
                size, end = line
                self.arguments -= 1
                self.rest = size + 2
            else:
                behind = self.command(data, position, passed)
                if behind is None:
                    break
                position = behind
                continue
            if self.passing:
                passed.append(data[position:end])
            position = end
        self.start = data[position:]
        return b"".join(passed)

    def command(self, data: bytes, position: int, passed: list[bytes]) -> int | None:
        """Decide about the command that begins here. The position behind its name; None when that is not here yet."""
        head = number_line(data, position, b"*")
        name = head and number_line(data, head[1], b"$")
        if head is None or name is None:
            return None
        count, (size, begin) = head[0], name
        if count < 1 or size > LONGEST_NAME:
            raise NoRequest("not a command")
        end = begin + size + 2
        if end > len(data):
            return None
        command = data[begin : begin + size]
        self.arguments = count - 1
        self.passing = self.settings.permits(command)
        if self.passing:
            self.permitted += 1
            passed.append(data[position:end])
        else:
            self.refused += 1
            logger.info("refused: %s", ascii(command.decode("latin-1")))
            if self.settings.on_refused is OnRefused.CLOSE:
                raise Refused
            passed.append(REPLACEMENT)
        return end


def number_line(data: bytes, position: int, mark: bytes) -> tuple[int, int] | None:
    """The number in a line such as `$3`, and the position behind the line; None when its end is not here yet."""
    line, line_end, _ = data[position : position + LONGEST_LINE].partition(b"\r\n")
    digits = line[1:] if line_end else line[1:].removesuffix(b"\r")
    if line and line[:1] != mark:
        raise NoRequest(f"{mark.decode()} is missing")
    if len(line) == LONGEST_LINE or (not digits.isdigit() and (digits or line_end)):
        raise NoRequest("not a number")
    return (int(digits), position + len(line) + 2) if line_end else None


class RedisGate(StreamContext["RedisGateRoot"]):
    """One client's connection."""

    def on_context_create(self) -> None:
        self.gate = Gate(self.root.config)
        self.received = self.sent = 0

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        data = bytes(self.downstream_data)
        self.received += len(data)
        try:
            passed = self.gate.feed(data)
        except NoRequest as error:
            logger.warning("closed: what the client sends is no request: %s", error)
            return self.close()
        except Refused:
            return self.close()
        if passed != data:
            self.downstream_data.replace(passed)
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        self.sent += data_size
        return Action.CONTINUE

    def on_log(self) -> None:
        gate = self.gate
        commands.labels(outcome="permitted").increment(gate.permitted)
        commands.labels(outcome="refused").increment(gate.refused)
        logger.info(
            "%d commands permitted, %d refused; %d bytes from the client, %d to it",
            *(gate.permitted, gate.refused, self.received, self.sent),
        )

    def close(self) -> Action:
        """Close the connection; the data of this callback does not pass."""
        self.close_downstream()
        return Action.PAUSE


class RedisGateRoot(RootContext[Settings]):
    """The plugin."""

    stream_context = RedisGate


register_root_context(RedisGateRoot, "redis_gate")
