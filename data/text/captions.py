"""A small English-German caption grammar of our own: synthetic sentence pairs in any number, no download.

German needs what a word-by-word mapping cannot give: gender and case of articles and adjectives, verbs in
second place after a fronted phrase and last in a subordinate clause, dative verbs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class _Noun:
    english: str
    german: str
    gender: str  # "m", "f", "n"
    weak: bool = False  # n-declension: -(e)n outside the nominative


@dataclass(frozen=True)
class _Verb:
    english: str
    german: str
    case: str = "acc"


_SUBJECTS = (
    _Noun("man", "Mann", "m"), _Noun("woman", "Frau", "f"), _Noun("child", "Kind", "n"),
    _Noun("girl", "Mädchen", "n"), _Noun("boy", "Junge", "m", weak=True), _Noun("dog", "Hund", "m"),
    _Noun("cat", "Katze", "f"), _Noun("teacher", "Lehrerin", "f"), _Noun("farmer", "Bauer", "m", weak=True),
    _Noun("horse", "Pferd", "n"), _Noun("painter", "Maler", "m"), _Noun("nurse", "Krankenschwester", "f"),
    _Noun("tourist", "Tourist", "m", weak=True), _Noun("singer", "Sängerin", "f"),
)  # fmt: skip
_OBJECTS = (
    _Noun("ball", "Ball", "m"), _Noun("book", "Buch", "n"), _Noun("lamp", "Lampe", "f"),
    _Noun("apple", "Apfel", "m"), _Noun("bicycle", "Fahrrad", "n"), _Noun("bottle", "Flasche", "f"),
    _Noun("hat", "Hut", "m"), _Noun("picture", "Bild", "n"), _Noun("flower", "Blume", "f"),
    _Noun("boat", "Boot", "n"), _Noun("guitar", "Gitarre", "f"), _Noun("umbrella", "Regenschirm", "m"),
    _Noun("car", "Auto", "n"), _Noun("basket", "Korb", "m"),
)  # fmt: skip
_PLACES = (
    ("in the park", "in dem Park"), ("on the street", "auf der Straße"),
    ("in front of the house", "vor dem Haus"), ("next to the bridge", "neben der Brücke"),
    ("at the table", "an dem Tisch"), ("behind the school", "hinter der Schule"),
    ("under the tree", "unter dem Baum"), ("in the kitchen", "in der Küche"),
    ("on the beach", "an dem Strand"), ("near the station", "bei dem Bahnhof"),
    ("in the snow", "in dem Schnee"), ("at the market", "auf dem Markt"),
)  # fmt: skip
_TIMES = (("today", "heute"), ("now", "jetzt"), ("often", "oft"), ("every morning", "jeden Morgen"))
_ADJECTIVES = (
    ("small", "klein"), ("old", "alt"), ("young", "jung"), ("red", "rot"), ("blue", "blau"),
    ("happy", "fröhlich"), ("tired", "müd"), ("big", "groß"), ("beautiful", "schön"), ("new", "neu"),
    ("white", "weiß"), ("quiet", "ruhig"),
)  # fmt: skip
_WITH_OBJECT = (
    _Verb("sees", "sieht"), _Verb("carries", "trägt"), _Verb("holds", "hält"), _Verb("paints", "malt"),
    _Verb("cleans", "putzt"), _Verb("buys", "kauft"), _Verb("finds", "findet"), _Verb("repairs", "repariert"),
    _Verb("needs", "braucht"), _Verb("shows", "zeigt"),
)  # fmt: skip
_WITH_PERSON = (
    _Verb("helps", "hilft", "dat"), _Verb("follows", "folgt", "dat"), _Verb("thanks", "dankt", "dat"),
    _Verb("greets", "grüßt"), _Verb("watches", "beobachtet"), _Verb("looks for", "sucht"),
)  # fmt: skip
_ALONE = (
    _Verb("sleeps", "schläft"), _Verb("waits", "wartet"), _Verb("laughs", "lacht"), _Verb("sings", "singt"),
    _Verb("plays", "spielt"), _Verb("dances", "tanzt"), _Verb("stands", "steht"), _Verb("runs", "läuft"),
)  # fmt: skip
_CONJUNCTIONS = (("because", "weil"), ("while", "während"), ("although", "obwohl"), ("when", "wenn"))

_DEFINITE = {"nom": {"m": "der", "f": "die", "n": "das"}, "acc": {"m": "den", "f": "die", "n": "das"},
             "dat": {"m": "dem", "f": "der", "n": "dem"}}  # fmt: skip
_INDEFINITE = {"nom": {"m": "ein", "f": "eine", "n": "ein"}, "acc": {"m": "einen", "f": "eine", "n": "ein"},
               "dat": {"m": "einem", "f": "einer", "n": "einem"}}  # fmt: skip
_ENDING_DEFINITE = {"nom": {"m": "e", "f": "e", "n": "e"}, "acc": {"m": "en", "f": "e", "n": "e"},
                    "dat": {"m": "en", "f": "en", "n": "en"}}  # fmt: skip
_ENDING_INDEFINITE = {"nom": {"m": "er", "f": "e", "n": "es"}, "acc": {"m": "en", "f": "e", "n": "es"},
                      "dat": {"m": "en", "f": "en", "n": "en"}}  # fmt: skip


def caption_pairs() -> Iterator[tuple[str, str]]:
    """Endless, always the same sequence of (English, German) sentences; a sentence may come again."""
    draw = random.Random(0)
    while True:
        yield _sentence(draw)


def _sentence(draw: random.Random) -> tuple[str, str]:
    shape = draw.random()
    subject, verb, rest, rest_de = _clause(draw)
    if shape < 0.45:  # the verb stands second
        english, german = f"{subject[0]} {verb.english}{rest}", f"{subject[1]} {verb.german}{rest_de}"
    elif shape < 0.75:  # a fronted phrase: the German verb still stands second, before its subject
        front, front_de = draw.choice(_PLACES + _TIMES)
        english = f"{front} {subject[0]} {verb.english}{rest}"
        german = f"{front_de} {verb.german} {subject[1]}{rest_de}"
    else:  # a subordinate clause: the German verb stands last
        conjunction, conjunction_de = draw.choice(_CONJUNCTIONS)
        other, verb_2, rest_2, rest_2_de = _clause(draw, place=False)
        english = f"{subject[0]} {verb.english}{rest} {conjunction} {other[0]} {verb_2.english}{rest_2}"
        german = (
            f"{subject[1]} {verb.german}{rest_de}, {conjunction_de} {other[1]}{rest_2_de} {verb_2.german}"
        )
    return _finish(english), _finish(german)


def _clause(draw: random.Random, *, place: bool = True) -> tuple[tuple[str, str], _Verb, str, str]:
    """Subject (English, German), verb, and what follows the verb in each language, with a leading space."""
    noun = draw.choice(_SUBJECTS)
    subject = _phrase(draw, noun, "nom")
    kind = draw.random()
    if kind < 0.5:
        verb = draw.choice(_WITH_OBJECT)
        rest, rest_de = _phrase(draw, draw.choice(_OBJECTS), verb.case)
    elif kind < 0.75:
        verb = draw.choice(_WITH_PERSON)
        others = [other for other in _SUBJECTS if other is not noun]
        rest, rest_de = _phrase(draw, draw.choice(others), verb.case)
    else:
        verb = draw.choice(_ALONE)
        rest = rest_de = ""
    if place and (not rest or draw.random() < 0.4):
        where, where_de = draw.choice(_PLACES)
        rest, rest_de = f"{rest} {where}", f"{rest_de} {where_de}"
    return subject, verb, f" {rest.strip()}".rstrip(), f" {rest_de.strip()}".rstrip()


def _phrase(draw: random.Random, noun: _Noun, case: str) -> tuple[str, str]:
    definite = draw.random() < 0.5
    article = (_DEFINITE if definite else _INDEFINITE)[case][noun.gender]
    german = noun.german
    if noun.weak and case != "nom":
        german += "n" if german.endswith(("e", "r")) else "en"
    if draw.random() < 0.5:
        adjective, stem = draw.choice(_ADJECTIVES)
        ending = (_ENDING_DEFINITE if definite else _ENDING_INDEFINITE)[case][noun.gender]
        english_article = "the" if definite else "an" if adjective[0] in "aeiou" else "a"
        return f"{english_article} {adjective} {noun.english}", f"{article} {stem}{ending} {german}"
    english_article = "the" if definite else "an" if noun.english[0] in "aeiou" else "a"
    return f"{english_article} {noun.english}", f"{article} {german}"


def _finish(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:] + "."
