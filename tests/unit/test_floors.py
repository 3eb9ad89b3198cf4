"""Where looks for a lane's messages begin: at what was claimed a while ago, and now and then at everything."""

from orchestrator.floors import Floor


def test_claims_look_at_everything_while_that_is_quick() -> None:
    floor = Floor()
    floor.note(500, now=0.0)
    floor.looked(seconds=0.02, now=0.0)

    assert [floor.for_claim(now=now) for now in (0.0, 4.0, 100.0)] == [0, 0, 0]


def test_when_that_is_slow_they_begin_at_what_was_claimed_a_while_ago() -> None:
    floor = Floor()
    floor.note(500, now=0.0)
    floor.note(1_000, now=4.0)
    floor.looked(seconds=0.2, now=6.0)

    assert floor.for_claim(now=6.0) == 500
    assert floor.for_claim(now=9.0) == 1_000


def test_everything_is_looked_at_again_after_a_rest_and_the_slower_the_longer() -> None:
    floor = Floor()
    floor.note(500, now=0.0)

    floor.looked(seconds=0.2, now=10.0)
    assert [floor.for_claim(now=now) for now in (14.9, 15.0)] == [500, 0]

    floor.looked(seconds=1.0, now=15.0)
    assert [floor.for_claim(now=now) for now in (34.9, 35.0)] == [500, 0]


def test_a_look_that_is_quick_again_ends_it() -> None:
    floor = Floor()
    floor.note(500, now=0.0)
    floor.looked(seconds=0.2, now=10.0)

    floor.looked(seconds=0.01, now=15.0)

    assert floor.for_claim(now=15.1) == 0


def test_the_sweep_looks_at_everything_first_and_again_and_again() -> None:
    floor = Floor()
    floor.note(500, now=1.0)

    looks = [floor.lowest(now=float(now)) for now in range(7, 19)]

    assert looks == [0, 500, 500, 500, 500, 0, 500, 500, 500, 500, 0, 500]


def test_the_floor_never_falls() -> None:
    floor = Floor()
    floor.note(1_000, now=0.0)
    floor.note(400, now=0.5)  # a turn that was committed late
    floor.looked(seconds=0.2, now=6.0)

    assert floor.for_claim(now=6.0) == 1_000


def test_two_lanes_have_nothing_to_do_with_each_other() -> None:
    one, other = Floor(), Floor()
    one.note(500, now=0.0)
    for floor in (one, other):
        floor.looked(seconds=0.2, now=6.0)

    assert (one.for_claim(now=7.0), other.for_claim(now=7.0)) == (500, 0)
