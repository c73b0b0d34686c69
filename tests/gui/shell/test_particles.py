"""Korean particles behind values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.shell.language import choose_particles


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("사진을(를) 여세요", "사진을 여세요"),
        ("의자을(를) 여세요", "의자를 여세요"),
        ("'의자'이(가) 없습니다", "'의자'가 없습니다"),
        ("창문은(는) 클래스입니다", "창문은 클래스입니다"),
        ("사과와(과) 배", "사과와 배"),
        ("책와(과) 상", "책과 상"),
        ("서울(으)로", "서울로"),  # behind ㄹ
        ("부산(으)로", "부산으로"),
        ("제주(으)로", "제주로"),
        ("12 px을(를)", "12 px을"),
        ("30 %이(가)", "30 %가"),
        ("ID 3은(는)", "ID 3은"),
        ("ID 4은(는)", "ID 4는"),
        ("7(으)로", "7로"),
        ("8이(가)", "8이"),
        ("A와(과) D(으)로 넘깁니다", "A와 D로 넘깁니다"),
        ("Ctrl+E을(를) 누르면", "Ctrl+E를 누르면"),
        ("Ctrl+L을(를), N(으)로", "Ctrl+L을, N으로"),
        ("Shift+Enter을(를)", "Shift+Enter를"),
        ("Tab(으)로", "Tab으로"),
        ("ABC을(를)", "ABC을(를)"),  # a word, not a key
        ("chair.png을(를)", "chair.png을(를)"),  # its reading is not certain
        ("", ""),
    ],
)
def test_one_form_is_chosen(written: str, shown: str) -> None:
    assert choose_particles(written) == shown


@given(st.text())
def test_other_texts_stay(text: str) -> None:
    if "(" not in text:
        assert choose_particles(text) == text
