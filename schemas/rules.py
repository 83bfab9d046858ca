"""Every rule that a message can break, in the three languages of the exchange.

May import pydantic and `schemas.errors`; models raise `broken(code)`, the loader and every interface
show the words.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from pydantic_core import PydanticCustomError

from schemas.errors import FieldError

Language = Literal["ar", "fr", "en"]
"""The languages that Barid itself speaks."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule says in each language; names in braces are filled from the error's context."""

    en: str
    fr: str
    ar: str


_PYDANTIC: Final[dict[str, Rule]] = {
    "missing": Rule(
        "this member is required",
        "ce champ est obligatoire",
        "هذا الحقل إلزامي",
    ),
    "extra_forbidden": Rule(
        "the model has no such member",
        "le modèle ne prévoit pas ce champ",
        "هذا الحقل غير وارد في النموذج",
    ),
    "enum": Rule(
        "must be one of: {expected}",
        "doit être l'une des valeurs suivantes : {expected}",
        "يجب أن تكون القيمة إحدى القيم التالية: {expected}",
    ),
    "literal_error": Rule(
        "must be: {expected}",
        "doit être : {expected}",
        "يجب أن تكون القيمة: {expected}",
    ),
    "string_type": Rule(
        "must be text",
        "doit être un texte",
        "يجب أن تكون القيمة نصا",
    ),
    "string_too_short": Rule(
        "must have at least {min_length} characters",
        "doit compter au moins {min_length} caractères",
        "يجب ألا يقل عدد الأحرف عن {min_length}",
    ),
    "string_too_long": Rule(
        "must have at most {max_length} characters",
        "doit compter au plus {max_length} caractères",
        "يجب ألا يتجاوز عدد الأحرف {max_length}",
    ),
    "string_pattern_mismatch": Rule(
        "must have the form {pattern}",
        "doit avoir la forme {pattern}",
        "يجب أن تطابق القيمة الصيغة {pattern}",
    ),
    "int_type": Rule(
        "must be a whole number",
        "doit être un nombre entier",
        "يجب أن تكون القيمة عددا صحيحا",
    ),
    "float_type": Rule(
        "must be a number",
        "doit être un nombre",
        "يجب أن تكون القيمة عددا",
    ),
    "bool_type": Rule(
        "must be true or false",
        "doit être true ou false",
        "يجب أن تكون القيمة true أو false",
    ),
    "tuple_type": Rule(
        "must be a list",
        "doit être une liste",
        "يجب أن تكون القيمة قائمة",
    ),
    "dict_type": Rule(
        "must be an object",
        "doit être un objet",
        "يجب أن تكون القيمة كائنا",
    ),
    "model_type": Rule(
        "must be an object",
        "doit être un objet",
        "يجب أن تكون القيمة كائنا",
    ),
    "too_short": Rule(
        "must have at least {min_length} items",
        "doit compter au moins {min_length} éléments",
        "يجب ألا يقل عدد العناصر عن {min_length}",
    ),
    "too_long": Rule(
        "must have at most {max_length} items",
        "doit compter au plus {max_length} éléments",
        "يجب ألا يتجاوز عدد العناصر {max_length}",
    ),
    "bytes_too_short": Rule(
        "must have at least {min_length} bytes",
        "doit compter au moins {min_length} octets",
        "يجب ألا يقل عدد البايتات عن {min_length}",
    ),
    "bytes_too_long": Rule(
        "must have at most {max_length} bytes",
        "doit compter au plus {max_length} octets",
        "يجب ألا يتجاوز عدد البايتات {max_length}",
    ),
    "greater_than_equal": Rule(
        "must be at least {ge}",
        "doit être au moins égal à {ge}",
        "يجب ألا تقل القيمة عن {ge}",
    ),
    "less_than_equal": Rule(
        "must be at most {le}",
        "doit être au plus égal à {le}",
        "يجب ألا تتجاوز القيمة {le}",
    ),
    "union_tag_invalid": Rule(
        "the member {discriminator} must be one of: {expected_tags}",
        "le champ {discriminator} doit être l'une des valeurs suivantes : {expected_tags}",
        "يجب أن تكون قيمة الحقل {discriminator} إحدى القيم التالية: {expected_tags}",
    ),
    "union_tag_not_found": Rule(
        "the member {discriminator} is required",
        "le champ {discriminator} est obligatoire",
        "الحقل {discriminator} إلزامي",
    ),
}
"""Codes of pydantic's own checks, as far as a strict JSON model can meet them."""

_JSON: Final[dict[str, Rule]] = {
    "json_depth": Rule(
        "must not nest deeper than {levels} levels",
        "ne doit pas dépasser {levels} niveaux d'imbrication",
        "يجب ألا يتجاوز عمق التداخل {levels} مستوى",
    ),
    "json_null": Rule(
        "an optional member is absent, never null",
        "un champ facultatif est absent, jamais null",
        "الحقل الاختياري يُحذف ولا تُعطى له القيمة null",
    ),
    "json_float": Rule(
        "numbers here are whole numbers",
        "les nombres sont ici des entiers",
        "الأعداد هنا أعداد صحيحة",
    ),
    "json_finite": Rule(
        "numbers are finite",
        "les nombres sont finis",
        "يجب أن تكون الأعداد منتهية",
    ),
    "json_integer": Rule(
        "whole numbers lie between -{limit} and {limit}",
        "les entiers sont compris entre -{limit} et {limit}",
        "يجب أن تقع الأعداد الصحيحة بين -{limit} و{limit}",
    ),
    "time": Rule(
        "times are RFC 3339 in UTC with whole seconds, as 2026-11-24T22:00:00Z",
        "les dates et heures suivent la RFC 3339, en UTC et à la seconde : 2026-11-24T22:00:00Z",
        "يُكتب الوقت وفق RFC 3339 بالتوقيت العالمي المنسق وبالثواني الكاملة: 2026-11-24T22:00:00Z",
    ),
    "base64": Rule(
        "binary is standard base64 with padding, in the one form that encoding gives",
        "les données binaires sont en base64 standard avec remplissage, sous sa forme canonique",
        "تُكتب البيانات الثنائية بترميز base64 القياسي مع الحشو وبصيغته الوحيدة",
    ),
    "sorted": Rule(
        "must be sorted, and none twice",
        "doit être trié, sans doublon",
        "يجب أن تكون القائمة مرتبة ودون تكرار",
    ),
}
"""Codes of the protocol's conventions."""

_BULLETIN: Final[dict[str, Rule]] = {
    "blank": Rule(
        "must not be blank",
        "ne doit pas être vide",
        "يجب ألا يكون النص فارغا",
    ),
    "control_character": Rule(
        "must not hold control characters or direction overrides: {character}",
        "ne doit pas contenir de caractère de contrôle ni de forçage du sens d'écriture : {character}",
        "يجب ألا يتضمن النص رموز تحكم أو رموزا تفرض اتجاه الكتابة: {character}",
    ),
    "html": Rule(
        "must not hold HTML: no < directly before a letter, /, ! or ?",
        "ne doit pas contenir de HTML : pas de < juste avant une lettre, /, ! ou ?",
        "يجب ألا يتضمن النص وسوم HTML: لا ترد العلامة < مباشرة قبل حرف أو / أو ! أو ?",
    ),
    "languages": Rule(
        "must be given in at least one of ar, fr, en",
        "doit être donné dans au moins une des langues ar, fr, en",
        "يجب أن يرد النص بإحدى اللغات ar أو fr أو en على الأقل",
    ),
    "country": Rule(
        "must be a country code of ISO 3166-1 alpha-2",
        "doit être un code de pays ISO 3166-1 alpha-2",
        "يجب أن يكون رمز بلد وفق ISO 3166-1 alpha-2",
    ),
    "calendar": Rule(
        "must be a day of the calendar",
        "doit être un jour du calendrier",
        "يجب أن يكون يوما موجودا في التقويم",
    ),
    "ring": Rule(
        "a ring ends at the position where it begins",
        "un anneau se termine au point où il commence",
        "تنتهي الحلقة عند الموضع الذي تبدأ منه",
    ),
    "file_name": Rule(
        "must be a bare file name, without / or \\",
        "doit être un simple nom de fichier, sans / ni \\",
        "يجب أن يكون اسم ملف فقط دون / أو \\",
    ),
    "stix_pattern": Rule(
        "must have the form of a STIX pattern, as [url:value = 'x']",
        "doit avoir la forme d'un motif STIX, comme [url:value = 'x']",
        "يجب أن يكون بصيغة نمط STIX، مثل [url:value = 'x']",
    ),
    "release_to": Rule(
        "the caveat release_to and the list release_to come together",
        "la restriction release_to et la liste release_to vont ensemble",
        "يرد قيد التداول release_to والقائمة release_to معا",
    ),
    "handling_note": Rule(
        "the caveat h3 and its text in handling_note come together",
        "la restriction h3 et son texte dans handling_note vont ensemble",
        "يرد قيد التداول h3 ونصه في handling_note معا",
    ),
    "exercise": Rule(
        "status exercise and the name of the exercise come together",
        "le statut exercise et le nom de l'exercice vont ensemble",
        "ترد الحالة exercise واسم التمرين معا",
    ),
    "after_created": Rule(
        "{member} must be later than created",
        "{member} doit être postérieur à created",
        "يجب أن يكون {member} لاحقا لـ created",
    ),
    "period": Rule(
        "from must not be later than until",
        "from ne doit pas être postérieur à until",
        "يجب ألا يكون from لاحقا لـ until",
    ),
    "twice": Rule(
        "must not occur twice: {id}",
        "ne doit pas figurer deux fois : {id}",
        "يجب ألا يرد مرتين: {id}",
    ),
    "unknown_entity": Rule(
        "no entity of this bulletin has the id {id}",
        "aucune entité de ce bulletin ne porte l'identifiant {id}",
        "لا يوجد في هذه النشرة كيان يحمل المعرّف {id}",
    ),
    "entity_type": Rule(
        "the entity {id} must be of type: {expected}",
        "l'entité {id} doit être de type : {expected}",
        "يجب أن يكون نوع الكيان {id}: {expected}",
    ),
    "link_to_itself": Rule(
        "a link joins two entities",
        "un lien relie deux entités distinctes",
        "يربط الرابط بين كيانين مختلفين",
    ),
    "personal_data": Rule(
        "a bulletin with a person, phone or account, and every judicial request, says personal_data: true",
        "un bulletin qui cite une personne, un téléphone ou un compte, et toute demande judiciaire, "
        "porte personal_data: true",
        "كل نشرة ترد فيها بيانات شخص أو هاتف أو حساب، وكل طلب قضائي، تحمل personal_data: true",
    ),
    "request_needs": Rule(
        "a request of type {request} needs the member {member}",
        "une demande de type {request} exige le champ {member}",
        "يستلزم الطلب من نوع {request} الحقل {member}",
    ),
    "request_excludes": Rule(
        "a request of type {request} has no {member}",
        "une demande de type {request} ne comporte pas de champ {member}",
        "لا يتضمن الطلب من نوع {request} الحقل {member}",
    ),
}
"""Codes of the bulletin's own rules."""

RULES: Final[Mapping[str, Rule]] = _PYDANTIC | _JSON | _BULLETIN
"""Code → words: the one table of rules."""


def broken(code: str, **context: str | int) -> PydanticCustomError:
    """The error that a validator raises where a rule of the table is broken.

    Args:
        code: one of `RULES`.
        context: what fills the names in braces.
    """
    return PydanticCustomError(code, RULES[code].en, dict(context))


def words(code: str, context: Mapping[str, str], language: Language) -> str | None:
    """Say a rule in a language; None where the table does not have it or the context lacks a name."""
    rule = RULES.get(code)
    if rule is None:
        return None
    template: str = getattr(rule, language)
    if not placeholders(template) <= context.keys():
        return None
    return template.format_map(context)


def placeholders(template: str) -> set[str]:
    """The names in braces of a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def explain(errors: Iterable[FieldError], language: Language) -> tuple[FieldError, ...]:
    """Say broken rules in the reader's language; path and value stay as they are.

    Args:
        errors: from a `ParseError`.
        language: ar, fr or en; a rule outside the table keeps its English words.
    """
    return tuple(
        replace(error, rule=words(error.code, error.context, language) or error.rule)
        for error in errors
    )
