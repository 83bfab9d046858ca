"""What an incident is: words of the CISE data model 1.5.3, each beside the CISE word that it stands for.

May import the standard library only; read through `schemas.bulletin.vocabularies`.
"""

from enum import StrEnum


class IncidentType(StrEnum):
    """What happened (CISE data model 1.5.3).

    All of `LawInfringementIncidentType` and `IrregularMigrationIncidentType`, and of `CrisisIncidentType` the
    violence that border posts meet. Left out are `NonSpecified`, since a report says what it is about, and
    `EventRefusedBorderEntry`, which CISE describes by the words of `RefusedBorderEntry`.
    """

    HUMAN_TRAFFICKING_PROSTITUTION = "human_trafficking_prostitution"
    HUMAN_TRAFFICKING_SEXUAL_EXPLOITATION = "human_trafficking_sexual_exploitation"
    HUMAN_TRAFFICKING_FORCED_LABOUR = "human_trafficking_forced_labour"
    HUMAN_TRAFFICKING_SLAVERY = "human_trafficking_slavery"
    HUMAN_TRAFFICKING_SERVITUDE = "human_trafficking_servitude"
    HUMAN_TRAFFICKING_BEGGING = "human_trafficking_begging"
    HUMAN_TRAFFICKING_REMOVAL_OF_ORGANS = "human_trafficking_removal_of_organs"
    HUMAN_TRAFFICKING_OTHER = "human_trafficking_other"
    DRUG_SMUGGLING_MARIHUANA = "drug_smuggling_marihuana"
    DRUG_SMUGGLING_COCAINE = "drug_smuggling_cocaine"
    DRUG_SMUGGLING_HASHISH = "drug_smuggling_hashish"
    DRUG_SMUGGLING_CANNABIS = "drug_smuggling_cannabis"
    DRUG_SMUGGLING_HEROIN = "drug_smuggling_heroin"
    DRUG_SMUGGLING_AMPHETAMINE = "drug_smuggling_amphetamine"
    DRUG_SMUGGLING_METHAMPHETAMINE = "drug_smuggling_methamphetamine"
    DRUG_SMUGGLING_ECSTASY = "drug_smuggling_ecstasy"
    DRUG_SMUGGLING_OPIUM = "drug_smuggling_opium"
    DRUG_SMUGGLING_HALLUCINOGENS = "drug_smuggling_hallucinogens"
    DRUG_SMUGGLING_OTHER = "drug_smuggling_other"
    GOODS_SMUGGLING_WITHOUT_PERMIT = "goods_smuggling_without_permit"
    GOODS_SMUGGLING_EXCISE = "goods_smuggling_excise"
    GOODS_SMUGGLING_COUNTERFEITS = "goods_smuggling_counterfeits"
    GOODS_SMUGGLING_MINERALS = "goods_smuggling_minerals"
    GOODS_SMUGGLING_THREATENED_SPECIES = "goods_smuggling_threatened_species"
    GOODS_SMUGGLING_CULTURAL_HERITAGE = "goods_smuggling_cultural_heritage"
    HAZARD_SMUGGLING_WASTE = "hazard_smuggling_waste"
    HAZARD_SMUGGLING_CHEMICAL = "hazard_smuggling_chemical"
    HAZARD_SMUGGLING_BIOHAZARD = "hazard_smuggling_biohazard"
    HAZARD_SMUGGLING_RADIOACTIVE = "hazard_smuggling_radioactive"
    HAZARD_SMUGGLING_NUCLEAR = "hazard_smuggling_nuclear"
    HAZARD_SMUGGLING_OTHER = "hazard_smuggling_other"
    WEAPON_SMUGGLING_ARMS = "weapon_smuggling_arms"
    WEAPON_SMUGGLING_MASS_DESTRUCTION = "weapon_smuggling_mass_destruction"
    WEAPON_SMUGGLING_AMMUNITION = "weapon_smuggling_ammunition"
    WEAPON_SMUGGLING_EXPLOSIVES = "weapon_smuggling_explosives"
    SMUGGLING_OTHER = "smuggling_other"
    STOLEN_VEHICLE = "stolen_vehicle"
    DOCUMENT_FRAUD = "document_fraud"
    CROSS_BORDER_CRIME_OTHER = "cross_border_crime_other"
    INFRINGEMENT_BY_VESSEL = "infringement_by_vessel"
    ILLEGAL_FLIGHT = "illegal_flight"
    INFRINGEMENT_BY_VEHICLE = "infringement_by_vehicle"
    ADMINISTRATIVE_OFFENCE = "administrative_offence"
    IRREGULAR_ENTRY = "irregular_entry"
    IRREGULAR_ENTRY_ATTEMPT = "irregular_entry_attempt"
    REFUSED_ENTRY = "refused_entry"
    IRREGULAR_EXIT = "irregular_exit"
    IRREGULAR_EXIT_ATTEMPT = "irregular_exit_attempt"
    IRREGULAR_STAY = "irregular_stay"
    FACILITATOR_INTERCEPTION = "facilitator_interception"
    FACILITATOR_DISCLOSURE = "facilitator_disclosure"
    INTERCEPTION_IN_THIRD_COUNTRY = "interception_in_third_country"
    TERRORIST_ATTACK = "terrorist_attack"
    ASSASSINATION = "assassination"
    BOMBING = "bombing"
    AIR_OR_MISSILE_ATTACK = "air_or_missile_attack"
    HEAVY_WEAPONS_FIRE = "heavy_weapons_fire"
    SHOOTING = "shooting"
    KIDNAPPING = "kidnapping"
    ROBBERY = "robbery"
    MINES_EXPLOSIVES = "mines_explosives"
    ARMED_CONFLICT = "armed_conflict"
    OTHER = "other"

    @property
    def cise(self) -> str:
        """The word of the CISE data model that this one stands for."""
        return _CISE[self]


_CISE = {
    IncidentType.HUMAN_TRAFFICKING_PROSTITUTION: "HumanTraffickingExploitationOfProstitutionOfOthers",
    IncidentType.HUMAN_TRAFFICKING_SEXUAL_EXPLOITATION: "HumanTraffickingOtherFormsOfSexualExploitation",
    IncidentType.HUMAN_TRAFFICKING_FORCED_LABOUR: "HumanTraffickingForcedLabourOrServices",
    IncidentType.HUMAN_TRAFFICKING_SLAVERY: "HumanTraffickingSlaveryOrPracticesSimilarToSlavery",
    IncidentType.HUMAN_TRAFFICKING_SERVITUDE: "HumanTraffickingServitude",
    IncidentType.HUMAN_TRAFFICKING_BEGGING: (
        "HumanTraffickingExploitationOfActivitiesAssociatedWithBeggingOrOfUnlawfulActivities"
    ),
    IncidentType.HUMAN_TRAFFICKING_REMOVAL_OF_ORGANS: "HumanTraffickingRemovalOfOrgans",
    IncidentType.HUMAN_TRAFFICKING_OTHER: "HumanTraffickingOther",
    IncidentType.DRUG_SMUGGLING_MARIHUANA: "DrugSmugglingMarihuana",
    IncidentType.DRUG_SMUGGLING_COCAINE: "DrugSmugglingCocaine",
    IncidentType.DRUG_SMUGGLING_HASHISH: "DrugSmugglingHashish",
    IncidentType.DRUG_SMUGGLING_CANNABIS: "DrugSmugglingCannabis",
    IncidentType.DRUG_SMUGGLING_HEROIN: "DrugSmugglingHeroin",
    IncidentType.DRUG_SMUGGLING_AMPHETAMINE: "DrugSmugglingAmphetamine",
    IncidentType.DRUG_SMUGGLING_METHAMPHETAMINE: "DrugSmugglingMetamphetamine",
    IncidentType.DRUG_SMUGGLING_ECSTASY: "DrugSmugglingEcstasy",
    IncidentType.DRUG_SMUGGLING_OPIUM: "DrugSmugglingOpium",
    IncidentType.DRUG_SMUGGLING_HALLUCINOGENS: "DrugSmugglingHallucinogens",
    IncidentType.DRUG_SMUGGLING_OTHER: "DrugSmugglingOtherDrugs",
    IncidentType.GOODS_SMUGGLING_WITHOUT_PERMIT: "GoodsSmugglingGoodsCarriedWithNoRequiredPermits",
    IncidentType.GOODS_SMUGGLING_EXCISE: "GoodsSmugglingExciseGoods",
    IncidentType.GOODS_SMUGGLING_COUNTERFEITS: "GoodsSmugglingCounterfeitedProducts",
    IncidentType.GOODS_SMUGGLING_MINERALS: "GoodsSmugglingNaturalResourcesMinerals",
    IncidentType.GOODS_SMUGGLING_THREATENED_SPECIES: "GoodsSmugglingThreatenedSpecies",
    IncidentType.GOODS_SMUGGLING_CULTURAL_HERITAGE: "GoodsSmugglingCulturalHeritageGoods",
    IncidentType.HAZARD_SMUGGLING_WASTE: "SmugglingInWasteAndOtherHazardousMaterialWaste",
    IncidentType.HAZARD_SMUGGLING_CHEMICAL: "SmugglingInWasteAndOtherHazardousMaterialChemical",
    IncidentType.HAZARD_SMUGGLING_BIOHAZARD: "SmugglingInWasteAndOtherHazardousMaterialBiohazard",
    IncidentType.HAZARD_SMUGGLING_RADIOACTIVE: "SmugglingInWasteAndOtherHazardousMaterialRadioActive",
    IncidentType.HAZARD_SMUGGLING_NUCLEAR: "SmugglingInWasteAndOtherHazardousMaterialNuclear",
    IncidentType.HAZARD_SMUGGLING_OTHER: (
        "SmugglingInWasteAndOtherHazardousMaterialOtherDangerousSubstances"
    ),
    IncidentType.WEAPON_SMUGGLING_ARMS: "SmugglingInWeaponAndRelatedAccessoriesArmsWeapons",
    IncidentType.WEAPON_SMUGGLING_MASS_DESTRUCTION: (
        "SmugglingInWeaponAndRelatedAccessoriesWeaponsOfMassDestruction"
    ),
    IncidentType.WEAPON_SMUGGLING_AMMUNITION: "SmugglingInWeaponAndRelatedAccessoriesAmmunition",
    IncidentType.WEAPON_SMUGGLING_EXPLOSIVES: "SmugglingInWeaponAndRelatedAccessoriesExplosives",
    IncidentType.SMUGGLING_OTHER: "SmugglingInOtherMaterial",
    IncidentType.STOLEN_VEHICLE: "OtherRelatedCrossBorderCriminalActivityStolenVehicle",
    IncidentType.DOCUMENT_FRAUD: (
        "OtherRelatedCrossBorderCriminalActivityDocumentFalsificationFraud"
    ),
    IncidentType.CROSS_BORDER_CRIME_OTHER: "OtherRelatedCrossBorderCriminalActivityOther",
    IncidentType.INFRINGEMENT_BY_VESSEL: "LawInfringementByVessels",
    IncidentType.ILLEGAL_FLIGHT: "IllegalFlightOfAnAircraft",
    IncidentType.INFRINGEMENT_BY_VEHICLE: "LawInfringementByVehicles",
    IncidentType.ADMINISTRATIVE_OFFENCE: "OtherAdministrativeOffense",
    IncidentType.IRREGULAR_ENTRY: "IrregularBorderEntry",
    IncidentType.IRREGULAR_ENTRY_ATTEMPT: "IrregularEntryAttempt",
    IncidentType.REFUSED_ENTRY: "RefusedBorderEntry",
    IncidentType.IRREGULAR_EXIT: "IrregularBorderExit",
    IncidentType.IRREGULAR_EXIT_ATTEMPT: "IrregularExitAttempt",
    IncidentType.IRREGULAR_STAY: "IrregularStay",
    IncidentType.FACILITATOR_INTERCEPTION: "FacilitatorInterception",
    IncidentType.FACILITATOR_DISCLOSURE: "FacilitatorDisclosure",
    IncidentType.INTERCEPTION_IN_THIRD_COUNTRY: "InterceptionInThirdCountryTerritory",
    IncidentType.TERRORIST_ATTACK: "ManMadeDisasterTerroristAttack",
    IncidentType.ASSASSINATION: "ViolenceAssassination",
    IncidentType.BOMBING: "ViolenceBombing",
    IncidentType.AIR_OR_MISSILE_ATTACK: "ViolenceAirMissileAttack",
    IncidentType.HEAVY_WEAPONS_FIRE: "ViolenceHeavyWeaponsFire",
    IncidentType.SHOOTING: "ViolenceShooting",
    IncidentType.KIDNAPPING: "ViolenceKidnappingHostageTaking",
    IncidentType.ROBBERY: "ViolenceRobbery",
    IncidentType.MINES_EXPLOSIVES: "MinesExplosives",
    IncidentType.ARMED_CONFLICT: "ArmedConflict",
    IncidentType.OTHER: "Other",
}
