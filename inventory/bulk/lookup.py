"""Finding what cells name: operating systems, sites, local accounts and custom configs, exactly."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db.models import Model, Q

from inventory.bulk.rows import Row


class Catalog:
    """Finds what cells name: by id, or exactly one of the columns, tried in turn. Remembers what it found."""

    def __init__(self, find: Callable[[set[str]], Iterable[Any]], *columns: str) -> None:
        """find: all that have one of these texts as id or in one of the columns; maybe more, and some twice."""
        self._find, self._columns = find, ("resource_id", *columns)
        self._found: dict[str, list[Any]] = {}
        self._names: dict[str, str] = {}

    @classmethod
    def of(cls, model: type[Model], *columns: str) -> "Catalog":
        """In the schema that the connection is in."""
        return cls(partial(_in_database, model, columns), *columns)

    def look_up(self, names: set[str]) -> None:
        """Ask, once, for all of these that aren't known."""
        names = {name for name in names if name and len(self._found.get(name, ())) != 1}
        if not names:
            return
        self._found.update({name: [] for name in names})
        resources = {found.resource_id: found for found in self._find(names)}.values()
        for column in self._columns:
            unfound = {name for name in names if not self._found[name]}
            for resource in resources:
                if (name := getattr(resource, column)) in unfound:
                    self._found[name].append(resource)

    def name_of(self, resource: Any) -> str:
        """What a cell can call it: the first column that means it and nothing else, or its id."""
        key = resource.resource_id
        if key not in self._names:
            names = [getattr(resource, column).strip() for column in self._columns[1:]]
            self.look_up({*names})
            self._names[key] = next((name for name in names if name and self._found[name] == [resource]), key)
        return self._names[key]

    def the_one(self, row: Row, sentence: str, name: str) -> Any:
        """What a cell names. If that isn't one thing, it's the row's problem, told after the sentence's beginning."""
        if not name:
            return None
        match self._found[name]:
            case [found]:
                return found
            case []:
                row.problems.append(f"{sentence}: there is none with the name or id {name[:80]!r}")
            case several:
                ids = ", ".join(sorted(one.resource_id for one in several)[:5])
                row.problems.append(f"{sentence}: {len(several)} are called {name!r} ({ids}), so give the id")
        return None


def _in_database(model: type[Model], columns: tuple[str, ...], names: set[str]) -> Iterable[Model]:
    conditions = ((f"{column}__in", names) for column in ("resource_id", *columns))
    return model.objects.filter(Q(*conditions, _connector=Q.OR))
