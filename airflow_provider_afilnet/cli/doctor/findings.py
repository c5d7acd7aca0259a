"""What the documents of the API leave open, as a table of questions, and what was found out about each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Confidence = Literal["certain", "likely", "unknown"]


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to find out.

    ``settles``: which open point of the API's documents it is about, section first.
    """

    id: str
    text: str
    settles: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to a question.

    ``value`` is for programs, ``answer`` for readers. ``confidence`` is ``unknown`` where nothing was found out; then
    ``answer`` says why.
    """

    question: Question
    value: Any
    answer: str
    confidence: Confidence

    def as_dict(self) -> dict[str, Any]:
        """The form for the report."""
        return {**asdict(self.question), "value": self.value, "answer": self.answer, "confidence": self.confidence}


_METHODS = "Methods: "
_VALUES = "Values: "
_ANSWERS = "Answers: "
_WAYS = "Ways to call it: "

QUESTIONS: Final[dict[str, Question]] = {
    question.id: question
    for question in (
        Question("balance_form", "What does getbalance answer?", _ANSWERS + "results are documented for no method"),
        Question("status_words", "How are status words written?", _ANSWERS + "SUCCESS, or success as documented"),
        Question("unknown_method", "What does an unknown method answer?", _METHODS + "codes of every method"),
        Question("unknown_class", "What does an unknown class answer?", _METHODS + "codes of every method"),
        Question("creategroup_answer", "Does creategroup answer the new id?", _ANSWERS + "whether creategroup does"),
        Question("columns_form", "What is the shape of getgroupcolumns?", _ANSWERS + "shape of getgroupcolumns"),
        Question("column_repeat", "What does a repeated addcolumntogroup do?", _METHODS + "repeating addcolumntogroup"),
        Question("column_delete", "What does deletecolumnfromgroup do?", _METHODS + "repeating deletecolumnfromgroup"),
        Question("empty_group", "What does getcontacts answer for an empty group?", _ANSWERS + "an empty group"),
        Question("addcontact_answer", "Does addcontact answer the new id?", _ANSWERS + "whether addcontact does"),
        Question("contact_exists", "What does addcontact answer for a known key?", _METHODS + "code CONTACT_EXISTS"),
        Question("contacts_form", "What is the shape of getcontacts?", _ANSWERS + "shape of getcontacts"),
        Question("single_form", "What is the shape of getcontact?", _ANSWERS + "shape of getcontact"),
        Question("contact_ids", "Are the ids of getcontacts true and stable?", _ANSWERS + "ids of contacts"),
        Question("empty_values", "How is a column without a value shown?", _ANSWERS + "shape of getcontacts"),
        Question("numbers", "Are digits shown as text or as numbers?", _ANSWERS + "numbers as text and as numbers"),
        Question(
            "bulk_existing", "addcontactlist with a key that is there?", _METHODS + "duplicates in addcontactlist"
        ),
        Question("bulk_within", "addcontactlist with one key twice?", _METHODS + "duplicates in addcontactlist"),
        Question("bulk_answer", "What does addcontactlist report?", _ANSWERS + "what addcontactlist reports"),
        Question(
            "modify_merges", "Does modifycontact keep fields not sent?", _METHODS + "whether modifycontact merges"
        ),
        Question("modify_blank", "Can modifycontact blank a value?", _METHODS + "whether modifycontact merges"),
        Question("missing_get", "getcontact for a missing contact?", _METHODS + "code for a missing contact"),
        Question("missing_modify", "modifycontact for a missing contact?", _METHODS + "code for a missing contact"),
        Question("missing_delete", "deletecontact for a missing contact?", _METHODS + "code for a missing contact"),
        Question("stored_values", "What becomes of values on the way?", _VALUES + "how values are stored"),
        Question("text_values", "What can a value in addcontact's text hold?", _VALUES + "no escaping is documented"),
        Question("value_length", "How long may a value be?", _VALUES + "how long values may be"),
        Question("stored_key", "How are keys stored?", _VALUES + "form of phones"),
        Question("key_plus", "Is a phone with a plus the same contact?", _VALUES + "form of phones"),
        Question("email_case", "Does the case of an e-mail count?", _VALUES + "case of e-mails"),
        Question("country_case", "Which case has a country?", _VALUES + "the case rule of countries"),
        Question("unknown_country", "What does an unknown country answer?", _METHODS + "code COUNTRY_NOT_FOUND"),
        Question("list_length", "How long may a list be?", _WAYS + "the largest contacts list and answer"),
        Question("group_delete", "What does deletegroup answer, and again?", _METHODS + "repeating deletegroup"),
        Question("rate_limits", "Are rate limits shown in headers?", _WAYS + "rate limits"),
        Question("reads_late", "Do reads show writes at once?", _ANSWERS + "reads after writes"),
        Question("soap", "How is the SOAP style called?", _WAYS + "SOAP"),
        Question("oauth", "How is the JSON style with OAuth 2.0 called?", _WAYS + "JSON with OAuth 2.0"),
    )
}
"""Every question by id, in the order of the report."""


class Findings:
    """The findings of one visit. What nobody settled is unknown, with the last reason that was given."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}
        self._why: dict[str, str] = {}

    def settle(self, question: str, value: Any, answer: str, confidence: Confidence = "certain") -> Finding:
        """Keep an answer; a later one to the same question replaces it."""
        finding = Finding(QUESTIONS[question], value, answer, confidence)
        self._found[question] = finding
        return finding

    def leave(self, question: str, why: str, *, unless_told: bool = False) -> None:
        """Say why a question stays open, unless it is settled.

        :param unless_told: an earlier reason is the better one.
        """
        if not unless_told or question not in self._why:
            self._why[question] = why

    def value(self, question: str) -> Any:
        """The value found, or ``None``."""
        return self._found[question].value if question in self._found else None

    def all(self) -> list[Finding]:
        """One finding for each question."""
        return [
            self._found.get(id_)
            or Finding(question, None, self._why.get(id_, "Not asked: the visit did not get there."), "unknown")
            for id_, question in QUESTIONS.items()
        ]
