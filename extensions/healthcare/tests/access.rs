//! No query, sort, cursor, total or error text lets a scoped caller see another patient's resources.

use std::collections::BTreeMap;

use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::store::{FhirStore, LoadError, ReadError};
use mcp_ext_healthcare::types::{
    CapabilitiesParams, PageSize, ReadParams, SearchParam, SearchParams,
};

/// Stands in every text, code, date and number of the other patient's resources, and nowhere else.
const MARKER: &str = "zqmarker";

/// The resources of one patient, with `mark` in every place that is searched by.
fn resources_of(patient: &str, mark: &str, date: &str, number: &str) -> Vec<String> {
    let subject =
        format!(r#""subject": {{"reference": "Patient/{patient}", "display": "{mark}"}}"#);
    let code = format!(
        r#""code": {{"coding": [{{"system": "http://{mark}.example", "code": "{mark}"}}], "text": "{mark}"}}"#
    );
    vec![
        format!(
            r#"{{"resourceType": "Patient", "id": "{patient}", "birthDate": "{date}", "name": [{{"family": "{mark}", "given": ["{mark}"]}}],
                "identifier": [{{"system": "http://{mark}.example", "value": "{mark}"}}], "telecom": [{{"system": "email", "value": "{mark}"}}],
                "link": [{{"other": {{"reference": "Patient/shared"}}, "type": "seealso"}}]}}"#
        ),
        format!(
            r#"{{"resourceType": "Observation", "id": "o-{patient}", "meta": {{"versionId": "{mark}", "lastUpdated": "{date}T00:00:00Z"}}, "status": "final",
                {code}, {subject}, "effectiveDateTime": "{date}", "valueQuantity": {{"value": {number}, "unit": "{mark}"}},
                "performer": [{{"reference": "Patient/shared"}}]}}"#
        ),
        format!(
            r#"{{"resourceType": "Condition", "id": "c-{patient}", {code}, {subject}, "onsetDateTime": "{date}", "abatementString": "{mark}"}}"#
        ),
        format!(
            r#"{{"resourceType": "AllergyIntolerance", "id": "a-{patient}", {code}, "patient": {{"reference": "Patient/{patient}"}}, "recordedDate": "{date}"}}"#
        ),
        format!(
            r#"{{"resourceType": "Coverage", "id": "v-{patient}", "beneficiary": {{"reference": "Patient/{patient}"}}, "subscriberId": "{mark}"}}"#
        ),
    ]
}

/// Resources that are nobody's, or whose owner cannot be told for certain. A scoped caller sees none of them.
fn ownerless() -> Vec<String> {
    let observation = |id: &str, subject: &str| {
        format!(
            r#"{{"resourceType": "Observation", "id": "{id}", "status": "final", "code": {{"text": "{MARKER}"}}, "valueString": "{MARKER}" {subject}}}"#
        )
    };
    vec![
        observation("n-none", ""),
        observation(
            "n-url",
            r#", "subject": {"reference": "http://elsewhere.example/fhir/Patient/mine"}"#,
        ),
        observation(
            "n-urn",
            r#", "subject": {"reference": "urn:uuid:6f2a1d3e-9c47-5b8a-a1f0-2d4e6c8b0a17"}"#,
        ),
        observation("n-name", r#", "subject": {"display": "mine"}"#),
        observation("n-inside", r##", "subject": {"reference": "#mine"}"##),
        observation("n-group", r#", "subject": {"reference": "Group/mine"}"#),
        observation(
            "n-two",
            r#", "subject": [{"reference": "Patient/mine"}, {"reference": "Patient/other"}]"#,
        ),
        observation(
            "n-mixed",
            r#", "subject": {"reference": "Patient/mine"}, "patient": {"reference": "Patient/other"}"#,
        ),
        observation(
            "n-unsure",
            r#", "subject": {"reference": "Patient/mine"}, "patient": {"display": "someone"}"#,
        ),
        observation(
            "n-performer",
            r#", "subject": {"reference": "Patient/other"}, "performer": [{"reference": "Patient/mine"}]"#,
        ),
        format!(
            r#"{{"resourceType": "Practitioner", "id": "n-doctor", "name": [{{"family": "{MARKER}"}}]}}"#
        ),
        format!(
            r#"{{"resourceType": "Bundle", "id": "n-bundle", "type": "collection", "entry": [{{"resource": {{"resourceType": "Patient", "id": "{MARKER}"}}}}]}}"#
        ),
    ]
}

fn mine() -> Vec<String> {
    resources_of("mine", "plain", "2020-01-01", "10")
}

fn store(with_others: bool) -> FhirStore {
    let mut resources = mine();
    if with_others {
        resources.extend(resources_of("other", MARKER, "2019-05-05", "99"));
        resources.extend(resources_of("aaa", MARKER, "2021-05-05", "1"));
        resources.extend(ownerless());
    }
    let store = FhirStore::in_memory().unwrap();
    for text in &resources {
        store
            .load_resource(&AccessScope::all(), text)
            .unwrap_or_else(|e| panic!("{e}: {text}"));
    }
    store
}

/// Queries with every parameter, modifier, comparator and sort, on values of mine, of others and of nobody.
fn queries() -> Vec<SearchParams> {
    let catalogue = FhirStore::in_memory().unwrap();
    let all = AccessScope::all();
    let types = catalogue
        .capabilities(&all, &CapabilitiesParams::default())
        .unwrap()
        .types;
    let mut queries = Vec::new();
    for name in types.into_iter().map(|t| t.resource_type) {
        let params = CapabilitiesParams {
            resource_type: Some(name.clone()),
        };
        let detailed = catalogue
            .capabilities(&all, &params)
            .unwrap()
            .types
            .remove(0);
        let query = |params: Vec<SearchParam>, sort: &[String]| SearchParams {
            resource_type: name.clone(),
            params,
            sort: sort.to_vec(),
            count: PageSize::new(1),
            cursor: None,
        };
        queries.push(query(vec![], &[]));
        for param in detailed.search_params {
            for descending in ["", "-"] {
                queries.push(query(vec![], &[format!("{descending}{}", param.name)]));
            }
            let modifiers = param
                .modifiers
                .iter()
                .map(|m| Some(m.clone()))
                .chain([None]);
            for modifier in modifiers {
                let mut values: Vec<String> = [
                    MARKER,
                    "plain",
                    "zq",
                    "o-other",
                    "n-none",
                    "other",
                    "Patient/other",
                    "Patient/mine",
                    "|zqmarker",
                    "http://zqmarker.example|",
                    "true",
                    "false",
                    "2019",
                    "2019-05-05",
                    "99",
                    "1",
                    "http://elsewhere.example/fhir/Patient/mine",
                ]
                .map(str::to_owned)
                .to_vec();
                for comparator in &param.comparators {
                    values.extend(
                        ["2019-06", "2020-01-01", "50", "99||zqmarker"]
                            .map(|v| format!("{comparator}{v}")),
                    );
                }
                for value in values {
                    let one = SearchParam {
                        name: param.name.clone(),
                        modifier: modifier.clone(),
                        values: vec![value],
                    };
                    queries.push(query(vec![one], &["-_lastUpdated".to_owned()]));
                }
            }
        }
    }
    queries
}

/// Everything a caller gets to see from walking a query: results of each page, or the error.
fn seen(
    store: &FhirStore,
    scope: &AccessScope,
    query: &SearchParams,
) -> (Vec<String>, Vec<String>) {
    let mut pages = Vec::new();
    let mut cursors = Vec::new();
    let mut page = query.clone();
    loop {
        match store.search(scope, Some("me"), &page) {
            Err(error) => {
                pages.push(format!("{error} {error:?}"));
                return (pages, cursors);
            }
            Ok(mut result) => {
                let cursor = result.next_cursor.take();
                // What the caller wrote is not a leak.
                result.applied.clear();
                pages.push(serde_json::to_string(&result).unwrap());
                match cursor {
                    None => return (pages, cursors),
                    Some(cursor) => {
                        cursors.push(cursor.clone());
                        page.cursor = Some(cursor);
                    }
                }
            }
        }
    }
}

#[test]
fn a_scoped_caller_cannot_tell_that_others_exist() {
    let (alone, together) = (store(false), store(true));
    let scope = AccessScope::patient("mine").unwrap();
    let mut matched = BTreeMap::new();
    for query in queries() {
        let (without, _) = seen(&alone, &scope, &query);
        let (with, cursors) = seen(&together, &scope, &query);
        // Same pages, same totals, same errors, in the same order: the other patients might as well not exist.
        assert_eq!(without, with, "{query:?}");
        for text in with.iter().chain(&cursors) {
            assert!(!text.contains(MARKER), "{text}\n{query:?}");
        }
        *matched.entry(query.resource_type).or_insert(0) += with
            .iter()
            .filter(|page| page.contains("/mine") || page.contains("-mine"))
            .count();
    }
    for name in ["Patient", "Observation", "Condition", "AllergyIntolerance"] {
        assert!(
            matched[name] > 10,
            "the queries find what is mine: {matched:?}"
        );
    }
}

#[test]
fn the_marker_is_there_to_be_found() {
    let store = store(true);
    let mut found = 0;
    for query in queries() {
        let (pages, _) = seen(&store, &AccessScope::all(), &query);
        found += pages.iter().filter(|page| page.contains(MARKER)).count();
    }
    assert!(found > 200, "{found}");
}

#[test]
fn reading_a_foreign_resource_is_reading_a_missing_one() {
    let (alone, together) = (store(false), store(true));
    let scope = AccessScope::patient("mine").unwrap();
    let mut references: Vec<String> = [
        "Patient/other",
        "Observation/o-other",
        "Condition/c-other",
        "Coverage/v-other",
        "AllergyIntolerance/a-aaa",
        "Practitioner/n-doctor",
        "Bundle/n-bundle",
        "Patient/nobody",
        "Observation/o-other/_history/1",
        "Observation/o-other/_history/zqmarker",
    ]
    .map(str::to_owned)
    .to_vec();
    for id in [
        "none",
        "url",
        "urn",
        "name",
        "inside",
        "group",
        "two",
        "mixed",
        "unsure",
        "performer",
    ] {
        references.push(format!("Observation/n-{id}"));
    }
    for reference in references {
        let params = ReadParams {
            reference: reference.clone(),
            ..ReadParams::default()
        };
        let missing = alone.read(&scope, &params).unwrap_err();
        let foreign = together.read(&scope, &params).unwrap_err();
        assert!(matches!(foreign, ReadError::NotFound { .. }), "{reference}");
        assert_eq!(
            format!("{missing} {missing:?}"),
            format!("{foreign} {foreign:?}")
        );
        let readable = !reference.contains("nobody") && !reference.ends_with("/1");
        assert_eq!(
            together.read(&AccessScope::all(), &params).is_ok(),
            readable,
            "{reference}"
        );
    }
    for reference in [
        "Patient/mine",
        "Observation/o-mine",
        "Coverage/v-mine",
        "AllergyIntolerance/a-mine",
        "Observation/o-mine/_history/plain",
    ] {
        let params = ReadParams {
            reference: reference.to_owned(),
            ..ReadParams::default()
        };
        assert!(together.read(&scope, &params).is_ok(), "{reference}");
    }
}

#[test]
fn capabilities_do_not_tell_what_is_stored_for_others() {
    let scope = AccessScope::patient("mine").unwrap();
    let types = |store: FhirStore| {
        store
            .capabilities(&scope, &CapabilitiesParams::default())
            .unwrap()
    };
    assert_eq!(types(store(false)), types(store(true)));
}

#[test]
fn types_outside_the_scope_are_as_if_empty() {
    let store = store(true);
    let scope = AccessScope::patient("mine")
        .unwrap()
        .restricted_to(["Observation"])
        .unwrap();
    let search = |resource_type: &str| {
        let params = SearchParams {
            resource_type: resource_type.to_owned(),
            ..SearchParams::default()
        };
        store.search(&scope, None, &params).unwrap().total.value
    };
    assert_eq!(
        (
            search("Observation"),
            search("Condition"),
            search("Patient")
        ),
        (1, 0, 0)
    );
    let params = ReadParams {
        reference: "Patient/mine".to_owned(),
        ..ReadParams::default()
    };
    assert!(matches!(
        store.read(&scope, &params),
        Err(ReadError::NotFound { .. })
    ));
    let types = store
        .capabilities(&scope, &CapabilitiesParams::default())
        .unwrap()
        .types;
    assert_eq!(types.len(), 1);
    assert!(matches!(
        store.load(&scope, &b""[..]),
        Err(LoadError::Scope)
    ));
    assert!(matches!(
        store.load_resource(&scope, &mine()[0]),
        Err(LoadError::Scope)
    ));
    let nobody = AccessScope::none();
    assert_eq!(nobody, AccessScope::patients([]).unwrap());
    let params = SearchParams {
        resource_type: "Patient".to_owned(),
        ..SearchParams::default()
    };
    assert_eq!(store.search(&nobody, None, &params).unwrap().total.value, 0);
}
