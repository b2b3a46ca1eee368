//! A glance at a message: most are seen to be none of ours without being read.

use mcp_ext_core::listen;
use mcp_ext_core::request::Target;
use memchr::memchr;
use memchr::memmem::Finder;

use crate::server::Server;

/// What is seen at a glance.
pub(super) enum Seen<'a> {
    /// The message is for the wrapped server alone, and its answer passes as it is.
    Theirs,
    /// It is to be read. A method of ours that stands in it, so that it need not be looked up again.
    MaybeOurs(Option<&'a str>),
}

pub(super) struct Glance {
    method: Finder<'static>,
    name: Finder<'static>,
    escape: Finder<'static>,
}

impl Glance {
    pub fn new() -> Self {
        Self {
            method: Finder::new(r#""method""#),
            name: Finder::new(r#""name""#),
            escape: Finder::new(r"\u"),
        }
    }

    /// Looks at every member of any depth that is called `method`, and for a `tools/call` at every `name`, so that the one
    /// that counts is among them.
    pub fn at<'a>(&self, message: &'a [u8], server: &Server) -> Seen<'a> {
        let (mut calls, mut ours) = (false, None);
        let their_method = |method: &'a str| match method {
            "tools/call" => {
                calls = true;
                true
            }
            "initialize" | "server/discover" | "tools/list" | listen::METHOD => false,
            _ if server.owns_method(method) => {
                ours = Some(method);
                false
            }
            _ => !method.starts_with("notifications/"),
        };
        let their_tool = |name: &str| !server.owns(Target::Tool(name));
        let theirs = all(&self.method, message, their_method)
            && (!calls || all(&self.name, message, their_tool))
            // The other escapes spell no letters: a name is written as it is, or with one of these.
            && self.escape.find(message).is_none();
        if theirs {
            Seen::Theirs
        } else {
            Seen::MaybeOurs(ours)
        }
    }
}

/// Whether each string that is the value of a member of this name passes.
fn all<'a>(name: &Finder<'_>, message: &'a [u8], mut passes: impl FnMut(&'a str) -> bool) -> bool {
    name.find_iter(message).all(|at| {
        let rest = message.get(at + name.needle().len()..).unwrap_or_default();
        let Some(value) = rest.trim_ascii_start().strip_prefix(b":") else {
            return true;
        };
        let Some(text) = value.trim_ascii_start().strip_prefix(b"\"") else {
            return true;
        };
        // What ends in the middle, or is no text, is no message.
        let text = memchr(b'"', text).and_then(|end| text.get(..end));
        match text.map(std::str::from_utf8) {
            Some(Ok(text)) => !text.contains('\\') && passes(text),
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use http::Request;
    use mcp_ext_core::ExtensionSet;
    use proptest::prelude::*;

    use super::super::HttpOptions;
    use super::super::layer::{Plan, read};
    use super::super::state::State;
    use super::Seen;

    mod fixture {
        use mcp_ext_core::{ToolCx, extension, handlers};
        use schemars::JsonSchema;
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize, JsonSchema)]
        pub struct Text {
            pub text: String,
        }

        /// A fixture.
        #[extension(id = "com.example/glance")]
        pub trait Glance {
            /// Both.
            #[method]
            #[tool]
            async fn ours(
                &self,
                cx: &ToolCx<GlanceExtension>,
                params: Text,
            ) -> Result<Text, std::convert::Infallible>;
        }

        pub struct Provider;

        #[handlers]
        impl Glance for Provider {
            async fn ours(
                &self,
                _: &ToolCx<GlanceExtension>,
                params: Text,
            ) -> Result<Text, std::convert::Infallible> {
                Ok(params)
            }
        }
    }

    fn state() -> State {
        let ours = fixture::GlanceExtension::provide(fixture::Provider);
        let set = ExtensionSet::builder().enable(ours).build().unwrap();
        State::new(set, HttpOptions::default())
    }

    fn theirs(state: &State, message: &str) -> bool {
        matches!(
            state.glance.at(message.as_bytes(), &state.server),
            Seen::Theirs
        )
    }

    #[test]
    fn what_is_theirs_is_seen() {
        let state = state();
        for message in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"theirs","arguments":{"text":"a\n\"b\""}}}"#,
            r#"{"method" : "ping", "id":1}"#,
            r#"{"id":1,"result":{"name":"ours"}}"#,
            r#"{"id":1,"method":"prompts/get","params":{"name":"ours"}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"theirs","arguments":{"is":"name"}}}"#,
        ] {
            assert!(theirs(&state, message), "{message}");
        }
    }

    #[test]
    fn what_may_be_ours_is_read() {
        let state = state();
        for message in [
            r#"{"id":1,"method":"com.example/glance/ours","params":{}}"#,
            r#"{"id":1,"method":"com.example\/glance/ours","params":{}}"#,
            r#"{"id":1,"m\u0065thod":"com.example/glance/ours","params":{}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name" : "ours"}}"#,
            r#"{"params":{"name":"ours"},"id":1,"method":"tools/call"}"#,
            r#"{"id":1,"method":"tools/call","params":{"n\u0061me":"ours"}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"our\u0073"}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"theirs","name":"ours"}}"#,
            r#"{"id":1,"method":"initialize","params":{}}"#,
            r#"{"id":1,"method":"server/discover","params":{}}"#,
            r#"{"id":1,"method":"tools/list","params":{}}"#,
            r#"{"id":1,"method":"subscriptions/listen","params":{}}"#,
            r#"{"method":"notifications/cancelled","params":{}}"#,
        ] {
            assert!(!theirs(&state, message), "{message}");
        }
    }

    #[test]
    fn many_calls_in_one_message_are_looked_at_once() {
        let call = r#""method":"tools/call","name":"theirs","#.repeat(40_000);
        // Names looked for once more with each call would take minutes.
        assert!(theirs(&state(), &format!("{{{call}}}")));
    }

    /// JSON that is full of what is looked for, each written in many ways.
    fn json() -> impl Strategy<Value = String> {
        let text = || {
            prop::sample::select(vec![
                r"method",
                r"name",
                r"params",
                r"id",
                r"x",
                r"m\u0065thod",
                r"n\u0061me",
                r"\u0070arams",
                r"tools/call",
                r"tools\/call",
                r"tools/lis\u0074",
                r"tools/list",
                r"ours",
                r"our\u0073",
                r"theirs",
                r"com.example/glance/ours",
                r"com.example\/glance\/ours",
                r"initialize",
                r"server/discover",
                r"notifications/cancelled",
                r"notifications/com.example/glance/x",
                r"ping",
                r"a\",
                r#"\"method\":"#,
                r#"a\"method"#,
                r#"\"name"#,
                r"\\",
                "é",
            ])
        };
        let blank = || prop::sample::select(vec!["", "", "", " ", "\t", "\n ", "\r"]);
        let string = move || text().prop_map(|text| format!("\"{text}\""));
        let leaf =
            prop_oneof![4 => string(), 1 => Just("7".to_owned()), 1 => Just("null".to_owned())];
        let value = leaf.prop_recursive(3, 16, 4, move |inner| {
            let member = (blank(), string(), blank(), blank(), inner.clone())
                .prop_map(|(a, name, b, c, value)| format!("{a}{name}{b}:{c}{value}"));
            prop_oneof![
                3 => prop::collection::vec(member, 0..5).prop_map(|all| format!("{{{}}}", all.join(","))),
                1 => prop::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(" ,"))),
            ]
        });
        let method = || {
            prop_oneof![
                2 => Just("\"tools/call\"".to_owned()),
                1 => string(),
            ]
        };
        prop_oneof![
            value.clone(),
            (method(), value.clone())
                .prop_map(|(method, params)| format!(r#"{{"id":1,"method":{method},"params":{params}}}"#)),
            (string(), value.clone()).prop_map(|(name, other)| {
                format!(r#"{{"params":{{"name":{name},"arguments":{other}}},"method":"tools/call","id":1}}"#)
            }),
            (string(), string(), value).prop_map(|(key, method, params)| {
                format!(r#"{{"id":1,{key}:{method},"params":{params}}}"#)
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_seen_to_be_theirs_is_read_as_theirs(message in json(), cut in 0..40_usize) {
            thread_local!(static STATE: State = state());
            let parts = Request::new(()).into_parts().0;
            // Some are cut off.
            let cut = if cut < 30 { message.len() } else { message.len() * (cut - 29) / 11 };
            let message = &message.as_bytes()[..cut];
            STATE.with(|state| {
                if matches!(state.glance.at(message, &state.server), Seen::Theirs) {
                    prop_assert!(matches!(read(state, &parts, message, None), Plan::Forward));
                }
                Ok(())
            })?;
        }
    }
}
