//! JSON Schema of types: rows of function pointers, the bundle of a contract, the form that AI hosts take for tools.
//!
//! A contract is static data, so it holds a [`TypeSchema`] per type and no schema; everything that works on schemas is
//! written once, without a type parameter.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::prose::prose;

/// The dialect of everything made here.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The formats left in tool schemas: those that validators and AI hosts agree on.
const KNOWN_FORMATS: &[&str] = &[
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uri",
    "uuid",
];

/// Keywords that hold one schema.
const ONE: &[&str] = &[
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords that hold a list of schemas.
const MANY: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];

/// Keywords that hold schemas by name.
const NAMED: &[&str] = &[
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Most subschemas one tool schema may grow to when references are inlined, and the deepest they may nest.
const MOST_NODES: usize = 10_000;
const DEEPEST: usize = 64;

/// How to make the schema of a type: function pointers only, so that a constant can hold it.
///
/// ```
/// use mcp_ext_core::schema::{TypeSchema, root};
///
/// const TEXT: TypeSchema = TypeSchema::of::<String>();
/// assert_eq!(root(&TEXT)["type"], "string");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TypeSchema {
    /// The type's name in schemas.
    pub name: fn() -> Cow<'static, str>,
    /// What tells the type from others of the same name.
    pub id: fn() -> Cow<'static, str>,
    /// The type's own schema.
    pub build: fn(&mut SchemaGenerator) -> Schema,
    /// Whether the schema stands where it is used, and not among the definitions.
    pub inline: fn() -> bool,
}

impl TypeSchema {
    /// The row of a type.
    #[must_use]
    pub const fn of<T: JsonSchema>() -> Self {
        Self {
            name: T::schema_name,
            id: T::schema_id,
            build: T::json_schema,
            inline: T::inline_schema,
        }
    }

    /// The type's name in schemas.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        (self.name)()
    }
}

thread_local! {
    /// The type that [`AnyType`] stands for.
    static CURRENT: Cell<TypeSchema> = const { Cell::new(TypeSchema::of::<()>()) };
}

/// Any type, so that schemars' generic code is compiled once and not for each type. schemars tells types apart by what
/// they say of themselves.
struct AnyType;

impl AnyType {
    /// A reference to the type's schema, which is then among the generator's definitions.
    fn refer(ty: TypeSchema, generator: &mut SchemaGenerator) -> Schema {
        CURRENT.set(ty);
        generator.subschema_for::<Self>()
    }
}

impl JsonSchema for AnyType {
    fn schema_name() -> Cow<'static, str> {
        (CURRENT.get().name)()
    }

    fn schema_id() -> Cow<'static, str> {
        (CURRENT.get().id)()
    }

    fn inline_schema() -> bool {
        (CURRENT.get().inline)()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        (CURRENT.get().build)(generator)
    }
}

/// A type whose schema cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaFault {
    /// The arguments and the result of a tool are JSON objects.
    NotAnObject {
        /// The type.
        name: String,
        /// What its schema says instead.
        seen: String,
    },
    /// AI hosts refuse composition at the root of a tool schema.
    RootComposition {
        /// The type.
        name: String,
        /// The keyword.
        keyword: String,
    },
    /// A type that contains itself has no schema without references.
    Recursive {
        /// The type of the tool.
        name: String,
        /// The type that contains itself.
        through: String,
    },
    /// The schema without references would be too large.
    TooLarge {
        /// The type.
        name: String,
    },
    /// A reference to somewhere else than the document's own definitions.
    Reference {
        /// The reference.
        reference: String,
    },
    /// Two different types claim one name.
    SameName {
        /// The name.
        name: String,
    },
    /// An `x-mcp-header` that clients would drop the tool for.
    Header {
        /// Where in the schema, as a JSON pointer.
        pointer: String,
        /// What is wrong.
        problem: HeaderProblem,
    },
}

/// What is wrong with an `x-mcp-header`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderProblem {
    /// The value is no token in the sense of RFC 9110.
    NotAToken {
        /// The value.
        seen: String,
    },
    /// Two properties name the same header; case does not tell them apart.
    Duplicate {
        /// The header's name.
        name: String,
    },
    /// The property is neither string, integer nor boolean.
    Type {
        /// Its type.
        seen: String,
    },
    /// The property is not reached through `properties` alone.
    Unreachable,
    /// The schema admits integers beyond 2^53 - 1, which not every peer holds exactly.
    Range,
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject { name, seen } => write!(
                f,
                "type {name}: expected a JSON object, saw {seen}; use a struct with named fields (an empty one for none)"
            ),
            Self::RootComposition { name, keyword } => write!(
                f,
                "type {name}: expected a plain object, saw `{keyword}` at the root, which AI hosts refuse; put the enum into a field of a struct"
            ),
            Self::Recursive { name, through } => write!(
                f,
                "type {name}: {through} contains itself, so its schema needs `$ref`, which some AI hosts refuse; limit the depth with distinct types, or carry that part as a JSON string"
            ),
            Self::TooLarge { name } => write!(
                f,
                "type {name}: expected at most {MOST_NODES} subschemas, nested at most {DEEPEST} deep, once references are inlined; use smaller types"
            ),
            Self::Reference { reference } => write!(
                f,
                "reference {reference:?}: expected `#/$defs/Name` of the same document; nothing is fetched"
            ),
            Self::SameName { name } => write!(
                f,
                "name {name:?}: two different types claim it; rename one with `#[schemars(rename = \"...\")]`, and give a hand-written `JsonSchema` its own `schema_id`"
            ),
            Self::Header { pointer, problem } => {
                write!(f, "x-mcp-header at {pointer:?}: ")?;
                match problem {
                    HeaderProblem::NotAToken { seen } => {
                        write!(f, "expected an HTTP token (letters, digits, !#$%&'*+-.^_`|~), saw {seen}")
                    }
                    HeaderProblem::Duplicate { name } => {
                        write!(f, "expected a name used once (in any case), saw {name:?} again")
                    }
                    HeaderProblem::Type { seen } => {
                        write!(f, "expected a property of type string, integer or boolean, saw {seen}")
                    }
                    HeaderProblem::Unreachable => {
                        f.write_str("expected a property reached through `properties` alone; move it out of lists and alternatives")
                    }
                    HeaderProblem::Range => f.write_str("expected integers within +-(2^53 - 1); narrow the range"),
                }
            }
        }
    }
}

impl std::error::Error for SchemaFault {}

/// The whole schema of a type: `$schema`, `title`, and what it refers to under `$defs`.
#[must_use]
pub fn root(ty: &TypeSchema) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = (ty.build)(&mut generator);
    let object = schema.ensure_object();
    object.entry("title").or_insert_with(|| ty.name().into());
    object.insert("$schema".into(), DIALECT.into());
    let definitions = generator.take_definitions(false);
    if !definitions.is_empty()
        && let Value::Object(defs) = object.entry("$defs").or_insert_with(|| json!({}))
    {
        defs.extend(definitions);
    }
    schema.to_value()
}

/// One document with the schemas of many types: each entry under `$defs` by its own name, shared types by theirs.
///
/// Objects are left open, so that a peer of a later revision may add members; references stay inside the document.
/// The same entries give the same bytes. Two types of one name are numbered (`Rubric`, `Rubric2`) where their
/// `schema_id` tells them apart, as a derived one does; where it cannot, or an entry's name is taken by another type,
/// that is a fault.
///
/// ```
/// use mcp_ext_core::schema::{TypeSchema, bundle};
///
/// const NAME: TypeSchema = TypeSchema::of::<String>();
/// let document = bundle("https://example.com/grading/1/schema.json", "Grading", &[("name", &NAME)])?;
/// assert_eq!(document["$defs"]["name"]["type"], "string");
/// # Ok::<(), mcp_ext_core::schema::SchemaFault>(())
/// ```
pub fn bundle(
    id_uri: &str,
    title: &str,
    entries: &[(&str, &TypeSchema)],
) -> Result<Value, SchemaFault> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut seen: BTreeMap<Cow<'static, str>, Value> = BTreeMap::new();
    let mut named = Vec::new();
    for (name, ty) in entries {
        let alone = root(ty);
        match seen.get(&(ty.id)()) {
            Some(other) if *other != alone => {
                return Err(SchemaFault::SameName {
                    name: ty.name().into_owned(),
                });
            }
            Some(_) => {}
            None => {
                seen.insert((ty.id)(), alone);
            }
        }
        named.push((*name, AnyType::refer(**ty, &mut generator).to_value()));
    }
    let mut definitions = generator.take_definitions(false);
    let mut taken = BTreeMap::new();
    for (name, schema) in named {
        let own = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(definition_name)
            .is_some_and(|own| own == name);
        let before = taken.insert(name, schema.clone());
        if before.as_ref().is_some_and(|before| *before != schema)
            || (before.is_none() && !own && definitions.contains_key(name))
        {
            return Err(SchemaFault::SameName {
                name: name.to_owned(),
            });
        }
        if !own {
            definitions.insert(name.to_owned(), schema);
        }
    }
    for definition in definitions.values_mut() {
        open(definition);
    }
    let document =
        json!({ "$schema": DIALECT, "$id": id_uri, "title": title, "$defs": definitions });
    check_targets(&document, &document)?;
    Ok(document)
}

/// The names of a result's or parameter's members at the top, those of every alternative of an enum included; sorted.
#[must_use]
pub fn top_level_properties(ty: &TypeSchema) -> Vec<String> {
    let root = root(ty);
    let mut names = BTreeSet::new();
    collect_properties(&root, &root, 0, &mut names);
    names.into_iter().collect()
}

/// Whether every value of the type is a JSON object.
#[must_use]
pub fn is_object_root(ty: &TypeSchema) -> bool {
    let root = root(ty);
    is_object(&root, &root, 0)
}

/// Whether a member is required and always a string, newtypes seen through: what a header can be taken from.
#[must_use]
pub fn is_required_string(ty: &TypeSchema, member: &str) -> bool {
    let root = root(ty);
    let Some(top) = resolve(&root, &root) else {
        return false;
    };
    let required = top["required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|name| name == member));
    required
        && resolve(&root, &top["properties"][member])
            .is_some_and(|property| property["type"] == "string")
}

/// Whether an object type has a member of this name.
#[must_use]
pub fn has_property(ty: &TypeSchema, member: &str) -> bool {
    let root = root(ty);
    resolve(&root, &root).is_some_and(|top| top["properties"].get(member).is_some())
}

/// The schema of a tool's arguments, in the form that every known AI host takes.
///
/// An object at the root without composition; `$ref` inlined; no type arrays (an optional member is simply not
/// required); no `$schema` and no titles; only formats that all agree on; documented enums as plain `enum` with the
/// words in the description; objects open, except where the type refuses unknown members, and a type without members says
/// that it takes none.
///
/// ```
/// use mcp_ext_core::schema::{TypeSchema, tool_schema};
/// use schemars::JsonSchema;
///
/// #[derive(JsonSchema)]
/// #[allow(dead_code)]
/// struct GradeArgs {
///     /// Which submission.
///     submission: String,
///     limit: Option<u32>,
/// }
///
/// const ARGS: TypeSchema = TypeSchema::of::<GradeArgs>();
/// assert_eq!(tool_schema(&ARGS)?, serde_json::json!({
///     "type": "object",
///     "properties": {
///         "submission": { "type": "string", "description": "Which submission." },
///         "limit": { "type": "integer", "minimum": 0, "maximum": 4294967295_u32 }
///     },
///     "required": ["submission"]
/// }));
/// # Ok::<(), mcp_ext_core::schema::SchemaFault>(())
/// ```
pub fn tool_schema(ty: &TypeSchema) -> Result<Value, SchemaFault> {
    let mut schema = transformed(ty)?;
    let takes_none = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_none_or(Map::is_empty)
        && !schema.contains_key("additionalProperties")
        && !schema.contains_key("patternProperties");
    if takes_none {
        schema.remove("properties");
        schema.insert("additionalProperties".into(), false.into());
    }
    Ok(Value::Object(schema))
}

/// The schema of a tool's structured result: as [`tool_schema`], but always open, since blocks add members of theirs.
///
/// An optional member must be left out rather than be `null`, or a client that validates refuses the result.
pub fn tool_output_schema(ty: &TypeSchema) -> Result<Value, SchemaFault> {
    let mut schema = Value::Object(transformed(ty)?);
    open(&mut schema);
    Ok(schema)
}

/// Checks every `x-mcp-header` in the finished schema of a tool's arguments.
///
/// A client drops a tool that breaks these rules: an HTTP token, unique in any case, on a string, integer or boolean
/// that is reached through `properties` alone.
pub fn check_mcp_headers(tool_schema: &Value) -> Result<(), SchemaFault> {
    let mut names = BTreeSet::new();
    walk_headers(tool_schema, "", true, &mut names, 0)
}

// --- walking ---------------------------------------------------------------------------------------------------

/// Calls `visit` with each schema directly inside this one.
fn each_inner(schema: &Map<String, Value>, mut visit: impl FnMut(&str, Option<&str>, &Value)) {
    for (keyword, value) in schema {
        if ONE.contains(&keyword.as_str()) {
            visit(keyword, None, value);
        } else if MANY.contains(&keyword.as_str()) {
            for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
                visit(keyword, Some(&i.to_string()), inner);
            }
        } else if NAMED.contains(&keyword.as_str()) {
            for (name, inner) in value.as_object().into_iter().flatten() {
                visit(keyword, Some(name), inner);
            }
        }
    }
}

/// As [`each_inner`], to change them.
fn each_inner_mut(schema: &mut Map<String, Value>, mut visit: impl FnMut(&mut Value)) {
    for (keyword, value) in schema {
        if ONE.contains(&keyword.as_str()) {
            visit(value);
        } else if MANY.contains(&keyword.as_str()) {
            value
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(&mut visit);
        } else if NAMED.contains(&keyword.as_str()) {
            value
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, inner)| visit(inner));
        }
    }
}

/// The name in `#/$defs/Name`.
fn definition_name(reference: &str) -> Option<String> {
    let name = reference
        .strip_prefix("#/$defs/")
        .filter(|name| !name.contains('/'))?;
    // Names are encoded as a URI fragment and then as a JSON pointer.
    Some(percent_decode(name)?.replace("~1", "/").replace("~0", "~"))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || {
                char::from(rest.next()?)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            };
            bytes.push(digit()? * 16 + digit()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Follows references until a schema without one.
pub(crate) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        match schema.get("$ref").and_then(Value::as_str) {
            None => return Some(schema),
            Some(reference) => schema = target(root, reference)?,
        }
    }
    None
}

/// The schema a reference names.
pub(crate) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    if reference == "#" {
        Some(root)
    } else {
        root.get("$defs")?.get(definition_name(reference)?)
    }
}

fn collect_properties(root: &Value, schema: &Value, depth: usize, names: &mut BTreeSet<String>) {
    if depth > DEEPEST {
        return;
    }
    if let Some(schema) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| target(root, r))
    {
        collect_properties(root, schema, depth + 1, names);
    }
    names.extend(
        schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned(),
    );
    for keyword in ["oneOf", "anyOf", "allOf"] {
        for branch in schema[keyword].as_array().into_iter().flatten() {
            collect_properties(root, branch, depth + 1, names);
        }
    }
}

fn is_object(root: &Value, schema: &Value, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    if schema["type"] == "object" {
        return true;
    }
    if let Some(schema) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| target(root, r))
    {
        return is_object(root, schema, depth + 1);
    }
    ["oneOf", "anyOf"].iter().any(|keyword| {
        schema[*keyword].as_array().is_some_and(|all| {
            !all.is_empty() && all.iter().all(|branch| is_object(root, branch, depth + 1))
        })
    })
}

/// Leaves objects open and the document's identity to its root.
fn open(schema: &mut Value) {
    if let Value::Object(map) = schema {
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            if map.get(keyword) == Some(&Value::Bool(false)) {
                map.remove(keyword);
            }
        }
        for keyword in ["$schema", "$id"] {
            map.remove(keyword);
        }
        if let Some(Value::String(description)) = map.get_mut("description") {
            *description = prose(description);
        }
        each_inner_mut(map, open);
    }
}

/// Every reference in the schema names a definition of the document.
fn check_targets(document: &Value, schema: &Value) -> Result<(), SchemaFault> {
    let Some(map) = schema.as_object() else {
        return Ok(());
    };
    if let Some(reference) = map.get("$ref") {
        let found = reference
            .as_str()
            .filter(|r| *r != "#")
            .and_then(|r| target(document, r));
        if found.is_none() {
            let reference = reference
                .as_str()
                .map_or_else(|| reference.to_string(), str::to_owned);
            return Err(SchemaFault::Reference { reference });
        }
    }
    let mut outcome = Ok(());
    each_inner(map, |_, _, inner| {
        if outcome.is_ok() {
            outcome = check_targets(document, inner);
        }
    });
    outcome
}

fn pointer(base: &str, keyword: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!(
            "{base}/{keyword}/{}",
            name.replace('~', "~0").replace('/', "~1")
        ),
        None => format!("{base}/{keyword}"),
    }
}

fn walk_headers(
    schema: &Value,
    at: &str,
    reachable: bool,
    names: &mut BTreeSet<String>,
    depth: usize,
) -> Result<(), SchemaFault> {
    let Some(map) = schema.as_object() else {
        return Ok(());
    };
    if depth > DEEPEST {
        return Err(SchemaFault::TooLarge {
            name: at.chars().take(80).collect(),
        });
    }
    if let Some(header) = map.get("x-mcp-header") {
        check_header(header, map, reachable, names).map_err(|problem| SchemaFault::Header {
            pointer: at.to_owned(),
            problem,
        })?;
    }
    let mut outcome = Ok(());
    each_inner(map, |keyword, name, inner| {
        if outcome.is_ok() {
            let reachable = reachable && keyword == "properties";
            outcome = walk_headers(
                inner,
                &pointer(at, keyword, name),
                reachable,
                names,
                depth + 1,
            );
        }
    });
    outcome
}

fn check_header(
    header: &Value,
    property: &Map<String, Value>,
    reachable: bool,
    names: &mut BTreeSet<String>,
) -> Result<(), HeaderProblem> {
    const SAFE: f64 = 9_007_199_254_740_991.0;
    let is_token = |text: &&str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let Some(name) = header.as_str().filter(is_token) else {
        return Err(HeaderProblem::NotAToken {
            seen: header.to_string(),
        });
    };
    if !reachable {
        return Err(HeaderProblem::Unreachable);
    }
    let ty = property.get("type").unwrap_or(&Value::Null);
    if !matches!(ty.as_str(), Some("string" | "integer" | "boolean")) {
        let seen = if ty.is_null() {
            "no type".to_owned()
        } else {
            ty.to_string()
        };
        return Err(HeaderProblem::Type { seen });
    }
    let bounds = ["minimum", "maximum", "const"]
        .into_iter()
        .filter_map(|keyword| property.get(keyword));
    let listed = property
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    if bounds
        .chain(listed)
        .filter_map(Value::as_f64)
        .any(|n| n.abs() > SAFE)
    {
        return Err(HeaderProblem::Range);
    }
    if !names.insert(name.to_ascii_lowercase()) {
        return Err(HeaderProblem::Duplicate {
            name: name.to_owned(),
        });
    }
    Ok(())
}

// --- the form for tools ----------------------------------------------------------------------------------------

fn transformed(ty: &TypeSchema) -> Result<Map<String, Value>, SchemaFault> {
    let name = ty.name().into_owned();
    let root = root(ty);
    let mut inliner = Inliner {
        name: &name,
        root: &root,
        open: Vec::new(),
        nodes: 0,
    };
    let Value::Object(schema) = inliner.node(&root)?.finish() else {
        return Err(SchemaFault::NotAnObject {
            name,
            seen: "no schema".into(),
        });
    };
    let composed = ["oneOf", "anyOf", "allOf", "not", "if", "then", "else"];
    if let Some(keyword) = composed
        .iter()
        .find(|keyword| schema.contains_key(**keyword))
    {
        return Err(SchemaFault::RootComposition {
            name,
            keyword: (*keyword).to_owned(),
        });
    }
    match schema.get("type") {
        Some(ty) if ty == "object" => Ok(schema),
        Some(other) => Err(SchemaFault::NotAnObject {
            name,
            seen: other.to_string(),
        }),
        None => Err(SchemaFault::NotAnObject {
            name,
            seen: "a schema without a type".into(),
        }),
    }
}

/// Writes schemas out in full.
struct Inliner<'a> {
    name: &'a str,
    root: &'a Value,
    /// The references being written out, to notice one inside itself.
    open: Vec<&'a str>,
    nodes: usize,
}

/// A schema written out, with what has to be settled where it stands.
#[derive(Default)]
struct Node {
    schema: Map<String, Value>,
    /// Whether `null` was admitted beside it: a property is then simply not required.
    nullable: bool,
    /// One line for each documented variant of an enum.
    variants: Vec<String>,
}

impl Node {
    fn finish(mut self) -> Value {
        if !self.variants.is_empty() {
            let own = self.schema.get("description").and_then(Value::as_str);
            let lines = own
                .into_iter()
                .chain(self.variants.iter().map(String::as_str));
            let description = lines.collect::<Vec<_>>().join("\n");
            self.schema.insert("description".into(), description.into());
        }
        Value::Object(self.schema)
    }

    /// An object that is put together with another cannot refuse the other's members.
    fn reopen(&mut self) {
        if self.schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            self.schema.remove("additionalProperties");
        }
    }

    /// Takes over what `other` says and this does not.
    fn merge(&mut self, mut other: Node) {
        if self.schema.contains_key("properties") && other.schema.contains_key("properties") {
            self.reopen();
            other.reopen();
        }
        self.nullable |= other.nullable;
        if self.variants.is_empty() {
            self.variants = other.variants;
        }
        for (keyword, value) in other.schema {
            match (self.schema.get_mut(&keyword), value) {
                (Some(Value::Object(own)), Value::Object(more)) if keyword == "properties" => {
                    for (name, schema) in more {
                        own.entry(name).or_insert(schema);
                    }
                }
                (Some(Value::Array(own)), Value::Array(more)) if keyword == "required" => {
                    for name in more {
                        if !own.contains(&name) {
                            own.push(name);
                        }
                    }
                }
                (Some(_), _) => {}
                (None, value) => {
                    self.schema.insert(keyword, value);
                }
            }
        }
    }
}

impl<'a> Inliner<'a> {
    fn node(&mut self, schema: &'a Value) -> Result<Node, SchemaFault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES || self.open.len() > DEEPEST {
            return Err(SchemaFault::TooLarge {
                name: self.name.to_owned(),
            });
        }
        let mut node = Node::default();
        let Some(map) = schema.as_object() else {
            if *schema == Value::Bool(false) {
                node.schema.insert("not".into(), json!({}));
            }
            return Ok(node);
        };
        let mut optional = Vec::new();
        let mut beside = Vec::new();
        for (keyword, value) in map {
            match keyword.as_str() {
                "$ref" | "$schema" | "$defs" | "$id" | "$anchor" | "$comment" | "title"
                | "description" => {}
                "unevaluatedProperties" if *value == Value::Bool(false) => {}
                "additionalProperties" if *value == Value::Bool(false) => {
                    node.schema.insert(keyword.clone(), value.clone());
                }
                "format"
                    if !value
                        .as_str()
                        .is_some_and(|format| KNOWN_FORMATS.contains(&format)) =>
                {
                    // Of the formats dropped, those of 32 bits are the only sign of a bound.
                    let (low, high) = match value.as_str() {
                        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
                        Some("uint32") => (0, i64::from(u32::MAX)),
                        _ => continue,
                    };
                    node.schema.entry("minimum").or_insert_with(|| low.into());
                    node.schema.entry("maximum").or_insert_with(|| high.into());
                }
                "default" if value.is_null() => {}
                "type" => node.set_type(value),
                "enum" => node.set_enum(value),
                "properties" => {
                    let mut properties = Map::new();
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        let inner = self.node(inner)?;
                        if inner.nullable {
                            optional.push(name);
                        }
                        properties.insert(name.clone(), inner.finish());
                    }
                    node.schema
                        .insert(keyword.clone(), Value::Object(properties));
                }
                "anyOf" | "oneOf" => {
                    beside.push(self.alternatives(keyword, value)?);
                }
                _ => {
                    let value = self.other(keyword, value)?;
                    node.schema.insert(keyword.clone(), value);
                }
            }
        }
        for mut alternatives in beside {
            if node.schema.contains_key("properties") {
                node.reopen();
                alternatives.reopen();
            }
            node.merge_alternatives(alternatives);
        }
        // What stands beside a reference goes before what the reference says.
        if let Some(reference) = map.get("$ref") {
            let target = self.inlined(reference)?;
            node.merge(target);
        }
        if let Some(description) = map.get("description").and_then(Value::as_str).map(prose)
            && !description.is_empty()
        {
            node.schema.insert("description".into(), description.into());
        }
        if let Some(Value::Array(required)) = node.schema.get_mut("required") {
            required.retain(|name| !optional.iter().any(|optional| *name == **optional));
            if required.is_empty() {
                node.schema.remove("required");
            }
        }
        Ok(node)
    }

    fn inlined(&mut self, reference: &'a Value) -> Result<Node, SchemaFault> {
        let unknown = || SchemaFault::Reference {
            reference: reference.to_string(),
        };
        let reference = reference.as_str().ok_or_else(unknown)?;
        let target = target(self.root, reference).ok_or_else(unknown)?;
        if reference == "#" || self.open.contains(&reference) {
            let through = definition_name(reference).unwrap_or_else(|| self.name.to_owned());
            return Err(SchemaFault::Recursive {
                name: self.name.to_owned(),
                through,
            });
        }
        self.open.push(reference);
        let node = self.node(target);
        self.open.pop();
        node
    }

    /// A schema where `null` has to be written beside it, since there is no `required` to leave it out of.
    fn standing(&mut self, schema: &'a Value) -> Result<Value, SchemaFault> {
        let node = self.node(schema)?;
        let nullable = node.nullable;
        let schema = node.finish();
        Ok(if nullable {
            json!({ "anyOf": [schema, { "type": "null" }] })
        } else {
            schema
        })
    }

    fn other(&mut self, keyword: &str, value: &'a Value) -> Result<Value, SchemaFault> {
        if ONE.contains(&keyword) {
            return self.standing(value);
        }
        match value {
            Value::Array(list) if MANY.contains(&keyword) => list
                .iter()
                .map(|inner| self.standing(inner))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Value::Object(named) if NAMED.contains(&keyword) => named
                .iter()
                .map(|(name, inner)| Ok((name.clone(), self.standing(inner)?)))
                .collect::<Result<_, _>>()
                .map(Value::Object),
            _ => Ok(value.clone()),
        }
    }

    /// Alternatives without `null`; one left is itself, and names with descriptions become an `enum`.
    fn alternatives(&mut self, keyword: &str, list: &'a Value) -> Result<Node, SchemaFault> {
        let mut nullable = false;
        let mut nodes = Vec::new();
        for inner in list.as_array().into_iter().flatten() {
            let node = self.node(inner)?;
            nullable |= node.nullable;
            if node.schema.get("type").is_some_and(|ty| ty == "null") {
                nullable = true;
            } else {
                nodes.push(node);
            }
        }
        let mut node = match names_only(&nodes) {
            Some(names) => names,
            None if nodes.len() == 1 => nodes.remove(0),
            None => {
                let mut node = Node::default();
                if nodes.is_empty() {
                    node.schema.insert("type".into(), "null".into());
                } else {
                    nodes.iter_mut().for_each(Node::reopen);
                    let list = nodes.into_iter().map(Node::finish).collect();
                    node.schema.insert(keyword.to_owned(), Value::Array(list));
                }
                node
            }
        };
        node.nullable = nullable && node.schema.get("type").is_none_or(|ty| ty != "null");
        Ok(node)
    }
}

/// The `enum` that alternatives amount to when each is a name, or several, with or without a description.
fn names_only(nodes: &[Node]) -> Option<Node> {
    let mut names = Vec::new();
    let mut variants = Vec::new();
    for node in nodes {
        let plain = |keyword: &String| {
            matches!(keyword.as_str(), "type" | "const" | "enum" | "description")
        };
        if !node.schema.keys().all(plain)
            || node.schema.get("type").is_some_and(|ty| ty != "string")
        {
            return None;
        }
        let single = node.schema.get("const");
        let several = node.schema.get("enum").and_then(Value::as_array);
        let own: Vec<&Value> = single
            .into_iter()
            .chain(several.into_iter().flatten())
            .collect();
        if own.is_empty() || !own.iter().all(|name| name.is_string()) {
            return None;
        }
        if let Some(description) = node.schema.get("description").and_then(Value::as_str) {
            let listed = own
                .iter()
                .filter_map(|name| name.as_str())
                .map(|name| format!("`{name}`"));
            let listed = listed.collect::<Vec<_>>().join(", ");
            variants.push(format!(
                "- {listed}: {}",
                description.split_whitespace().collect::<Vec<_>>().join(" ")
            ));
        }
        variants.extend(node.variants.iter().cloned());
        names.extend(own.into_iter().cloned());
    }
    if names.len() < 2 || nodes.len() < 2 {
        return None;
    }
    let mut schema = Map::new();
    schema.insert("type".into(), "string".into());
    schema.insert("enum".into(), Value::Array(names));
    Some(Node {
        schema,
        nullable: false,
        variants,
    })
}

impl Node {
    fn set_type(&mut self, ty: &Value) {
        let Value::Array(types) = ty else {
            self.schema.insert("type".into(), ty.clone());
            return;
        };
        let mut types: Vec<Value> = types.iter().filter(|ty| *ty != "null").cloned().collect();
        self.nullable |=
            ty.as_array().is_some_and(|all| all.len() > types.len()) && !types.is_empty();
        match types.len() {
            0 => drop(self.schema.insert("type".into(), "null".into())),
            1 => drop(self.schema.insert("type".into(), types.remove(0))),
            _ => {
                let list = types.into_iter().map(|ty| json!({ "type": ty })).collect();
                let mut either = Node::default();
                either.schema.insert("anyOf".into(), Value::Array(list));
                self.merge_alternatives(either);
            }
        }
    }

    fn set_enum(&mut self, values: &Value) {
        let Value::Array(values) = values else { return };
        let named: Vec<Value> = values
            .iter()
            .filter(|value| !value.is_null())
            .cloned()
            .collect();
        if named.is_empty() {
            self.schema.insert("type".into(), "null".into());
            return;
        }
        self.nullable |= named.len() < values.len();
        self.schema.insert("enum".into(), Value::Array(named));
    }

    /// Merges alternatives; a second set of them stands beside the first under `allOf`.
    fn merge_alternatives(&mut self, mut node: Node) {
        for keyword in ["anyOf", "oneOf"] {
            if self.schema.contains_key(keyword)
                && let Some(list) = node.schema.remove(keyword)
                && let Value::Array(all) = self.schema.entry("allOf").or_insert_with(|| json!([]))
            {
                all.push(json!({ keyword: list }));
            }
        }
        self.merge(node);
    }
}
