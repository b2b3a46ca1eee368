//! The search parameters of R4 that are indexed: name, kind, where the values are.
//!
//! All token, date, reference, string and quantity parameters that R4 4.0.1 defines for these types. `SampledData` is
//! not indexed by the quantity parameters that also name it.

use crate::types::ParamKind;

/// One search parameter of one resource type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Def {
    pub(crate) name: &'static str,
    pub(crate) kind: ParamKind,
    /// Paths from the resource; a step may filter, as in `telecom(system=email)`.
    pub(crate) paths: &'static [&'static str],
    /// Types a reference may point at; none: any.
    pub(crate) targets: &'static [&'static str],
    /// The code system of a `code` element, which carries none of its own.
    pub(crate) system: Option<&'static str>,
    pub(crate) rule: Rule,
}

/// What is particular about a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Nothing.
    Plain,
    /// Only references to the target type count: `subject.where(resolve() is Patient)`.
    OnlyTargets,
    /// A contact point: its `system` says phone or email, it is no code system.
    Contact,
    /// Patient.deceased: true unless absent or false.
    Deceased,
    /// Compared by how a name sounds.
    Phonetic,
    /// A canonical URL, perhaps with a version.
    Canonical,
    /// `_id`.
    Id,
}

const fn def(name: &'static str, kind: ParamKind, paths: &'static [&'static str]) -> Def {
    Def {
        name,
        kind,
        paths,
        targets: &[],
        system: None,
        rule: Rule::Plain,
    }
}

const fn token(name: &'static str, paths: &'static [&'static str]) -> Def {
    def(name, ParamKind::Token, paths)
}

const fn date(name: &'static str, paths: &'static [&'static str]) -> Def {
    def(name, ParamKind::Date, paths)
}

const fn reference(name: &'static str, paths: &'static [&'static str]) -> Def {
    def(name, ParamKind::Reference, paths)
}

const fn string(name: &'static str, paths: &'static [&'static str]) -> Def {
    def(name, ParamKind::String, paths)
}

const fn quantity(name: &'static str, paths: &'static [&'static str]) -> Def {
    def(name, ParamKind::Quantity, paths)
}

impl Def {
    const fn of_system(mut self, system: &'static str) -> Self {
        self.system = Some(system);
        self
    }

    const fn to(mut self, targets: &'static [&'static str]) -> Self {
        self.targets = targets;
        self
    }

    const fn only_those(self) -> Self {
        self.rule(Rule::OnlyTargets)
    }

    const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// The modifiers it takes, apart from types on references.
    pub(crate) fn modifiers(&self) -> &'static [&'static str] {
        match (self.kind, self.rule) {
            (_, Rule::Id) => &["not"],
            (ParamKind::Token, _) => &["not", "missing"],
            (ParamKind::String, Rule::Phonetic) => &["missing"],
            (ParamKind::String, _) => &["exact", "contains", "missing"],
            _ => &["missing"],
        }
    }

    /// The comparators its values may start with.
    pub(crate) fn comparators(&self) -> &'static [&'static str] {
        match self.kind {
            ParamKind::Date | ParamKind::Quantity => {
                &["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
            }
            _ => &[],
        }
    }

    /// Whether results can be sorted by it.
    pub(crate) fn sortable(&self) -> bool {
        self.kind != ParamKind::Reference && self.rule != Rule::Phonetic
    }
}

/// The parameters every type has.
pub(crate) static COMMON: &[Def] = &[
    token("_id", &["id"]).rule(Rule::Id),
    date("_lastUpdated", &["meta.lastUpdated"]),
];

/// The searchable types.
pub(crate) static TYPES: &[(&str, &[Def])] = &[
    ("AllergyIntolerance", ALLERGY_INTOLERANCE),
    ("Condition", CONDITION),
    ("DiagnosticReport", DIAGNOSTIC_REPORT),
    ("Encounter", ENCOUNTER),
    ("Immunization", IMMUNIZATION),
    ("MedicationRequest", MEDICATION_REQUEST),
    ("Observation", OBSERVATION),
    ("Patient", PATIENT),
    ("Procedure", PROCEDURE),
];

/// The parameters of a type, without those every type has.
pub(crate) fn of_type(resource_type: &str) -> Option<&'static [Def]> {
    TYPES
        .iter()
        .find(|(name, _)| *name == resource_type)
        .map(|(_, defs)| *defs)
}

static PATIENT: &[Def] = &[
    token("active", &["active"]),
    string("address", &["address"]),
    string("address-city", &["address.city"]),
    string("address-country", &["address.country"]),
    string("address-postalcode", &["address.postalCode"]),
    string("address-state", &["address.state"]),
    token("address-use", &["address.use"]).of_system("http://hl7.org/fhir/address-use"),
    date("birthdate", &["birthDate"]),
    date("death-date", &["deceasedDateTime"]),
    token("deceased", &["deceasedBoolean", "deceasedDateTime"]).rule(Rule::Deceased),
    token("email", &["telecom(system=email)"]).rule(Rule::Contact),
    string("family", &["name.family"]),
    token("gender", &["gender"]).of_system("http://hl7.org/fhir/administrative-gender"),
    reference("general-practitioner", &["generalPractitioner"]).to(&[
        "Practitioner",
        "Organization",
        "PractitionerRole",
    ]),
    string("given", &["name.given"]),
    token("identifier", &["identifier"]),
    token("language", &["communication.language"]),
    reference("link", &["link.other"]).to(&["Patient", "RelatedPerson"]),
    string("name", &["name"]),
    reference("organization", &["managingOrganization"]).to(&["Organization"]),
    token("phone", &["telecom(system=phone)"]).rule(Rule::Contact),
    string("phonetic", &["name"]).rule(Rule::Phonetic),
    token("telecom", &["telecom"]).rule(Rule::Contact),
];

static OBSERVATION: &[Def] = &[
    reference("based-on", &["basedOn"]).to(&[
        "CarePlan",
        "MedicationRequest",
        "NutritionOrder",
        "DeviceRequest",
        "ServiceRequest",
        "ImmunizationRecommendation",
    ]),
    token("category", &["category"]),
    token("code", &["code"]),
    token("combo-code", &["code", "component.code"]),
    token(
        "combo-data-absent-reason",
        &["dataAbsentReason", "component.dataAbsentReason"],
    ),
    token(
        "combo-value-concept",
        &["valueCodeableConcept", "component.valueCodeableConcept"],
    ),
    quantity(
        "combo-value-quantity",
        &["valueQuantity", "component.valueQuantity"],
    ),
    token("component-code", &["component.code"]),
    token(
        "component-data-absent-reason",
        &["component.dataAbsentReason"],
    ),
    token(
        "component-value-concept",
        &["component.valueCodeableConcept"],
    ),
    quantity("component-value-quantity", &["component.valueQuantity"]),
    token("data-absent-reason", &["dataAbsentReason"]),
    date(
        "date",
        &[
            "effectiveDateTime",
            "effectivePeriod",
            "effectiveTiming",
            "effectiveInstant",
        ],
    ),
    reference("derived-from", &["derivedFrom"]).to(&[
        "Media",
        "Observation",
        "ImagingStudy",
        "MolecularSequence",
        "QuestionnaireResponse",
        "DocumentReference",
    ]),
    reference("device", &["device"]).to(&["Device", "DeviceMetric"]),
    reference("encounter", &["encounter"]).to(&["Encounter", "EpisodeOfCare"]),
    reference("focus", &["focus"]),
    reference("has-member", &["hasMember"]).to(&[
        "Observation",
        "MolecularSequence",
        "QuestionnaireResponse",
    ]),
    token("identifier", &["identifier"]),
    token("method", &["method"]),
    reference("part-of", &["partOf"]).to(&[
        "Immunization",
        "MedicationDispense",
        "MedicationAdministration",
        "Procedure",
        "ImagingStudy",
        "MedicationStatement",
    ]),
    reference("patient", &["subject"])
        .to(&["Patient"])
        .only_those(),
    reference("performer", &["performer"]).to(&[
        "Practitioner",
        "Organization",
        "CareTeam",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    reference("specimen", &["specimen"]).to(&["Specimen"]),
    token("status", &["status"]).of_system("http://hl7.org/fhir/observation-status"),
    reference("subject", &["subject"]).to(&["Group", "Device", "Patient", "Location"]),
    token("value-concept", &["valueCodeableConcept"]),
    date("value-date", &["valueDateTime", "valuePeriod"]),
    quantity("value-quantity", &["valueQuantity"]),
    string(
        "value-string",
        &["valueString", "valueCodeableConcept.text"],
    ),
];

static CONDITION: &[Def] = &[
    quantity("abatement-age", &["abatementAge", "abatementRange"]),
    date("abatement-date", &["abatementDateTime", "abatementPeriod"]),
    string("abatement-string", &["abatementString"]),
    reference("asserter", &["asserter"]).to(&[
        "Practitioner",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("body-site", &["bodySite"]),
    token("category", &["category"]),
    token("clinical-status", &["clinicalStatus"]),
    token("code", &["code"]),
    reference("encounter", &["encounter"]).to(&["Encounter"]),
    token("evidence", &["evidence.code"]),
    reference("evidence-detail", &["evidence.detail"]),
    token("identifier", &["identifier"]),
    quantity("onset-age", &["onsetAge", "onsetRange"]),
    date("onset-date", &["onsetDateTime", "onsetPeriod"]),
    string("onset-info", &["onsetString"]),
    reference("patient", &["subject"])
        .to(&["Patient"])
        .only_those(),
    date("recorded-date", &["recordedDate"]),
    token("severity", &["severity"]),
    token("stage", &["stage.summary"]),
    reference("subject", &["subject"]).to(&["Group", "Patient"]),
    token("verification-status", &["verificationStatus"]),
];

static ENCOUNTER: &[Def] = &[
    reference("account", &["account"]).to(&["Account"]),
    reference("appointment", &["appointment"]).to(&["Appointment"]),
    reference("based-on", &["basedOn"]).to(&["ServiceRequest"]),
    token("class", &["class"]),
    date("date", &["period"]),
    reference("diagnosis", &["diagnosis.condition"]).to(&["Condition", "Procedure"]),
    reference("episode-of-care", &["episodeOfCare"]).to(&["EpisodeOfCare"]),
    token("identifier", &["identifier"]),
    quantity("length", &["length"]),
    reference("location", &["location.location"]).to(&["Location"]),
    date("location-period", &["location.period"]),
    reference("part-of", &["partOf"]).to(&["Encounter"]),
    reference("participant", &["participant.individual"]).to(&[
        "Practitioner",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("participant-type", &["participant.type"]),
    reference("patient", &["subject"])
        .to(&["Patient"])
        .only_those(),
    reference("practitioner", &["participant.individual"])
        .to(&["Practitioner"])
        .only_those(),
    token("reason-code", &["reasonCode"]),
    reference("reason-reference", &["reasonReference"]).to(&[
        "Condition",
        "Observation",
        "Procedure",
        "ImmunizationRecommendation",
    ]),
    reference("service-provider", &["serviceProvider"]).to(&["Organization"]),
    token(
        "special-arrangement",
        &["hospitalization.specialArrangement"],
    ),
    token("status", &["status"]).of_system("http://hl7.org/fhir/encounter-status"),
    reference("subject", &["subject"]).to(&["Group", "Patient"]),
    token("type", &["type"]),
];

static MEDICATION_REQUEST: &[Def] = &[
    date("authoredon", &["authoredOn"]),
    token("category", &["category"]),
    token("code", &["medicationCodeableConcept"]),
    date("date", &["dosageInstruction.timing.event"]),
    reference("encounter", &["encounter"]).to(&["Encounter"]),
    token("identifier", &["identifier"]),
    reference("intended-dispenser", &["dispenseRequest.performer"]).to(&["Organization"]),
    reference("intended-performer", &["performer"]).to(&[
        "Practitioner",
        "Organization",
        "CareTeam",
        "Device",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("intended-performertype", &["performerType"]),
    token("intent", &["intent"])
        .of_system("http://hl7.org/fhir/CodeSystem/medicationrequest-intent"),
    reference("medication", &["medicationReference"]).to(&["Medication"]),
    reference("patient", &["subject"])
        .to(&["Patient"])
        .only_those(),
    token("priority", &["priority"]).of_system("http://hl7.org/fhir/request-priority"),
    reference("requester", &["requester"]).to(&[
        "Practitioner",
        "Organization",
        "Device",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("status", &["status"])
        .of_system("http://hl7.org/fhir/CodeSystem/medicationrequest-status"),
    reference("subject", &["subject"]).to(&["Group", "Patient"]),
];

static ALLERGY_INTOLERANCE: &[Def] = &[
    reference("asserter", &["asserter"]).to(&[
        "Practitioner",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("category", &["category"]).of_system("http://hl7.org/fhir/allergy-intolerance-category"),
    token("clinical-status", &["clinicalStatus"]),
    token("code", &["code", "reaction.substance"]),
    token("criticality", &["criticality"])
        .of_system("http://hl7.org/fhir/allergy-intolerance-criticality"),
    date("date", &["recordedDate"]),
    token("identifier", &["identifier"]),
    date("last-date", &["lastOccurrence"]),
    token("manifestation", &["reaction.manifestation"]),
    date("onset", &["reaction.onset"]),
    reference("patient", &["patient"]).to(&["Patient"]),
    reference("recorder", &["recorder"]).to(&[
        "Practitioner",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("route", &["reaction.exposureRoute"]),
    token("severity", &["reaction.severity"])
        .of_system("http://hl7.org/fhir/reaction-event-severity"),
    token("type", &["type"]).of_system("http://hl7.org/fhir/allergy-intolerance-type"),
    token("verification-status", &["verificationStatus"]),
];

static IMMUNIZATION: &[Def] = &[
    date("date", &["occurrenceDateTime"]),
    token("identifier", &["identifier"]),
    reference("location", &["location"]).to(&["Location"]),
    string("lot-number", &["lotNumber"]),
    reference("manufacturer", &["manufacturer"]).to(&["Organization"]),
    reference("patient", &["patient"]).to(&["Patient"]),
    reference("performer", &["performer.actor"]).to(&[
        "Practitioner",
        "Organization",
        "PractitionerRole",
    ]),
    reference("reaction", &["reaction.detail"]).to(&["Observation"]),
    date("reaction-date", &["reaction.date"]),
    token("reason-code", &["reasonCode"]),
    reference("reason-reference", &["reasonReference"]).to(&[
        "Condition",
        "Observation",
        "DiagnosticReport",
    ]),
    string("series", &["protocolApplied.series"]),
    token("status", &["status"]).of_system("http://hl7.org/fhir/event-status"),
    token("status-reason", &["statusReason"]),
    token("target-disease", &["protocolApplied.targetDisease"]),
    token("vaccine-code", &["vaccineCode"]),
];

static PROCEDURE: &[Def] = &[
    reference("based-on", &["basedOn"]).to(&["CarePlan", "ServiceRequest"]),
    token("category", &["category"]),
    token("code", &["code"]),
    date("date", &["performedDateTime", "performedPeriod"]),
    reference("encounter", &["encounter"]).to(&["Encounter", "EpisodeOfCare"]),
    token("identifier", &["identifier"]),
    reference("instantiates-canonical", &["instantiatesCanonical"])
        .to(&[
            "Questionnaire",
            "Measure",
            "PlanDefinition",
            "OperationDefinition",
            "ActivityDefinition",
        ])
        .rule(Rule::Canonical),
    reference("location", &["location"]).to(&["Location"]),
    reference("part-of", &["partOf"]).to(&["Observation", "Procedure", "MedicationAdministration"]),
    reference("patient", &["subject"])
        .to(&["Patient"])
        .only_those(),
    reference("performer", &["performer.actor"]).to(&[
        "Practitioner",
        "Organization",
        "Device",
        "Patient",
        "PractitionerRole",
        "RelatedPerson",
    ]),
    token("reason-code", &["reasonCode"]),
    reference("reason-reference", &["reasonReference"]).to(&[
        "Condition",
        "Observation",
        "Procedure",
        "DiagnosticReport",
        "DocumentReference",
    ]),
    token("status", &["status"]).of_system("http://hl7.org/fhir/event-status"),
    reference("subject", &["subject"]).to(&["Group", "Patient"]),
];

static DIAGNOSTIC_REPORT: &[Def] = &[
    reference("based-on", &["basedOn"]).to(&[
        "CarePlan",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "ImmunizationRecommendation",
    ]),
    token("category", &["category"]),
    token("code", &["code"]),
    token("conclusion", &["conclusionCode"]),
    date("date", &["effectiveDateTime", "effectivePeriod"]),
    reference("encounter", &["encounter"]).to(&["Encounter", "EpisodeOfCare"]),
    token("identifier", &["identifier"]),
    date("issued", &["issued"]),
    reference("media", &["media.link"]).to(&["Media"]),
    reference("patient", &["subject"])
        .to(&["Patient"])
        .only_those(),
    reference("performer", &["performer"]).to(&[
        "Practitioner",
        "Organization",
        "CareTeam",
        "PractitionerRole",
    ]),
    reference("result", &["result"]).to(&["Observation"]),
    reference("results-interpreter", &["resultsInterpreter"]).to(&[
        "Practitioner",
        "Organization",
        "CareTeam",
        "PractitionerRole",
    ]),
    reference("specimen", &["specimen"]).to(&["Specimen"]),
    token("status", &["status"]).of_system("http://hl7.org/fhir/diagnostic-report-status"),
    reference("subject", &["subject"]).to(&["Group", "Device", "Patient", "Location"]),
];
