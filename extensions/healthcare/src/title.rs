//! A short line that tells a person which resource this is.

use crate::json::Node;

const MAX_CHARS: usize = 160;

/// The title of a resource, of its own content alone.
pub(crate) fn of(resource_type: &str, id: &str, node: &Node) -> String {
    let first = |paths: &[&str]| {
        paths
            .iter()
            .find_map(|path| node.first_text(path))
            .map(str::to_owned)
    };
    let status = || first(&["status"]);
    let parts = match resource_type {
        "Patient" | "Practitioner" | "RelatedPerson" | "Person" => vec![
            human_name(node),
            first(&["gender"]),
            first(&["birthDate"]).map(|date| format!("born {date}")),
        ],
        "Observation" => vec![
            Some(
                [concept(node, "code"), value(node)]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            first(&[
                "effectiveDateTime",
                "effectivePeriod.start",
                "effectiveInstant",
            ]),
        ],
        "Condition" => vec![
            concept(node, "code"),
            concept(node, "clinicalStatus"),
            first(&["onsetDateTime", "onsetPeriod.start", "recordedDate"]),
        ],
        "Encounter" => vec![
            concept(node, "type").or_else(|| first(&["class.display", "class.code"])),
            status(),
            first(&["period.start"]),
        ],
        "MedicationRequest" => vec![
            concept(node, "medicationCodeableConcept")
                .or_else(|| first(&["medicationReference.display"])),
            status(),
            first(&["authoredOn"]),
        ],
        "AllergyIntolerance" => vec![
            concept(node, "code").map(|code| format!("Allergy: {code}")),
            concept(node, "clinicalStatus"),
            first(&["recordedDate"]),
        ],
        "Immunization" => vec![
            concept(node, "vaccineCode"),
            status(),
            first(&["occurrenceDateTime"]),
        ],
        "Procedure" => vec![
            concept(node, "code"),
            status(),
            first(&["performedDateTime", "performedPeriod.start"]),
        ],
        "DiagnosticReport" => vec![
            concept(node, "code"),
            status(),
            first(&["effectiveDateTime", "effectivePeriod.start", "issued"]),
        ],
        _ => vec![first(&["title", "name"]).or_else(|| concept(node, "code"))],
    };
    let title = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>();
    let title = if title.is_empty() {
        format!("{resource_type}/{id}")
    } else {
        title.join(", ")
    };
    shortened(&title)
}

fn concept(node: &Node, path: &str) -> Option<String> {
    node.at(path).into_iter().find_map(|concept| {
        ["text", "coding.display", "coding.code"]
            .iter()
            .find_map(|path| concept.first_text(path))
            .map(str::to_owned)
    })
}

fn human_name(node: &Node) -> Option<String> {
    let name = node.at("name").into_iter().next()?;
    if let Some(text) = name.text_of("text") {
        return Some(text.to_owned());
    }
    let words: Vec<&str> = ["given", "family"]
        .iter()
        .flat_map(|part| name.at(part))
        .filter_map(Node::text)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The value of an Observation, or those of its components: `120 mmHg / 80 mmHg`.
fn value(node: &Node) -> Option<String> {
    own_value(node).or_else(|| {
        let parts: Vec<String> = node
            .at("component")
            .into_iter()
            .filter_map(own_value)
            .collect();
        (!parts.is_empty()).then(|| parts.join(" / "))
    })
}

fn own_value(node: &Node) -> Option<String> {
    if let Some(quantity) = node.get("valueQuantity") {
        let Some(Node::Number(number)) = quantity.get("value") else {
            return None;
        };
        let comparator = quantity.text_of("comparator").unwrap_or("");
        let unit = quantity
            .text_of("unit")
            .or_else(|| quantity.text_of("code"))
            .unwrap_or("");
        return Some(format!("{comparator}{number} {unit}").trim_end().to_owned());
    }
    concept(node, "valueCodeableConcept").or_else(|| node.text_of("valueString").map(str::to_owned))
}

/// On one line, and not long.
fn shortened(text: &str) -> String {
    let mut title: String = text
        .chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        title.push('…');
    }
    title
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::json::Node;

    fn title(text: &str) -> String {
        let node = Node::parse(text).unwrap();
        of(node.text_of("resourceType").unwrap(), "7", &node)
    }

    #[test]
    fn titles_say_what_it_is() {
        assert_eq!(
            title(
                r#"{"resourceType": "Observation", "code": {"text": "Heart rate"}, "effectiveDateTime": "2024-03-01",
                    "valueQuantity": {"value": 72.0, "unit": "/min"}}"#
            ),
            "Heart rate 72.0 /min, 2024-03-01"
        );
        assert_eq!(
            title(
                r#"{"resourceType": "Observation", "code": {"coding": [{"code": "85354-9"}]}, "component": [
                    {"valueQuantity": {"value": 120, "code": "mm[Hg]"}}, {"valueString": "low"}, {"code": {"text": "x"}}]}"#
            ),
            "85354-9 120 mm[Hg] / low"
        );
        assert_eq!(
            title(
                r#"{"resourceType": "Patient", "name": [{"given": ["Ann", "B"], "family": "C"}], "birthDate": "1974"}"#
            ),
            "Ann B C, born 1974"
        );
        assert_eq!(title(r#"{"resourceType": "Slot"}"#), "Slot/7");
        let long = format!(
            r#"{{"resourceType": "Library", "title": "{}\n"}}"#,
            "é".repeat(500)
        );
        assert_eq!(title(&long).chars().count(), 161);
    }
}
