# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one reader of ``app_services``: every default stands once, and what cannot be meant is told in one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLD, COLOURS, Label, Service
from ansible_collections.slipway.ops.plugins.module_utils.service.rules import (
    Number,
    Place,
    Problem,
    Rule,
    Text,
    Truth,
    is_text,
)

VARIABLE = "app_services"
_PLAIN: dict[Any, Rule] = {str: Text(), bool: Truth(), int: Number(int, 0), float: Number(float, 0)}
_HIDDEN = {"secrets", "environment"}


class ServiceError(Exception):
    """A description or a request that cannot be meant; the message says what to write instead."""


def read_services(data: Any, variable: str = VARIABLE) -> tuple[list[Service], list[Problem]]:
    """The services that can be read, complete, and everything that is wrong; what is in ``data`` may be anything."""
    place = Place(variable)
    if not _is_list(data):
        place.refuse(data, "a list of services")
        return [], place.problems
    services = [service for number, item in enumerate(data) if (service := _read_item(item, number, place))]
    names = service_names(data)
    for told in (*(f"two services are called {name}" for name in _doubles(names)), *_collisions(services)):
        place.tell(told)
    return services, place.problems


def services_of(data: Any, variable: str = VARIABLE) -> list[Service]:
    """The services, complete; :class:`ServiceError` with a line for each problem."""
    services, problems = read_services(data, variable)
    if problems:
        raise ServiceError("\n".join(map(str, problems)))
    return services


def parse_service(data: Any) -> Service:
    """One service, complete."""
    (service,) = services_of([data])
    return service


def find_service(data: Any, name: str) -> Service:
    """The service called ``name``, whatever is wrong with others; an unknown name is answered with the nearest one."""
    check_known(name, service_names(data))
    return services_of([item for item in data if _name_of(item) == name])[0]


def check_name(name: str) -> None:
    """Raises :class:`ServiceError` when no service can have this name."""
    place = Place("service")
    _read(Label, name, place)
    if place.problems:
        raise ServiceError(str(place.problems[0]))


def check_known(name: str, known: Sequence[str]) -> None:
    """Raises :class:`ServiceError` when no service has this name."""
    if name not in known:
        raise ServiceError(f"There is no service {name} in {VARIABLE}{_nearest(name, known)}")


def service_names(data: Any) -> list[str]:
    """The names in a list of services, of which nothing else has to be right."""
    if not _is_list(data):
        services_of(data)
    return [name for item in data if (name := _name_of(item))]


def _name_of(item: Any) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return str(name) if is_text(name) else ""


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _read_item(item: Any, number: int, services: Place) -> Service | None:
    place = services.at(f"[{_name_of(item) or number}]")
    before = len(place.problems)
    service: Service = _read(Service, item, place)
    if len(place.problems) > before:
        return None
    for path, told in _contradictions(service):
        place.at(path).tell(told)
    return replace(service, ready=replace(service.ready, path=service.ready.path or service.health.path))


def _read(hint: Any, value: Any, place: Place) -> Any:
    """A value as the type of its field says; problems are told at its place."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return arguments[1].read(value, place)
    if hint in _PLAIN:
        return _PLAIN[hint].read(value, place)
    if origin is list:
        return _read_list(arguments[0], value, place)
    if origin is dict:
        return _read_mapping(arguments[0], arguments[1], value, place)
    if is_dataclass(hint):
        return _read_options(hint, value, place)
    return _read(arguments[0], value, place)  # X | None: of nothing, the default stands


def _read_list(hint: Any, value: Any, place: Place) -> list[Any]:
    if not _is_list(value):
        place.refuse(value, "a list")
        return []
    return [_read(hint, item, place.at(f"[{number}]")) for number, item in enumerate(value)]


def _read_mapping(key_hint: Any, value_hint: Any, value: Any, place: Place) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        place.refuse(value, "a mapping")
        return {}
    names = Place(place.variable, f"{place.path}: a name", problems=place.problems)
    return {_read(key_hint, key, names): _read(value_hint, item, place.at(f".{key}")) for key, item in value.items()}


def _read_options(kind: Any, value: Any, place: Place) -> Any:
    if not isinstance(value, Mapping):
        place.refuse(value, "a mapping")
        return None
    hints = _hints(kind)
    for key in value:
        if key not in hints:
            place.at(f".{key}").is_not(f"no option{_nearest(str(key), list(hints))}")
    options = {}
    for item in fields(kind):
        below = place.at(f".{item.name}", hidden=item.name in _HIDDEN)
        if value.get(item.name) is not None:
            options[item.name] = _read(hints[item.name], value[item.name], below)
        elif _is_required(item):
            below.is_not("missing")
            options[item.name] = None
    return kind(**options)


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f" (known: {', '.join(sorted(known)) or 'none'})"


def _contradictions(service: Service) -> Iterator[tuple[str, str]]:
    """What is wrong with a service whose every value is right by itself."""
    for colour in COLOURS:
        if service.possible_ports(colour)[-1] > 65535:
            yield f".ports.{colour}", f"{service.most} instances would need ports above 65535"
    shared = set(service.possible_ports("blue")) & set(service.possible_ports("green"))
    if shared:
        yield (
            ".ports",
            f"blue and green would share port {min(shared)}; leave {service.most} ports between their first ones",
        )
    if service.strategy == "canary" and not service.watch.version:
        yield ".watch.version", "a canary is told from the live release by the version in its answers"
    if service.bake.seconds and not service.bake.port:
        yield ".bake.port", "missing; the app hosts keep there what a bake decided, reachable for the edges"
    if service.bake.seconds and service.strategy in COLD:
        yield ".bake", f"strategy {service.strategy} keeps no release warm that a bake could go back to"
    scaling = service.scaling
    if scaling.max and scaling.max < service.instances:
        yield ".scaling.max", f"it is less than instances, {service.instances}, the least number of them"
    if scaling.cpu_in >= scaling.cpu_out:
        yield ".scaling.cpu_in", f"it would want more instances and fewer at once; less than {scaling.cpu_out:g}"
    names = [worker.name for worker in service.workers]
    for name in _doubles(names):
        yield ".workers", f"two of them are called {name}"
    if "app" in names:
        yield ".workers", "app is what the instances are called; name the worker after its work"
    mounted = [volume.path for volume in service.volumes] + [mount.path for mount in service.host_mounts]
    mounted += [item.partition(":")[0] for item in service.tmpfs] + (["/run/secrets"] if service.secrets else [])
    for path in _doubles([path.rstrip("/") or "/" for path in mounted]):
        yield "", f"two of volumes, host_mounts, tmpfs and secrets are at {path} in the container"


def _doubles(words: Sequence[str]) -> list[str]:
    return sorted({word for word in words if words.count(word) > 1})


def _collisions(services: Sequence[Service]) -> Iterator[str]:
    """What two services cannot both have."""
    owners: dict[str, str] = {}
    for service in services:
        for thing in _taken(service):
            owner = owners.setdefault(thing, service.name)
            if owner != service.name:
                yield f"services {owner} and {service.name} would share {thing}"


def _taken(service: Service) -> Iterator[str]:
    for colour in COLOURS:
        yield from (f"port {port}" for port in service.possible_ports(colour))
        yield from (f"the container name {name}" for name in service.container_names(colour))
    if service.bake.port:
        yield f"port {service.bake.port}"
    if service.edge_port:
        yield f"edge_port {service.edge_port}"
