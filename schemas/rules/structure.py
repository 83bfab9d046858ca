"""Rules of structure: pydantic's own checks, and the protocol's conventions.

May import `schemas.rules.rule`; read through `schemas.rules.RULES`.
"""

from __future__ import annotations

from typing import Final

from schemas.rules.rule import Rule

PYDANTIC: Final[dict[str, Rule]] = {
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

JSON: Final[dict[str, Rule]] = {
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
