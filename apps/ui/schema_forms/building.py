"""Build the tree of fields for a schema."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
from django.utils.text import format_lazy

from apps.tasks.schemas.notation import as_json_schema
from apps.ui.schema_forms import keywords
from apps.ui.schema_forms.fields import (
    Alternative,
    ChecksField,
    ChoiceField,
    Field,
    JsonField,
    ListField,
    MomentField,
    NumberField,
    ObjectField,
    Option,
    Property,
    ShownField,
    TextField,
    VariantsField,
)
from apps.ui.schema_forms.names import MISSING, UNSHOWABLE
from apps.ui.schema_forms.options import constant_of, kinds_of, options_of, with_texts
from apps.ui.schema_forms.schema import (
    TARGET_TITLE,
    Normaliser,
    Schema,
    Seen,
    TooLarge,
    Unsupported,
)
from apps.ui.schema_forms.wording import (
    ITEM,
    MAX_LABEL,
    NAMES,
    RESULT,
    bounds_of,
    example_of,
    hint_of,
    plain,
    value_label,
    words,
)

# Fields and options: far more than a person fills in.
MAX_FIELDS = 1_000
MAX_DEPTH = 12
LONG_TEXT = 200
MAX_FIRST_ROWS = 20
MOMENTS = ("date", "time", "date-time")
LONG_FORMATS = ("multiline", "textarea", "markdown")
FAILURES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def field_of(schema: Mapping[str, Any] | None) -> Field:
    """Return the field for a whole output: a `JsonField` where no form can be made."""
    try:
        return _cached(orjson.dumps(schema)) if schema else editor()
    except FAILURES:
        return editor()


def editor() -> JsonField:
    return JsonField(label=RESULT)


@lru_cache(maxsize=128)
def _cached(encoded: bytes) -> Field:
    document = as_json_schema(orjson.loads(encoded))
    try:
        seen = frozenset([id(document)])
        field = _Builder(document).field(document, RESULT, seen, depth=0)
    except (TooLarge, *FAILURES):
        return editor()
    # A text that is the whole output is rarely one line.
    if isinstance(field, TextField) and not field.format:
        return replace(field, is_long=True)
    return field


class _Builder:
    def __init__(self, document: Schema) -> None:
        self._normaliser = Normaliser(document)
        self._count = 0

    def field(
        self, schema: Any, name: Any, seen: Seen, *, depth: int, is_required: bool = False
    ) -> Field:
        """Return the field of a value with a name in words, which the schema's title replaces.

        Raise `TooLarge`.
        """
        self._counted(1)
        label, hint = name, ""
        try:
            whole, seen = self._normaliser.normal(schema, seen)
            label, hint = plain(whole.get("title"), MAX_LABEL) or name, hint_of(whole)
            if depth > MAX_DEPTH:
                raise Unsupported("too deep")
            if is_required and "default" not in whole:
                # There is no value to show, and the output is not valid without one.
                whole = {key: value for key, value in whole.items() if key != "readOnly"}
            return self._field(whole, label, seen, depth=depth)
        except TooLarge:
            raise
        except FAILURES:
            return JsonField(label=label, hint=hint)

    def _counted(self, number: int) -> None:
        self._count += number
        if self._count > MAX_FIELDS:
            raise TooLarge("too many fields")

    def _field(self, whole: Schema, label: Any, seen: Seen, *, depth: int) -> Field:
        if keywords.needs_editor(whole):
            raise Unsupported("a keyword needs the editor")
        common = {"label": label, "hint": hint_of(whole), "example": example_of(whole)}
        common["default"] = whole.get("default", MISSING)
        common["bounds"] = {key: whole[key] for key in keywords.BOUNDS if key in whole}
        if whole.get("readOnly") is True:
            return ShownField(**common)
        alternatives = _alternatives(whole)
        if alternatives:
            return self._united(whole, alternatives, common, seen, depth=depth)
        kinds = kinds_of(whole)
        if "enum" in whole or "const" in whole or kinds == {"null"}:
            return self._choice(options_of(whole, kinds), common)
        common["is_nullable"] = "null" in kinds
        if len(kinds - {"null"}) > 1:
            base = {key: value for key, value in whole.items() if key not in _ABOUT_WHOLE}
            # In the order of this module, since a set has none.
            sources = [{"type": kind} for kind in NAMES if kind in kinds - {"null"}]
            return self._variants(base, sources, common, seen, depth=depth)
        (kind,) = kinds - {"null"}
        return self._simple(kind, whole, common, seen, depth=depth)

    def _simple(
        self, kind: str, whole: Schema, common: dict[str, Any], seen: Seen, *, depth: int
    ) -> Field:
        match kind:
            case "object":
                return self._object(whole, common, seen, depth=depth)
            case "array":
                return self._array(whole, common, seen, depth=depth)
            case "boolean":
                return self._choice(options_of({"enum": [True, False]}, {"boolean"}), common)
            case "integer" | "number":
                return _number_field(kind, whole, common)
            case _:
                return _text_field(whole, common)

    def _choice(self, options: Sequence[Option], common: dict[str, Any]) -> ChoiceField:
        if not options:
            raise Unsupported("no value is allowed")
        if any(option.value is None for option in options) and len(options) > 1:
            common = {**common, "is_nullable": True}
            options = [option for option in options if option.value is not None]
        self._counted(len(options))
        return ChoiceField(**common, options=tuple(options))

    def _object(
        self, whole: Schema, common: dict[str, Any], seen: Seen, *, depth: int
    ) -> ObjectField:
        schemas = whole.get("properties", {})
        required = {*whole.get("required", ())}
        if not schemas or required - {*schemas}:
            raise Unsupported("there are no fields, or a required one is not described")
        if any("\r" in name or UNSHOWABLE.search(name) for name in schemas):
            raise Unsupported("a browser changes the name")
        properties = [
            Property(
                name=name,
                field=self.field(
                    schema, words(name), seen, depth=depth + 1, is_required=name in required
                ),
                is_required=name in required,
            )
            for name, schema in schemas.items()
            if schema is not False
        ]
        return ObjectField(**common, properties=tuple(properties))

    def _array(self, whole: Schema, common: dict[str, Any], seen: Seen, *, depth: int) -> Field:
        if "items" not in whole:
            raise Unsupported("nothing is said about the items")
        least = int(whole.get("minItems", 0))
        most = int(whole["maxItems"]) if "maxItems" in whole else None
        inner, _seen = self._normaliser.normal(whole["items"], seen)
        name = plain(inner.get("title") or inner.get(TARGET_TITLE), MAX_LABEL) or ITEM
        item = self.field(whole["items"], name, seen, depth=depth + 1)
        if isinstance(item, ChoiceField) and not item.is_nullable and least <= len(item.options):
            return ChecksField(**common, options=item.options, least=least)
        if least > MAX_FIRST_ROWS:
            raise Unsupported("too many rows")
        return ListField(**common, item=item, least=least, most=most)

    def _united(
        self,
        whole: Schema,
        alternatives: Sequence[Schema],
        common: dict[str, Any],
        seen: Seen,
        *,
        depth: int,
    ) -> Field:
        base = {key: value for key, value in whole.items() if key not in _ABOUT_WHOLE}
        sources, nulls = [], 0
        for schema in alternatives:
            kinds = kinds_of(self._normaliser.normal(schema, seen)[0], default="string")
            is_null = kinds == {"null"}
            nulls += is_null
            sources += [] if is_null else [schema]
        allows_null = bool(nulls) and "null" in kinds_of(base, default="null")
        options = self._titled_options(base, sources, seen)
        common["is_nullable"] = allows_null
        if options:
            return self._choice(options, common)
        if len(sources) == 1:
            return self._only(whole, base, sources[0], common, seen, depth=depth)
        return self._variants(base, sources, common, seen, depth=depth)

    def _only(
        self,
        whole: Schema,
        base: Schema,
        source: Schema,
        common: dict[str, Any],
        seen: Seen,
        *,
        depth: int,
    ) -> Field:
        """Return the field of the one alternative beside null."""
        about = {key: whole[key] for key in _ABOUT_WHOLE if key in whole and key not in _UNIONS}
        schema = {"allOf": [about, base, source]}
        part, inner_seen = self._normaliser.normal(schema, seen)
        field = self._field(part, common["label"], inner_seen, depth=depth)
        is_nullable = common["is_nullable"] or field.is_nullable
        return replace(field, is_nullable=is_nullable, source=source)

    def _titled_options(
        self, base: Schema, sources: Sequence[Schema], seen: Seen
    ) -> list[Option] | None:
        """Return the options where each alternative is a constant or an enumeration."""
        options: list[Option] = []
        for source in sources:
            whole = self._normaliser.normal(source, seen)[0]
            if not {"const", "enum"} & whole.keys() or {"properties", "items"} & whole.keys():
                return None
            title = plain(whole.get("title"), MAX_LABEL)
            found = options_of({**base, **whole}, kinds_of({**base, **whole}))
            is_titled = title and len(found) == 1
            options += [Option(o.value, title, o.text) if is_titled else o for o in found]
        return with_texts([(option.value, option.label) for option in options])

    def _variants(
        self,
        base: Schema,
        sources: Sequence[Schema],
        common: dict[str, Any],
        seen: Seen,
        *,
        depth: int,
    ) -> VariantsField:
        if not sources:
            raise Unsupported("no alternative is left")
        schemas = [{"allOf": [base, source]} if base else source for source in sources]
        normal = [self._normaliser.normal(schema, seen) for schema in schemas]
        key = _discriminator([part for part, _seen in normal], self._normaliser, seen)
        alternatives: list[Alternative] = []
        for schema, source, (part, inner_seen) in zip(schemas, sources, normal, strict=True):
            label = self._alternative_label(part, key, inner_seen)
            field = self.field(schema, label, seen, depth=depth + 1)
            if isinstance(field, JsonField):
                raise Unsupported("an alternative needs the editor")
            if isinstance(field, VariantsField):
                # A choice within this one would have its name, and undo it.
                alternatives += field.alternatives
                common = {**common, "is_nullable": common["is_nullable"] or field.is_nullable}
                continue
            alternatives.append(Alternative(label, _identified(field, key), source))
        return VariantsField(**common, alternatives=_distinct(alternatives))

    def _alternative_label(self, part: Schema, key: str | None, seen: Seen) -> Any:
        title = plain(part.get("title") or part.get(TARGET_TITLE), MAX_LABEL)
        if title:
            return title
        if key is not None:
            constant = self._normaliser.normal(part["properties"][key], seen)[0]
            return value_label(constant_of(constant))
        return NAMES[min(kinds_of(part) - {"null"} or {"null"})]


# What a union says about all of its alternatives; the rest of its keywords applies to each.
_UNIONS = ("anyOf", "oneOf")
_ABOUT_WHOLE = (*_UNIONS, "title", "description", "examples", "default", TARGET_TITLE)


def _alternatives(whole: Schema) -> list[Schema]:
    """Return the schemas of `anyOf` or `oneOf`; none where these only check."""
    found = [whole[key] for key in ("anyOf", "oneOf") if key in whole]
    found = [schemas for schemas in found if not keywords.only_limit(schemas, whole)]
    if len(found) > 1:
        raise Unsupported("anyOf and oneOf")
    return [*found[0]] if found else []


def _identified(field: Field, key: str | None) -> Field:
    """Return the field of an alternative, with its constant filled in without a question."""
    if key is None or not isinstance(field, ObjectField):
        return field
    properties = (
        replace(each, is_automatic=True) if each.name == key else each for each in field.properties
    )
    return replace(field, properties=tuple(properties))


def _distinct(alternatives: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """Return alternatives with different labels: numbered where they have the same."""
    labels = [str(each.label) for each in alternatives]
    return tuple(
        each
        if labels.count(str(each.label)) == 1
        else replace(
            each, label=format_lazy("{} {}", each.label, labels[: number + 1].count(labels[number]))
        )
        for number, each in enumerate(alternatives)
    )


def _discriminator(parts: Sequence[Schema], normaliser: Normaliser, seen: Seen) -> str | None:
    """Return the property that is another constant in each of several objects."""
    for name in parts[0].get("properties", {}):
        schemas = [part.get("properties", {}).get(name) for part in parts]
        if not all(isinstance(schema, Mapping) for schema in schemas):
            continue
        try:
            values = [constant_of(normaliser.normal(schema, seen)[0]) for schema in schemas]
        except Unsupported:
            continue
        if MISSING not in values and len({orjson.dumps(value) for value in values}) == len(values):
            return str(name)
    return None


def _number_field(kind: str, whole: Schema, common: dict[str, Any]) -> NumberField:
    low = max(whole.get("minimum", -1), whole.get("exclusiveMinimum", -1))
    return NumberField(
        **common,
        note=bounds_of(whole),
        is_integer=kind == "integer",
        is_never_negative=low >= 0,
    )


def _text_field(whole: Schema, common: dict[str, Any]) -> Field:
    form = whole.get("format", "")
    if form in MOMENTS:
        return MomentField(**common, kind=form)
    is_long = (
        whole.get("maxLength", 0) > LONG_TEXT or "contentMediaType" in whole or form in LONG_FORMATS
    )
    return TextField(**common, format=form, is_long=is_long)
