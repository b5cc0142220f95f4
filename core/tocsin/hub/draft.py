"""What of the store's documents a turn has read, and what it means to write: each is read once, and written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from tocsin.store.coding import dump, load
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell

T = TypeVar("T")

_Name = tuple[str, str]


class Draft:
    """A `Transaction` whose documents are on paper first: they reach the one below with `write`.

    Whoever asks here is told what was put and dropped here. All else goes to the transaction below at once. What a
    document says can be put and asked for as a value, too: its text is made when it is needed, and few are.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._cells: dict[_Name, Cell | None] = {}
        """As they are now, of those that were read or written; None: there is none."""
        self._stored: dict[_Name, Cell | None] = {}
        """As they are below, of those for which that is known."""
        self._changed: dict[_Name, None] = {}
        """Those to be written, the one changed last at the end."""
        self._lists: dict[tuple[str, str | None, str | None], list[str]] = {}
        """The keys found by questions that were asked below."""
        self._values: dict[_Name, Any] = {}
        """What documents say."""
        self._untold: set[_Name] = set()
        """Those of whose value the text is still to be made."""
        self.timed = False
        """Whether a document was written whose time will come."""
        self.event = tx.event
        self.sequence_of = tx.sequence_of
        self.add_event = tx.add_event
        self.incident = tx.incident
        self.incident_numbered = tx.incident_numbered
        self.incidents = tx.incidents
        self.open_incidents = tx.open_incidents
        self.put_incident = tx.put_incident
        self.deliver = tx.deliver
        self.suppress = tx.suppress

    def write(self) -> None:
        """Write what was put and dropped since the last time, as far as it is not so already."""
        changed, self._changed, self._lists = self._changed, {}, {}
        for name in changed:
            cell = self._told(name)
            if name in self._stored and cell == self._stored[name]:
                continue
            if cell is None:
                self._tx.drop(*name)
            else:
                self._tx.put(cell)
                self.timed |= cell.due_at is not None
            self._stored[name] = cell

    # ------------------------------------------------------------ documents

    def cell(self, kind: str, key: str) -> Cell | None:
        """See `Transaction.cell`."""
        self._look(kind, key)
        return self._told((kind, key))

    def cells(self, kind: str, *, parent: str | None = None, subject: str | None = None) -> list[Cell]:
        """See `Transaction.cells`."""
        names = [(kind, key) for key in self._keys(kind, parent, subject)]
        return [cell for name in names if (cell := self._told(name)) is not None]

    def documents(self, names: Sequence[_Name]) -> list[Cell]:
        """See `Transaction.documents`."""
        unknown = [name for name in names if name not in self._cells]
        if unknown:
            self._cells |= dict.fromkeys(unknown)
            self._cells |= {(cell.kind, cell.key): cell for cell in self._tx.documents(unknown)}
            self._stored |= {name: self._cells[name] for name in unknown}
        return [cell for name in dict.fromkeys(names) if (cell := self._told(name)) is not None]

    def none_yet(self, kind: str, key: str, below: str = "") -> None:
        """Take for granted, without looking, that the store has no such document, nor any of kind `below` in it."""
        if (kind, key) not in self._cells:
            self._cells[kind, key] = self._stored[kind, key] = None
            self._lists[below, key, None] = []

    def due(self, kind: str, key: str) -> datetime | None:
        """When the time of a document comes; None where there is none, too."""
        cell = self._look(kind, key)
        return None if cell is None else cell.due_at

    def value(self, of: type[T], kind: str, key: str) -> T | None:
        """What a document says, as `of`; None where there is none."""
        return None if self._look(kind, key) is None else self._value(of, (kind, key))

    def values(self, of: type[T], kind: str, *, parent: str | None = None, subject: str | None = None) -> list[T]:
        """What the documents say that `cells` gives."""
        return [self._value(of, (kind, key)) for key in self._keys(kind, parent, subject)]

    def put_value(self, kind: str, key: str, value: Any, parent: str, subject: str, due: datetime | None) -> None:
        """Put a document that says `value`."""
        name = kind, key
        self._change(name, Cell(kind, key, "", parent, subject, due))
        self._values[name] = value
        self._untold.add(name)

    def _look(self, kind: str, key: str) -> Cell | None:
        """A document as it is now, its text perhaps still to be made."""
        name = kind, key
        if name not in self._cells:
            self._cells[name] = self._stored[name] = self._tx.cell(kind, key)
        return self._cells[name]

    def _told(self, name: _Name) -> Cell | None:
        """A document that is known, with its text."""
        cell = self._cells[name]
        if cell is not None and name in self._untold:
            cell = self._cells[name] = replace(cell, body=dump(self._values[name]))
            self._untold.discard(name)
        return cell

    def _value(self, of: type[T], name: _Name) -> T:
        value = self._values.get(name)
        if not isinstance(value, of):
            cell = self._told(name)
            assert cell is not None, "asked only for what there is"
            value = self._values[name] = load(of, cell.body)
        return value

    def _keys(self, kind: str, parent: str | None, subject: str | None) -> list[str]:
        """The keys of the documents that there are now, of those `cells` is asked for."""
        question = kind, parent, subject
        if question not in self._lists:
            found = self._tx.cells(kind, parent=parent, subject=subject)
            for cell in found:
                if (name := (kind, cell.key)) not in self._cells:
                    self._cells[name] = self._stored[name] = cell
            self._lists[question] = [cell.key for cell in found]
        return [cell.key for cell in self._as_they_are(kind, self._lists[question], parent, subject)]

    def _as_they_are(self, kind: str, found: list[str], parent: str | None, subject: str | None) -> list[Cell]:
        """The documents `found` in the store and those put since, without what belongs elsewhere by now."""
        fresh = [key for of, key in self._changed if of == kind]
        keys = sorted({*found, *fresh}) if fresh else found
        cells = [cell for key in keys if (cell := self._cells[kind, key]) is not None]
        if parent is not None:
            return [cell for cell in cells if cell.parent == parent != ""]
        return [cell for cell in cells if subject is None or cell.subject == subject != ""]

    def due_cells(self, *, now: datetime, limit: int) -> list[Cell]:
        """See `Transaction.due_cells`."""
        self.write()
        return self._tx.due_cells(now=now, limit=limit)

    def put(self, cell: Cell) -> None:
        """See `Transaction.put`."""
        self._change((cell.kind, cell.key), cell)

    def drop(self, kind: str, key: str) -> None:
        """See `Transaction.drop`."""
        name = kind, key
        if name not in self._cells or self._cells[name] is not None:
            self._change(name, None)

    def _change(self, name: _Name, cell: Cell | None) -> None:
        self._cells[name] = cell
        self._values.pop(name, None)
        self._untold.discard(name)
        self._changed.pop(name, None)
        self._changed[name] = None
