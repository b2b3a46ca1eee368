//! Labels of the resources in a result, from their security labels: of a search, the high-water mark over the set.

use std::collections::{BTreeMap, BTreeSet};

use mcp_ext_core::block::BlockCall;
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::request::BoxFuture;
use mcp_ext_labels::{Code, Label, LabelSource, Line, Sensitivity};
use serde::Deserialize;
use serde_json::Value;

use crate::FhirServer;

/// Codes of HL7 v3 that say how much of a resource an AI has made.
const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const BY_AI: [&str; 4] = ["AIAST", "AIRPT", "CLINAST_AIRPT", "AIAST_CLINRPT"];

/// Labels a result by `meta.security` of its resources, with all their codes, and as `pii`. A code that says that an AI
/// made the resource counts in `meta.tag` too. Test data is labelled as other data is.
///
/// A search gives pointers and titles; their labels are those of the resources, which are looked up in the version that
/// matched. A resource whose label cannot be told leaves the label of the whole undetermined.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_healthcare::{FhirExtension, FhirServer, FhirStore};
/// use mcp_ext_labels::{Label, Labels, Regulation};
///
/// let fhir = FhirServer::new(FhirStore::bundled()?)?;
/// let set = ExtensionSet::builder()
///     .enable(FhirExtension::provide(fhir.clone()))
///     .enable(Labels::new().source(fhir).enable())
///     .build()?;
/// # drop(set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl LabelSource for FhirServer {
    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        super::has_resources(contract, item)
    }

    fn label<'a>(&'a self, call: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Label> {
        Box::pin(async move {
            match result.get("matches") {
                Some(matches) => self.label_of_set(call, matches).await,
                None => label_of_text(result),
            }
        })
    }
}

impl FhirServer {
    async fn label_of_set(&self, call: &BlockCall<'_>, matches: &Value) -> Label {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Match {
            reference: String,
            version_id: String,
        }
        let Ok(matches) = Vec::<Match>::deserialize(matches) else {
            return Label::undetermined();
        };
        let versions: BTreeMap<String, String> = matches
            .into_iter()
            .map(|found| (found.reference, found.version_id))
            .collect();
        if versions.is_empty() {
            return Label::new();
        }
        let scope = self.seen_by(call.cx);
        let references: BTreeSet<String> = versions.keys().cloned().collect();
        let marked = self
            .with_store(move |store, stop| store.security(stop, &scope, &references))
            .await;
        let Ok(marked) = marked else {
            return Label::undetermined();
        };
        let mut labels: BTreeMap<String, Label> = marked
            .into_iter()
            .map(|resource| {
                let reference = format!("{}/{}", resource.resource_type, resource.id);
                // One that has changed since it matched may have had another label.
                let label = if versions.get(&reference) == Some(&resource.version) {
                    label_of_meta(&Meta {
                        security: resource.security.as_deref().map(parsed),
                        tag: resource.tag.as_deref().map(parsed),
                    })
                } else {
                    Label::undetermined()
                };
                (reference, label)
            })
            .collect();
        versions
            .keys()
            .map(|reference| labels.remove(reference).unwrap_or_else(Label::undetermined))
            .collect()
    }
}

/// The label of a resource that was read, from its own text.
fn label_of_text(result: &Value) -> Label {
    #[derive(Deserialize)]
    struct Resource {
        #[serde(default)]
        meta: Option<Meta>,
    }
    let text = result.get("text").and_then(Value::as_str);
    match text.map(serde_json::from_str::<Resource>) {
        Some(Ok(resource)) => label_of_meta(&resource.meta.unwrap_or_default()),
        _ => Label::undetermined(),
    }
}

/// What of `meta` says how to treat a resource.
#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    security: Option<Value>,
    #[serde(default)]
    tag: Option<Value>,
}

/// A list as the store gives it. Text that is no JSON is no list, and then the label is undetermined.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Bool(false))
}

fn label_of_meta(meta: &Meta) -> Label {
    let mut label = Label::new().sensitive(Sensitivity::Pii);
    match &meta.security {
        None => {}
        Some(Value::Array(codings)) => {
            for coding in codings {
                label = match code_of(coding) {
                    Some(code) => with_code(label, code),
                    None => label.join(&Label::undetermined()),
                };
            }
        }
        Some(_) => label = label.join(&Label::undetermined()),
    }
    // Tags may be anything; of these we take what says that an AI was at work.
    let tags = meta.tag.as_ref().and_then(Value::as_array);
    for code in tags.into_iter().flatten() {
        if let Some(code) = code_of(code).filter(is_by_ai) {
            label = with_code(label, code);
        }
    }
    label
}

/// A coding as a code; `None` without system or code. The text for people is cut rather than refused.
fn code_of(coding: &Value) -> Option<Code> {
    let text = |name: &str| coding.get(name).and_then(Value::as_str);
    let display = text("display").filter(|text| !text.is_empty());
    Some(Code {
        display: display.map(Line::lossy),
        ..Code::new(text("system")?, text("code")?).ok()?
    })
}

fn with_code(label: Label, code: Code) -> Label {
    let by_ai = is_by_ai(&code);
    let label = label.code(code);
    if by_ai { label.ai_authored() } else { label }
}

fn is_by_ai(code: &Code) -> bool {
    code.system.as_str() == OBSERVATION_VALUE && BY_AI.contains(&code.code.as_str())
}
