"""Scenario rules: which requests get a canned answer, a fault, or both.

    {"match": {"method": "POST", "path": "regex searched in the decoded path", "body": "regex on the raw body"},
     "times": 1,        requests the rule serves; null: for ever
     "skip": 0,         matching requests it lets pass first
     "effect": ...,     "normal": the API answers; "before": it acts, but its answer is dropped for ours;
                        "none": it does not act
     "answer": {"status": 200, "headers": {}, "json": any | "text": "..." | "base64": "...", "content_type": "..."},
     "fault": {...}}    see faults.py

Without `answer` the effect is "normal" by default, with one it is "none".  An answer of 400 and more that has neither a body
nor a content type gets an error in JSON, as the API sends it; `"text": ""` is an empty one.
"""

import asyncio
import base64
import random
import re

import faults
from wire import Answer, json_answer, text_answer

KEYS = frozenset(("match", "times", "skip", "effect", "answer", "fault"))
MATCH_KEYS = frozenset(("method", "path", "body"))
EFFECTS = ("normal", "before", "none")
BODIES = {
    "json": json_answer,
    "text": text_answer,
    "base64": lambda text: Answer(body=base64.b64decode(text)),
}


class Rule:
    """One rule and what is left of it."""

    def __init__(self, spec):
        match = spec.get("match", {})
        unknown = (set(spec) - KEYS) | (set(match) - MATCH_KEYS)
        if unknown:
            raise ValueError(f"unknown key in rule: {', '.join(sorted(unknown))}")
        self.spec = spec
        self.method = match.get("method")
        self.path = re.compile(match.get("path", ""))
        self.body = re.compile(match.get("body", "").encode())
        self.times = spec.get("times", 1)
        self.skip = spec.get("skip", 0)
        self.fault = spec.get("fault", {})
        faults.check(self.fault)
        self.effect = effect_of(spec, self.fault)
        self.answer = canned_answer(spec.get("answer") or stand_in(self.fault))
        self.chance = self.fault.get("random")
        self.dice = random.Random(self.chance.get("seed")) if self.chance else None
        self.hits = 0

    def matches(self, request):
        return (self.times != 0
                and self.method in (None, request.method)
                and self.path.search(request.decoded_path) is not None
                and self.body.search(request.body) is not None)

    def take(self):
        """Use the rule once for a matching request; false while it still lets requests pass."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True

    def holds(self):
        """True if the rule applies by its probability, or has none."""
        return self.dice is None or self.dice.random() < self.chance.get("p", 0.5)

    def describe(self):
        return {**self.spec, "effect": self.effect, "left": self.times, "skip": self.skip, "hits": self.hits}


def effect_of(spec, fault):
    """The rule's effect: given, or following from what else the rule says."""
    if "before" in faults.break_point(fault) or "status" in fault.get("random", {}):
        return "none"
    effect = spec.get("effect", "none" if "answer" in spec else "normal")
    if effect not in EFFECTS:
        raise ValueError(f"effect must be one of: {', '.join(EFFECTS)}")
    if effect == "normal" and "answer" in spec:
        raise ValueError('an answer of your own goes with the effects "none" and "before"')
    return effect


def stand_in(fault):
    """The answer of a rule without `answer` whose effect keeps the API from answering."""
    status = fault.get("random", {}).get("status")
    if status is None:
        return {"json": {"ok": True}}
    return {"status": status, **explained(status)}


def explained(status):
    """The body with which the API goes with a status."""
    return {"json": {"statusCode": status, "message": "an answer of a rule", "error": "Error"}} if status >= 400 else {}


def canned_answer(spec):
    """The Answer a rule describes."""
    kinds = [kind for kind in BODIES if kind in spec]
    if len(kinds) > 1:
        raise ValueError(f"an answer has one body, not {' and '.join(kinds)}")
    if not kinds and "content_type" not in spec:
        spec = {**explained(spec.get("status", 200)), **spec}
        kinds = [kind for kind in BODIES if kind in spec]
    answer = BODIES[kinds[0]](spec[kinds[0]]) if kinds else Answer()
    answer.status = spec.get("status", 200)
    answer.headers = spec.get("headers", {})
    answer.content_type = spec.get("content_type", answer.content_type)
    return answer


class RuleBook:
    """All rules, in the order in which they were given."""

    def __init__(self):
        self.rules = []
        self.cleared = asyncio.Event()

    def add(self, specs):
        """Add one rule or a list of them; all or none."""
        self.rules += [Rule(spec) for spec in (specs if isinstance(specs, list) else [specs])]

    def clear(self):
        """Drop all rules and let go what they hold back."""
        self.rules.clear()
        self.cleared.set()
        self.cleared = asyncio.Event()

    def choose(self, request):
        """The rule that governs this request, used once by it, or None."""
        return next((rule for rule in self.rules if rule.matches(request) and rule.take()), None)

    def describe(self):
        return [rule.describe() for rule in self.rules]
