/// What goes wrong.
#[derive(Debug)]
pub enum Trouble {
    /// No rubric with this id in the course.
    UnknownRubric {
        /// The course.
        course: String,
        /// The rubric.
        id: u32,
        /// The width.
        width: usize,
    },
    /// Try again.
    Busy,
    /// Something inside.
    Inside {
        /// Never told.
        secret: String,
        /// Told.
        r#type: Option<String>,
    },
}
#[allow(
    deprecated,
    unreachable_patterns,
    unused_variables,
    unused_mut,
    clippy::all,
    clippy::pedantic
)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::ExtensionError for Trouble {
        const ERRORS: &'static [__rt::ErrorSpec] = &[
            __rt::ErrorSpec {
                kind: "unknown_rubric",
                code: 4100i32,
                docs: "No rubric with this id in the course.",
                retryable: false,
            },
            __rt::ErrorSpec {
                kind: "overloaded",
                code: 4101i32,
                docs: "Try again.",
                retryable: true,
            },
            __rt::ErrorSpec {
                kind: "inside",
                code: -4102i32,
                docs: "Something inside.",
                retryable: false,
            },
        ];
        fn index(&self) -> usize {
            match self {
                Self::UnknownRubric { .. } => 0usize,
                Self::Busy { .. } => 1usize,
                Self::Inside { .. } => 2usize,
            }
        }
        fn message(&self) -> ::std::string::String {
            ::std::string::ToString::to_string(self)
        }
        fn details(&self) -> __rt::JsonObject {
            {
                let mut details = __rt::JsonObject::new();
                match self {
                    Self::UnknownRubric { course, id, width, .. } => {
                        __rt::put_detail(&mut details, "course", course);
                        __rt::put_detail(&mut details, "id", id);
                        __rt::put_detail(&mut details, "width", width);
                    }
                    Self::Busy { .. } => {}
                    Self::Inside { r#type, .. } => {
                        __rt::put_detail(&mut details, "type", r#type);
                    }
                }
                details
            }
        }
        fn from_wire(
            kind: &str,
            details: &__rt::serde_json::Value,
        ) -> ::core::option::Option<Self> {
            match kind {
                "unknown_rubric" => {
                    ::core::option::Option::Some(Self::UnknownRubric {
                        course: __rt::take_detail(details, "course")?,
                        id: __rt::take_detail(details, "id")?,
                        width: __rt::take_detail(details, "width")?,
                    })
                }
                "overloaded" => ::core::option::Option::Some(Self::Busy {}),
                "inside" => {
                    ::core::option::Option::Some(Self::Inside {
                        secret: ::core::default::Default::default(),
                        r#type: __rt::take_detail(details, "type")?,
                    })
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    #[automatically_derived]
    impl ::core::fmt::Display for Trouble {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            match self {
                Self::UnknownRubric { id, course, width, .. } => {
                    ::core::write!(
                        f, "no rubric {id} in course {course:?}, {id:>width$}"
                    )
                }
                Self::Busy { .. } => ::core::write!(f, "busy {{really}}"),
                Self::Inside { r#type, .. } => ::core::write!(f, "inside {type:?}"),
            }
        }
    }
    #[automatically_derived]
    impl ::core::error::Error for Trouble
    where
        for<'__a> Self: ::core::fmt::Debug,
    {}
};
/// An error type that has no `Debug`.
#[derive()]
pub enum Quiet {
    /// Nothing.
    Nothing,
}
#[allow(
    deprecated,
    unreachable_patterns,
    unused_variables,
    unused_mut,
    clippy::all,
    clippy::pedantic
)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::ExtensionError for Quiet {
        const ERRORS: &'static [__rt::ErrorSpec] = &[
            __rt::ErrorSpec {
                kind: "nothing",
                code: 5000i32,
                docs: "Nothing.",
                retryable: false,
            },
        ];
        fn index(&self) -> usize {
            match self {
                Self::Nothing { .. } => 0usize,
            }
        }
        fn message(&self) -> ::std::string::String {
            ::std::string::ToString::to_string(self)
        }
        fn details(&self) -> __rt::JsonObject {
            {
                let mut details = __rt::JsonObject::new();
                match self {
                    Self::Nothing { .. } => {}
                }
                details
            }
        }
        fn from_wire(
            kind: &str,
            details: &__rt::serde_json::Value,
        ) -> ::core::option::Option<Self> {
            match kind {
                "nothing" => ::core::option::Option::Some(Self::Nothing {}),
                _ => ::core::option::Option::None,
            }
        }
    }
    #[automatically_derived]
    impl ::core::fmt::Display for Quiet {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            match self {
                Self::Nothing { .. } => ::core::write!(f, "nothing"),
            }
        }
    }
    #[automatically_derived]
    impl ::core::error::Error for Quiet
    where
        for<'__a> Self: ::core::fmt::Debug,
    {}
};
/// An error that cannot be.
#[derive(Debug)]
pub enum Never {}
#[allow(
    deprecated,
    unreachable_patterns,
    unused_variables,
    unused_mut,
    clippy::all,
    clippy::pedantic
)]
const _: () = {
    use ::mcp_ext_core::__private_0_1_0 as __rt;
    #[automatically_derived]
    impl __rt::ExtensionError for Never {
        const ERRORS: &'static [__rt::ErrorSpec] = &[];
        fn index(&self) -> usize {
            match *self {}
        }
        fn message(&self) -> ::std::string::String {
            ::std::string::ToString::to_string(self)
        }
        fn details(&self) -> __rt::JsonObject {
            match *self {}
        }
        fn from_wire(
            kind: &str,
            details: &__rt::serde_json::Value,
        ) -> ::core::option::Option<Self> {
            match kind {
                _ => ::core::option::Option::None,
            }
        }
    }
    #[automatically_derived]
    impl ::core::fmt::Display for Never {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            match *self {}
        }
    }
    #[automatically_derived]
    impl ::core::error::Error for Never
    where
        for<'__a> Self: ::core::fmt::Debug,
    {}
};
