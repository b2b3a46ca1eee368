//! The extension that is measured: its types, what its one method does, and the contract as mcp-ext has it.

use mcp_ext::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Its identifier.
pub const ID: &str = "com.example/grading";
/// Its method.
pub const RUBRICS: &str = "com.example/grading/rubrics";
/// Its revision.
pub const REVISION: &str = "2026-11-01";

/// A form of rubrics.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum RubricFormat {
    /// Prose.
    Text,
    /// A grid.
    Table,
}

/// Settings of both sides.
#[settings]
pub struct GradingSettings {
    /// Rubric formats this side can read. Absent: no restriction.
    #[negotiate(intersect)]
    pub rubric_formats: Option<BTreeSet<RubricFormat>>,
    /// Largest batch this side accepts.
    #[negotiate(min)]
    pub max_batch: Option<u32>,
    /// Whether grades may be written.
    #[negotiate(and)]
    pub write: bool,
}

/// What the server offers, in both versions.
pub fn offered() -> GradingSettings {
    GradingSettings {
        rubric_formats: Some(BTreeSet::from([RubricFormat::Text, RubricFormat::Table])),
        max_batch: Some(50),
        write: true,
    }
}

/// Params of the method.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RubricsParams {
    /// The course.
    pub course: String,
    /// Only rubrics with all of these tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One rubric.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rubric {
    /// What it is called by.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The most points it gives.
    pub points: u32,
}

/// The result of the method.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rubrics {
    /// What was found.
    pub rubrics: Vec<Rubric>,
    /// How many there are in all.
    pub total: u32,
}

/// Why there is no result.
#[derive(Debug, ExtensionError)]
pub enum GradingError {
    /// No such course.
    #[error(code = 4100, "no course {course}")]
    UnknownCourse {
        /// The course.
        course: String,
    },
}

/// What the method does, in both versions.
///
/// # Errors
/// When the course is `none`.
pub fn rubrics(settings: &GradingSettings, params: RubricsParams) -> Result<Rubrics, GradingError> {
    if params.course == "none" {
        return Err(GradingError::UnknownCourse {
            course: params.course,
        });
    }
    let total = settings
        .max_batch
        .unwrap_or(2)
        .min(params.limit.unwrap_or(2));
    let rubrics = (1..=total)
        .map(|n| Rubric {
            id: format!("{}-{n}", params.course),
            title: "Essay".to_owned(),
            points: 4 * n,
        })
        .collect();
    Ok(Rubrics { rubrics, total })
}

/// Grades submissions against a course's rubrics.
#[extension(
    id = "com.example/grading",
    revision = "2026-11-01",
    settings = GradingSettings
)]
pub trait Grading {
    /// Lists the rubrics of a course.
    #[method]
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> Result<Rubrics, GradingError>;
}

/// The provider.
pub struct Lms;

#[handlers]
impl Grading for Lms {
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> Result<Rubrics, GradingError> {
        rubrics(cx.settings(), params)
    }
}

/// A set of this extension alone.
///
/// # Errors
/// Never: there is nothing it could clash with.
pub fn set() -> Result<ExtensionSet, BuildError> {
    ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms).settings(offered()))
        .build()
}
