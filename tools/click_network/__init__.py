"""Train and export the project's own click network. ``python -m tools.click_network --help`` says how; the results are in
docs/models/clicks.md.
"""
