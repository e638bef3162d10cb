"""Scripted clusters: what a test may say, and what is told when it says something else."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import Callout, Clusters, Delay, NoAnswer, Partial, Refuse, Request, Reset, Response
from pywasm_filter.testing.clusters import Answer, ClusterAnswer
from pywasm_filter.testing.session import plugin_settings

REQUEST = Request("GET", "/")


def test_all_answer_an_empty_200_at_first() -> None:
    clusters = Clusters(["a", "b"])
    assert dict(clusters) == {"a": Response(200), "b": Response(200)}
    assert clusters.arrive("b", REQUEST) == Response(200)
    assert clusters.callouts == [Callout("b", REQUEST)]


def test_a_function_is_asked_each_time() -> None:
    clusters = Clusters(["a"])
    answers: list[Answer] = [Response(201), Delay(1, Response(202)), NoAnswer(), Reset()]
    rest = iter(answers)
    clusters["a"] = lambda request: next(rest)
    assert [clusters.arrive("a", REQUEST) for _ in answers] == answers


def test_each_change_is_told() -> None:
    told: list[tuple[str, ClusterAnswer]] = []
    clusters = Clusters(["a"], lambda name, answer: told.append((name, answer)))
    clusters["a"] = Refuse()
    del clusters["a"]
    assert told == [("a", Refuse()), ("a", Response(200))]


def test_clusters_that_are_not_declared() -> None:
    clusters = Clusters(["a", "b"])
    told = r"'x' is not declared \(declared are a, b\): name it in clusters"
    with pytest.raises(KeyError, match=told):
        clusters["x"]
    with pytest.raises(KeyError, match=told):
        clusters["x"] = Response(200)
    with pytest.raises(KeyError, match=told):
        del clusters["x"]
    with pytest.raises(KeyError, match="none is declared"):
        Clusters([])["a"]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        pytest.param(None, TypeError, "cluster 'a' is to answer a Response", id="none"),
        pytest.param("x", TypeError, "not str", id="text"),
        pytest.param(Delay(1, "x"), TypeError, "not str", id="delayed-text"),
        pytest.param(Delay(1, Refuse()), TypeError, "cannot refuse a connection that is made", id="delayed-refusal"),
        pytest.param(
            Response(200, headers={"content-length": "9"}, body="x"), ValueError, "content-length 9", id="length"
        ),
        pytest.param(
            Delay(1, Partial(Response(200, headers={"transfer-encoding": "chunked"}, body="x"))),
            ValueError,
            "transfer-encoding",
            id="framing",
        ),
    ],
)
def test_what_is_no_answer(answer: ClusterAnswer, error: type[Exception], message: str) -> None:
    clusters = Clusters(["a"])
    with pytest.raises(error, match=message):
        clusters["a"] = answer
    assert clusters["a"] == Response(200)
    clusters["a"] = lambda request: answer  # type: ignore[assignment, return-value]
    with pytest.raises(error, match=message.replace("cluster 'a'", "the function of cluster 'a'")):
        clusters.arrive("a", REQUEST)


def test_a_partial_response_needs_a_body() -> None:
    with pytest.raises(ValueError, match="needs a body"):
        Partial(Response(200))


def test_settings_of_clusters_and_roots() -> None:
    settings = plugin_settings({"clusters": ["a", "b"], "background_roots": {"w": {"x": 1}, "v": "text"}})
    assert settings.clusters == ("a", "b")
    assert settings.background_roots == {"w": b'{"x": 1}', "v": b"text"}
    assert plugin_settings({"background_roots": ["w"]}).background_roots == {"w": b""}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clusters": "auth"}, "clusters is a list of names, not 'auth'"),
        ({"clusters": [1]}, r"clusters is a list of names, not \[1\]"),
        ({"clusters": ["upstream"]}, "clusters cannot have 'upstream'"),
        ({"background_roots": "w"}, "background_roots is a list of root ids"),
        ({"background_roots": {"w": 1}}, "a configuration is bytes, str or a dict"),
    ],
)
def test_settings_that_are_none(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        plugin_settings(arguments)
