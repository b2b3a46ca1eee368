//! Loading and reading: every digit survives, and what cannot be stored says why.

use std::path::PathBuf;

use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::store::{FhirStore, LoadError, ReadError, ResourceError, StoreError};
use mcp_ext_healthcare::types::{CapabilitiesParams, ReadParams, SearchParams};

fn read(
    store: &FhirStore,
    reference: &str,
    parsed: bool,
) -> Result<mcp_ext_healthcare::types::ReadResult, ReadError> {
    let params = ReadParams {
        reference: reference.to_owned(),
        version_id: None,
        parsed,
    };
    store.read(&AccessScope::all(), &params)
}

/// The example resources of FHIR R4, where they are at hand.
fn examples(test: &str) -> Option<Vec<(String, String)>> {
    let dir =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/fhir-r4-examples");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        eprintln!("SKIPPED {test}: ../shared/data/fhir-r4-examples is not there");
        return None;
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        (
            path.file_name().unwrap().to_string_lossy().into_owned(),
            std::fs::read_to_string(&path).unwrap(),
        )
    };
    Some(files.into_iter().map(read).collect())
}

#[test]
fn every_example_loads_and_reads_back_as_it_was() {
    let Some(examples) = examples("every_example_loads_and_reads_back_as_it_was") else {
        return;
    };
    assert_eq!(examples.len(), 37);
    let store = FhirStore::in_memory().unwrap();
    for (name, text) in &examples {
        let text = text.trim_start_matches('\u{feff}');
        let reference = store
            .load_resource(&AccessScope::all(), text)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let result = read(&store, &reference, false).unwrap();
        assert_eq!(result.text, text.trim(), "{name}");
        assert!(result.resource.is_none() && !result.synthetic);
        assert_eq!(
            result.content_type,
            "application/fhir+json; fhirVersion=4.0"
        );
    }
    let types = store
        .capabilities(&AccessScope::all(), &CapabilitiesParams::default())
        .unwrap()
        .types;
    assert!(types.len() > 37);
}

#[test]
fn decimals_keep_every_digit() {
    let Some(examples) = examples("decimals_keep_every_digit") else {
        return;
    };
    let (_, text) = examples
        .iter()
        .find(|(name, _)| name == "observation-decimal.json")
        .unwrap();
    let store = FhirStore::in_memory().unwrap();
    let reference = store.load_resource(&AccessScope::all(), text).unwrap();
    let result = read(&store, &reference, true).unwrap();
    for digits in [
        "1.0,",
        "1.00,",
        "1E-22",
        "1000000000000000000,",
        "1.000000000000000000E-245",
        "-1.000000000000000000E+245",
    ] {
        let has = |text: &str| text.replace(char::is_whitespace, ",").contains(digits);
        assert!(has(&result.text) && has(text), "{digits}");
    }
    assert!(result.resource.is_some());
}

#[test]
fn the_parsed_object_is_given_only_when_asked_for() {
    let store =
        FhirStore::from_ndjson(&br#"{"resourceType":"Basic","id":"1","valueDecimal":1.00}"#[..])
            .unwrap();
    let plain = read(&store, "Basic/1", false).unwrap();
    assert!(plain.text.contains("1.00"));
    assert!(
        !serde_json::to_string(&plain)
            .unwrap()
            .contains("\"resource\"")
    );
    let parsed = read(&store, "Basic/1", true).unwrap();
    assert_eq!(
        parsed.resource.unwrap()["valueDecimal"].to_string(),
        "1.0",
        "lossy, as documented"
    );
    // Beyond a float: the text has it, and there is no object.
    let store =
        FhirStore::from_ndjson(&br#"{"resourceType":"Basic","id":"1","valueDecimal":1E+999}"#[..])
            .unwrap();
    let result = read(&store, "Basic/1", true).unwrap();
    assert!(result.text.contains("1E+999") && result.resource.is_none());
}

#[test]
fn versions_are_from_meta_or_one() {
    let store = FhirStore::from_ndjson(
        &br#"{"resourceType":"Basic","id":"a","meta":{"versionId":"7","lastUpdated":"2024-01-01T00:00:00Z"}}
{"resourceType":"Basic","id":"b"}"#[..],
    )
    .unwrap();
    let a = read(&store, "Basic/a", false).unwrap();
    assert_eq!(
        (a.version_id.as_str(), a.last_updated.as_deref()),
        ("7", Some("2024-01-01T00:00:00Z"))
    );
    let b = read(&store, "Basic/b", false).unwrap();
    assert_eq!((b.version_id.as_str(), b.last_updated), ("1", None));
    let version = |reference: &str, version: Option<&str>| {
        let params = ReadParams {
            reference: reference.to_owned(),
            version_id: version.map(str::to_owned),
            parsed: false,
        };
        store
            .read(&AccessScope::all(), &params)
            .map_err(|e| e.kind())
    };
    assert!(version("Basic/a", Some("7")).is_ok());
    assert!(version("Basic/a/_history/7", None).is_ok());
    assert!(version("Basic/a/_history/7", Some("7")).is_ok());
    assert_eq!(version("Basic/a", Some("6")), Err("not_found"));
    assert_eq!(
        version("Basic/a/_history/7", Some("6")),
        Err("invalid_version")
    );
    assert_eq!(version("Basic/a", Some("")), Err("invalid_version"));
    for reference in [
        "",
        "Basic",
        "Basic/",
        "/a",
        "basic/a",
        "Basic/a/b",
        "http://x/Basic/a",
        "Basic/a b",
        "Basic/a/_history",
        "Basic/a?x",
    ] {
        assert_eq!(
            version(reference, None),
            Err("invalid_reference"),
            "{reference}"
        );
    }
}

fn fails(text: &str) -> (usize, ResourceError) {
    let good = r#"{"resourceType":"Basic","id":"good"}"#;
    match FhirStore::from_ndjson(format!("{good}\n\n{text}\n").as_bytes()) {
        Err(LoadError::Resource { line, error }) => (line, error),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn what_cannot_be_stored_says_why_and_where() {
    let cases = [
        ("[]", ResourceError::Syntax),
        ("{", ResourceError::Syntax),
        (r#"{"id":"1"}"#, ResourceError::ResourceType),
        (
            r#"{"resourceType":"basic","id":"1"}"#,
            ResourceError::ResourceType,
        ),
        (
            r#"{"resourceType":7,"id":"1"}"#,
            ResourceError::ResourceType,
        ),
        (r#"{"resourceType":"Basic"}"#, ResourceError::Id),
        (r#"{"resourceType":"Basic","id":"a/b"}"#, ResourceError::Id),
        (
            r#"{"resourceType":"Basic","id":"1","meta":{"versionId":5}}"#,
            ResourceError::VersionId,
        ),
        (
            r#"{"resourceType":"Basic","id":"1","id":"2"}"#,
            ResourceError::DuplicateMember,
        ),
        (
            r#"{"resourceType":"Patient","id":"1","birthDate":"1974-13-01"}"#,
            ResourceError::Date { param: "birthdate" },
        ),
        (
            r#"{"resourceType":"Basic","id":"1","meta":{"lastUpdated":"now"}}"#,
            ResourceError::Date {
                param: "_lastUpdated",
            },
        ),
        (
            r#"{"resourceType":"Observation","id":"1","valueQuantity":{"value":1E9999999}}"#,
            ResourceError::Number {
                param: "combo-value-quantity",
            },
        ),
    ];
    for (text, error) in cases {
        assert_eq!(fails(text), (3, error), "{text}");
    }
    assert_eq!(
        fails(&format!(
            r#"{{"resourceType":"Basic","id":"1","x":{}{}}}"#,
            "[".repeat(80),
            "]".repeat(80)
        )),
        (3, ResourceError::TooDeep)
    );
    assert_eq!(
        fails(&format!(
            r#"{{"resourceType":"Basic","id":"1","x":"{}"}}"#,
            "x".repeat(1024 * 1024)
        )),
        (3, ResourceError::TooLarge)
    );
    let duplicate = "{\"resourceType\":\"Basic\",\"id\":\"1\"}\n".repeat(2);
    assert!(matches!(
        FhirStore::from_ndjson(duplicate.as_bytes()),
        Err(LoadError::Duplicate { line: 2 })
    ));
    assert!(matches!(
        FhirStore::from_ndjson(&b"\n\xff"[..]),
        Err(LoadError::NotUtf8 { line: 2 })
    ));
}

#[test]
fn a_load_is_all_or_nothing_and_replaces() {
    let all = AccessScope::all();
    let store = FhirStore::in_memory().unwrap();
    assert_eq!(store.load(&all, &b"\xef\xbb\xbf{\"resourceType\":\"Patient\",\"id\":\"1\",\"gender\":\"male\"}\r\n\r\n"[..]).unwrap(), 1);
    let bad = "{\"resourceType\":\"Patient\",\"id\":\"1\",\"gender\":\"female\"}\n{";
    assert!(store.load(&all, bad.as_bytes()).is_err());
    let with = |gender: &str| {
        let query: SearchParams = serde_json::from_value(serde_json::json!({"type": "Patient", "params": [{"name": "gender", "values": [gender]}]})).unwrap();
        store.search(&all, None, &query).unwrap().total.value
    };
    assert_eq!((with("male"), with("female")), (1, 0));
    assert_eq!(
        read(&store, "Patient/1", false).unwrap().text,
        r#"{"resourceType":"Patient","id":"1","gender":"male"}"#
    );
    store
        .load(&all, bad.lines().next().unwrap().as_bytes())
        .unwrap();
    assert_eq!(
        (with("male"), with("female")),
        (0, 1),
        "no row of the old one is left"
    );
}

#[test]
fn a_file_keeps_what_was_loaded() {
    let path = std::env::temp_dir().join(format!("mcp-ext-fhir-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&path);
    FhirStore::open(&path)
        .unwrap()
        .load_resource(
            &AccessScope::all(),
            r#"{"resourceType":"Patient","id":"1"}"#,
        )
        .unwrap();
    assert!(read(&FhirStore::open(&path).unwrap(), "Patient/1", false).is_ok());
    std::fs::write(&path, "not a database, but long enough to be taken for one").unwrap();
    assert!(matches!(
        FhirStore::open(&path),
        Err(StoreError::Database(_))
    ));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn test_data_is_said_to_be_test_data() {
    let all = AccessScope::all();
    let store = FhirStore::bundled().unwrap();
    let query: SearchParams =
        serde_json::from_value(serde_json::json!({"type": "Immunization"})).unwrap();
    assert!(store.search(&all, None, &query).unwrap().synthetic);
    let tagged = r#"{"resourceType":"Patient","id":"t","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HTEST"}]}}"#;
    store.load_resource(&all, tagged).unwrap();
    assert!(store.is_synthetic());
    store
        .load_resource(&all, r#"{"resourceType":"Patient","id":"real"}"#)
        .unwrap();
    assert!(!store.is_synthetic());
    assert!(!read(&store, "Patient/real", false).unwrap().synthetic);
    assert!(
        read(&store, "Patient/t", false).unwrap().synthetic,
        "its own tag says so"
    );
}

#[test]
fn bundled_resources_are_all_there_and_tagged() {
    let store = FhirStore::bundled().unwrap();
    let mut total = 0;
    for name in [
        "Patient",
        "Observation",
        "Condition",
        "Encounter",
        "MedicationRequest",
        "AllergyIntolerance",
        "DiagnosticReport",
    ] {
        let query = SearchParams {
            resource_type: name.to_owned(),
            ..SearchParams::default()
        };
        let page = store.search(&AccessScope::all(), None, &query).unwrap();
        assert!(page.total.value > 0 && page.synthetic, "{name}");
        assert!(
            page.matches.iter().all(|m| !m.title.starts_with(name)),
            "every one has a title of its own: {name}"
        );
        total += page.total.value;
    }
    assert_eq!(total, 327);
}

/// A model reads these: words for it, no code for us.
#[test]
fn schemas_hold_no_doctest_and_every_field_is_explained() {
    fn check(schema: &serde_json::Value, at: &str) {
        match schema {
            serde_json::Value::Object(members) => {
                if let Some(properties) = members.get("properties").and_then(|p| p.as_object()) {
                    for (name, property) in properties {
                        let told =
                            property.get("description").is_some() || property.get("$ref").is_some();
                        assert!(told, "{at}/{name}");
                    }
                }
                for (name, value) in members {
                    check(value, &format!("{at}/{name}"));
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| check(item, at)),
            serde_json::Value::String(text) => assert!(!text.contains("```"), "{at}: {text}"),
            _ => {}
        }
    }
    use mcp_ext_healthcare::types;
    for schema in [
        schemars::schema_for!(types::SearchParams),
        schemars::schema_for!(types::SearchResult),
        schemars::schema_for!(types::ReadParams),
        schemars::schema_for!(types::ReadResult),
        schemars::schema_for!(types::CapabilitiesParams),
        schemars::schema_for!(types::Capabilities),
    ] {
        check(schema.as_value(), "");
    }
}
