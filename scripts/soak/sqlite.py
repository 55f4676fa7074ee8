"""Two processes write to one SQLite database in WAL mode; afterwards it must be sound, and everything in it.

    sqlite.py DATABASE SEED TRANSACTIONS

It may be killed at any time: the next one finds the database as it was left, and looks at it first.
"""
import os
import random
import sqlite3
import sys

PATIENCE_S = 30


def connect(path):
    base = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
    base.execute('PRAGMA journal_mode = WAL')
    base.execute('PRAGMA synchronous = NORMAL')
    return base


def look(base):
    found = base.execute('PRAGMA integrity_check').fetchone()[0]
    assert found == 'ok', found


def write(path, seed, count):
    rng = random.Random(seed)
    base = connect(path)
    for _ in range(count):
        base.execute('BEGIN IMMEDIATE')
        for _ in range(rng.randint(1, 20)):
            base.execute('INSERT INTO entry (writer, bytes) VALUES (?, ?)', (seed, rng.randbytes(rng.randint(1, 4000))))
        base.execute('DELETE FROM entry WHERE id <= (SELECT max(id) FROM entry) - 2000')
        base.execute('COMMIT')
    base.close()


path, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(os.path.dirname(path), exist_ok=True)
base = connect(path)
look(base)
base.execute('CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY AUTOINCREMENT, writer INTEGER, bytes BLOB)')
base.close()
child = os.fork()
if child == 0:
    write(path, seed + 1, count)
    os._exit(0)
write(path, seed, count)
_, status = os.waitpid(child, 0)
assert status == 0, f'the second process ended with {status}'
base = connect(path)
look(base)
base.close()
