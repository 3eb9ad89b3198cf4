"""The floor of claims that have none of their own: what was claimed a while ago, and now and then everything."""

from orchestrator.floors import Floor


def test_the_floor_is_what_was_claimed_a_while_ago() -> None:
    floor = Floor()
    floor.lowest(now=100.0)
    floor.note(500, now=100.0)
    floor.note(1_000, now=102.0)

    assert floor.lowest(now=104.9) == 0
    assert floor.lowest(now=105.0) == 0  # it is time for a look at everything
    assert floor.lowest(now=105.1) == 500
    assert floor.lowest(now=107.0) == 1_000


def test_everything_is_looked_at_first_and_again_and_again() -> None:
    floor = Floor()
    floor.note(500, now=1.0)

    looks = [floor.lowest(now=float(now)) for now in range(7, 19)]

    assert looks == [0, 500, 500, 500, 500, 0, 500, 500, 500, 500, 0, 500]


def test_the_floor_never_falls() -> None:
    floor = Floor()
    floor.lowest(now=0.0)
    floor.note(1_000, now=0.0)
    floor.note(400, now=0.5)  # a turn that was committed late

    floor.lowest(now=6.0)

    assert floor.lowest(now=7.0) == 1_000


def test_two_lanes_have_nothing_to_do_with_each_other() -> None:
    one, other = Floor(), Floor()
    one.note(500, now=0.0)

    for floor in (one, other):
        floor.lowest(now=6.0)

    assert (one.lowest(now=7.0), other.lowest(now=7.0)) == (500, 0)
