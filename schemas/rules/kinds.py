"""Rules of single kinds of bulletins.

May import `schemas.rules.rule`; read through `schemas.rules.RULES`.
"""

from __future__ import annotations

from typing import Final

from schemas.rules.rule import Rule

KINDS: Final[dict[str, Rule]] = {
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
    "risk_result": Rule(
        "the method {method} gives the result {expected}",
        "la méthode {method} donne le résultat {expected}",
        "تعطي الطريقة {method} النتيجة {expected}",
    ),
    "topic_not_listed": Rule(
        "{topic} must be among the topics of the bulletin",
        "{topic} doit figurer parmi les thèmes du bulletin (topics)",
        "يجب أن يرد {topic} ضمن مواضيع النشرة (topics)",
    ),
    "deadline": Rule(
        "deadline and action.reply_by must be the same time",
        "deadline et action.reply_by doivent indiquer la même échéance",
        "يجب أن يتطابق الأجل في deadline مع action.reply_by",
    ),
    "answer_text": Rule(
        "the answer to {question} needs its text, since the outcome is {outcome}",
        "la réponse à {question} exige le champ text, puisque son issue est {outcome}",
        "يستلزم الجواب عن السؤال {question} الحقل text، لأن نتيجته {outcome}",
    ),
    "notice_needs": Rule(
        "a notice of type {activity} needs the member {member}",
        "un avis de type {activity} exige le champ {member}",
        "يستلزم الإشعار من نوع {activity} الحقل {member}",
    ),
    "withdraws_itself": Rule(
        "a withdrawal withdraws another bulletin, never itself",
        "un retrait porte sur un autre bulletin, jamais sur lui-même",
        "ينصب السحب على نشرة أخرى، لا على نشرة السحب ذاتها",
    ),
}
"""Codes of the rules that one kind has."""
