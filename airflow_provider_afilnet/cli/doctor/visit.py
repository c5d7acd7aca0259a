"""What every probe works with, and how a table of probes is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_afilnet.api.errors import AfilnetConnectionError, AfilnetCredentialsError, AfilnetError
from airflow_provider_afilnet.cli.doctor.console import Console
from airflow_provider_afilnet.cli.doctor.findings import QUESTIONS, Confidence, Findings
from airflow_provider_afilnet.cli.doctor.observer import Observer
from airflow_provider_afilnet.cli.doctor.scratch import Scratch, UnsettledError


@dataclass
class Visit:
    """One visit to an account.

    ``longest_list``, ``longest_value``: bounds of what is tried. ``set_country``: whether the group's country may be
    set, which cannot be undone. ``making``: the name of a group while its creation is under way. ``lost_groups``: name
    of a group that was made to why its id is not known.
    """

    observer: Observer
    findings: Findings
    console: Console
    longest_list: int = 1000
    longest_value: int = 5000
    set_country: bool = True
    settle: float = 10.0
    scratches: list[Scratch] = field(default_factory=list)
    making: str | None = None
    lost_groups: dict[str, str] = field(default_factory=dict)

    def settle_question(self, question: str, value: Any, answer: str, confidence: Confidence = "certain") -> None:
        """Keep an answer and say it."""
        self.findings.settle(question, value, answer, confidence)
        self.console.observed(QUESTIONS[question].text, answer)


@dataclass(frozen=True, slots=True)
class Probe:
    """One idea to try in a scratch group.

    ``adds_many``: it adds contacts whose ids only a read can tell, so it needs a group that can be emptied.
    ``kinds``: group types it makes sense in.
    """

    name: str
    questions: tuple[str, ...]
    run: Callable[[Visit, Scratch], None]
    adds_many: bool = False
    kinds: tuple[str, ...] = ("mobile", "email")


def run_probes(visit: Visit, scratch: Scratch, probes: Iterable[Probe]) -> None:
    """Run probes in order; one that fails leaves its questions open, and the next one goes on.

    :raises AfilnetCredentialsError: if the account is refused under way.
    :raises AfilnetConnectionError: if the server is gone.
    """
    for probe in probes:
        why = None
        if scratch.kind not in probe.kinds:
            why = f"Not asked: the scratch group is of type {scratch.kind}."
        elif scratch.ours and scratch.has_strangers:
            why = "Not asked: the group holds contacts that are not the doctor's."
        elif scratch.stuck:
            why = "Not asked: neither addcontact nor getcontacts told an id that works, so nothing more was added."
        elif probe.adds_many and not scratch.can_be_emptied:
            why = (
                "Not asked: getcontacts shows no ids that work, so what is added could not be deleted from a group of "
                "yours; --create can ask it."
            )
        else:
            try:
                probe.run(visit, scratch)
            except UnsettledError as error:
                why = f"Could not be told: {error}."
                visit.console.unknown(probe.name, f"could not be told: {error}.")
            except (AfilnetCredentialsError, AfilnetConnectionError):
                raise
            except AfilnetError as error:
                why = f"The probe failed: {error}"
                visit.console.failed(probe.name, str(error))
        if why is not None:
            for question in probe.questions:
                visit.findings.leave(question, why, unless_told=scratch.kind not in probe.kinds)
