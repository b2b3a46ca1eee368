//! A store of made-up resources, and searches written as lines of text.

use std::sync::LazyLock;

use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::store::FhirStore;
use mcp_ext_healthcare::types::{SearchParam, SearchParams, SearchResult};
use serde_json::Value;

use crate::oracle::generate::{Dice, PATIENTS, TYPES, resource};
use crate::oracle::{Official, official};

/// Resources of each type.
const EACH: usize = 12;

/// The store, and what is in it.
pub(crate) struct Clinic {
    pub(crate) store: FhirStore,
    pub(crate) resources: Vec<Value>,
    pub(crate) table: Vec<Official>,
}

/// The same in every run.
pub(crate) static CLINIC: LazyLock<Clinic> = LazyLock::new(|| {
    let table = official();
    let dice = &mut Dice(2026);
    let mut resources = Vec::new();
    for base in TYPES {
        for n in 0..EACH {
            let id = match PATIENTS.get(n).filter(|_| *base == "Patient") {
                Some(id) => (*id).to_owned(),
                None => format!("r{n}"),
            };
            resources.push(resource(dice, &table, base, &id));
        }
    }
    let lines: Vec<String> = resources.iter().map(Value::to_string).collect();
    Clinic {
        store: FhirStore::from_ndjson(lines.join("\n").as_bytes()).expect("the resources load"),
        resources,
        table,
    }
});

/// Reads a search: the type and what to sort by on a line, the patients of the scope on the next (`*`: all), and then
/// the conditions, `name:modifier=value`, with a tab between values.
pub(crate) fn query<'a>(lines: &mut impl Iterator<Item = &'a str>) -> (SearchParams, Vec<&'a str>) {
    let mut first = lines.next().unwrap_or_default().split(' ');
    let resource_type = first.next().unwrap_or_default().to_owned();
    let sort = first.map(str::to_owned).collect();
    let patients = lines.next().unwrap_or_default().split(' ').collect();
    let params = lines
        .map(|line| {
            let (name, values) = line.split_once('=').unwrap_or((line, ""));
            let (name, modifier) = match name.split_once(':') {
                Some((name, modifier)) => (name, Some(modifier.to_owned())),
                None => (name, None),
            };
            SearchParam {
                name: name.to_owned(),
                modifier,
                values: values.split('\t').map(str::to_owned).collect(),
            }
        })
        .collect();
    let query = SearchParams {
        resource_type,
        params,
        sort,
        ..SearchParams::default()
    };
    (query, patients)
}

/// The scope of these patients.
pub(crate) fn scope(patients: &[&str]) -> AccessScope {
    if patients == ["*"] {
        return AccessScope::all();
    }
    AccessScope::patients(patients.iter().copied()).unwrap_or_else(|_| AccessScope::none())
}

/// What a page refers to, in order.
pub(crate) fn references(result: &SearchResult) -> Vec<String> {
    result.matches.iter().map(|m| m.reference.clone()).collect()
}
