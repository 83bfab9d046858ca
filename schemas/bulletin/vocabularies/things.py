"""What bulletins name: places, ways, actors, goods, weapons, documents, and the links between them.

May import the standard library only; read through `schemas.bulletin.vocabularies`.
"""

from enum import StrEnum


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
