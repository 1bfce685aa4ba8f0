"""The control path /_sim/: tests read and steer the simulator here.  None of it is in the ledger."""

import copy
import re

import seeds
from wire import json_answer
from world import Refusal

LEAVERS = {"self": "left", "admin": "removed"}
OK = {"ok": True}


def reset(simulator, request):
    simulator.reset()
    return OK


def read_ledger(simulator, request):
    return simulator.ledger.since(int(request.query.get("since") or 0))


def clear_ledger(simulator, request):
    simulator.ledger.clear()
    return OK


def count(simulator, request):
    return {"count": simulator.ledger.count(re.compile(request.query.get("path", "")))}


def connections(simulator, request):
    return simulator.census.describe()


def read_world(simulator, request):
    return simulator.world.state


def patch_world(simulator, request):
    simulator.world.patch(request.json())
    return OK


def add_rules(simulator, request):
    simulator.rules.add(request.json())
    return OK


def list_rules(simulator, request):
    return simulator.rules.describe()


def clear_rules(simulator, request):
    simulator.rules.clear()
    return OK


def seed(simulator, request):
    name = request.json()["name"]
    scenario = seeds.SCENARIOS.get(name)
    if scenario is None:
        raise ValueError(f"no scenario {name}; there are: {', '.join(seeds.SCENARIOS)}")
    simulator.reset()
    simulator.world.patch(copy.deepcopy(scenario.patch))
    simulator.rules.add(list(scenario.rules))
    return OK


def list_seeds(simulator, request):
    return {name: scenario.about for name, scenario in seeds.SCENARIOS.items()}


def join(simulator, request):
    """A person follows the group's invite link; with `code` only if that is still the current one."""
    order = request.json()
    world = simulator.world
    group = world.group(order["group"])
    if order.get("code", group["invite_code"]) != group["invite_code"]:
        return {"code": 410}
    return {"code": world.join(order["group"], person_of(world, order["person"]))}


def leave(simulator, request):
    order = request.json()
    world = simulator.world
    world.leave(order["group"], person_of(world, order["person"]), LEAVERS[order.get("by", "self")])
    return OK


def person_of(world, person):
    """The digits of a person named by bare digits or any id."""
    digits = world.digits_of(person if "@" in person else f"{person}@c.us")
    if digits is None:
        raise ValueError(f"not a person: {person}")
    return digits


def health(simulator, request):
    return OK


HANDLERS = {
    ("POST", "/_sim/reset"): reset,
    ("GET", "/_sim/ledger"): read_ledger,
    ("POST", "/_sim/ledger/clear"): clear_ledger,
    ("GET", "/_sim/count"): count,
    ("GET", "/_sim/connections"): connections,
    ("GET", "/_sim/world"): read_world,
    ("POST", "/_sim/world"): patch_world,
    ("POST", "/_sim/rule"): add_rules,
    ("GET", "/_sim/rule"): list_rules,
    ("POST", "/_sim/rule/clear"): clear_rules,
    ("POST", "/_sim/seed"): seed,
    ("GET", "/_sim/seeds"): list_seeds,
    ("POST", "/_sim/join"): join,
    ("POST", "/_sim/leave"): leave,
    ("GET", "/_sim/health"): health,
}


def answer(simulator, request):
    """The answer to a control request; 400 with a text when it makes no sense."""
    handler = HANDLERS.get((request.method, request.path))
    if handler is None:
        return json_answer({"error": f"no control {request.method} {request.path}"}, 404)
    try:
        return json_answer(handler(simulator, request))
    except Refusal as refusal:
        return json_answer({"error": refusal.kind}, 409)
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        return json_answer({"error": f"{type(error).__name__}: {error}"}, 400)
