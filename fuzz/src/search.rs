//! Search parameters: nothing unknown passes, what was understood is said so that it can be asked again, and what is
//! found is what the slowest possible filter finds.
//!
//! An input is a search as `clinic` reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::search::SearchError;
use mcp_ext_healthcare::types::{
    CapabilitiesParams, PageSize, SearchParam, SearchParamInfo, SearchParams,
};

use crate::clinic::{CLINIC, query, references, scope};
use crate::oracle::generate::TYPES;
use crate::oracle::{Condition, Wanted, meets, visible};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (mut asked, patients) = query(&mut text.split('\n'));
    asked.count = Some(PageSize::MAX);
    let written = serde_json::to_string(&asked).expect("plain data");
    assert_eq!(
        serde_json::from_str::<SearchParams>(&written).expect("what was written"),
        asked
    );

    let scope = scope(&patients);
    let result = match CLINIC.store.search(&scope, None, &asked) {
        Ok(result) => result,
        Err(error) => return refused(&asked, &error),
    };
    let names = NAMES
        .get(asked.resource_type.as_str())
        .expect("a type that can be searched");
    assert_eq!(
        result.applied.len(),
        asked.params.len(),
        "every condition is applied"
    );
    for (applied, asked) in result.applied.iter().zip(&asked.params) {
        assert_eq!(
            (&applied.name, &applied.modifier),
            (&asked.name, &asked.modifier)
        );
        known(names, asked);
        let values: Vec<String> = asked.values.iter().flat_map(|value| split(value)).collect();
        assert_eq!(
            applied.values, values,
            "commas separate, but for escaped ones"
        );
    }
    for sort in &asked.sort {
        assert!(
            names.contains_key(sort.strip_prefix('-').unwrap_or(sort)),
            "sorted by {sort}"
        );
    }
    assert_eq!(
        result.total.value,
        result.matches.len() as u64,
        "all on one page"
    );
    let found = references(&result);

    // What was understood, asked again.
    let again = SearchParams {
        params: result.applied.clone(),
        ..asked.clone()
    };
    let second = CLINIC
        .store
        .search(&scope, None, &again)
        .expect("what was understood");
    assert_eq!(second, result);

    let set: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(set.len(), found.len(), "each once");
    if let Some((_, fewer)) = asked.params.split_last() {
        let wider = SearchParams {
            params: fewer.to_vec(),
            ..asked.clone()
        };
        let wider = CLINIC
            .store
            .search(&scope, None, &wider)
            .expect("a part of a good search");
        let wider = references(&wider);
        assert!(
            found.iter().all(|r| wider.contains(r)),
            "a condition narrows"
        );
    }
    let conditions: Option<Vec<Condition>> = result
        .applied
        .iter()
        .map(|p| condition(&asked.resource_type, p))
        .collect();
    if let Some(conditions) = conditions {
        let patients = (patients != ["*"]).then(|| match scope == AccessScope::none() {
            true => BTreeSet::new(),
            false => patients.iter().map(|id| (*id).to_owned()).collect(),
        });
        let expected: BTreeSet<String> = CLINIC
            .resources
            .iter()
            .filter(|r| {
                r["resourceType"] == *asked.resource_type
                    && visible(r, patients.as_ref())
                    && conditions.iter().all(|c| meets(r, c))
            })
            .map(|r| {
                format!(
                    "{}/{}",
                    asked.resource_type,
                    r["id"].as_str().unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

/// The search parameters of each type.
static NAMES: LazyLock<BTreeMap<&str, BTreeMap<String, SearchParamInfo>>> = LazyLock::new(|| {
    let of = |base: &&'static str| {
        let params = CapabilitiesParams {
            resource_type: Some((*base).to_owned()),
        };
        let all = CLINIC
            .store
            .capabilities(&AccessScope::all(), &params)
            .expect("a type");
        let params = all.types[0]
            .search_params
            .iter()
            .map(|p| (p.name.clone(), p.clone()));
        (*base, params.collect())
    };
    TYPES.iter().map(of).collect()
});

/// Whether a type can have this name.
fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphabetic())
}

fn known(names: &BTreeMap<String, SearchParamInfo>, param: &SearchParam) {
    let info = names
        .get(&param.name)
        .unwrap_or_else(|| panic!("{} was not ignored, but is unknown", param.name));
    if let Some(modifier) = &param.modifier {
        let of_type = info.kind.to_string() == "reference"
            && is_type(modifier)
            && (info.targets.is_empty() || info.targets.contains(modifier));
        assert!(
            info.modifiers.contains(modifier) || of_type,
            "{}:{modifier}",
            param.name
        );
    }
}

/// Why a search was refused is told in few words, and without the values.
fn refused(asked: &SearchParams, error: &SearchError) {
    let words = error.to_string();
    assert!(words.len() < 4096, "{} bytes", words.len());
    let kind = error.kind();
    assert!(
        !["store_failed", "invalid_cursor", "too_costly"].contains(&kind),
        "{kind}: {error:?}"
    );
    let names = NAMES.get(asked.resource_type.as_str());
    assert_eq!(kind == "unknown_type", names.is_none(), "{words}");
    if let Some(first) = asked.params.first()
        && let Some(names) = names
        && !names.contains_key(&first.name)
    {
        assert!(["unknown_parameter", "too_many"].contains(&kind), "{words}");
    }
    let shown: Vec<&str> = asked
        .params
        .iter()
        .flat_map(|p| [p.name.as_str(), p.modifier.as_deref().unwrap_or_default()])
        .chain(asked.sort.iter().map(String::as_str))
        .chain([asked.resource_type.as_str()])
        .collect();
    for value in asked.params.iter().flat_map(|p| &p.values) {
        let secret = value.len() >= 4 && value.contains('@');
        assert!(
            !secret || shown.iter().any(|name| name.contains(value)) || !words.contains(value),
            "{words}"
        );
    }
}

/// The values between commas, escapes kept.
fn split(value: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c == ',' {
            values.push(String::new());
        } else if let Some(last) = values.last_mut() {
            last.push(c);
            if c == '\\' {
                last.extend(chars.next());
            }
        }
    }
    values
}

// --- for the slow filter -----------------------------------------------------------------------------------------

/// The condition as the slow filter takes it, where its own reading reaches that far.
fn condition(base: &str, param: &SearchParam) -> Option<Condition> {
    let official = CLINIC
        .table
        .iter()
        .find(|p| p.base == base && p.code == param.name && p.code != "phonetic")?;
    let values = param
        .values
        .iter()
        .map(|value| match param.modifier.as_deref() {
            Some("missing") => Some(Wanted::Flag(value == "true")),
            _ => wanted(official.kind, value),
        });
    Some(Condition {
        param: official.clone(),
        modifier: param.modifier.clone(),
        values: values.collect::<Option<_>>()?,
    })
}

fn wanted(kind: &str, value: &str) -> Option<Wanted> {
    match kind {
        "token" => Some(match &parts(value)[..] {
            [code] => Wanted::Token(None, Some(code.clone())),
            [system, code] => Wanted::Token(
                Some(system.clone()),
                Some(code.clone()).filter(|c| !c.is_empty()),
            ),
            _ => return None,
        }),
        "date" => {
            let (comparator, date) = compared(value)?;
            let fraction = date
                .split_once('.')
                .map_or(0, |(_, f)| f.bytes().take_while(u8::is_ascii_digit).count());
            (fraction <= 6).then(|| Wanted::Date(comparator, date.to_owned()))
        }
        "reference" => match &parts(value)[..] {
            [text] if !text.contains(['|', '#']) => Some(Wanted::Reference(text.clone())),
            _ => None,
        },
        "string" => {
            let text = parts(value).join("|");
            let plain = |c: char| c == ' ' || c.is_ascii_graphic() || "éèëöóüúñ".contains(c);
            text.chars().all(plain).then_some(Wanted::Text(text))
        }
        "quantity" => {
            let (comparator, rest) = compared(value)?;
            let parts = parts(rest);
            let number = parts.first()?;
            if number.len() > 12
                || number.contains(['e', 'E'])
                || number.split_once('.').is_some_and(|(_, f)| f.len() > 6)
            {
                return None;
            }
            let unit = match &parts[1..] {
                [] => None,
                [system, code] => Some((system.clone(), code.clone())),
                _ => return None,
            };
            Some(Wanted::Quantity(comparator, number.clone(), unit))
        }
        _ => None,
    }
}

/// The parts between bars, their escapes undone.
fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '|' => parts.push(String::new()),
            c => {
                let c = if c == '\\' { chars.next() } else { Some(c) };
                if let Some(part) = parts.last_mut() {
                    part.extend(c);
                }
            }
        }
    }
    parts
}

fn compared(value: &str) -> Option<(&'static str, &str)> {
    const COMPARATORS: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return Some(("", value));
    }
    COMPARATORS
        .iter()
        .find_map(|c| Some((*c, value.strip_prefix(c)?)))
}
