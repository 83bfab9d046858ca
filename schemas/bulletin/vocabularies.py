"""The closed vocabularies of headers and bulletins, each with its source.

May import the standard library only; the schemas, the access rules and every interface speak these words.
"""

from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """What a bulletin is (the bulletin's specification)."""

    THREAT_BULLETIN = "threat_bulletin"
    JUDICIAL_REQUEST = "judicial_request"


class Status(StrEnum):
    """Whether it is real (CAP 1.2 `status`, EDXL-DE `distributionStatus`, STANAG 4406)."""

    ACTUAL = "actual"
    EXERCISE = "exercise"
    TEST = "test"


class Precedence(StrEnum):
    """How urgent the delivery is, most urgent first (ACP 121)."""

    FLASH = "flash"
    IMMEDIATE = "immediate"
    PRIORITY = "priority"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """0 for flash up to 3 for routine: the order of delivery."""
        return list(Precedence).index(self)


class Topic(StrEnum):
    """What it is about (Tripoli Plan of Action, 12 March 2012)."""

    ARMS = "arms"
    SMUGGLING = "smuggling"
    TERRORISM = "terrorism"
    ORGANISED_CRIME = "organised_crime"
    IRREGULAR_MIGRATION = "irregular_migration"
    HUMAN_TRAFFICKING = "human_trafficking"
    DRUGS = "drugs"
    BORDER_MANAGEMENT = "border_management"
    JUDICIAL_COOPERATION = "judicial_cooperation"
    DEVELOPMENT = "development"
    TRAINING = "training"


class Tlp(StrEnum):
    """Traffic Light Protocol, least restricted first (FIRST TLP 2.0)."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"

    @property
    def rank(self) -> int:
        """0 for clear up to 4 for red."""
        return list(Tlp).index(self)


class Classification(StrEnum):
    """The common four-step scale, lowest first; national names stand in the directory."""

    UNCLASSIFIED = "unclassified"
    RESTRICTED = "restricted"
    CONFIDENTIAL = "confidential"
    SECRET = "secret"

    @property
    def rank(self) -> int:
        """0 for unclassified up to 3 for secret."""
        return list(Classification).index(self)


class Purpose(StrEnum):
    """Why it may be used (CISE 1.5.3, its border and law enforcement part, and the communiqué)."""

    BORDER_MONITORING = "border_monitoring"
    BORDER_OPERATION = "border_operation"
    COUNTER_TERRORISM = "counter_terrorism"
    CUSTOMS_MONITORING = "customs_monitoring"
    CUSTOMS_OPERATION = "customs_operation"
    LAW_ENFORCEMENT_MONITORING = "law_enforcement_monitoring"
    LAW_ENFORCEMENT_OPERATION = "law_enforcement_operation"
    SEARCH_AND_RESCUE = "search_and_rescue"
    JUDICIAL_COOPERATION = "judicial_cooperation"
    ANALYSIS = "analysis"
    TRAINING = "training"


class Caveat(StrEnum):
    """What a recipient may not do without asking (originator control; Europol handling codes H0 to H3)."""

    ORCON = "orcon"
    RELEASE_TO = "release_to"
    JUDICIAL_ONLY = "judicial_only"
    NO_AUTOMATED_ACTION = "no_automated_action"
    H0 = "h0"
    H1 = "h1"
    H2 = "h2"
    H3 = "h3"


class DeskFunction(StrEnum):
    """What a desk is, as the council grants it."""

    MAIN = "main"
    BORDER_GUARD = "border_guard"
    CUSTOMS = "customs"
    POLICE = "police"
    JUDICIAL = "judicial"
    MILITARY = "military"
    EXPERT_COMMITTEE = "expert_committee"
    AUDITOR = "auditor"
    OBSERVER = "observer"


class Pap(StrEnum):
    """Permissible Actions Protocol, least restricted first: what a recipient may do with it (PAP)."""

    CLEAR = "clear"
    """No restriction."""
    GREEN = "green"
    """Active measures are allowed."""
    AMBER = "amber"
    """Passive checks only: nothing that the subject could notice."""
    RED = "red"
    """To be read, and used for nothing else."""


class Reliability(StrEnum):
    """How reliable the source is (NATO AJP-2.1, the Admiralty system)."""

    A = "A"
    """Completely reliable."""
    B = "B"
    """Usually reliable."""
    C = "C"
    """Fairly reliable."""
    D = "D"
    """Not usually reliable."""
    E = "E"
    """Unreliable."""
    F = "F"
    """Reliability cannot be judged."""


class Credibility(IntEnum):
    """How credible the information is (NATO AJP-2.1, the Admiralty system)."""

    CONFIRMED = 1
    PROBABLY_TRUE = 2
    POSSIBLY_TRUE = 3
    DOUBTFUL = 4
    IMPROBABLE = 5
    CANNOT_BE_JUDGED = 6


class Likelihood(StrEnum):
    """How likely it is, least likely first (ICD 203, 2015, section D.6.e.2)."""

    ALMOST_NO_CHANCE = "almost_no_chance"
    VERY_UNLIKELY = "very_unlikely"
    UNLIKELY = "unlikely"
    ROUGHLY_EVEN_CHANCE = "roughly_even_chance"
    LIKELY = "likely"
    VERY_LIKELY = "very_likely"
    ALMOST_CERTAIN = "almost_certain"

    @property
    def percent(self) -> tuple[int, int]:
        """From and to, in percent, as the directive gives them."""
        return _PERCENT[self]


_PERCENT = {
    Likelihood.ALMOST_NO_CHANCE: (1, 5),
    Likelihood.VERY_UNLIKELY: (5, 20),
    Likelihood.UNLIKELY: (20, 45),
    Likelihood.ROUGHLY_EVEN_CHANCE: (45, 55),
    Likelihood.LIKELY: (55, 80),
    Likelihood.VERY_LIKELY: (80, 95),
    Likelihood.ALMOST_CERTAIN: (95, 99),
}


class Confidence(StrEnum):
    """How sure the analyst is of the judgement, least sure first (ICD 203)."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"


class Impact(StrEnum):
    """How much an event weighs on a border, least first (Regulation (EU) 2019/1896, article 34)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Precision(StrEnum):
    """How exactly a time is known, coarsest first (STIX 1.2 DateTimePrecisionEnum)."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"


class PlaceRole(StrEnum):
    """What a place is to the matter (origin, transit, destination as UNODC names flows; the rest ours)."""

    OCCURRENCE = "occurrence"
    ORIGIN = "origin"
    TRANSIT = "transit"
    DESTINATION = "destination"
    CROSSING = "crossing"
    BASE = "base"
    LAST_SEEN = "last_seen"


class Means(StrEnum):
    """How goods or people move (UNECE Recommendation 19; off_road, foot and animal are what it lacks)."""

    SEA = "sea"
    RAIL = "rail"
    ROAD = "road"
    AIR = "air"
    MAIL = "mail"
    INLAND_WATER = "inland_water"
    OFF_ROAD = "off_road"
    FOOT = "foot"
    ANIMAL = "animal"


class ActorRole(StrEnum):
    """What an actor does (UNODC, Toolkit to Combat Smuggling of Migrants, tool 2; the last three ours)."""

    ORGANISER = "organiser"
    RECRUITER = "recruiter"
    GUIDE = "guide"
    TRANSPORTER = "transporter"
    SPOTTER = "spotter"
    ENFORCER = "enforcer"
    SUPPLIER = "supplier"
    FORGER = "forger"
    CORRUPT_OFFICIAL = "corrupt_official"
    FINANCIER = "financier"
    BUYER = "buyer"
    FIGHTER = "fighter"


class Goods(StrEnum):
    """What is trafficked (sections of the WCO Illicit Trade Report, finer where the region needs it)."""

    WEAPONS = "weapons"
    AMMUNITION = "ammunition"
    EXPLOSIVES = "explosives"
    DUAL_USE = "dual_use"
    DRUGS = "drugs"
    PRECURSORS = "precursors"
    MEDICINES = "medicines"
    COUNTERFEITS = "counterfeits"
    TOBACCO = "tobacco"
    ALCOHOL = "alcohol"
    FUEL = "fuel"
    FOOD = "food"
    CURRENCY = "currency"
    GOLD = "gold"
    CULTURAL_PROPERTY = "cultural_property"
    WILDLIFE = "wildlife"
    LIVESTOCK = "livestock"
    VEHICLES = "vehicles"
    ELECTRONICS = "electronics"
    OTHER = "other"


class WeaponType(StrEnum):
    """What a weapon is (UNODC Illicit Arms Flows Questionnaire; light weapons as in the ITI of 2005)."""

    HANDGUN = "handgun"
    RIFLE = "rifle"
    SHOTGUN = "shotgun"
    SUBMACHINE_GUN = "submachine_gun"
    MACHINE_GUN = "machine_gun"
    LIGHT_WEAPON = "light_weapon"
    AMMUNITION = "ammunition"
    EXPLOSIVE = "explosive"
    PART = "part"
    OTHER = "other"


class DocumentType(StrEnum):
    """What a document is (the kinds in INTERPOL's SLTD; papers of vehicles and cargo are ours)."""

    PASSPORT = "passport"
    IDENTITY_CARD = "identity_card"
    RESIDENCE_PERMIT = "residence_permit"
    VISA = "visa"
    TRAVEL_DOCUMENT = "travel_document"
    DRIVING_LICENCE = "driving_licence"
    VEHICLE_REGISTRATION = "vehicle_registration"
    CARGO_DOCUMENT = "cargo_document"
    OTHER = "other"


class Sex(StrEnum):
    """As travel documents write it (ICAO Doc 9303: M, F, X)."""

    MALE = "male"
    FEMALE = "female"
    UNSPECIFIED = "unspecified"


class LinkType(StrEnum):
    """How one entity stands to another (STIX 2.1 relationship types; kinship, membership and trade ours)."""

    USES = "uses"
    OWNS = "owns"
    CONTROLS = "controls"
    COMMUNICATES_WITH = "communicates_with"
    IMPERSONATES = "impersonates"
    DUPLICATE_OF = "duplicate_of"
    RELATED_TO = "related_to"
    MEMBER_OF = "member_of"
    LEADS = "leads"
    FAMILY_OF = "family_of"
    FINANCES = "finances"
    SUPPLIES = "supplies"
    TRANSPORTS = "transports"


class RequestType(StrEnum):
    """What a judicial request asks for (the communiqué, and INTERPOL's notices for wanted and missing)."""

    ARREST_WARRANT = "arrest_warrant"
    EXTRADITION = "extradition"
    WANTED = "wanted"
    MISSING = "missing"
    MUTUAL_LEGAL_ASSISTANCE = "mutual_legal_assistance"


class RequestStatus(StrEnum):
    """What has become of a judicial request, as its issuing authority says (ours)."""

    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    EXECUTED = "executed"
    CANCELLED = "cancelled"
