"""Third-party notices: every package that the program needs, each with its licence and its text."""

from __future__ import annotations

from importlib.metadata import distribution

from tools.notices import licence, notices, required, texts


def test_packages_that_packages_need_are_named() -> None:
    names = {package.metadata["Name"].lower() for package in required()}
    assert {"numpy", "torch", "pyside6_essentials", "shiboken6", "llvmlite", "markupsafe"} <= names
    assert names.isdisjoint({"atrous", "pytest", "ruff", "matplotlib"})  # neither itself nor extras


def test_each_comes_with_its_terms() -> None:
    packages = [distribution(name) for name in ("numpy", "click")]
    text = notices(packages)
    for package in packages:
        assert licence(package) in text
        shown = [content for _file, content in texts(package)]
        assert shown
        assert all(content in text for content in shown)


def test_a_licence_is_read_from_wherever_it_is_stated() -> None:
    assert licence(distribution("numpy")) != "not stated"
    assert "LGPL-3.0" in licence(distribution("PySide6_Essentials"))
