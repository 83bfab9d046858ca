"""The words of a report's page, in English, French and Arabic.

May import the standard library only; `page` fills the template with them. A test compares the three.
"""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("en", "fr", "ar")

TEXTS: Final[dict[str, tuple[str, str, str]]] = {
    "title": ("Audit of {exchange}", "Audit de {exchange}", "تدقيق {exchange}"),
    "made": ("Made {at} (UTC)", "Établi le {at} (UTC)", "أُعد في {at} (التوقيت العالمي)"),
    "sensitive": (
        "Sensitive: it shows who writes to whom.",
        "Sensible : il montre qui écrit à qui.",
        "حساس: يبيّن من يراسل من.",
    ),
    "clean": ("Nothing was found", "Rien n'a été trouvé", "لم يُعثر على أي خلل"),
    "found": ("FINDINGS: {count}", "CONSTATS : {count}", "الملاحظات: {count}"),
    "found_means": (
        (
            "The hub's logs are not as they must be. Keep this file and the logs as evidence, and tell the"
            " governors."
        ),
        (
            "Les journaux du concentrateur ne sont pas ce qu'ils doivent être. Conservez ce fichier et les"
            " journaux comme preuve, et prévenez les gouverneurs."
        ),
        "سجلات المركز ليست كما يجب. احتفظ بهذا الملف وبالسجلات دليلا، وأبلغ الحكام.",
    ),
    "clean_means": (
        "Every entry of both logs was checked from the trust root on.",
        "Chaque entrée des deux journaux a été vérifiée à partir de la racine de confiance.",
        "فُحص كل قيد في السجلين كليهما انطلاقا من جذر الثقة.",
    ),
    "unwitnessed": (
        "UNWITNESSED: a test exchange; nobody but this auditor watches for a hub with two faces",
        "SANS TÉMOINS : un échange d'essai ; seul cet auditeur guette un concentrateur à deux visages",
        "بلا شهود: تبادل تجريبي، لا يراقب سوى هذا المدقق مركزا قد يكون بوجهين",
    ),
    "findings": ("Findings", "Constats", "الملاحظات"),
    "more": (
        "{count} more of the same rules are counted, not listed.",
        "{count} autres des mêmes règles sont comptés, non listés.",
        "{count} أخرى من القواعد نفسها محسوبة وغير مذكورة.",
    ),
    "log": ("Log", "Journal", "السجل"),
    "entry": ("Entry", "Entrée", "القيد"),
    "rule": ("Rule", "Règle", "القاعدة"),
    "what": ("What", "Quoi", "التفصيل"),
    "whole": ("whole", "ensemble", "كله"),
    "directory": ("directory", "annuaire", "الدليل"),
    "exchange": ("exchange", "échange", "التبادل"),
    "verified": ("What was verified", "Ce qui a été vérifié", "ما تم التحقق منه"),
    "entries": ("Entries", "Entrées", "القيود"),
    "root": ("Root", "Racine", "الجذر"),
    "origin": ("Origin", "Origine", "المصدر"),
    "quorum": ("Quorum of witnesses", "Quorum de témoins", "نصاب الشهود"),
    "cosigned": (
        "{size} entries, {at}, by {members}",
        "{size} entrées, {at}, par {members}",
        "{size} قيدا، {at}، من {members}",
    ),
    "none": ("none", "aucun", "لا يوجد"),
    "closed": ("Closed logs", "Journaux clos", "سجلات مغلقة"),
    "remarks": ("Remarks", "Remarques", "تنبيهات"),
    "remarks_mean": (
        "They break no rule, and people should look at them.",
        "Elles n'enfreignent aucune règle, mais méritent un regard.",
        "لا تخالف أي قاعدة، لكنها تستحق النظر.",
    ),
    "purged": (
        "Destroyed under an order of the council",
        "Détruit sur ordre du conseil",
        "أُتلف بأمر من المجلس",
    ),
    "purged_means": (
        "These entries stand in the log, and nobody can open them any more.",
        "Ces entrées restent au journal, et nul ne peut plus les ouvrir.",
        "تبقى هذه القيود في السجل، ولا يستطيع أحد كشفها بعد الآن.",
    ),
    "purged_at": ("Destroyed", "Détruit", "أُتلف"),
    "ordered": ("Ordered", "Ordonné", "صدر الأمر"),
    "why": ("Reason", "Motif", "السبب"),
    "figures": ("Figures", "Chiffres", "الأرقام"),
    "by_day": ("Envelopes by day", "Enveloppes par jour", "الأظرف بحسب اليوم"),
    "by_topic": ("Envelopes by topic", "Enveloppes par sujet", "الأظرف بحسب الموضوع"),
    "by_pair": (
        "Envelopes by pair of members",
        "Enveloppes par paire de membres",
        "الأظرف بحسب المرسل والمرسل إليه",
    ),
    "day": ("Day", "Jour", "اليوم"),
    "topic": ("Topic", "Sujet", "الموضوع"),
    "from": ("From", "De", "من"),
    "to": ("To", "À", "إلى"),
    "envelopes": ("Envelopes", "Enveloppes", "الأظرف"),
    "late": (
        "Not answered by the deadline",
        "Sans réponse dans le délai",
        "بلا جواب ضمن المهلة",
    ),
    "late_means": (
        (
            "Accepted by the hub, and the recipient's node has answered nothing within the time that the"
            " council set for the precedence."
        ),
        (
            "Acceptées par le concentrateur, sans réponse du nœud destinataire dans le délai que le"
            " conseil a fixé pour leur priorité."
        ),
        "قبلها المركز ولم تجب عقدة المرسل إليه ضمن المهلة التي حددها المجلس لدرجة أسبقيتها.",
    ),
    "precedence": ("Precedence", "Priorité", "الأسبقية"),
    "deliveries": ("Deliveries", "Remises", "عدد التسليمات"),
    "accepted": ("Accepted", "Acceptée", "قُبل في"),
    "until": ("Expires", "Expire", "ينتهي في"),
    "refusals": ("Refusals", "Refus", "حالات الرفض"),
    "member": ("Member", "Membre", "العضو"),
    "problem": ("Problem", "Motif", "السبب"),
    "gaps": ("Gaps", "Lacunes", "الثغرات"),
    "gap_opening": (
        "Leaves without an opening, or that cannot be judged",
        "Feuilles sans ouverture, ou qui ne peuvent être jugées",
        "أوراق بلا كشف، أو لا يمكن الحكم عليها",
    ),
    "gap_undelivered": (
        "Deliveries without an answer yet",
        "Remises encore sans réponse",
        "تسليمات لم يرد جواب عنها بعد",
    ),
    "gap_expired": (
        "Envelopes that ended",
        "Enveloppes arrivées à leur terme",
        "أظرف انتهت صلاحيتها",
    ),
    "changes": ("Changes of the directory", "Changements de l'annuaire", "تغييرات الدليل"),
    "changes_mean": (
        "As the auditor's program words them, in English.",
        "Tels que les formule le programme de l'auditeur, en anglais.",
        "بصياغة برنامج المدقق، بالإنجليزية.",
    ),
    "count": ("Count", "Nombre", "العدد"),
    "nothing": ("Nothing", "Rien", "لا شيء"),
    "top": (
        "The {count} with the most are shown, of {total}.",
        "Les {count} plus nombreux sur {total} sont montrés.",
        "يظهر {count} من أصل {total}، وهي الأكثر.",
    ),
    "foot": (
        "Made by Barid's auditor from its own copy of the logs. This page calls nobody.",
        (
            "Établi par l'auditeur de Barid à partir de sa propre copie des journaux. Cette page n'appelle"
            " personne."
        ),
        "أعده مدقق بريد من نسخته الخاصة من السجلات. هذه الصفحة لا تتصل بأحد.",
    ),
    "flash": ("flash", "flash", "برقية خاطفة"),
    "immediate": ("immediate", "immédiat", "فوري"),
    "priority": ("priority", "prioritaire", "ذو أولوية"),
    "routine": ("routine", "routine", "عادي"),
}
"""Name → English, French, Arabic."""

TOPICS: Final[dict[str, tuple[str, str, str]]] = {
    "arms": ("arms", "armes", "الأسلحة"),
    "smuggling": ("smuggling", "contrebande", "التهريب"),
    "terrorism": ("terrorism", "terrorisme", "الإرهاب"),
    "organised_crime": ("organised crime", "criminalité organisée", "الجريمة المنظمة"),
    "irregular_migration": ("irregular migration", "migration irrégulière", "الهجرة غير النظامية"),
    "human_trafficking": ("human trafficking", "traite des êtres humains", "الاتجار بالبشر"),
    "drugs": ("drugs", "stupéfiants", "المخدرات"),
    "border_management": ("border management", "gestion des frontières", "إدارة الحدود"),
    "judicial_cooperation": (
        "judicial cooperation",
        "coopération judiciaire",
        "التعاون القضائي",
    ),
    "development": ("development", "développement", "التنمية"),
    "training": ("training", "formation", "التدريب"),
}
"""Word of a topic → its names."""
