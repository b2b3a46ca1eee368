/// What goes wrong.
#[derive(Debug, ExtensionError)]
pub enum Trouble {
    /// No rubric with this id in the course.
    #[error(code = 4100, "no rubric {id} in course {course:?}, {id:>width$}")]
    UnknownRubric {
        /// The course.
        course: String,
        /// The rubric.
        id: u32,
        /// The width.
        width: usize,
    },
    /// Try again.
    #[error(code = 4101, kind = "overloaded", retryable, "busy {{really}}")]
    Busy,
    /// Something inside.
    #[error(code = -4102, "inside {type:?}")]
    Inside {
        /// Never told.
        #[error(private)]
        secret: String,
        /// Told.
        r#type: Option<String>,
    },
}

/// An error type that has no `Debug`.
#[derive(ExtensionError)]
pub enum Quiet {
    /// Nothing.
    #[error(code = 5000, "nothing")]
    Nothing,
}

/// An error that cannot be.
#[derive(Debug, ExtensionError)]
pub enum Never {}
