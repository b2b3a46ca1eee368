//! Whatever arrives is answered or refused; nothing panics.

use std::sync::OnceLock;

use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::search::SearchError;
use mcp_ext_healthcare::store::{FhirStore, LoadError, ReadError};
use mcp_ext_healthcare::types::{
    CapabilitiesParams, PageSize, ReadParams, SearchParam, SearchParams,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn bundled() -> &'static FhirStore {
    static STORE: OnceLock<FhirStore> = OnceLock::new();
    STORE.get_or_init(|| FhirStore::bundled().unwrap())
}

/// Text of any kind, or of the kind that gets far.
fn text() -> impl Strategy<Value = String> {
    let near = proptest::sample::select(vec![
        "Patient",
        "Observation",
        "code",
        "date",
        "value-quantity",
        "name",
        "subject",
        "_id",
        "-date",
        "missing",
        "not",
        "exact",
        "true",
        "ge2024",
        "2024-02-30",
        "9999-12-31T23:59:60.9999999+14:00",
        "0001-01-01T00:00:00-14:00",
        "1e999999",
        "-0.0e-999999",
        "5||",
        "|",
        "||",
        r"\",
        r"\,",
        "Patient/1",
        "urn:x",
        "http://",
        "#",
        "'; DROP TABLE resource; --",
        "%",
        "\u{0}",
        "ﬃ",
        "\u{301}",
    ]);
    prop_oneof![3 => near.prop_map(str::to_owned), 1 => ".{0,40}", 1 => vec(any::<char>(), 0..40).prop_map(|c| c.into_iter().collect())]
}

fn param() -> impl Strategy<Value = SearchParam> {
    (text(), option::of(text()), vec(text(), 0..4)).prop_map(|(name, modifier, values)| {
        SearchParam {
            name,
            modifier,
            values,
        }
    })
}

fn search() -> impl Strategy<Value = SearchParams> {
    (
        text(),
        vec(param(), 0..4),
        vec(text(), 0..3),
        option::of(0..=100_u32),
        option::of(text()),
    )
        .prop_map(
            |(resource_type, params, sort, count, cursor)| SearchParams {
                resource_type,
                params,
                sort,
                count: count.and_then(PageSize::new),
                cursor,
            },
        )
}

/// JSON of any shape, often that of a resource.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    let name = proptest::sample::select(vec![
        "reference",
        "coding",
        "code",
        "system",
        "value",
        "subject",
        "patient",
        "name",
        "given",
        "family",
        "start",
        "end",
        "event",
        "repeat",
        "boundsPeriod",
        "low",
        "high",
        "valueQuantity",
        "valueDateTime",
        "effectiveTiming",
        "effectivePeriod",
        "telecom",
        "component",
        "meta",
        "security",
        "versionId",
        "birthDate",
        "deceasedBoolean",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((name.clone(), inner), 0..6).prop_map(|members| {
                serde_json::Value::Object(
                    members
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_search_is_answered_or_refused(query in search(), scoped in any::<bool>(), principal in option::of(text())) {
        let scope = if scoped { AccessScope::patient("x").unwrap() } else { AccessScope::all() };
        match bundled().search(&scope, principal.as_deref(), &query) {
            Ok(page) => prop_assert!(serde_json::to_vec(&page).unwrap().len() <= 24 * 1024),
            Err(SearchError::Store(error)) => panic!("{error:?} {query:?}"),
            Err(error) => prop_assert!(error.to_string().len() < 1000, "{}", error),
        }
    }

    #[test]
    fn any_read_is_answered_or_refused(reference in text(), version_id in option::of(text()), parsed in any::<bool>()) {
        let result = bundled().read(&AccessScope::all(), &ReadParams { reference, version_id, parsed });
        prop_assert!(!matches!(result, Err(ReadError::Store(_))), "{:?}", result);
    }

    #[test]
    fn any_capabilities_are_answered_or_refused(resource_type in option::of(text())) {
        let result = bundled().capabilities(&AccessScope::all(), &CapabilitiesParams { resource_type });
        prop_assert!(!matches!(result, Err(SearchError::Store(_))), "{:?}", result);
    }

    #[test]
    fn any_resource_is_stored_as_it_is_or_refused(mut json in json(), kind in 0..9_usize) {
        let kinds = ["Patient", "Observation", "Condition", "Encounter", "MedicationRequest", "AllergyIntolerance", "Immunization", "Procedure", "DiagnosticReport"];
        if let Some(members) = json.as_object_mut() {
            members.insert("resourceType".to_owned(), kinds[kind].into());
            members.insert("id".to_owned(), "1".into());
        }
        let text = json.to_string();
        let store = FhirStore::in_memory().unwrap();
        match store.load_resource(&AccessScope::all(), &text) {
            Ok(reference) => {
                let params = ReadParams { reference, ..ReadParams::default() };
                prop_assert_eq!(store.read(&AccessScope::all(), &params).unwrap().text, text);
            }
            Err(LoadError::Resource { .. }) => {}
            Err(other) => panic!("{other:?} {text}"),
        }
    }

    #[test]
    fn any_bytes_are_loaded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let result = FhirStore::from_ndjson(&bytes[..]);
        prop_assert!(!matches!(result, Err(LoadError::Store(_))));
    }
}

#[test]
fn a_store_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<FhirStore>();
    let total = || {
        let query = SearchParams {
            resource_type: "Observation".to_owned(),
            ..SearchParams::default()
        };
        bundled()
            .search(&AccessScope::all(), None, &query)
            .unwrap()
            .total
            .value
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(total)).collect();
        assert!(
            threads
                .into_iter()
                .all(|thread| thread.join().unwrap() == 208)
        );
    });
}

#[test]
fn req_25_work_whose_caller_is_gone_does_not_begin_and_does_not_go_on() {
    use mcp_ext_healthcare::search::SearchError;
    use mcp_ext_healthcare::store::Stop;

    let store = FhirStore::bundled().unwrap();
    let query: SearchParams = serde_json::from_str(r#"{"type": "Observation"}"#).unwrap();
    let stop = Stop::default();
    assert!(
        store
            .search_until(&stop, &AccessScope::all(), None, &query)
            .is_ok()
    );
    stop.stop();
    let stopped = store.search_until(&stop, &AccessScope::all(), None, &query);
    assert!(
        matches!(stopped, Err(SearchError::TooCostly)),
        "{stopped:?}"
    );
    // The store itself goes on.
    assert!(store.search(&AccessScope::all(), None, &query).is_ok());
}
