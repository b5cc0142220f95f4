"""Routes act in file order, a child in place of its parent, and one event reaches a channel once."""

from tocsin.routing.router import Route, Router, Target
from tocsin_hooks.filters import when
from tocsin_hooks.testing import sample_event

FAILED = sample_event()
RUNNING = sample_event(state="Running", state_family=("Running",))


def route(name: str, text: str | None, *send: str, **options) -> Route:
    return Route(name, None if text is None else when(text), send or options.pop("to", None), **options)


def channels(router: Router, event=FAILED) -> list[str]:
    return [target.channel for target in router.decide(event).targets]


def test_all_matching_siblings_act_in_file_order() -> None:
    router = Router((route("a", "is_failed", "ops"), route("b", "flow=other", "mail"), route("c", None, "log")))
    assert channels(router) == ["ops", "log"]


def test_one_event_reaches_a_channel_once_by_the_first_route_that_names_it() -> None:
    router = Router((route("a", None, "ops", "mail"), route("b", None, "mail", "ops", "log", template="short")))
    targets = router.decide(FAILED).targets
    assert targets == (Target("ops", "a"), Target("mail", "a"), Target("log", "b", "short"))


def test_stop_ends() -> None:
    router = Router((route("a", "is_failed", "ops", stop=True), route("b", None, "mail")))
    assert channels(router) == ["ops"]
    assert channels(router, RUNNING) == ["mail"]


def test_a_matching_child_acts_in_place_of_its_parent() -> None:
    child = route("prod", "tags=prod", "pager")
    router = Router((route("all", "is_failed", "ops", children=(child,)),))
    assert channels(router) == ["pager"]
    assert channels(router, sample_event(tags=frozenset())) == ["ops"]


def test_a_child_of_a_parent_that_does_not_match_is_not_asked() -> None:
    child = route("prod", "tags=prod", "pager")
    assert channels(Router((route("all", "is_running", "ops", children=(child,)),))) == []


def test_all_matching_children_act() -> None:
    children = (route("x", "tags=prod", "x"), route("y", "tags=nightly", "y"), route("z", "tags=never", "z"))
    assert channels(Router((route("all", None, "ops", children=children),))) == ["x", "y"]


def test_stop_of_a_child_or_of_a_replaced_parent_ends_the_rest_too() -> None:
    stopping_child = route("child", None, "pager", stop=True)
    after = route("after", None, "log")
    assert channels(Router((route("p", None, "ops", children=(stopping_child,)), after))) == ["pager"]
    child = route("child", None, "pager")
    assert channels(Router((route("p", None, "ops", stop=True, children=(child,)), after))) == ["pager"]
    grandparent = route("g", None, "ops", children=(route("p", None, "x", children=(child,), stop=True),))
    assert channels(Router((grandparent, after))) == ["pager"]


def test_a_route_without_channels_inherits_and_an_empty_list_is_nowhere() -> None:
    heir = route("heir", "tags=prod", template="short")
    nowhere = Route("nowhere", when("tags=nightly"), ())
    router = Router(
        (route("p", None, "ops", children=(heir, nowhere)),), default_send=("home",), default_template="long"
    )
    assert router.decide(FAILED).targets == (Target("ops", "heir", "short"),)
    assert channels(Router((route("p", None),), default_send=("home",))) == ["home"]


def test_what_no_route_claims_goes_to_the_default_if_it_opens_an_incident() -> None:
    router = Router((route("a", "flow=other", "ops"),), default_send=("home",), opens=when("is_failed"))
    assert router.decide(FAILED).targets == (Target("home", "defaults"),)
    assert channels(router, RUNNING) == []


def test_an_explicit_nowhere_claims_the_event() -> None:
    router = Router((Route("noise", when("is_failed"), ()),), default_send=("home",))
    decision = router.decide(FAILED)
    assert decision.targets == ()
    assert decision.matched
    assert not Router().decide(FAILED).matched


def test_routes_from_code_act_last_and_whatever_stopped() -> None:
    router = Router((route("a", None, "ops", stop=True),))
    extra = [route("code:x", "is_failed", "x"), route("code:y", "is_running", "y")]
    assert router.decide(FAILED, extra).targets == (Target("ops", "a"), Target("x", "code:x"))


def test_the_explanation_gives_every_route_its_verdict() -> None:
    child = route("prod", "tags=prod", "pager", stop=True)
    router = Router(
        (
            route("other", "flow=other", "ops"),
            route("all", "is_failed", "ops", children=(child, route("never", None, "x"))),
            route("after", None, "log"),
        ),
        default_send=("home",),
    )
    said = [(v.route, v.depth, v.verdict, v.channels) for v in router.explain(FAILED)]
    assert said == [
        ("other", 0, "no match", ()),
        ("all", 0, "replaced", ()),
        ("prod", 1, "acts", ("pager",)),
        ("never", 1, "not reached", ()),
        ("after", 0, "not reached", ()),
        ("defaults", 0, "no match", ()),
    ]


def test_the_explanation_and_the_decision_agree() -> None:
    child = route("prod", "tags=prod", template="t")
    for default in ((), ("home",)):
        for event in (FAILED, RUNNING, sample_event(tags=frozenset())):
            for routes in ((), (route("a", "is_failed", "ops", children=(child,)), route("b", None))):
                router = Router(routes, default_send=default, opens=when("is_failed"))
                told = [c for v in router.explain(event) if v.verdict == "acts" for c in v.channels]
                assert list(dict.fromkeys(told)) == channels(router, event)
