//! Known answers: what FHIR search means, and what is refused.

use mcp_ext_healthcare::cursor::{CursorError, CursorKey};
use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::search::SearchError;
use mcp_ext_healthcare::store::FhirStore;
use mcp_ext_healthcare::types::{
    CapabilitiesParams, PageSize, SearchParam, SearchParams, SearchResult,
};

fn store(lines: &[&str]) -> FhirStore {
    FhirStore::from_ndjson(lines.join("\n").as_bytes()).unwrap()
}

fn params(resource_type: &str, conditions: &[(&str, &str)]) -> SearchParams {
    SearchParams {
        resource_type: resource_type.to_owned(),
        params: conditions
            .iter()
            .map(|(name, value)| {
                let (name, modifier) = match name.split_once(':') {
                    Some((name, modifier)) => (name, Some(modifier.to_owned())),
                    None => (*name, None),
                };
                SearchParam {
                    name: name.to_owned(),
                    modifier,
                    values: vec![(*value).to_owned()],
                }
            })
            .collect(),
        ..SearchParams::default()
    }
}

fn search(
    store: &FhirStore,
    resource_type: &str,
    conditions: &[(&str, &str)],
) -> Result<SearchResult, SearchError> {
    store.search(
        &AccessScope::all(),
        None,
        &params(resource_type, conditions),
    )
}

/// The ids that match, joined.
fn ids(store: &FhirStore, resource_type: &str, conditions: &[(&str, &str)]) -> String {
    let result =
        search(store, resource_type, conditions).unwrap_or_else(|e| panic!("{conditions:?}: {e}"));
    let ids: Vec<_> = result
        .matches
        .iter()
        .map(|m| m.reference.split_once('/').unwrap().1)
        .collect();
    ids.join(" ")
}

fn dated(id: &str, date: &str) -> String {
    format!(r#"{{"resourceType": "Observation", "id": "{id}", "effectiveDateTime": "{date}"}}"#)
}

#[test]
fn dates_compare_as_ranges() {
    let lines = [
        dated("year", "2012"),
        dated("month", "2012-02"),
        dated("day", "2012-02-15"),
        dated("time", "2012-02-15T10:00:00Z"),
    ];
    let store = store(&lines.each_ref().map(String::as_str));
    let find = |value: &str| ids(&store, "Observation", &[("date", value)]);
    assert_eq!(find("eq2012-02"), "day month time");
    assert_eq!(find("2012"), "day month time year");
    assert_eq!(find("2012-02-15"), "day time");
    assert_eq!(find("ne2012-02"), "year");
    assert_eq!(find("gt2012-02-15"), "month year");
    assert_eq!(find("ge2012-02-15"), "day month time year");
    assert_eq!(find("lt2012-02-15"), "month year");
    assert_eq!(find("le2012-02-15"), "day month time year");
    assert_eq!(find("gt2012-01"), "day month time year");
    assert_eq!(find("gt2012-02"), "year");
    assert_eq!(find("sa2012-01"), "day month time");
    assert_eq!(find("sa2011"), "day month time year");
    assert_eq!(find("eb2012-03"), "day month time");
    assert_eq!(find("ap2012-02-16"), "day month time year");
    assert_eq!(find("2012-02-15T05:00:00-05:00"), "time");
    assert_eq!(find("2012-02-15T10:00"), "time");
}

#[test]
fn birth_dates_leap_days_and_invalid_dates() {
    let store = store(&[
        r#"{"resourceType": "Patient", "id": "a", "birthDate": "1974"}"#,
        r#"{"resourceType": "Patient", "id": "b", "birthDate": "1974-12-25"}"#,
        r#"{"resourceType": "Patient", "id": "c", "birthDate": "2016-02-29"}"#,
    ]);
    let find = |value: &str| ids(&store, "Patient", &[("birthdate", value)]);
    assert_eq!(find("1974"), "a b");
    assert_eq!(find("1974-12-25"), "b");
    assert_eq!(find("2016-02"), "c");
    assert_eq!(find("2016-02-29"), "c");
    assert_eq!(find("1974-12-25,2016"), "b c");
    for value in [
        "1974-13-01",
        "2015-02-29",
        "74",
        "1974-1-1",
        "yesterday",
        "ge",
        "",
        "1974-12-25 ",
        "+1974",
        "gt gt1974",
    ] {
        let error = search(&store, "Patient", &[("birthdate", value)]).unwrap_err();
        assert!(
            matches!(
                error,
                SearchError::InvalidValue {
                    name: "birthdate",
                    ..
                }
            ),
            "{value}: {error}"
        );
    }
    let error = search(&store, "Patient", &[("birthdate", "xx1974")]).unwrap_err();
    assert!(
        matches!(error, SearchError::UnsupportedComparator { .. }),
        "{error}"
    );
}

fn measured(id: &str, value: &str) -> String {
    format!(
        r#"{{"resourceType": "Observation", "id": "{id}", "valueQuantity": {{"value": {value}, "unit": "kilo", "system": "http://unitsofmeasure.org", "code": "kg"}}}}"#
    )
}

#[test]
fn quantities_compare_exactly() {
    let lines = [
        measured("a", "69.5"),
        measured("b", "70"),
        measured("c", "70.2"),
        measured("d", "70.5"),
        measured("e", "1.00E2"),
    ];
    let store = store(&lines.each_ref().map(String::as_str));
    let find = |value: &str| ids(&store, "Observation", &[("value-quantity", value)]);
    assert_eq!(find("gt70"), "c d e", "not 70 itself");
    assert_eq!(find("ge70"), "b c d e");
    assert_eq!(find("70"), "a b c", "from 69.5 up to, not including, 70.5");
    assert_eq!(find("70.0"), "b");
    assert_eq!(find("ne70"), "d e");
    assert_eq!(find("lt70"), "a");
    assert_eq!(find("le70.0"), "a b");
    assert_eq!(find("sa70.2"), "d e");
    assert_eq!(find("eb70.2"), "a b");
    assert_eq!(find("ap100"), "e");
    assert_eq!(find("ap77.5"), "b c d", "a tenth either way");
    assert_eq!(find("1e2"), "e");
    assert_eq!(find("100.000000000000000000000000000000000000001"), "");
    assert_eq!(
        find("lt100.000000000000000000000000000000000000001"),
        "a b c d e"
    );
    assert_eq!(find("70|http://unitsofmeasure.org|kg"), "a b c");
    assert_eq!(find("70||kg"), "a b c");
    assert_eq!(find("70||kilo"), "a b c");
    assert_eq!(find("70|http://unitsofmeasure.org|g"), "");
    for value in [
        "",
        "kg",
        "70|kg",
        "70||",
        "70|a|",
        "70|a|b|c",
        "1.",
        ".5",
        "+70",
        "0x10",
        "NaN",
        "1e9999999",
        "gt",
        "70 kg",
    ] {
        let error = search(&store, "Observation", &[("value-quantity", value)]).unwrap_err();
        assert!(
            matches!(
                error,
                SearchError::InvalidValue { .. } | SearchError::UnsupportedComparator { .. }
            ),
            "{value}: {error}"
        );
    }
}

#[test]
fn extreme_decimals_do_no_harm() {
    let lines = [
        measured("tiny", "1.000000000000000000E-245"),
        measured("small", "1E-22"),
        measured("huge", "-1.000000000000000000E+245"),
    ];
    let store = store(&lines.each_ref().map(String::as_str));
    let find = |value: &str| ids(&store, "Observation", &[("value-quantity", value)]);
    assert_eq!(find("gt0"), "small tiny");
    assert_eq!(find("lt0"), "huge");
    assert_eq!(find("1E-245"), "tiny");
    assert_eq!(find("gt1E-245"), "small");
    assert_eq!(find("ge1.0E-245"), "small tiny");
    assert_eq!(find("0"), "small tiny");
    assert_eq!(find("eb-1E+244"), "huge");
}

#[test]
fn token_forms() {
    let store = store(&[
        r#"{"resourceType": "Observation", "id": "a", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}}"#,
        r#"{"resourceType": "Observation", "id": "b", "status": "amended", "code": {"coding": [{"code": "8867-4"}, {"system": "http://other", "code": "x,y|z"}]}}"#,
        r#"{"resourceType": "Observation", "id": "c", "code": {"text": "words only"}}"#,
        r#"{"resourceType": "Observation", "id": "d"}"#,
    ]);
    let find = |name: &str, value: &str| ids(&store, "Observation", &[(name, value)]);
    assert_eq!(find("code", "8867-4"), "a b");
    assert_eq!(find("code", "http://loinc.org|8867-4"), "a");
    assert_eq!(find("code", "|8867-4"), "b");
    assert_eq!(find("code", "http://loinc.org|"), "a");
    assert_eq!(find("code", r"http://other|x\,y\|z"), "b");
    assert_eq!(find("code", "50050"), "");
    assert_eq!(find("code:not", "http://loinc.org|8867-4"), "b c d");
    assert_eq!(find("code:missing", "true"), "d");
    assert_eq!(find("code:missing", "false"), "a b c");
    assert_eq!(find("status", "final,amended"), "a b");
    assert_eq!(find("status:not", "final,amended"), "c d");
    assert_eq!(
        find("status", "http://hl7.org/fhir/observation-status|final"),
        "a"
    );
    assert_eq!(find("status", "http://other|final"), "");
    assert_eq!(find("_id", "a,d,zzz"), "a d");
    assert_eq!(find("_id:not", "a,d"), "b c");
    for value in ["|", "a|b|c", r"a\b", r"a\", "a,,b", "\u{1}", ""] {
        let error = search(&store, "Observation", &[("code", value)]).unwrap_err();
        assert!(
            matches!(error, SearchError::InvalidValue { .. }),
            "{value}: {error}"
        );
    }
    assert!(search(&store, "Observation", &[("code:missing", "yes")]).is_err());
    assert!(search(&store, "Observation", &[("code:missing", "true,false")]).is_err());
    assert!(search(&store, "Observation", &[("_id", "http://x|a")]).is_err());
}

#[test]
fn contact_points_and_deceased() {
    let store = store(&[
        r#"{"resourceType": "Patient", "id": "a", "telecom": [{"system": "phone", "value": "555"}, {"system": "email", "value": "a@b.example"}]}"#,
        r#"{"resourceType": "Patient", "id": "b", "telecom": [{"system": "phone", "value": "a@b.example"}], "deceasedBoolean": false}"#,
        r#"{"resourceType": "Patient", "id": "c", "deceasedDateTime": "2020-02"}"#,
    ]);
    let find = |name: &str, value: &str| ids(&store, "Patient", &[(name, value)]);
    assert_eq!(find("email", "a@b.example"), "a");
    assert_eq!(find("phone", "a@b.example"), "b");
    assert_eq!(find("telecom", "a@b.example"), "a b");
    assert_eq!(
        find("email", "email|a@b.example"),
        "",
        "phone and email are no code systems"
    );
    assert_eq!(find("deceased", "true"), "c");
    assert_eq!(find("deceased", "false"), "a b");
    assert_eq!(find("death-date", "2020"), "c");
    assert_eq!(find("deceased:missing", "true"), "");
}

#[test]
fn strings_fold_and_modifiers_do_not() {
    let store = store(&[
        r#"{"resourceType": "Patient", "id": "a", "name": [{"family": "Élodie-Smith", "given": ["Ann"]}]}"#,
        r#"{"resourceType": "Patient", "id": "b", "name": [{"text": "elodie"}], "address": [{"city": "Köln", "use": "home"}]}"#,
        r#"{"resourceType": "Patient", "id": "c", "name": [{"family": "Robert"}]}"#,
        r#"{"resourceType": "Patient", "id": "d", "name": [{"family": "Smith, Jr"}]}"#,
    ]);
    let find = |name: &str, value: &str| ids(&store, "Patient", &[(name, value)]);
    assert_eq!(find("name", "ELOD"), "a b");
    assert_eq!(find("family", "elodie"), "a");
    assert_eq!(find("name", "smith"), "d", "from the start of a field");
    assert_eq!(find("name:contains", "SMITH"), "a d");
    assert_eq!(find("name:exact", "elodie"), "b");
    assert_eq!(find("name:exact", "Élodie"), "");
    assert_eq!(find("family", r"smith\, jr"), "d");
    assert_eq!(find("family", "robert,smith"), "c d");
    assert_eq!(find("address", "koln"), "b");
    assert_eq!(find("address-city:exact", "Köln"), "b");
    assert_eq!(
        find("address-use", "http://hl7.org/fhir/address-use|home"),
        "b"
    );
    assert_eq!(find("phonetic", "rupert"), "c");
    assert!(
        search(&store, "Patient", &[("name", "...")]).is_err(),
        "would match everything"
    );
    assert!(search(&store, "Patient", &[("phonetic", "123")]).is_err());
}

#[test]
fn reference_forms() {
    let store = store(&[
        r#"{"resourceType": "Observation", "id": "a", "subject": {"reference": "Patient/1"}}"#,
        r#"{"resourceType": "Observation", "id": "b", "subject": {"reference": "Group/1"}}"#,
        r#"{"resourceType": "Observation", "id": "c", "subject": {"reference": "http://other.example/Patient/1"}}"#,
        r#"{"resourceType": "Observation", "id": "d", "subject": {"reference": "Patient/1/_history/4"}}"#,
        r#"{"resourceType": "Procedure", "id": "p", "instantiatesCanonical": ["http://c.example/plan|2.0"]}"#,
    ]);
    let find = |name: &str, value: &str| ids(&store, "Observation", &[(name, value)]);
    assert_eq!(find("subject", "Patient/1"), "a d");
    assert_eq!(find("subject", "1"), "a b d");
    assert_eq!(find("subject:Group", "1"), "b");
    assert_eq!(find("subject", "http://other.example/Patient/1"), "c");
    assert_eq!(find("patient", "1"), "a d");
    assert_eq!(find("patient:missing", "true"), "b");
    assert_eq!(find("subject", "Patient/2,Group/1"), "b");
    let plans = |value: &str| ids(&store, "Procedure", &[("instantiates-canonical", value)]);
    assert_eq!(plans("http://c.example/plan"), "p");
    assert_eq!(plans(r"http://c.example/plan\|2.0"), "p");
    assert_eq!(plans(r"http://c.example/plan\|3.0"), "");
    for (name, value) in [
        ("patient", "Group/1"),
        ("subject", "Practitioner/1"),
        ("subject", "Patient/1/_history/4"),
        ("subject", "patient/1"),
        ("subject", "a/b/c"),
        ("subject", "../x"),
        ("subject:Group", "Patient/1"),
        ("subject:Group", "http://other.example/Group/1"),
    ] {
        let error = search(&store, "Observation", &[(name, value)]).unwrap_err();
        assert!(
            matches!(error, SearchError::InvalidValue { .. }),
            "{name}={value}: {error}"
        );
    }
    let error = search(&store, "Observation", &[("subject:Practitioner", "1")]).unwrap_err();
    assert!(
        matches!(error, SearchError::UnsupportedModifier { .. }),
        "{error}"
    );
}

#[test]
fn conditions_narrow_and_are_echoed() {
    let lines = [
        dated("a", "2019-12-31"),
        dated("b", "2020-06-01"),
        dated("c", "2021-01-01"),
    ];
    let store = store(&lines.each_ref().map(String::as_str));
    let result = search(
        &store,
        "Observation",
        &[("date", "ge2020"), ("date", "lt2021,gt2029")],
    )
    .unwrap();
    assert_eq!(result.matches.len(), 1);
    assert_eq!(result.matches[0].reference, "Observation/b");
    let applied: Vec<_> = result
        .applied
        .iter()
        .map(|p| (p.name.as_str(), p.values.join(" or ")))
        .collect();
    assert_eq!(
        applied,
        [
            ("date", "ge2020".to_owned()),
            ("date", "lt2021 or gt2029".to_owned())
        ]
    );
}

#[test]
fn what_is_unknown_is_refused_with_advice() {
    let store = store(&[]);
    let fails = |resource_type: &str, condition: (&str, &str)| {
        search(&store, resource_type, &[condition])
            .map(|_| ())
            .unwrap_err()
    };
    let cases = [
        (
            "Obsevation",
            ("code", "x"),
            "unknown_type",
            "did you mean Observation?",
        ),
        (
            "Medication",
            ("code", "x"),
            "unknown_type",
            "fhir_capabilities",
        ),
        (
            "Patient",
            ("birthDate", "1974"),
            "unknown_parameter",
            "did you mean birthdate?",
        ),
        ("Patient", ("_has", "x"), "unknown_parameter", "chained"),
        (
            "Observation",
            ("patient.name", "x"),
            "unknown_parameter",
            "chained",
        ),
        (
            "Observation",
            ("_sort", "date"),
            "unknown_parameter",
            "member `sort`",
        ),
        (
            "Observation",
            ("_count", "5"),
            "unknown_parameter",
            "member `count`",
        ),
        (
            "Observation",
            ("_text", "x"),
            "unknown_parameter",
            "fhir_capabilities",
        ),
        (
            "Patient",
            ("name:exat", "x"),
            "unsupported_modifier",
            "did you mean exact?",
        ),
        (
            "Patient",
            ("gender:exact", "x"),
            "unsupported_modifier",
            "not, missing",
        ),
        (
            "Patient",
            ("_id:missing", "true"),
            "unsupported_modifier",
            "it takes: not",
        ),
        (
            "Observation",
            ("date", "zz2020"),
            "unsupported_comparator",
            "`zz`",
        ),
    ];
    for (resource_type, condition, kind, advice) in cases {
        let error = fails(resource_type, condition);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    let mut query = params("Patient", &[("name", "x")]);
    query.params[0].name = "name:exact".to_owned();
    let error = store.search(&AccessScope::all(), None, &query).unwrap_err();
    assert!(error.to_string().contains("into `modifier`"), "{error}");
    let secret = fails("Patient", ("birthdate", "Jane Doe"));
    assert!(
        !format!("{secret} {secret:?}").contains("Jane"),
        "values are not repeated: {secret}"
    );
}

#[test]
fn bounds_hold() {
    let store = store(&[]);
    let run = |query: &SearchParams| {
        store
            .search(&AccessScope::all(), None, query)
            .map(|_| ())
            .unwrap_err()
            .kind()
    };
    let one = params("Patient", &[("name", "x")]).params[0].clone();
    let with = |params: Vec<SearchParam>| SearchParams {
        resource_type: "Patient".to_owned(),
        params,
        ..SearchParams::default()
    };
    assert_eq!(run(&with(vec![one.clone(); 33])), "too_many");
    assert_eq!(
        run(&with(vec![SearchParam {
            values: vec!["x".to_owned(); 65],
            ..one.clone()
        }])),
        "too_many"
    );
    assert_eq!(
        run(&with(vec![SearchParam {
            values: vec!["x,".repeat(64) + "x"],
            ..one.clone()
        }])),
        "too_many"
    );
    assert_eq!(
        run(&with(vec![SearchParam {
            values: vec!["x".repeat(1025)],
            ..one.clone()
        }])),
        "too_many"
    );
    assert_eq!(
        run(&with(vec![
            SearchParam {
                values: vec!["x".repeat(1000)],
                ..one.clone()
            };
            5
        ])),
        "too_many"
    );
    assert_eq!(
        run(&with(vec![SearchParam {
            values: vec![],
            ..one.clone()
        }])),
        "invalid_value"
    );
    assert_eq!(
        run(&SearchParams {
            sort: vec!["name".to_owned(); 4],
            ..with(vec![])
        }),
        "too_many"
    );
    for sort in [
        "nmae",
        "",
        "-",
        "--name",
        "organization",
        "phonetic",
        "name,given",
    ] {
        assert_eq!(
            run(&SearchParams {
                sort: vec![sort.to_owned()],
                ..with(vec![])
            }),
            "invalid_sort",
            "{sort}"
        );
    }
    assert_eq!(
        run(&SearchParams {
            cursor: Some("x".repeat(10_000)),
            ..with(vec![])
        }),
        "invalid_cursor"
    );
    // The most that is allowed still runs, in one answer of bounded size.
    let most = with(vec![
        SearchParam {
            values: vec![r#"x"\\"#.repeat(15); 2],
            ..one
        };
        32
    ]);
    let result = store.search(&AccessScope::all(), None, &most).unwrap();
    assert!(serde_json::to_vec(&result).unwrap().len() < 24 * 1024);
}

#[test]
fn pages_hold_each_match_once_in_a_stable_order() {
    let lines: Vec<String> = (0..57)
        .map(|n| dated(&format!("o{n:02}"), &format!("2020-0{}-01", n % 5 + 1)))
        .collect();
    let store = store(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for (sort, count) in [
        (vec![], 1),
        (vec!["date"], 7),
        (vec!["-date"], 20),
        (vec!["-date", "-_id"], 3),
        (vec!["value-quantity", "date"], 56),
        (vec!["_id"], 57),
    ] {
        let mut query = params("Observation", &[]);
        query.sort = sort.iter().map(|s| (*s).to_owned()).collect();
        query.count = PageSize::new(count);
        let mut found = Vec::new();
        let mut pages = 0;
        loop {
            let page = store
                .search(&AccessScope::all(), Some("me"), &query)
                .unwrap();
            assert_eq!(page.total.value, 57);
            found.extend(page.matches.into_iter().map(|m| m.reference));
            pages += 1;
            // Page 2 without count: the cursor carries the page size.
            query.count = None;
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(pages, 57_usize.div_ceil(count as usize), "{sort:?}");
        let mut unique = found.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((found.len(), unique.len()), (57, 57), "{sort:?}");
    }
}

#[test]
fn a_cursor_is_good_for_its_own_search_alone() {
    let lines: Vec<String> = (0..9).map(|n| dated(&format!("o{n}"), "2020")).collect();
    let store = store(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .with_cursor_key(CursorKey::from_bytes([1; 32]));
    let all = AccessScope::all();
    let mut first = params("Observation", &[("date", "2020"), ("code:missing", "true")]);
    first.sort = vec!["date".to_owned()];
    first.count = PageSize::new(2);
    let cursor = store
        .search(&all, Some("me"), &first)
        .unwrap()
        .next_cursor
        .unwrap();
    let next = SearchParams {
        cursor: Some(cursor.clone()),
        count: None,
        ..first.clone()
    };
    let go = |scope: &AccessScope, principal, query: &SearchParams| match store
        .search(scope, principal, query)
    {
        Ok(page) => Ok(page.matches.len()),
        Err(SearchError::Cursor(error)) => Err(error),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(go(&all, Some("me"), &next), Ok(2));
    let turned = SearchParams {
        params: next.params.iter().rev().cloned().collect(),
        ..next.clone()
    };
    assert_eq!(
        go(&all, Some("me"), &turned),
        Ok(2),
        "the order of conditions does not matter"
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                count: PageSize::new(2),
                ..next.clone()
            }
        ),
        Ok(2)
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                count: PageSize::new(3),
                ..next.clone()
            }
        ),
        Err(CursorError::Count {
            expected: PageSize::new(2).unwrap()
        })
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                count: PageSize::new(0),
                ..next.clone()
            }
        ),
        Err(CursorError::Count {
            expected: PageSize::new(2).unwrap()
        })
    );
    let rejected = Err(CursorError::Rejected);
    assert_eq!(go(&all, Some("you"), &next), rejected);
    assert_eq!(go(&all, Some(""), &next), rejected);
    assert_eq!(go(&all, None, &next), rejected);
    assert_eq!(
        go(&AccessScope::patient("1").unwrap(), Some("me"), &next),
        rejected
    );
    assert_eq!(
        go(
            &all.clone().restricted_to(["Observation"]).unwrap(),
            Some("me"),
            &next
        ),
        rejected
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                sort: vec![],
                ..next.clone()
            }
        ),
        rejected
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                params: vec![],
                ..next.clone()
            }
        ),
        rejected
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                resource_type: "Condition".to_owned(),
                params: vec![],
                sort: vec![],
                ..next.clone()
            }
        ),
        rejected
    );
    let mut other = next.clone();
    other.params[0].values = vec!["2021".to_owned()];
    assert_eq!(go(&all, Some("me"), &other), rejected);
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                cursor: Some("bm90IG9uZSBvZiBvdXJz".to_owned()),
                ..next.clone()
            }
        ),
        Err(CursorError::Malformed)
    );
    assert_eq!(
        go(
            &all,
            Some("me"),
            &SearchParams {
                cursor: Some("https://example.org/?page=2".to_owned()),
                ..next.clone()
            }
        ),
        Err(CursorError::Malformed)
    );
    // Another server with the same key and data goes on; one with a key of its own does not.
    let twin = |key| {
        FhirStore::from_ndjson(lines.join("\n").as_bytes())
            .unwrap()
            .with_cursor_key(key)
    };
    assert_eq!(
        twin(CursorKey::from_bytes([1; 32]))
            .search(&all, Some("me"), &next)
            .unwrap()
            .matches
            .len(),
        2
    );
    assert!(
        twin(CursorKey::random().unwrap())
            .search(&all, Some("me"), &next)
            .is_err()
    );
}

#[test]
fn count_zero_is_the_total_alone() {
    let store = store(&[&dated("a", "2020"), &dated("b", "2021")]);
    let query = SearchParams {
        count: PageSize::new(0),
        ..params("Observation", &[("date", "2020")])
    };
    let result = store.search(&AccessScope::all(), None, &query).unwrap();
    assert_eq!(
        (result.matches.len(), result.total.value, result.next_cursor),
        (0, 1, None)
    );
}

#[test]
fn a_page_ends_early_rather_than_grow_too_large() {
    let wide = "\u{10ffff}".repeat(160);
    let lines: Vec<String> = (0..100)
        .map(|n| format!(r#"{{"resourceType": "Observation", "id": "{n:064}", "code": {{"text": "{wide}"}}}}"#))
        .collect();
    let store = store(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut query = SearchParams {
        count: PageSize::new(100),
        ..params("Observation", &[])
    };
    let mut found = 0;
    loop {
        let page = store.search(&AccessScope::all(), None, &query).unwrap();
        assert!(serde_json::to_vec(&page).unwrap().len() <= 24 * 1024);
        assert!(!page.matches.is_empty());
        found += page.matches.len();
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(found, 100);
}

#[test]
fn what_is_left_out_sorts_last_either_way() {
    let store = store(&[
        &dated("b", "2020"),
        r#"{"resourceType": "Observation", "id": "a"}"#,
        &dated("c", "2021"),
    ]);
    let order = |sort: &str| {
        let query = SearchParams {
            sort: vec![sort.to_owned()],
            ..params("Observation", &[])
        };
        let page = store.search(&AccessScope::all(), None, &query).unwrap();
        page.matches
            .iter()
            .map(|m| m.reference[12..].to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(order("date"), "b c a");
    assert_eq!(order("-date"), "c b a");
}

#[test]
fn capabilities_are_complete_and_small() {
    let store = FhirStore::bundled().unwrap();
    let all = AccessScope::all();
    let overview = store
        .capabilities(&all, &CapabilitiesParams::default())
        .unwrap();
    assert!(overview.synthetic);
    let names: Vec<_> = overview
        .types
        .iter()
        .filter(|t| t.interactions.len() == 2)
        .map(|t| t.resource_type.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "AllergyIntolerance",
            "Condition",
            "DiagnosticReport",
            "Encounter",
            "Immunization",
            "MedicationRequest",
            "Observation",
            "Patient",
            "Procedure"
        ]
    );
    assert!(serde_json::to_vec(&overview).unwrap().len() < 24 * 1024);
    for name in names {
        let params = CapabilitiesParams {
            resource_type: Some(name.to_owned()),
        };
        let one = store.capabilities(&all, &params).unwrap();
        assert!(
            one.types[0]
                .search_params
                .iter()
                .all(|p| !p.modifiers.is_empty())
        );
        assert!(serde_json::to_vec(&one).unwrap().len() < 24 * 1024);
    }
    let params = CapabilitiesParams {
        resource_type: Some("Patent".to_owned()),
    };
    assert!(
        store
            .capabilities(&all, &params)
            .unwrap_err()
            .to_string()
            .contains("did you mean Patient?")
    );
}

#[test]
fn a_search_that_takes_too_long_is_stopped() {
    let store = FhirStore::bundled().unwrap().with_max_steps(1_000);
    let query = params(
        "Observation",
        &[
            ("value-quantity", "ap5"),
            ("code:not", "x"),
            ("date", "ge2000"),
        ],
    );
    let error = store.search(&AccessScope::all(), None, &query).unwrap_err();
    assert_eq!(error.kind(), "too_costly");
    // It harms nothing that follows.
    let store = store.with_max_steps(100_000_000);
    assert!(store.search(&AccessScope::all(), None, &query).is_ok());
}
