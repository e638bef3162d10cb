"""What a filter's project says of the hosts that it is for."""

from pathlib import Path

import pytest
from pywasm_compiler.errors import CompileError

from pywasm_filter.needs import Needs
from pywasm_filter.project import Target, target_of

NEEDS = Needs(("proxy_log", "proxy_get_shared_data", "proxy_done"), ("proxy_on_vm_start",))


def project(directory: Path, text: str) -> Path:
    (directory / "pyproject.toml").write_text(text)
    source = directory / "src" / "filters" / "filter.py"
    source.parent.mkdir(parents=True)
    return source


def test_the_nearest_project_counts(tmp_path: Path) -> None:
    source = project(tmp_path, '[tool.pywasm-filter]\nhosts = ["ats"]\nallow-missing = ["proxy_done"]\n')
    assert target_of(source) == Target(("ats",), ("proxy_done",))
    (source.parent / "pyproject.toml").write_text("[project]\n")
    assert target_of(source) == Target()


def test_the_command_line_replaces_hosts_and_adds_allowances(tmp_path: Path) -> None:
    source = project(tmp_path, '[tool.pywasm-filter]\nhosts = ["ats"]\nallow-missing = ["proxy_done"]\n')
    assert target_of(source, ["envoy", "apisix", "envoy"], ["proxy_on_log"]) == Target(
        ("envoy", "apisix"), ("proxy_done", "proxy_on_log")
    )


@pytest.mark.parametrize(
    ("table", "line", "message", "remedy"),
    [
        ('hosts = ["envoi"]', 3, "there is no host 'envoi'", "did you mean envoy?"),
        ("\nhost = []", 4, "[tool.pywasm-filter] has no key 'host'", "did you mean hosts?"),
        ('hosts = "envoy"', 3, "hosts is not a list of names", 'write hosts = ["…"]'),
        ("allow-missing = [1]", 3, "allow-missing is not a list of names", 'write allow-missing = ["…"]'),
        ("hosts = [", None, "cannot be read: ", "correct it"),
    ],
)
def test_mistakes_are_told_with_their_line(
    tmp_path: Path, table: str, line: int | None, message: str, remedy: str
) -> None:
    source = project(tmp_path, f"\n[tool.pywasm-filter]\n{table}\n")
    with pytest.raises(CompileError) as caught:
        target_of(source)
    error = caught.value
    assert error.message.startswith(message)
    assert (error.file, error.line, error.remedy) == (tmp_path / "pyproject.toml", line, remedy)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    source = project(tmp_path, 'tool.pywasm-filter = "x"\n')
    with pytest.raises(CompileError, match="is no table"):
        target_of(source)


@pytest.mark.parametrize(
    ("hosts", "left_out"),
    [
        ((), ()),
        (("envoy",), ()),
        # It answers Unimplemented by itself.
        (("service-extensions",), ()),
        # The VM would end.
        (("envoy", "ngx_wasm_module"), ("proxy_done",)),
    ],
)
def test_what_a_host_does_not_survive_is_left_out(hosts: tuple[str, ...], left_out: tuple[str, ...]) -> None:
    found = Target(hosts, ("proxy_done", "proxy_get_shared_data", "proxy_grpc_call")).module_needs(NEEDS)
    assert found.unimplemented == left_out
    assert set(found.hostcalls) == set(NEEDS.hostcalls) - set(left_out)
    assert Target(hosts).module_needs(NEEDS) == NEEDS
