"""The schema of a project's database, and whether a file that came from elsewhere has exactly this one.

A project folder travels with data sets, so its database may come from a stranger. A view, a trigger or a changed table can run
for ever or change rows behind the program's back. Every object of the file is therefore compared with what the migrations make,
before the first row is read or written (sqlite.org/security.html).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

from deeplab_core.errors import message

#: "Atro": identifies this database for file managers and for us.
APPLICATION_ID = 0x4174726F

#: One script per schema version; a database of version n runs those from n on. Never change one that was released.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE images (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,          -- below the folder, with slashes
        size INTEGER NOT NULL,              -- bytes
        mtime_ns INTEGER NOT NULL,
        content_key TEXT NOT NULL DEFAULT '',
        status INTEGER NOT NULL DEFAULT 0,
        flags INTEGER NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT '',
        mask TEXT NOT NULL DEFAULT '',      -- file below the project directory, with slashes
        mask_move INTEGER NOT NULL DEFAULT 0,   -- last move that the mask file is known to hold
        journal_base INTEGER NOT NULL DEFAULT 0, -- moves up to this one may be gone; 0 where all are still here
        prediction TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE steps (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        title TEXT NOT NULL,
        source INTEGER NOT NULL,
        time REAL NOT NULL,
        pixels INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,   -- 0 in effect, 1 undone, 2 undone and superseded
        patch BLOB NOT NULL
    );
    CREATE INDEX steps_of_image ON steps (image, seq, state, bytes); -- covers what bounding the journal asks
    CREATE TABLE moves (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        direction INTEGER NOT NULL          -- 1 done, -1 undone
    );
    CREATE INDEX moves_of_image ON moves (image, n);
    CREATE INDEX moves_of_step ON moves (step, n);
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        card_id TEXT NOT NULL,
        options TEXT NOT NULL,
        started REAL NOT NULL,
        finished REAL
    );
    CREATE TABLE run_items (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        state INTEGER NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run, image)
    ) WITHOUT ROWID;
    CREATE TABLE results (
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (image, kind)
    );
    """,
    "",  # 2: masks and patches may hold the provenance RECLASSIFIED, which older programs would take for unset (ADR 89)
    "",  # 3: masks and patches may hold ids of classes that were merged or deleted (ADR 115)
)

#: Opening a project brings it to this version. A later one comes with the first data that need it, so that older programs go
#: on reading every project without them.
OPENED_AT = 1

#: Version of a project that holds reclassified regions.
WITH_RECLASSIFIED = 2

#: Version of a project in which classes were merged or deleted.
WITH_CLASS_EDITS = 3

#: What SQLite makes by itself: the counters of AUTOINCREMENT, and the indexes behind UNIQUE and PRIMARY KEY.
_OWN_OF_SQLITE = frozenset({"sqlite_sequence"})
_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master"

Row = tuple[str, str, str, str | None]


@cache
def expected_objects(version: int) -> frozenset[Row]:
    """(type, name, table, SQL) of every object that the migrations up to ``version`` make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        return frozenset(connection.execute(_OBJECTS))


def strange_objects(connection: sqlite3.Connection, version: int, *, reading: bool = False) -> list[str]:
    """What a database has more, less or otherwise than a project of this version, in words; empty if it is as it should be.

    Args:
        reading: only what a query could meet counts: tables that are missing, changed or no tables.

    Raises:
        sqlite3.Error: the schema cannot be read.
    """
    found = {row for row in connection.execute(_OBJECTS).fetchmany(_MOST_OBJECTS) if row[1] not in _OWN_OF_SQLITE}
    wanted = {row for row in expected_objects(version) if row[1] not in _OWN_OF_SQLITE}
    if reading:
        tables = {row for row in wanted if row[0] == "table"}
        return [message("the table {name} is missing or changed", name=row[1]) for row in sorted(tables - found, key=str)]
    known = {(row[0], row[1]) for row in wanted}
    there = {(row[0], row[1]) for row in found}
    problems: list[str] = []
    for kind, name, *_ in sorted(found - wanted, key=str):
        changed = message("the {kind} {name} is changed", kind=kind, name=name)
        problems.append(changed if (kind, name) in known else message("the {kind} {name} is not of Atrous", kind=kind, name=name))
    problems += [message("the {kind} {name} is missing", kind=kind, name=name) for kind, name in sorted(known - there)]
    return problems


def table_as_expected(connection: sqlite3.Connection, table: str, version: int) -> bool:
    """Whether a table is a real one with exactly our definition, so that a query on it ends and means what it says."""
    wanted = {row for row in expected_objects(version) if row[0] == "table" and row[1] == table}
    found = connection.execute(f"{_OBJECTS} WHERE name = ?", (table,)).fetchmany(_MOST_OBJECTS)
    return set(found) == wanted


#: A schema of ours has some 15 objects; a file may hold millions.
_MOST_OBJECTS = 1000
