"""Korean particles after a value: ``{name}을(를)`` is written for both; one of the two is chosen once the value is there.

A particle has one form behind a vowel and one behind a consonant: 를 and 을, 가 and 이, 는 and 은, 와 and 과, 로 and 으로
(로 behind ㄹ, too). Digits and the signs below are judged by how they are read. Behind other letters both forms stay,
because their reading is not certain.
"""

from __future__ import annotations

import re

_BOTH = re.compile(r"(.)([\"'’”)\]}»]*)(을\(를\)|이\(가\)|은\(는\)|와\(과\)|\(으\)로)")
#: Behind a consonant, behind a vowel.
_FORMS = {
    "을(를)": ("을", "를"),
    "이(가)": ("이", "가"),
    "은(는)": ("은", "는"),
    "와(과)": ("과", "와"),
    "(으)로": ("으로", "로"),
}
#: Final consonants of what digits and signs are read as: 영 일 이 삼 사 오 육 칠 팔 구, 퍼센트, 픽셀.
_FINAL = {**dict(zip("0123456789", ("ㅇ", "ㄹ", "", "ㅁ", "", "", "ㄱ", "ㄹ", "ㄹ", ""), strict=True)), "%": ""}
_PIXELS = re.compile(r"(?:^|[\s\d])px$")


def choose_particles(text: str) -> str:
    """The text with one form of each particle whose word's last sound is known."""
    return _BOTH.sub(lambda match: _chosen(match, text), text) if ")" in text else text


def _chosen(match: re.Match[str], text: str) -> str:
    last, marks, both = match.groups()
    final = _final(last, text[: match.end(1)])
    if final is None:
        return match.group()
    behind_consonant, behind_vowel = _FORMS[both]
    vowel = not final or (both == "(으)로" and final == "ㄹ")
    return f"{last}{marks}{behind_vowel if vowel else behind_consonant}"


def _final(last: str, before: str) -> str | None:
    """The last consonant of a word; empty behind a vowel, None if its reading is not known."""
    if "가" <= last <= "힣":
        place = (ord(last) - ord("가")) % 28
        return "" if not place else "ㄹ" if place == 8 else "ㅇ"
    if _PIXELS.search(before):
        return "ㄹ"
    return _FINAL.get(last)
