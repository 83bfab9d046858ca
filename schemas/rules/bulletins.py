"""Rules that every kind of bulletin shares.

May import `schemas.rules.rule`; read through `schemas.rules.RULES`.
"""

from __future__ import annotations

from typing import Final

from schemas.rules.rule import Rule

BULLETIN: Final[dict[str, Rule]] = {
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
    "nothing_given": Rule(
        "at least one of these is given: {members}",
        "au moins un des champs suivants doit être renseigné : {members}",
        "يجب ذكر أحد الحقول التالية على الأقل: {members}",
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
}
"""Codes of the rules that every kind shares."""
