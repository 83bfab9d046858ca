"""Titles of alarms: what is wrong, in the three languages of the exchange.

May import `schemas.rules` and the kinds; `words` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from broker.node.alarms.kinds import AlarmKind
from schemas.rules import Language


@dataclass(frozen=True, slots=True)
class Said:
    """One text in three languages."""

    en: str
    fr: str
    ar: str

    def in_(self, language: Language) -> str:
        """The text in one language."""
        text: str = getattr(self, language)
        return text


TITLES: Final[Mapping[AlarmKind, Said]] = {
    AlarmKind.HUB_FAULT: Said(
        "The hub served what does not verify",
        "Le relais a servi des données non vérifiables",
        "أرسل الموزّع ما لا يمكن التحقق منه",
    ),
    AlarmKind.INCONSISTENT_LOG: Said(
        "The hub shows two different logs",
        "Le relais montre deux journaux différents",
        "يعرض الموزّع سجلّين مختلفين",
    ),
    AlarmKind.OTHER_LEAF: Said(
        "A recipient was shown another log entry",
        "Un destinataire a vu une autre entrée du journal",
        "عُرض على متلقٍّ قيد آخر في السجل",
    ),
    AlarmKind.FINDING: Said(
        "An entry of the directory log breaks a rule",
        "Une entrée du journal de l'annuaire viole une règle",
        "قيد في سجل الدليل يخالف قاعدة",
    ),
    AlarmKind.ENTRY_TIME: Said(
        "The hub logged an entry with a false time",
        "Le relais a inscrit une entrée avec une heure fausse",
        "سجّل الموزّع قيدا بوقت غير صحيح",
    ),
    AlarmKind.GAP: Said(
        "A bulletin between two desks is missing",
        "Un bulletin entre deux bureaux manque",
        "نشرة مفقودة بين مكتبين",
    ),
    AlarmKind.MISSED: Said(
        "A bulletin expired, or was destroyed, before this node had it",
        "Un bulletin a expiré, ou a été détruit, avant d'arriver à ce nœud",
        "انتهت صلاحية نشرة أو أُتلفت قبل أن تصل إلى هذه العقدة",
    ),
    AlarmKind.NEW_LOGS: Said(
        "The council has begun new logs; what had no answer is sent again",
        "Le conseil a ouvert de nouveaux registres ; ce qui est resté sans réponse est renvoyé",
        "بدأ المجلس سجلات جديدة، وما لم يُجب عنه يُرسل من جديد",
    ),
    AlarmKind.RESTORED: Said(
        "This node was restored from a backup",
        "Ce nœud a été restauré à partir d'une sauvegarde",
        "استُعيدت هذه العقدة من نسخة احتياطية",
    ),
    AlarmKind.FOREIGN_SEALING_KEY: Said(
        "A sealing key was logged that this node did not make",
        "Une clé de scellement inconnue de ce nœud a été publiée",
        "سُجل مفتاح ختم لم تصنعه هذه العقدة",
    ),
    AlarmKind.FOREIGN_ACKNOWLEDGEMENT: Said(
        "Somebody else acknowledged in this desk's name",
        "Quelqu'un d'autre a accusé réception au nom de ce bureau",
        "أقرّ شخص آخر بالاستلام باسم هذا المكتب",
    ),
    AlarmKind.FOREIGN_ENVELOPE: Said(
        "Somebody else sent in this desk's name",
        "Quelqu'un d'autre a envoyé au nom de ce bureau",
        "أرسل شخص آخر باسم هذا المكتب",
    ),
    AlarmKind.ACKNOWLEDGEMENT_REFUSED: Said(
        "The hub does not take an answer", "Le relais refuse une réponse", "لا يقبل الموزّع جوابا"
    ),
    AlarmKind.REFUSED: Said(
        "The hub refused a bulletin", "Le relais a refusé un bulletin", "رفض الموزّع نشرة"
    ),
    AlarmKind.REJECTED_BY_RECIPIENT: Said(
        "A recipient rejected a bulletin", "Un destinataire a rejeté un bulletin", "رفض متلقٍّ نشرة"
    ),
    AlarmKind.QUARANTINED: Said(
        "A bulletin that came breaks a rule",
        "Un bulletin reçu viole une règle",
        "نشرة واردة تخالف قاعدة",
    ),
    AlarmKind.TWO_CONTENTS: Said(
        "A sender gave one bulletin two contents",
        "Un expéditeur a donné deux contenus à un bulletin",
        "أعطى مرسل نشرة واحدة مضمونين",
    ),
    AlarmKind.URGENT_BULLETIN: Said(
        "An urgent bulletin waits to be opened",
        "Un bulletin urgent attend d'être ouvert",
        "نشرة عاجلة تنتظر من يفتحها",
    ),
    AlarmKind.AWAITING_RELEASE_URGENT: Said(
        "An urgent bulletin waits for its release",
        "Un bulletin urgent attend sa validation",
        "نشرة عاجلة تنتظر إجازتها",
    ),
    AlarmKind.AWAITING_RELEASE: Said(
        "A bulletin waits for its release",
        "Un bulletin attend sa validation",
        "نشرة تنتظر إجازتها",
    ),
    AlarmKind.UNANSWERED_URGENT: Said(
        "An urgent bulletin was not delivered in time",
        "Un bulletin urgent n'a pas été remis à temps",
        "لم تُسلَّم نشرة عاجلة في موعدها",
    ),
    AlarmKind.UNANSWERED: Said(
        "A bulletin was not delivered in time",
        "Un bulletin n'a pas été remis à temps",
        "لم تُسلَّم نشرة في موعدها",
    ),
    AlarmKind.NOT_ACCEPTED: Said(
        "A bulletin has not left this node",
        "Un bulletin n'a pas quitté ce nœud",
        "لم تغادر نشرة هذه العقدة",
    ),
    AlarmKind.NOT_WITNESSED: Said(
        "No quorum of witnesses stands for a bulletin",
        "Aucun quorum de témoins ne garantit un bulletin",
        "لا يشهد على نشرة نصاب من الشهود",
    ),
    AlarmKind.RECEIVED_UNWITNESSED: Said(
        "No quorum of witnesses stands for bulletins that came",
        "Aucun quorum de témoins ne garantit des bulletins reçus",
        "لا يشهد على نشرات واردة نصاب من الشهود",
    ),
    AlarmKind.EXPIRED_UNANSWERED: Said(
        "A bulletin expired, or was destroyed, before it was answered",
        "Un bulletin a expiré, ou a été détruit, sans réponse",
        "انتهت صلاحية نشرة أو أُتلفت قبل أن يُجاب عنها",
    ),
    AlarmKind.SEALING_KEY_STALE: Said(
        "This desk's sealing key is not renewed",
        "La clé de scellement de ce bureau n'est pas renouvelée",
        "مفتاح ختم هذا المكتب لا يتجدد",
    ),
    AlarmKind.RECIPIENT_KEY_EXPIRED: Said(
        "Another desk's sealing key has run out",
        "La clé de scellement d'un autre bureau a expiré",
        "انتهت صلاحية مفتاح ختم مكتب آخر",
    ),
    AlarmKind.COUNCIL_EXPIRES: Said(
        "The council's directory runs out soon",
        "L'annuaire du conseil expire bientôt",
        "يوشك دليل المجلس أن تنتهي صلاحيته",
    ),
    AlarmKind.COUNCIL_EXPIRED: Said(
        "The council's directory has run out",
        "L'annuaire du conseil a expiré",
        "انتهت صلاحية دليل المجلس",
    ),
    AlarmKind.DIRECTORY_STALE: Said(
        "The directory was not verified for over an hour",
        "L'annuaire n'a pas été vérifié depuis plus d'une heure",
        "لم يُتحقق من الدليل منذ أكثر من ساعة",
    ),
    AlarmKind.DIRECTORY_OVER_GRACE: Said(
        "The directory is too old: what is not urgent waits",
        "L'annuaire est trop ancien : ce qui n'est pas urgent attend",
        "الدليل قديم جدا: ينتظر كل ما ليس عاجلا",
    ),
    AlarmKind.AWAITING_CONFIRMATION: Said(
        "An urgent bulletin waits for a person's confirmation",
        "Un bulletin urgent attend la confirmation d'une personne",
        "نشرة عاجلة تنتظر تأكيد شخص",
    ),
    AlarmKind.TIMESTAMP_MISSING: Said(
        "The hub shows no timestamp for the directory",
        "Le relais ne montre pas d'horodatage de l'annuaire",
        "لا يعرض الموزّع ختما زمنيا للدليل",
    ),
    AlarmKind.TIMESTAMP_EXPIRED: Said(
        "The hub's timestamp for the directory has run out",
        "L'horodatage de l'annuaire au relais a expiré",
        "انتهت صلاحية الختم الزمني للدليل عند الموزّع",
    ),
    AlarmKind.TIMESTAMP_ROLLED_BACK: Said(
        "The hub shows an older timestamp than before",
        "Le relais montre un horodatage plus ancien qu'avant",
        "يعرض الموزّع ختما زمنيا أقدم مما سبق",
    ),
    AlarmKind.TIMESTAMP_OTHER_SNAPSHOT: Said(
        "The hub's timestamp is for another directory",
        "L'horodatage du relais porte sur un autre annuaire",
        "الختم الزمني عند الموزّع لدليل آخر",
    ),
    AlarmKind.TIMESTAMP_SIGNATURE: Said(
        "The hub's timestamp is not signed by its key",
        "L'horodatage du relais n'est pas signé par sa clé",
        "الختم الزمني عند الموزّع غير موقّع بمفتاحه",
    ),
    AlarmKind.MEMBER_FILE_EXPIRES: Said(
        "This member's file runs out",
        "Le fichier de ce membre expire",
        "ملف هذا العضو تنتهي صلاحيته",
    ),
    AlarmKind.UNREACHABLE: Said(
        "The hub does not answer", "Le relais ne répond pas", "الموزّع لا يجيب"
    ),
    AlarmKind.REFUSES_US: Said(
        "The hub refuses this node's requests",
        "Le relais refuse les requêtes de ce nœud",
        "يرفض الموزّع طلبات هذه العقدة",
    ),
    AlarmKind.CLOCK: Said(
        "This machine's clock is wrong",
        "L'horloge de cette machine est fausse",
        "ساعة هذا الجهاز خاطئة",
    ),
    AlarmKind.DISK: Said(
        "The disk is full, or nearly", "Le disque est plein, ou presque", "القرص ممتلئ أو يكاد"
    ),
    AlarmKind.DATABASE: Said(
        "The node's database fails",
        "La base de données du nœud est en panne",
        "قاعدة بيانات العقدة معطلة",
    ),
    AlarmKind.KEYSTORE: Said(
        "A key cannot be read from the keystore",
        "Une clé du coffre est illisible",
        "تعذرت قراءة مفتاح من خزانة المفاتيح",
    ),
    AlarmKind.NOTICE_FAILED: Said(
        "Notices to people do not get through",
        "Les avis aux personnes ne passent pas",
        "لا تصل الإشعارات إلى الأشخاص",
    ),
    AlarmKind.INTERNAL: Said(
        "A part of this node failed", "Une partie de ce nœud a échoué", "تعطل جزء من هذه العقدة"
    ),
}
"""What is wrong, by kind."""
