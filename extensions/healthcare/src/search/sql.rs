//! The SQL of a search. Every value is bound; only names of our own tables stand in the text.

use rusqlite::types::Value;

use crate::cursor::{Position, SortValue};
use crate::index::Reference;
use crate::scope::AccessScope;
use crate::search::parse::{
    Clause, Comparator, Predicate, QuantityMatch, Query, ReferenceMatch, Sort, TextMode,
    TokenMatch, Unit,
};
use crate::types::ParamKind;

/// Characters of a text that sorting looks at; keeps cursors short. What is alike so far is sorted by id.
const SORT_CHARS: u32 = 100;

/// A statement under construction.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Sql {
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.push("?")
    }

    fn any<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.push("(");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.push(" OR ");
            }
            write(self, item);
        }
        self.push(")");
    }
}

/// Restricts the resources `r` to those a scope sees.
pub(crate) fn scoped(sql: &mut Sql, scope: &AccessScope) {
    // The lists are bound as one JSON text each, so that their length meets no limit of SQLite.
    let list = |items: &std::collections::BTreeSet<String>| {
        serde_json::Value::from_iter(items.iter().cloned()).to_string()
    };
    if let Some(types) = scope.types() {
        sql.push(" AND r.type IN (SELECT value FROM json_each(")
            .bind(list(types))
            .push("))");
    }
    if let Some(patients) = scope.patient_ids() {
        sql.push(" AND EXISTS (SELECT 1 FROM compartment c WHERE c.resource = r.pk)")
            .push(" AND NOT EXISTS (SELECT 1 FROM compartment c WHERE c.resource = r.pk AND c.patient NOT IN")
            .push(" (SELECT value FROM json_each(")
            .bind(list(patients))
            .push(")))");
    }
}

fn matching(sql: &mut Sql, query: &Query, scope: &AccessScope) {
    sql.push(" FROM resource r WHERE r.type = ")
        .bind(query.resource_type.to_owned());
    scoped(sql, scope);
    for clause in &query.clauses {
        sql.push(" AND ");
        condition(sql, clause);
    }
}

/// How many match.
pub(crate) fn total(query: &Query, scope: &AccessScope) -> Sql {
    let mut sql = Sql::default();
    sql.push("SELECT count(*)");
    matching(&mut sql, query, scope);
    sql
}

/// The page after a position. Columns: id, version, last_updated, title, synthetic, then one per sort key.
pub(crate) fn page(
    query: &Query,
    scope: &AccessScope,
    after: Option<&Position>,
    limit: u32,
) -> Sql {
    let mut sql = Sql::default();
    sql.push("SELECT * FROM (SELECT r.id AS id, r.version, r.last_updated, r.title, r.synthetic");
    for (at, sort) in query.sort.iter().enumerate() {
        sql.push(", ");
        sort_key(&mut sql, sort);
        sql.push(&format!(" AS k{at}"));
    }
    matching(&mut sql, query, scope);
    sql.push(")");
    if let Some(position) = after {
        sql.push(" WHERE ");
        beyond(&mut sql, &query.sort, position);
    }
    sql.push(" ORDER BY ");
    for (at, sort) in query.sort.iter().enumerate() {
        let direction = if sort.descending { "DESC" } else { "ASC" };
        sql.push(&format!("k{at} IS NULL, k{at} {direction}, "));
    }
    sql.push("id LIMIT ").bind(i64::from(limit));
    sql
}

/// The value a resource is sorted by: of several, the first in the order wanted.
fn sort_key(sql: &mut Sql, sort: &Sort) {
    let best = if sort.descending { "max" } else { "min" };
    let (table, column) = match (sort.def.kind, sort.descending) {
        (ParamKind::Date, false) => ("ix_date", "low"),
        (ParamKind::Date, true) => ("ix_date", "high"),
        (ParamKind::Quantity, false) => ("ix_quantity", "low"),
        (ParamKind::Quantity, true) => ("ix_quantity", "high"),
        (ParamKind::String, _) => ("ix_text", "normal"),
        _ => ("ix_token", "code"),
    };
    let value = match table {
        "ix_date" => column.to_owned(),
        _ => format!("substr({column}, 1, {SORT_CHARS})"),
    };
    sql.push(&format!(
        "(SELECT {best}({value}) FROM {table} WHERE resource = r.pk AND param = "
    ))
    .bind(sort.def.name.to_owned())
    .push(")");
}

/// What comes after a position in the order of the page: key by key, then by id.
fn beyond(sql: &mut Sql, sort: &[Sort], position: &Position) {
    let value = |key: &Option<SortValue>| match key {
        None => Value::Null,
        Some(SortValue::Text(text)) => Value::Text(text.clone()),
        Some(SortValue::Number(number)) => Value::Integer(*number),
    };
    for (at, (sort, key)) in sort.iter().zip(&position.keys).enumerate() {
        sql.push("(");
        // Nothing comes after a missing value but other missing values.
        if key.is_some() {
            let after = if sort.descending { "<" } else { ">" };
            sql.push(&format!("k{at} IS NULL OR k{at} {after} "))
                .bind(value(key))
                .push(" OR ");
        }
        sql.push(&format!("(k{at} IS "))
            .bind(value(key))
            .push(" AND ");
    }
    sql.push("id > ").bind(position.id.clone());
    sql.push(&"))".repeat(sort.len()));
}

fn condition(sql: &mut Sql, clause: &Clause) {
    let (table, not) = match &clause.predicate {
        Predicate::Missing(missing) => ("ix_present", *missing),
        Predicate::Token { not, .. } => ("ix_token", *not),
        Predicate::Date(_) => ("ix_date", false),
        Predicate::Reference(_) => ("ix_reference", false),
        Predicate::Text { .. } => ("ix_text", false),
        Predicate::Quantity(_) => ("ix_quantity", false),
    };
    if not {
        sql.push("NOT ");
    }
    sql.push("EXISTS (SELECT 1 FROM ")
        .push(table)
        .push(" i WHERE i.resource = r.pk AND i.param = ")
        .bind(clause.def.name.to_owned());
    if !matches!(clause.predicate, Predicate::Missing(_)) {
        sql.push(" AND ");
    }
    match &clause.predicate {
        Predicate::Missing(_) => {}
        Predicate::Token { any, .. } => {
            sql.any(any, |sql, token| token_match(sql, clause.def.system, token))
        }
        Predicate::Date(any) => sql.any(any, |sql, (comparator, range)| {
            let range = match comparator {
                Comparator::Ap => range.widened(),
                _ => *range,
            };
            let start = ("low", range.start);
            let end = ("high", range.end);
            compared(sql, *comparator, start, end);
        }),
        Predicate::Reference(any) => sql.any(any, reference_match),
        Predicate::Text { mode, any } => sql.any(any, |sql, text| {
            let (before, after) = match mode {
                TextMode::Exact => ("i.exact = ", ""),
                TextMode::StartsWith => ("instr(i.normal, ", ") = 1"),
                TextMode::Contains => ("instr(i.normal, ", ") > 0"),
            };
            sql.push(before).bind(text.clone()).push(after);
        }),
        Predicate::Quantity(any) => sql.any(any, quantity_match),
    }
    sql.push(")");
}

/// Compares the stored half-open range `[low, high)` of dates with the searched `[start, end)`.
fn compared(sql: &mut Sql, comparator: Comparator, start: (&str, i64), end: (&str, i64)) {
    let ((low, start), (high, end)) = (start, end);
    let within = |sql: &mut Sql| {
        sql.push(&format!("(i.{low} >= ")).bind(start);
        sql.push(&format!(" AND i.{high} <= ")).bind(end).push(")");
    };
    let one = |sql: &mut Sql, column: &str, operator: &str, value: i64| {
        sql.push(&format!("i.{column} {operator} ")).bind(value);
    };
    match comparator {
        Comparator::Eq => within(sql),
        Comparator::Ne => {
            sql.push("NOT ");
            within(sql);
        }
        Comparator::Gt => one(sql, high, ">", end),
        Comparator::Lt => one(sql, low, "<", start),
        Comparator::Ge => {
            one(sql, high, ">", end);
            sql.push(" OR ");
            within(sql);
        }
        Comparator::Le => {
            one(sql, low, "<", start);
            sql.push(" OR ");
            within(sql);
        }
        Comparator::Sa => one(sql, low, ">=", end),
        Comparator::Eb => one(sql, high, "<=", start),
        Comparator::Ap => {
            sql.push("(");
            one(sql, low, "<", end);
            sql.push(" AND ");
            one(sql, high, ">", start);
            sql.push(")");
        }
    }
}

/// Compares the stored `[low, high]`, for a plain quantity twice the exact value, with the number searched.
///
/// Only `eq`, `ne` and `ap` look at the precision of the number searched; the others take it as exact. The precision of
/// the stored number never matters. So `gt70` does not find 70, and `ge70` does.
fn quantity_match(sql: &mut Sql, wanted: &QuantityMatch) {
    let one = |sql: &mut Sql, column: &str, operator: &str, value: &str| {
        sql.push(&format!("i.{column} {operator} "))
            .bind(value.to_owned());
    };
    let (from, to) = (wanted.range.0.as_str(), wanted.range.1.as_str());
    let value = wanted.value.as_str();
    sql.push("(");
    match wanted.comparator {
        Comparator::Eq | Comparator::Ne => {
            sql.push(if wanted.comparator == Comparator::Ne {
                "NOT ("
            } else {
                "("
            });
            one(sql, "low", ">=", from);
            sql.push(" AND ");
            one(sql, "high", "<", to);
            sql.push(")");
        }
        Comparator::Gt => one(sql, "high", ">", value),
        Comparator::Lt => one(sql, "low", "<", value),
        Comparator::Ge => one(sql, "high", ">=", value),
        Comparator::Le => one(sql, "low", "<=", value),
        Comparator::Sa => one(sql, "low", ">", value),
        Comparator::Eb => one(sql, "high", "<", value),
        Comparator::Ap => {
            one(sql, "high", ">=", from);
            sql.push(" AND ");
            one(sql, "low", "<=", to);
        }
    }
    match &wanted.unit {
        Unit::Any => {}
        Unit::Named(name) => {
            sql.push(" AND (i.code = ").bind(name.clone());
            sql.push(" OR i.unit = ").bind(name.clone()).push(")");
        }
        Unit::Coded { system, code } => {
            sql.push(" AND i.system = ").bind(system.clone());
            sql.push(" AND i.code = ").bind(code.clone());
        }
    }
    sql.push(")");
}

fn token_match(sql: &mut Sql, implied: Option<&str>, wanted: &TokenMatch) {
    sql.push("(1");
    if let Some(system) = &wanted.system {
        sql.push(" AND (i.system = ").bind(system.clone());
        // A `code` element names no system: the one its definition binds it to is meant.
        if implied == Some(system) {
            sql.push(" OR i.system = ''");
        }
        sql.push(")");
    }
    if let Some(code) = &wanted.code {
        sql.push(" AND i.code = ").bind(code.clone());
    }
    sql.push(")");
}

fn reference_match(sql: &mut Sql, wanted: &ReferenceMatch) {
    match wanted {
        ReferenceMatch::Id(id) => {
            sql.push("i.id = ").bind(id.clone());
        }
        ReferenceMatch::To(Reference::Local { resource_type, id }) => {
            sql.push("(i.type = ").bind(resource_type.clone());
            sql.push(" AND i.id = ").bind(id.clone()).push(")");
        }
        ReferenceMatch::To(Reference::Url(url)) => {
            sql.push("i.url = ").bind(url.clone());
        }
    }
}
