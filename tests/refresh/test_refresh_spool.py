"""Long lists on disk, and the comparison of two of them: nothing is lost, and whoever differs is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refresh_world import World, bag, people, person, phone, shown

from airflow_provider_afilnet.api.contact_slices import ContactTable
from airflow_provider_afilnet.refresh import compare as comparing
from airflow_provider_afilnet.refresh import group_read, source
from airflow_provider_afilnet.refresh import store as storing
from airflow_provider_afilnet.refresh.compare import compare
from airflow_provider_afilnet.refresh.errors import AfilnetStoppedError
from airflow_provider_afilnet.refresh.normalise import KeyReader
from airflow_provider_afilnet.refresh.spool import LINES_PER_PAGE, SLICES, UNLIKE, Fingerprints, Lines, Printer
from airflow_provider_afilnet.refresh.store import Store, to_line

SIZES = [0, 1, LINES_PER_PAGE - 1, LINES_PER_PAGE, LINES_PER_PAGE + 1, 3 * LINES_PER_PAGE + 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 100, 1000])
def test_lines_come_back_as_they_went(size: int, batch: int) -> None:
    written = [f"line {number}".encode() * (number % 5) for number in range(size)]
    lines = Lines()
    for first in range(0, size, batch):
        lines.extend(written[first : first + batch])
    assert len(lines) == size
    assert [line for page in lines.pages() for line in page] == written
    every_third = bytearray(number % 3 == 0 for number in range(size))
    assert [found for page in lines.flagged(every_third) for found in page] == list(enumerate(written))[::3]
    assert list(lines.flagged(bytearray(size))) == []
    lines.close()


def test_fingerprints_come_back_sliced_by_key() -> None:
    """More than are held back in memory, in uneven batches, with keys that come twice."""
    count = 150_001
    keys = [hash(f"key {number % 100_000}") for number in range(count)]
    prints = Fingerprints()
    for first in range(0, count, 777):
        prints.extend(keys[first : first + 777], range(first, min(first + 777, count)))
    assert len(prints) == count
    found = []
    for number in range(SLICES):
        part = prints.slice(number)
        assert {key % SLICES for key in part.keys} <= {number}
        found += zip(part.keys, part.prints, part.numbers, strict=True)
    assert sorted(found, key=lambda entry: entry[2]) == [(keys[n], n, n) for n in range(count)]
    prints.drop(bytearray(number % 2 for number in range(count)), lambda: None)
    left = sorted(number for part in map(prints.slice, range(SLICES)) for number in part.numbers)
    assert left == list(range(0, count, 2))
    prints.close()


def test_a_fingerprint_is_of_key_and_compared_values_only() -> None:
    printer = Printer([3, 1])
    same = printer.print("k", ["a", "b", "c", "d"])
    assert same == printer.print("k", ["A", "b", "C", "d", "more"])
    assert same == Printer([1, 3]).print("k", ["a", "b", "c", "d"])
    for key, values in (("K", "abcd"), ("k", "aBcd"), ("k", "abcD"), ("k", "adcb")):
        assert printer.print(key, list(values)) != same
    assert printer.print("k", ["a", "", "c", "d"]) == printer.print("k", ["a", None, "c", "d"]) != same
    assert Printer([]).print("k", ["a"]) == Printer([]).print("k", []) != Printer([]).print("l", [])
    assert Printer([0]).print("k", ["a"]) != Printer([0]).print("k", ["b"])
    assert UNLIKE not in (same, Printer([]).print("k", []))


# --- the comparison ---

KEYS = st.integers(0, 12).map(phone)
VALUES = st.sampled_from(["", "a", "b"])
ROWS = st.dictionaries(KEYS, VALUES | st.none(), max_size=10)
CONTACTS = st.lists(st.tuples(KEYS, VALUES), max_size=14)


def loaded(rows: dict[str, str | None], contacts: list[tuple[str, str]], watched: set[str]) -> Store:
    store = Store()
    store.printer = Printer([0])
    store.rows.lines.extend(to_line((n, key, None, value)) for n, (key, value) in enumerate(rows.items(), 1))
    store.rows.prints.extend([hash(key) for key in rows], [store.printer.print(key, [v]) for key, v in rows.items()])
    group = store.begin_read()
    group.lines.extend(to_line((str(n), key, value)) for n, (key, value) in enumerate(contacts))
    group.prints.extend([hash(key) for key, _ in contacts], [store.printer.print(key, [v]) for key, v in contacts])
    store.watch(watched)
    return store


@settings(max_examples=300, deadline=None)
@given(ROWS, CONTACTS, st.sets(KEYS, max_size=2))
def test_only_pairs_of_equals_are_settled(
    rows: dict[str, str | None], contacts: list[tuple[str, str]], watched: set[str]
) -> None:
    store = loaded(rows, contacts, watched)
    try:
        for _ in range(2):
            assert compare(store, KeyReader("mobile"), lambda: None) == 0
            there = Counter(key for key, _ in contacts)
            values = dict(contacts)
            settled = {
                key
                for key, value in rows.items()
                if there[key] == 1 and values[key] == (value or "") and key not in watched
            }
            wanted = dict(store.db.execute("SELECT key, vals FROM wanted WHERE open").fetchall())
            assert wanted.keys() == rows.keys() - settled
            assert all(wanted[key] == to_line([rows[key]]).decode() for key in wanted)
            actual = store.db.execute("SELECT id, key, raw, vals FROM actual ORDER BY n").fetchall()
            assert actual == [
                (str(n), key, key, to_line([value]).decode())
                for n, (key, value) in enumerate(contacts)
                if key not in settled
            ]
    finally:
        store.close()


def test_a_row_stays_known_once_it_differed() -> None:
    """What it counts as must not be lost when the next read shows it equal, nor when it differs again."""
    store = loaded({phone(1): "a", phone(2): "b"}, [(phone(1), "x"), (phone(2), "b")], set())
    for value, is_open in (("x", 1), ("a", 0), ("y", 1)):
        group = store.begin_read()
        group.lines.extend([to_line(("1", phone(1), value)), to_line(("2", phone(2), "b"))])
        group.prints.extend(
            [hash(phone(1)), hash(phone(2))],
            [store.printer.print(phone(1), [value]), store.printer.print(phone(2), ["b"])],
        )
        compare(store, KeyReader("mobile"), lambda: None)
        assert store.db.execute("SELECT key, verdict, open FROM wanted").fetchall() == [
            (phone(1), "unchanged" if value == "x" else "updated", is_open)
        ]
        store.db.execute("UPDATE wanted SET verdict = 'updated'")
    store.close()


def test_what_another_form_of_a_key_means_unsettles_its_contact() -> None:
    """A contact that is equal as it stands is looked at again, because the next one has the same number."""
    rows = {phone(1): "a", phone(2): "b"}
    store = loaded(rows, [(phone(1), "a"), (phone(2), "b"), (f"+{phone(1)}", "a")], set())
    compare(store, KeyReader("mobile"), lambda: None)
    assert store.db.execute("SELECT key FROM wanted WHERE open").fetchall() == [(phone(1),)]
    assert store.db.execute("SELECT id, key FROM actual ORDER BY n").fetchall() == [("0", phone(1)), ("2", phone(1))]
    store.close()


@pytest.mark.parametrize("mode", ["mirror", "upsert", "insert", "update", "remove"])
def test_hashes_that_all_collide_change_nothing(world: World, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal hashes of different keys cost time, not a contact: what counts is the key itself."""
    there = [*people(*range(40)), person(3), person(41, name="old"), person(42, city="old")]
    rows = [*people(*range(5, 45)), person(7), person(50, name="first")]
    outcomes: list[Any] = []
    for collide in (False, True):
        world.make(there)
        if collide:
            for module in (source, group_read, storing, comparing):
                monkeypatch.setattr(module, "hash", lambda key: 7, raising=False)
        result = world.run(rows, mode=mode, duplicates="first", max_deletes=1.0)
        outcomes.append((shown(result), result.plan_digest, world.now()))
        world.sandbox.reset()
    assert outcomes[0][::2] == outcomes[1][::2]
    assert "duplicates" in outcomes[0][0]


def test_a_million_rows_would_not_be_held_in_memory() -> None:
    """What stays in memory of a spooled row is a few bytes: its page's place, and a flag while it is compared."""
    import tracemalloc

    def held(count: int) -> int:
        tracemalloc.start()
        lines, prints = Lines(), Fingerprints()
        for first in range(0, count, 2000):
            lines.extend([b"x" * 150] * 2000)
            prints.extend(range(first, first + 2000), range(first, first + 2000))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        lines.close()
        prints.close()
        return size

    few, many = held(200_000), held(400_000)
    assert many - few < 200_000 * 2


@pytest.mark.parametrize(
    ("ids", "twice"),
    [
        (["1", "2", "3"], False),
        (["3", "1", "2"], False),
        (["3", "1", "3"], True),
        (["7", "7"], True),
        (["7", "07"], False),
        (["a", "b"], False),
        (["b", "1", "b"], True),
    ],
)
def test_an_id_that_comes_twice_is_found_in_any_order(ids: list[str], twice: bool) -> None:
    """The sandbox gives no id twice, so this is about the reader alone."""
    fields = source.GroupFields(["mobile", "name"], None)
    store = Store()
    reader = group_read._Reader(fields, KeyReader("mobile"), store.printer)
    spool = store.begin_read()
    for number, record_id in enumerate(ids):
        lines, hashes, prints = reader.read(ContactTable(("mobile", "name"), [(record_id, phone(number), "Ana")]))
        spool.lines.extend(lines)
        spool.prints.extend(hashes, prints)
    assert (not reader.ascending and store.has_id_twice(lambda: None)) is twice
    store.close()


@pytest.mark.parametrize("what", ["drop", "has_id_twice", "first_seen"])
def test_a_stop_is_seen_in_the_middle(what: str) -> None:
    """At a million rows each of them takes longer than a stop may, so it is looked for all the while."""
    count = 200 * LINES_PER_PAGE
    store = Store()
    spool = store.begin_read()
    spool.lines.extend(to_line((str(number), phone(number), "Ana")) for number in range(count))
    spool.prints.extend(range(count), range(count))
    store.first_group = spool
    work: dict[str, Callable[[Callable[[], None]], object]] = {
        "drop": lambda check: spool.prints.drop(bytearray(count), check),
        "has_id_twice": lambda check: store.has_id_twice(check),
        "first_seen": lambda check: store.first_seen("7", check),
    }
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked == 150:
            raise AfilnetStoppedError("told to stop")

    with pytest.raises(AfilnetStoppedError):
        work[what](check)
    assert asked == 150
    store.close()


def test_who_was_there_first_is_known_of_long_groups_too(world: World) -> None:
    """The second round looks into the first read, of which most is on disk, whom it may delete."""
    world.make(people(*range(3 * LINES_PER_PAGE)))
    world.sandbox.fail("http_500", methods="deletecontact", count=6, retry_after=0)
    staying = people(*range(9, 3 * LINES_PER_PAGE))
    result = world.run(staying, mode="mirror", settings={"max_connections": 1})
    assert result.rounds == 2
    assert shown(result) == {"unchanged": len(staying), "deleted": 9}
    assert world.now() == bag(staying)
