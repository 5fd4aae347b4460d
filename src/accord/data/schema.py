"""What each column is: the record that inference writes, people correct, and encoders obey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from accord.errors import DataError, suggest

Kind = Literal["numeric", "categorical", "boolean", "date", "text", "identifier", "constant", "duplicate", "nested"]
Role = Literal["feature", "target", "dropped"]

USABLE: tuple[Kind, ...] = ("numeric", "categorical", "boolean", "date", "text")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a schema.

    Attributes:
        name: its name in the table.
        kind: what it holds; the kinds that are not usable as features are always dropped.
        role: feature, target, or dropped.
        type: the stored type, e.g. ``"int64"``.
        reason: why it is of this kind, or why it was dropped, as a short phrase.
        missing: share of missing values in the rows that were looked at, 0 to 1.
        distinct: number of different values among them.
        examples: a few of its values.
        format: of dates kept as text: a ``strptime`` pattern or ``"iso"``; empty otherwise.
    """

    name: str
    kind: Kind
    role: Role
    type: str
    reason: str = ""
    missing: float = 0.0
    distinct: int = 0
    examples: tuple[str, ...] = ()
    format: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table and what to do with each.

    Attributes:
        columns: all columns, in table order.
        rows: number of rows of the table.
        rows_read: number of rows that inference looked at.
        missing_marks: texts that count as missing.
    """

    columns: tuple[Column, ...]
    rows: int
    rows_read: int
    missing_marks: tuple[str, ...]

    @property
    def features(self) -> tuple[Column, ...]:
        """Columns that a model may read."""
        return tuple(column for column in self.columns if column.role == "feature")

    @property
    def targets(self) -> tuple[Column, ...]:
        """Columns that a model must predict."""
        return tuple(column for column in self.columns if column.role == "target")

    @property
    def dropped(self) -> tuple[Column, ...]:
        """Columns that nobody reads, each with its reason."""
        return tuple(column for column in self.columns if column.role == "dropped")

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"the schema has no column {name!r}. {suggest(name, (c.name for c in self.columns))}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Rebuild a schema from :meth:`to_dict` (tuples may have become lists).

        Raises:
            DataError: it is not the record of a schema.
        """
        try:
            columns = tuple(_column(entry) for entry in data["columns"])
            return cls(columns, int(data["rows"]), int(data["rows_read"]), tuple(map(str, data["missing_marks"])))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not the record of a schema: {error!r}") from error

    def __rich__(self) -> Any:
        from accord.data.show import schema_table

        return schema_table(self)

    def __str__(self) -> str:
        from accord.data.show import plain

        return plain(self)


def _column(entry: Mapping[str, Any]) -> Column:
    unknown = set(entry) - {f.name for f in fields(Column)}
    if unknown:
        raise DataError(f"a column of a schema has no field {min(unknown)!r}")
    return Column(**{**entry, "examples": tuple(entry.get("examples", ()))})
