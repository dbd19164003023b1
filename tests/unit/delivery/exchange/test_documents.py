from __future__ import annotations

from pytest_dora.delivery.exchange.documents import Document, documents
from pytest_dora.delivery.exchange.edge import Refused


def found(text: bytes, *, by_line: bool = False) -> list[Document | Refused]:
    return list(documents(text.splitlines(keepends=True), "f", by_line=by_line))


def test_one_printed_document_is_one_document() -> None:
    assert found(b'\n{\n  "a": {\n    "b": 1\n  }\n}\n') == [Document("f", {"a": {"b": 1}})]


def test_each_line_is_a_document_when_the_first_one_is() -> None:
    assert found(b'{"a": 1}\n\n{"a": 2}\n') == [
        Document("f:1", {"a": 1}),
        Document("f:3", {"a": 2}),
    ]


def test_the_objects_of_a_list_are_documents_and_other_values_are_refused() -> None:
    assert found(b'[\n{"a": 1},\n7\n]') == [
        Document("f: item 1", {"a": 1}),
        Refused("f: item 2", "holds no JSON object"),
    ]


def test_the_rows_of_an_answer_are_documents() -> None:
    assert found(b'{"incidents": [{"id": "1"}], "limit": 25}') == [
        Document("f:1: item 1", {"id": "1"})
    ]
    assert found(b'{"data": [{"id": "1"}], "took": 0.1}') == [Document("f:1: item 1", {"id": "1"})]


def test_a_printed_document_that_breaks_off_names_the_line() -> None:
    assert found(b'\n\n{\n  "a": 1,\n\n  "b": [') == [
        Refused("f:6", "is not JSON: Expecting value (column 9)")
    ]


def test_a_byte_order_mark_is_no_fault() -> None:
    assert found(b'\xef\xbb\xbf{"a": 1}') == [Document("f:1", {"a": 1})]


def test_nothing_is_nothing() -> None:
    assert found(b" \n\n") == []


def test_lines_stay_lines_where_they_were_asked_for() -> None:
    assert [type(one) for one in found(b'{\n"a": 1}', by_line=True)] == [Refused, Refused]
