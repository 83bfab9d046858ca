"""Advice on alarms: what a person does about each, in the three languages of the exchange.

May import the kinds and `titles`; `words` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.node.alarms.kinds import AlarmKind
from broker.node.alarms.titles import Said

ADVICE: Final[Mapping[AlarmKind, Said]] = {
    AlarmKind.HUB_FAULT: Said(
        "Nothing was believed. Keep the alarm, tell the hub's operator and the auditor.",
        "Rien n'a été admis. Conservez l'alarme, prévenez l'exploitant du relais et l'auditeur.",
        "لم يُقبل شيء. احتفظ بالإنذار وأبلغ مشغّل الموزّع والمدقق.",
    ),
    AlarmKind.INCONSISTENT_LOG: Said(
        "Both checkpoints are kept as evidence. Tell the auditor and the other members at once.",
        "Les deux points de contrôle sont conservés. Prévenez aussitôt l'auditeur et les membres.",
        "حُفظت نقطتا التحقق دليلا. أبلغ المدقق وسائر الأعضاء فورا.",
    ),
    AlarmKind.OTHER_LEAF: Said(
        "The hub may show different logs. Ask the recipient for its receipt, tell the auditor.",
        "Deux journaux peut-être. Demandez son reçu au destinataire, prévenez l'auditeur.",
        "ربما يعرض الموزّع سجلات مختلفة. اطلب من المتلقي إيصاله وأبلغ المدقق.",
    ),
    AlarmKind.FINDING: Said(
        "The directory before it stays in force. Tell the governors and the auditor.",
        "L'annuaire précédent reste en vigueur. Prévenez les gouverneurs et l'auditeur.",
        "يبقى الدليل السابق ساريا. أبلغ المحافظين والمدقق.",
    ),
    AlarmKind.ENTRY_TIME: Said(
        "Keep the receipt of this entry, and ask the hub's operator and an auditor: its clock was wrong,"
        " or it backdates.",
        "Conservez le reçu de cette entrée et interrogez l'opérateur du relais et un auditeur : son horloge"
        " était fausse, ou il antidate.",
        "احتفظ بإيصال هذا القيد واسأل مشغّل الموزّع ومدققا: إما أن ساعته كانت خاطئة أو أنه يغيّر التواريخ.",
    ),
    AlarmKind.GAP: Said(
        "Ask the other desk what it sent; if it does not come, tell the auditor.",
        "Demandez à l'autre bureau ce qu'il a envoyé ; à défaut, prévenez l'auditeur.",
        "اسأل المكتب الآخر عما أرسله، فإن لم يصل فأبلغ المدقق.",
    ),
    AlarmKind.MISSED: Said(
        "Ask the sender to send it again.",
        "Demandez à l'expéditeur de l'envoyer de nouveau.",
        "اطلب من المرسل أن يعيد إرسالها.",
    ),
    AlarmKind.NEW_LOGS: Said(
        "Nothing needs to be done; tell people that bulletins which were on their way arrive later.",
        "Il n'y a rien à faire ; prévenez que les bulletins en chemin arriveront plus tard.",
        "لا حاجة إلى أي إجراء، وأخبر العاملين أن النشرات التي كانت في الطريق ستصل متأخرة.",
    ),
    AlarmKind.RESTORED: Said(
        "Compare what the desk did since the backup with what its people remember; if they did not do it,"
        " change the desk's keys.",
        "Comparez ce que le bureau a fait depuis la sauvegarde avec ce dont ses agents se souviennent ;"
        " si ce n'est pas d'eux, changez les clés du bureau.",
        "قارن ما فعله المكتب منذ النسخة الاحتياطية بما يذكره العاملون فيه، فإن لم يفعلوه فغيّر مفاتيح المكتب.",
    ),
    AlarmKind.FOREIGN_SEALING_KEY: Said(
        "Revoke it and change the desk's keys, unless this node was restored from a backup.",
        "Révoquez-la et changez les clés du bureau, sauf si ce nœud vient d'une sauvegarde.",
        "أبطله وغيّر مفاتيح المكتب، إلا إذا استُعيدت العقدة من نسخة احتياطية.",
    ),
    AlarmKind.FOREIGN_ACKNOWLEDGEMENT: Said(
        "Change the desk's keys, unless this node was restored from a backup.",
        "Changez les clés du bureau, sauf si ce nœud vient d'une sauvegarde.",
        "غيّر مفاتيح المكتب، إلا إذا استُعيدت العقدة من نسخة احتياطية.",
    ),
    AlarmKind.FOREIGN_ENVELOPE: Said(
        "Change the desk's keys and warn its recipients, unless this node was restored.",
        "Changez les clés et prévenez les destinataires, sauf si ce nœud a été restauré.",
        "غيّر مفاتيح المكتب وحذّر متلقيه، إلا إذا استُعيدت العقدة.",
    ),
    AlarmKind.ACKNOWLEDGEMENT_REFUSED: Said(
        "The sender will not see it: tell the sender by another way, and the hub's operator.",
        "L'expéditeur ne la verra pas : prévenez-le autrement, ainsi que l'exploitant du relais.",
        "لن يراه المرسل: أبلغه بطريقة أخرى وأبلغ مشغّل الموزّع.",
    ),
    AlarmKind.REFUSED: Said(
        "See the reason in `barid bulletin status`, correct it, send a new bulletin.",
        "Voyez le motif dans `barid bulletin status`, corrigez, envoyez un nouveau bulletin.",
        "انظر السبب في `barid bulletin status` ثم صحح وأرسل نشرة جديدة.",
    ),
    AlarmKind.REJECTED_BY_RECIPIENT: Said(
        "See the reason in `barid bulletin status`; call the desk, then send again.",
        "Voyez le motif dans `barid bulletin status` ; appelez le bureau, puis renvoyez.",
        "انظر السبب في `barid bulletin status` واتصل بالمكتب ثم أعد الإرسال.",
    ),
    AlarmKind.QUARANTINED: Said(
        "It is kept as evidence and shown to nobody. Tell its sender.",
        "Il est conservé comme preuve et n'est montré à personne. Prévenez son expéditeur.",
        "حُفظت دليلا ولا تُعرض على أحد. أبلغ مرسلها.",
    ),
    AlarmKind.TWO_CONTENTS: Said(
        "Both headers are kept as evidence. Ask the sender which one it stands by.",
        "Les deux en-têtes sont conservés. Demandez à l'expéditeur lequel il confirme.",
        "حُفظت الترويستان دليلا. اسأل المرسل أيهما يعتمد.",
    ),
    AlarmKind.URGENT_BULLETIN: Said(
        "Open it now: `barid inbox list --unread`, then `barid inbox read`.",
        "Ouvrez-le maintenant : `barid inbox list --unread`, puis `barid inbox read`.",
        "افتحها الآن: `barid inbox list --unread` ثم `barid inbox read`.",
    ),
    AlarmKind.AWAITING_RELEASE_URGENT: Said(
        "Release it now, each on an own machine: `barid release show`, then `barid release sign`.",
        "Validez-le maintenant, chacun sur sa machine : `barid release show`, puis `barid release sign`.",
        "أجيزوها الآن، كل على جهازه: `barid release show` ثم `barid release sign`.",
    ),
    AlarmKind.AWAITING_RELEASE: Said(
        "Release it, each on an own machine: `barid release show`, then `barid release sign`.",
        "Validez-le, chacun sur sa machine : `barid release show`, puis `barid release sign`.",
        "أجيزوها، كل على جهازه: `barid release show` ثم `barid release sign`.",
    ),
    AlarmKind.UNANSWERED_URGENT: Said(
        "Call the desk now; if nobody answers, its deputy, and send the bulletin there.",
        "Appelez le bureau maintenant ; sans réponse, son suppléant, et envoyez-lui le bulletin.",
        "اتصل بالمكتب الآن، فإن لم يجب أحد فبنائبه وأرسل إليه النشرة.",
    ),
    AlarmKind.UNANSWERED: Said(
        "Ask the desk whether its node runs; else send the bulletin to its deputy.",
        "Demandez au bureau si son nœud fonctionne ; sinon envoyez le bulletin à son suppléant.",
        "اسأل المكتب هل تعمل عقدته، وإلا فأرسل النشرة إلى نائبه.",
    ),
    AlarmKind.NOT_ACCEPTED: Said(
        "See what else is wrong here: the line to the hub, the clock, a release that is missing.",
        "Voyez ce qui ne va pas : la ligne vers le relais, l'horloge, une validation manquante.",
        "انظر ما الخلل هنا: الخط إلى الموزّع أو الساعة أو إجازة ناقصة.",
    ),
    AlarmKind.NOT_WITNESSED: Said(
        "Ask the other members whether their nodes run: too few of them cosign the hub's log.",
        "Demandez aux autres membres si leurs nœuds fonctionnent : trop peu cosignent le journal du relais.",
        "اسأل الأعضاء الآخرين هل تعمل عقدهم: عدد من يوقّع معها سجل الموزّع قليل جدا.",
    ),
    AlarmKind.RECEIVED_UNWITNESSED: Said(
        "Until a quorum stands for them, the hub could deny that it logged them. Ask the other members"
        " whether their nodes run.",
        "Sans quorum, le relais pourrait nier les avoir inscrits. Demandez aux autres membres si leurs nœuds"
        " fonctionnent.",
        "ما لم يشهد عليها نصاب يستطيع الموزّع أن ينكر تسجيلها. اسأل الأعضاء الآخرين هل تعمل عقدهم.",
    ),
    AlarmKind.EXPIRED_UNANSWERED: Said(
        "Take it as not delivered: call the desk, and send a new bulletin if it still matters.",
        "Tenez-le pour non remis : appelez le bureau, et envoyez un nouveau bulletin si utile.",
        "اعتبرها لم تُسلَّم: اتصل بالمكتب وأرسل نشرة جديدة إن كان الأمر ما زال مهما.",
    ),
    AlarmKind.SEALING_KEY_STALE: Said(
        "See whether the hub answers and the member file is valid; soon nobody can send here.",
        "Vérifiez que le relais répond et que le fichier du membre est valide.",
        "تحقق من أن الموزّع يجيب وأن ملف العضو صالح، وإلا تعذر الإرسال إلى هنا قريبا.",
    ),
    AlarmKind.RECIPIENT_KEY_EXPIRED: Said(
        "What is sent there waits. Ask that member whether its node runs.",
        "Les envois vers ce bureau attendent. Demandez à ce membre si son nœud fonctionne.",
        "ما يُرسل إليه ينتظر. اسأل ذلك العضو هل تعمل عقدته.",
    ),
    AlarmKind.COUNCIL_EXPIRES: Said(
        "The governors sign a new one before that day: `barid trust propose`; for the root `barid trust"
        " rotate-root`.",
        "Les gouverneurs en signent un nouveau avant cette date : `barid trust propose` ; pour la racine"
        " `barid trust rotate-root`.",
        "يوقّع المحافظون جديدا قبل ذلك اليوم: `barid trust propose`، وللجذر `barid trust rotate-root`.",
    ),
    AlarmKind.COUNCIL_EXPIRED: Said(
        "What is not urgent waits. The governors must sign a new one now: `barid trust propose`, for the"
        " root `barid trust rotate-root`.",
        "Ce qui n'est pas urgent attend. Les gouverneurs doivent signer : `barid trust propose`, pour la"
        " racine `barid trust rotate-root`.",
        "ينتظر ما ليس عاجلا. على المحافظين توقيع جديد الآن: `barid trust propose`، وللجذر"
        " `barid trust rotate-root`.",
    ),
    AlarmKind.DIRECTORY_STALE: Said(
        "Keys and rules may have changed since. See whether the hub answers, then call its operator.",
        "Clés et règles ont pu changer. Voyez si le relais répond, puis appelez son exploitant.",
        "ربما تغيرت المفاتيح والقواعد. انظر هل يجيب الموزّع ثم اتصل بمشغّله.",
    ),
    AlarmKind.DIRECTORY_OVER_GRACE: Said(
        "Call the hub's operator. All leaves by itself once the directory is fresh; flash and immediate"
        " by `barid bulletin confirm`.",
        "Appelez l'exploitant. Tout part dès que l'annuaire est à jour ; flash et immédiat par"
        " `barid bulletin confirm`.",
        "اتصل بمشغّل الموزّع. يخرج كل شيء متى تجدد الدليل، والعاجل بالأمر `barid bulletin confirm`.",
    ),
    AlarmKind.AWAITING_CONFIRMATION: Said(
        "Call the recipients if a key may have been stolen there; then let it leave:"
        " `barid bulletin confirm`.",
        "Appelez les destinataires si une clé a pu y être volée ; puis laissez-le partir :"
        " `barid bulletin confirm`.",
        "اتصل بالمتلقين إن احتُمل أن مفتاحا سُرق عندهم، ثم دعها تخرج: `barid bulletin confirm`.",
    ),
    AlarmKind.TIMESTAMP_MISSING: Said(
        "Tell the hub's operator: it renews the timestamp every hour. The directory stays in force.",
        "Prévenez l'exploitant : l'horodatage se renouvelle chaque heure. L'annuaire reste en vigueur.",
        "أبلغ مشغّل الموزّع: يتجدد الختم الزمني كل ساعة. يبقى الدليل ساريا.",
    ),
    AlarmKind.TIMESTAMP_EXPIRED: Said(
        "Compare this machine's clock; then tell the hub's operator: it renews the timestamp every hour.",
        "Vérifiez l'horloge de cette machine, puis prévenez l'exploitant : l'horodatage se renouvelle"
        " chaque heure.",
        "تحقق من ساعة هذا الجهاز ثم أبلغ مشغّل الموزّع: يتجدد الختم الزمني كل ساعة.",
    ),
    AlarmKind.TIMESTAMP_ROLLED_BACK: Said(
        "An old state may be shown to you, or the hub was restored. Ask its operator, tell the auditor.",
        "On vous montre peut-être un ancien état, ou le relais a été restauré. Demandez à son exploitant,"
        " prévenez l'auditeur.",
        "ربما يُعرض عليك وضع قديم أو استُعيد الموزّع. اسأل مشغّله وأبلغ المدقق.",
    ),
    AlarmKind.TIMESTAMP_OTHER_SNAPSHOT: Said(
        "The directory of the log stays in force. Versions are mixed: tell the hub's operator, the auditor.",
        "L'annuaire du journal reste en vigueur. Des versions sont mêlées : prévenez l'exploitant et"
        " l'auditeur.",
        "يبقى دليل السجل ساريا. النسخ مختلطة: أبلغ مشغّل الموزّع والمدقق.",
    ),
    AlarmKind.TIMESTAMP_SIGNATURE: Said(
        "Somebody else may answer in the hub's place. Tell its operator and the auditor.",
        "Un autre répond peut-être à la place du relais. Prévenez son exploitant et l'auditeur.",
        "ربما يجيب غير الموزّع مكانه. أبلغ مشغّله والمدقق.",
    ),
    AlarmKind.MEMBER_FILE_EXPIRES: Said(
        "Sign a new version and have it published: `barid member renew`. Without it none of the member's"
        " keys counts.",
        "Signez une nouvelle version et faites-la publier : `barid member renew`. Sans elle aucune clé ne"
        " compte.",
        "وقّع نسخة جديدة وانشرها: `barid member renew`. دونها لا يُعتد بأي مفتاح للعضو.",
    ),
    AlarmKind.UNREACHABLE: Said(
        "Check this machine's line, then call the hub's operator. Nothing is lost meanwhile.",
        "Vérifiez la ligne de cette machine, puis appelez l'exploitant. Rien n'est perdu.",
        "تحقق من خط هذا الجهاز ثم اتصل بمشغّل الموزّع. لا يضيع شيء في الأثناء.",
    ),
    AlarmKind.REFUSES_US: Said(
        "The alarm names the problem: put it right here, or tell the hub's operator.",
        "L'alarme nomme le problème : corrigez-le ici, ou prévenez l'exploitant du relais.",
        "يسمّي الإنذار المشكلة: عالجها هنا أو أبلغ مشغّل الموزّع.",
    ),
    AlarmKind.CLOCK: Said(
        "Compare it with a sure source of time, and correct it or tell the hub's operator.",
        "Comparez-la à une source sûre, et corrigez-la ou prévenez l'exploitant du relais.",
        "قارنها بمصدر موثوق للوقت ثم صححها أو أبلغ مشغّل الموزّع.",
    ),
    AlarmKind.DISK: Said(
        "Make room on the disk of the data directory, or move it to a larger one.",
        "Libérez de la place sur le disque des données, ou passez à un disque plus grand.",
        "أفرغ مكانا على قرص مجلد البيانات أو انقله إلى قرص أكبر.",
    ),
    AlarmKind.DATABASE: Said(
        "Check the disk and its mount; if it is broken, restore the node from its backup.",
        "Vérifiez le disque et son montage ; s'il est défectueux, restaurez la sauvegarde.",
        "افحص القرص وتركيبه، فإن كان تالفا فاستعد العقدة من نسختها الاحتياطية.",
    ),
    AlarmKind.KEYSTORE: Said(
        "Restore the keystore from the backup; nothing was answered that cannot be opened.",
        "Restaurez le coffre de clés ; rien de ce qui est illisible n'a été accusé.",
        "استعد خزانة المفاتيح من النسخة الاحتياطية؛ لم يُجَب عن شيء لا يُفتح.",
    ),
    AlarmKind.NOTICE_FAILED: Said(
        "Correct `notices` in config.json, then try with `barid alarms test`.",
        "Corrigez `notices` dans config.json, puis essayez avec `barid alarms test`.",
        "صحح `notices` في config.json ثم جرّب بالأمر `barid alarms test`.",
    ),
    AlarmKind.INTERNAL: Said(
        "It tries again by itself. If it stays, send the log to whoever maintains the node.",
        "Elle réessaie d'elle-même. Si cela dure, envoyez le journal au responsable du nœud.",
        "يعيد المحاولة بنفسه. إن استمر فأرسل السجل إلى من يصون العقدة.",
    ),
}
"""What a person does about it, by kind."""
