"""The code on the pages of the manual runs as it stands there."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
JSON_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def run_blocks(pytester: pytest.Pytester, filter_source: str, tests: list[str]) -> pytest.RunResult:
    pytester.path.joinpath("filter.py").write_text(filter_source, encoding="utf-8")
    for number, source in enumerate(tests):
        pytester.path.joinpath(f"test_block_{number}.py").write_text(source, encoding="utf-8")
    return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")


def test_the_code_of_readme_and_manual_runs(pytester: pytest.Pytester) -> None:
    filter_source, *tests = [*blocks("README.md"), *blocks("docs/testing.md"), *blocks("docs/testing-workers.md")]
    outcomes = run_blocks(pytester, filter_source, tests).parseoutcomes()
    expected = sum(source.count("def test_") for source in tests)
    assert expected >= 6
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= expected  # some have parameters


@pytest.mark.parametrize(
    ("page", "passed"),
    [("docs/testing-callouts.md", 10), ("docs/testing-grpc.md", 5), ("docs/testing-hosts.md", 3)],
)
def test_the_tests_of_a_guide_pass_on_its_filter(pytester: pytest.Pytester, page: str, passed: int) -> None:
    filter_source, *tests = blocks(page)
    run_blocks(pytester, filter_source, tests).assert_outcomes(passed=passed)


GUIDES = {
    "docs/configuration.md": """
def test_it_runs(proxy):
    assert proxy.get("/public/x").response.status == 200
    assert proxy.get("/private").response.status == 200
""",
    "docs/metrics.md": """
def test_it_runs(proxy):
    exchange = proxy.get("/")
    assert exchange.response.status == 200
    assert exchange.logs == []
""",
}


@pytest.mark.parametrize("page", GUIDES)
def test_the_filter_of_a_guide_runs(pytester: pytest.Pytester, page: str) -> None:
    [source] = blocks(page)
    configuration = JSON_BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    marker = f"import pytest\npytestmark = pytest.mark.pywasm(configuration={''.join(configuration)!r})\n"
    pytester.path.joinpath("filter.py").write_text(source, encoding="utf-8")
    pytester.path.joinpath("test_guide.py").write_text(marker + GUIDES[page], encoding="utf-8")
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_guide_to_tcp_runs(pytester: pytest.Pytester) -> None:
    filter_source, tests = blocks("docs/tcp.md")
    pytester.path.joinpath("filter.py").write_text(filter_source, encoding="utf-8")
    pytester.path.joinpath("test_guide.py").write_text(tests, encoding="utf-8")
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=tests.count("def test_"))


CHAPTERS = {
    "docs/async.md": [
        "",
        """
@pytest.mark.pywasm(clusters=["translate"])
def test_it_runs(proxy):
    proxy.clusters["translate"] = lambda request: Response(200, body=request.body.upper())
    exchange = proxy.post("/", body=[b"two ", b"chunks"])
    assert exchange.upstream_request.body == b"TWO CHUNKS"
""",
        """
@pytest.mark.pywasm(clusters=["users", "quotas"])
def test_it_runs(proxy):
    proxy.clusters["users"] = Response(200, body=b"ada")
    proxy.clusters["quotas"] = Delay(0.05, Response(200, body=b"7"))
    headers = proxy.get("/").upstream_request.headers
    assert (headers["x-user"], headers["x-quota"]) == ("ada", "7")
    for useless in (NoAnswer(), Reset()):
        proxy.clusters["quotas"] = useless
        assert "x-user" not in proxy.get("/").upstream_request.headers
""",
        """
@pytest.mark.pywasm(clusters=["flags"])
def test_it_runs(proxy):
    proxy.clusters["flags"] = Response(200, body=b"blue")
    assert proxy.get("/").upstream_request.headers["x-flags"] == ""
    proxy.clock.advance(5.5)
    assert proxy.get("/").upstream_request.headers["x-flags"] == "blue"
    proxy.clusters["flags"] = Refuse()
    proxy.clock.advance(5.5)
    assert proxy.get("/").upstream_request.headers["x-flags"] == "blue"
""",
        """
@pytest.mark.pywasm(grpc_clusters=["authz"])
def test_it_runs(proxy):
    def authz(request):
        if request.message == b"/closed":
            return GrpcReply(status=7, status_message="closed")
        return GrpcReply(messages=[b"reader", b"writer"]) if request.method == "Roles" else GrpcReply(b"yes")

    proxy.grpc["authz"] = authz
    assert proxy.get("/open").upstream_request.headers.getall("x-role") == ["reader", "writer"]
    assert proxy.get("/closed").response.status == 403
    proxy.grpc["authz"] = Refuse()
    assert proxy.get("/open").response.status == 503
""",
        """
@pytest.mark.pywasm(clusters=["auth"])
def test_it_runs(proxy):
    assert proxy.get("/").reached_upstream
    proxy.clusters["auth"] = Response(401)
    assert proxy.get("/").response.status == 403
    proxy.clusters["auth"] = Refuse()
    assert proxy.get("/").response.status == 503
""",
    ],
    "docs/dependencies.md": [
        """
def test_it_runs(proxy):
    assert proxy.get("/<a>").response.body == b"<h1>/&lt;a&gt; is closed</h1>"
""",
        "",
    ],
    "docs/failures.md": [
        "",
        """
def test_it_runs(proxy):
    assert proxy.get("/", headers={"x-account": "35"}).upstream_request.headers["x-shard"] == "3"
    assert proxy.get("/", headers={"x-account": "me"}).response.body == b"x-account is a number"
    assert proxy.get("/").reached_upstream
""",
    ],
}
"""Pages with several filters: for each, a test beside those that follow it on the page."""


def write_chapters(directory: Path, page: str) -> int:
    """Each filter of a page, with its tests, in a directory of its own. Returns the number of tests."""
    extra = iter(CHAPTERS[page])
    tests = 0
    chapter = directory
    for number, source in enumerate(blocks(page)):
        if "def test_" in source:
            chapter.joinpath(f"test_block_{number}.py").write_text(source, encoding="utf-8")
            tests += source.count("def test_")
            continue
        chapter = directory / f"chapter_{number}"
        chapter.mkdir()
        chapter.joinpath("filter.py").write_text(source, encoding="utf-8")
        if test := next(extra):
            test = f"import pytest\nfrom pywasm_filter.testing import *\n{test}"
            chapter.joinpath(f"test_chapter_{number}.py").write_text(test, encoding="utf-8")
            tests += test.count("def test_")
    assert next(extra, None) is None
    return tests


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_filters_of_a_page_run(pytester: pytest.Pytester, page: str) -> None:
    tests = write_chapters(pytester.path, page)
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=tests)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")),
        *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("examples/*/README.md")),
    ],
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = []
    for target, anchor in set(re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text)):
        file = (ROOT / page).parent / target if target else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            missing.append(f"{target}#{anchor}")
    assert missing == []


def anchors(text: str) -> set[str]:
    """The links that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_paths_that_the_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    homes = ["", "pywasm_filter", "pywasm_filter/testing", "compiler", "compiler/pywasm_compiler", "sdk_stubs"]
    homes += ["compiler/pywasm_compiler/cpython", "compiler/pywasm_compiler/wasm"]
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.(?:py|toml))`", text))
    missing = [name for name in named if not any((ROOT / home / name).is_file() for home in homes)]
    assert len(named) > 15
    assert missing == []
