//! The security labels of stored resources.

use std::collections::BTreeSet;

use rusqlite::params_from_iter;

use super::{FhirStore, Stop, StoreError};
use crate::scope::AccessScope;
use crate::search::sql;

/// One resource: its type, id and version, and the lists `meta.security` and `meta.tag` as JSON.
pub(crate) struct Marked {
    pub(crate) resource_type: String,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) security: Option<String>,
    pub(crate) tag: Option<String>,
}

impl FhirStore {
    /// The security labels of these resources, `Type/id`, as far as they are within the scope.
    pub(crate) fn security(
        &self,
        stop: &Stop,
        scope: &AccessScope,
        references: &BTreeSet<String>,
    ) -> Result<Vec<Marked>, StoreError> {
        let list = serde_json::Value::from_iter(references.iter().cloned()).to_string();
        let mut statement = sql::Sql::default();
        statement
            .push("WITH wanted(type, id) AS (SELECT substr(value, 1, instr(value, '/') - 1),")
            .push(" substr(value, instr(value, '/') + 1) FROM json_each(")
            .bind(list)
            .push(
                ")) SELECT r.type, r.id, r.version, json_extract(r.text, '$.meta.security'),\
                 json_extract(r.text, '$.meta.tag')\
                 FROM wanted w JOIN resource r ON r.type = w.type AND r.id = w.id WHERE 1",
            );
        sql::scoped(&mut statement, scope);
        Ok(self.bounded(stop, |db| {
            let mut prepared = db.prepare(&statement.text)?;
            let rows = prepared.query_map(params_from_iter(statement.values), |row| {
                Ok(Marked {
                    resource_type: row.get(0)?,
                    id: row.get(1)?,
                    version: row.get(2)?,
                    security: row.get(3)?,
                    tag: row.get(4)?,
                })
            })?;
            rows.collect()
        })?)
    }
}
