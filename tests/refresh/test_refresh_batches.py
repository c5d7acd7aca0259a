"""Lists and requests stay within their bounds, in every style."""

from __future__ import annotations

import pytest
from refresh_world import World, bag, expected, forty_changed, forty_people, people, person, shown


@pytest.mark.parametrize("size", [1, 7, 10, 500])
def test_batch_size_bounds_every_list(world: World, size: int) -> None:
    world.run(people(*range(43)), batch_size=size)
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert sum(sizes) == 40, "three went as probes"
    assert max(sizes) <= size
    assert len(sizes) == -(-40 // size)
    assert world.now() == bag(people(*range(43)))


@pytest.mark.parametrize("name", ["ñ,:&=%+" * 5, ""], ids=["long", "hardly more than commas"])
def test_batch_bytes_bounds_every_request_body(world: World, name: str) -> None:
    """Rows of one and the same encoded length tell from their number how long a body was."""
    from urllib.parse import urlencode

    from airflow_provider_afilnet.api.calls import contacts_json

    # What is blank is not sent.
    rows = [{k: v for k, v in person(n, name=name, city=name[:1]).items() if v} for n in range(10, 250)]
    world.run(rows, batch_bytes=4000)
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    lengths = [
        len(
            urlencode(
                {
                    "class": "group",
                    "method": "addcontactlist",
                    "user": world.sandbox.user,
                    "password": world.sandbox.password,
                    "idgroup": world.group,
                    "contacts": contacts_json(rows[:size]),
                }
            )
        )
        for size in sizes
    ]
    assert max(lengths) <= 4000
    assert sorted(sizes)[1] > 1, "and they are filled"
    assert max(lengths) > 3300


@pytest.mark.parametrize("style", ["get", "basic-get"])
def test_get_requests_are_split_to_fit_the_limit(world: World, style: str) -> None:
    rows = [person(n, name="ñandú, " * 6) for n in range(60)]
    world.run(rows, settings={"style": style})
    assert world.now() == bag(rows)
    calls = [call for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert len(calls) > 4
    assert all(call.status == 200 for call in calls), "none was refused for its length"
    assert {call.style for call in calls} == {style}


def test_a_contact_that_no_get_request_can_carry_fails_alone(world: World) -> None:
    rows = [*people(*range(10)), person(50, name="x" * 5000)]
    ended = world.ends(rows, settings={"style": "get"})
    assert world.now() == bag(people(*range(10)))
    assert "row 11" in ended.message
    assert ended.error is not None
    assert ended.error.result.failed == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("style", ["post", "get", "basic", "basic-get"])
def test_every_style_reaches_the_same_end(world: World, style: str) -> None:
    world.make(forty_people())
    want, counts = expected(forty_people(), forty_changed(), "mirror")
    assert shown(world.run(forty_changed(), mode="mirror", max_deletes=40, settings={"style": style})) == counts
    assert world.now() == want
