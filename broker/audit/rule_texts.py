"""What each finding means, in French and Arabic; the English stands in `rules`.

May import the standard library only; the page of a report shows it.
"""

from __future__ import annotations

from typing import Final

RULE_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "checkpoint": (
        "Le point de contrôle n'est pas de ce journal, ou n'est pas signé par ses deux clés.",
        "نقطة التحقق ليست لهذا السجل، أو ليست موقعة بمفتاحيه كليهما.",
    ),
    "log-shrank": (
        "Le journal est plus court que cet auditeur ne l'a vu.",
        "السجل أقصر مما رآه هذا المدقق من قبل.",
    ),
    "log-forked": (
        "Le journal n'est pas celui que cet auditeur a vu : son début diffère.",
        "السجل ليس السجل الذي رآه هذا المدقق، فبدايته مختلفة.",
    ),
    "log-closed": (
        "Un journal est dit clos, et le conseil ne le clôt pas ainsi.",
        "يقال إن سجلا قد أغلق، والمجلس لم يغلقه على هذا النحو.",
    ),
    "root": (
        "Les feuilles servies ne forment pas l'arbre que le concentrateur a signé.",
        "الأوراق المقدمة لا تكوّن الشجرة التي وقعها المركز.",
    ),
    "tile": (
        "Une tuile manque, ou n'est pas celle que forment les feuilles.",
        "قطعة من الشجرة مفقودة، أو ليست ما تكوّنه الأوراق.",
    ),
    "bundle": (
        "Un lot d'entrées manque, ou contient une autre entrée que l'arbre.",
        "حزمة قيود مفقودة، أو فيها قيد غير الذي في الشجرة.",
    ),
    "opening-missing": (
        "Le concentrateur n'ouvre pas une feuille, et personne n'a ordonné d'en détruire l'ouverture.",
        "المركز لا يكشف عما وراء إحدى الأوراق، ولم يأمر أحد بإتلاف ما يكشف عنها.",
    ),
    "opening": (
        "Ce que le concentrateur ouvre n'est pas ce dont la feuille est faite.",
        "ما يكشف عنه المركز ليس ما صُنعت منه الورقة.",
    ),
    "entry": ("Une entrée est mal formée.", "قيد غير سليم الشكل."),
    "unwitnessed": (
        "Aucun quorum des témoins nommés par le conseil n'a cosigné ce journal.",
        "لم يوقع هذا السجل نصابٌ من الشهود الذين سماهم المجلس.",
    ),
    "quorum-old": (
        "Le dernier quorum de témoins date de plus d'une heure.",
        "آخر نصاب للشهود مضت عليه أكثر من ساعة.",
    ),
    "at-decreasing": (
        "Une entrée se dit plus ancienne que la précédente.",
        "قيد يدّعي وقتا أسبق من القيد الذي قبله.",
    ),
    "at-future": ("Une entrée se dit de l'avenir.", "قيد يدّعي وقتا لم يأت بعد."),
    "at-backdated": (
        "Une entrée se dit d'un moment où cet auditeur a vu le journal sans elle.",
        "قيد يدّعي وقتا رأى فيه المدقق السجل من دونه.",
    ),
    "at-quorum": (
        "Une entrée se dit d'un moment que contredisent les cosignatures des témoins.",
        "قيد يدّعي وقتا تكذّبه توقيعات الشهود.",
    ),
    "directory": (
        "Un annuaire est nul : il ne se vérifie pas, ou ne suit pas le précédent.",
        "دليل باطل: لا يمكن التحقق منه، أو لا يتبع الذي قبله.",
    ),
    "access-rules": (
        "Les règles d'accès d'un annuaire ne se chargent pas ; elles ne permettent rien.",
        "قواعد النفاذ في أحد الأدلة لا تُقرأ، فلا تأذن بشيء.",
    ),
    "sealing-key-exchange": (
        "Une clé de scellement d'un autre échange a été inscrite.",
        "سُجل مفتاح ختم من تبادل آخر.",
    ),
    "sealing-key-epoch": (
        "Une clé de scellement a été inscrite hors de son tour.",
        "سُجل مفتاح ختم في غير دوره.",
    ),
    "sealing-key-rate": (
        "Les clés de scellement d'un bureau ont été inscrites plus vite qu'une par jour.",
        "سُجلت مفاتيح ختم مكتب بأسرع من مفتاح في اليوم.",
    ),
    "sealing-key-revokes": (
        "Une clé de scellement révoque ce qui n'est pas une clé antérieure de son bureau.",
        "مفتاح ختم يبطل ما ليس مفتاحا سابقا لمكتبه.",
    ),
    "sealing-key-unusable": (
        "Une clé de scellement faible, ou valable trop longtemps, a été inscrite.",
        "سُجل مفتاح ختم ضعيف، أو صالح لمدة أطول من المسموح.",
    ),
    "trust-file-missing": (
        "Un annuaire ne peut être jugé : le concentrateur en retient un fichier.",
        "لا يمكن الحكم على دليل، فالمركز يحجب ملفا منه.",
    ),
    "exchange-head-falls": (
        "Une entrée de l'annuaire nomme un journal d'échange plus court qu'avant.",
        "قيد في سجل الدليل يذكر سجل تبادل أقصر مما ذُكر قبله.",
    ),
    "exchange-head-beyond": (
        "Une entrée de l'annuaire nomme plus d'entrées d'échange qu'il n'y en a.",
        "قيد في سجل الدليل يذكر قيود تبادل أكثر مما يوجد.",
    ),
    "exchange-head-stale": (
        "Une entrée de l'annuaire nomme moins du journal d'échange qu'on n'en avait vu avant elle.",
        "قيد في سجل الدليل يذكر من سجل التبادل أقل مما شوهد قبله.",
    ),
    "exchange-head": (
        "Une entrée de l'annuaire nomme une racine que le journal d'échange n'a jamais eue.",
        "قيد في سجل الدليل يذكر جذرا لم يكن لسجل التبادل قط.",
    ),
    "directory-size-falls": (
        "Une entrée nomme un journal d'annuaire plus court que la précédente.",
        "قيد يذكر سجل دليل أقصر مما ذكره الذي قبله.",
    ),
    "directory-size-beyond": (
        "Une entrée nomme plus d'entrées d'annuaire qu'il n'y en a.",
        "قيد يذكر قيود دليل أكثر مما يوجد.",
    ),
    "directory-size-stale": (
        "Une entrée nomme moins du journal d'annuaire qu'il n'y en avait avant elle.",
        "قيد يذكر من سجل الدليل أقل مما كان فيه قبله.",
    ),
    "statement": (
        "La déclaration manque, ou n'est pas celle que l'entrée nomme.",
        "البيان الموقع مفقود، أو ليس الذي يذكره القيد.",
    ),
    "signature": (
        "La déclaration n'est pas signée par l'identité du nœud alors en vigueur.",
        "البيان ليس موقعا بهوية عقدة المكتب السارية آنذاك.",
    ),
    "envelope-twice": (
        "Un bureau a utilisé deux fois un identifiant d'enveloppe.",
        "استعمل مكتب معرّف ظرف مرتين.",
    ),
    "accepted-wrong-exchange": (
        "Une enveloppe d'un autre échange a été acceptée.",
        "قُبل ظرف من تبادل آخر.",
    ),
    "accepted-stale-directory": (
        "Une enveloppe acceptée nomme un annuaire qui n'est pas en vigueur.",
        "قُبل ظرف يذكر دليلا غير سار.",
    ),
    "accepted-created-skew": (
        "Une enveloppe a été acceptée à plus d'un jour de sa création.",
        "قُبل ظرف بفارق يزيد على يوم عن إنشائه.",
    ),
    "accepted-lifetime": (
        "Une enveloppe acceptée avait expiré, ou vit trop longtemps.",
        "قُبل ظرف انتهت صلاحيته، أو مدة صلاحيته أطول من المسموح.",
    ),
    "accepted-unknown-recipient": (
        "Une enveloppe a été acceptée pour un bureau qui n'existe pas.",
        "قُبل ظرف موجه إلى مكتب غير موجود.",
    ),
    "accepted-stale-key": (
        "Une enveloppe acceptée est scellée avec une autre clé que la plus récente.",
        "قُبل ظرف مختوم بغير أحدث مفتاح.",
    ),
    "accepted-access-denied": (
        "Une enveloppe que les règles d'accès interdisent a été acceptée.",
        "قُبل ظرف تمنعه قواعد النفاذ.",
    ),
    "accepted-directory-invalid": (
        "Une enveloppe a été acceptée sous des règles d'accès qui ne se chargent pas.",
        "قُبل ظرف بقواعد نفاذ لا تُقرأ.",
    ),
    "accepted-otherwise": (
        "Une enveloppe a été acceptée qu'une autre règle d'admission refuse.",
        "قُبل ظرف ترفضه قاعدة قبول أخرى.",
    ),
    "accepted-bulletin-differs": (
        "Deux contenus ont été acceptés sous un même identifiant de bulletin.",
        "قُبل محتويان مختلفان بمعرّف نشرة واحد.",
    ),
    "accepted-original-unknown": (
        "Un bulletin qui n'a jamais été envoyé a été retiré ou remplacé.",
        "سُحبت أو استُبدلت نشرة لم تُرسل قط.",
    ),
    "accepted-original-withdrawal": (
        "Un retrait a lui-même été retiré ou remplacé.",
        "سُحب سحبٌ أو استُبدل.",
    ),
    "accepted-original-desks": (
        "Un retrait ou une correction est allé là où l'original n'était pas allé.",
        "أُرسل سحب أو تصحيح إلى حيث لم تُرسل النشرة الأصلية.",
    ),
    "accepted-attachments": (
        "Une enveloppe a été acceptée avant que ses pièces jointes ne soient déposées.",
        "قُبل ظرف لم تُودع مرفقاته قبله.",
    ),
    "attachment-twice": (
        "Une pièce jointe est inscrite deux fois comme déposée.",
        "سُجل إيداع مرفق واحد مرتين.",
    ),
    "recipients": (
        "Les destinataires inscrits ne sont pas ceux de l'en-tête.",
        "المرسل إليهم المسجلون ليسوا من في الترويسة.",
    ),
    "policies": (
        "Les règles inscrites ne sont pas celles qui permettent cet envoi.",
        "القواعد المسجلة ليست التي تأذن بهذا الإرسال.",
    ),
    "place-twice": ("Une place a été donnée deux fois.", "أُعطي موضع واحد مرتين."),
    "refusal-word": (
        "Un refus ne nomme aucun motif que l'on inscrit.",
        "رفض لا يذكر سببا مما يُسجل.",
    ),
    "refused-permitted": (
        "Une enveloppe que rien n'interdit a été refusée.",
        "رُفض ظرف لا يمنعه شيء.",
    ),
    "refused-otherwise": (
        "Une enveloppe a été refusée pour un motif qui ne tient pas.",
        "رُفض ظرف لسبب غير صحيح.",
    ),
    "expired-unknown": (
        "Une enveloppe jamais acceptée est inscrite comme expirée.",
        "سُجل انتهاء ظرف لم يُقبل قط.",
    ),
    "expired-early": (
        "Une enveloppe est inscrite comme expirée avant son terme.",
        "سُجل انتهاء ظرف قبل أوانه.",
    ),
    "expired-twice": (
        "Une enveloppe est inscrite deux fois comme expirée.",
        "سُجل انتهاء ظرف مرتين.",
    ),
    "purge-order": (
        "Une ouverture est dite détruite, et aucun ordre en vigueur ne la nomme ainsi.",
        "قيل إن ما يكشف عن قيد قد أُتلف، ولا يسميه كذلك أي أمر نافذ.",
    ),
    "purge-unlogged": (
        "Une ouverture a disparu sur ordre, et une heure après rien ne le dit.",
        "أُتلف ما يكشف عن قيد بموجب أمر، ولم يُذكر ذلك بعد ساعة.",
    ),
    "expired-missing": (
        "Une enveloppe a expiré plus d'une heure avant la dernière entrée, et rien ne le dit.",
        "انتهى ظرف قبل آخر قيد بأكثر من ساعة، ولا شيء يذكر ذلك.",
    ),
    "acknowledgement-twice": (
        "Un accusé de réception est inscrit deux fois.",
        "سُجل إشعار استلام واحد مرتين.",
    ),
    "acknowledgement-item": (
        "Un accusé de réception ne nomme aucune enveloppe acceptée pour son bureau.",
        "إشعار استلام لا يذكر ظرفا مقبولا لمكتبه.",
    ),
    "acknowledgement-order": (
        "Une réponse contredit ce que le bureau avait répondu avant.",
        "جواب يناقض ما أجاب به المكتب من قبل.",
    ),
    "acknowledgement-at": (
        "Une réponse a été inscrite à plus d'un jour de sa signature.",
        "سُجل جواب بفارق يزيد على يوم عن توقيعه.",
    ),
    "acknowledgement-reason": (
        "Une réponse donne un motif qu'aucune réponse ne peut donner.",
        "جواب يذكر سببا لا يجوز لأي جواب أن يذكره.",
    ),
}
"""Word of a rule → French, Arabic."""
