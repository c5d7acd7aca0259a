"""Why a contact differs from what is wanted, as the log, the error and ``rejects.jsonl`` of a red run say it."""

from __future__ import annotations

from typing import Final

NOT_SHOWN: Final = "its addition was acknowledged, but the group does not show it"
VANISHED: Final = "the group showed it at first and does not any more"
STILL_DIFFERS: Final = "its value still differs after it was written"
SHOWS_AGAIN: Final = "its deletion was acknowledged, but the group still shows it"
CHANGED_BESIDE: Final = (
    "the source does not give it, and it changed with the write: the server stores it in another form (lossy_fields), "
    "api_facts is wrong about modify_merges, or somebody changed it meanwhile"
)
NOT_REWRITTEN: Final = (
    "its value still differs after it was written, and mode 'insert' changes nobody: the server stores it in another "
    "form (lossy_fields), or it was there and the first read did not show it"
)
MAYBE_OPTED_OUT: Final = (
    "it opted out and may be a contact of the group that ends in the same digits and whose key cannot be read; correct "
    "or delete that contact, or set default_region"
)
MAYBE_OPTED_OUT_HERE: Final = (
    "it opted out and may be a contact of the group that stands there without its country code, since those digits are "
    "another country's number, too; correct or delete that contact, or set default_region"
)
MAYBE_THERE: Final = (
    "it may be a contact of the group that ends in the same digits and whose key cannot be read, so nothing is done; "
    "correct or delete that contact, or set default_region"
)
AWAY: Final = (
    "it was deleted to be written anew, which was refused with {code}, and could not be put back; restore it from the "
    "backup"
)
UNCONFIRMED: Final = "its addition has an unknown outcome, and the group did not hold still to look"
TWICE: Final = (
    "it is there more than once since this run sent it, and no copy may be deleted because its addition was refused or "
    "the group's answer has no ids; delete one at Afilnet"
)
APPEARED: Final = "it appeared during the run; the next run deletes it"
UNREADABLE: Final = "its key cannot be read, so it is never deleted; correct or delete it at Afilnet"
WITHHELD_COPIES: Final = "it is there more than once, and nothing is deleted while a rejected row's key is unreadable"
WITHHELD: Final = "the source lacks it, but a rejected row with an unreadable key might be it"
