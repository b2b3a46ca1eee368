//! The edits of text against the core's own merge of values, on made-up answers.

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::Declared;
use mcp_ext_core::{AmendCx, ExtensionSet};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Splice, capabilities, tools};
use crate::message::Message;
use crate::server::Server;

mod fixture {
    use mcp_ext_core::{ToolCx, extension, handlers};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Text {
        pub text: String,
    }

    /// A fixture.
    #[extension(id = "com.example/merge")]
    pub trait Merge {
        /// A tool.
        #[tool]
        async fn ours_a(
            &self,
            cx: &ToolCx<MergeExtension>,
            args: Text,
        ) -> Result<Text, std::convert::Infallible>;
        /// A tool.
        #[tool]
        async fn ours_b(
            &self,
            cx: &ToolCx<MergeExtension>,
            args: Text,
        ) -> Result<Text, std::convert::Infallible>;
    }

    pub struct Provider;

    #[handlers]
    impl Merge for Provider {
        async fn ours_a(
            &self,
            _: &ToolCx<MergeExtension>,
            args: Text,
        ) -> Result<Text, std::convert::Infallible> {
            Ok(args)
        }
        async fn ours_b(
            &self,
            _: &ToolCx<MergeExtension>,
            args: Text,
        ) -> Result<Text, std::convert::Infallible> {
            Ok(args)
        }
    }
}

fn set(filter: bool) -> ExtensionSet {
    ExtensionSet::builder()
        .enable(fixture::MergeExtension::provide(fixture::Provider))
        .filter_lists(filter)
        .build()
        .unwrap()
}

/// Any JSON, not deep; floats that are written as they are read.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é\\n\"\\\\]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\é]{0,5}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Members that the merge looks at, right or wrong, among others.
fn result() -> impl Strategy<Value = Map<String, Value>> {
    let id = "com.example/merge";
    let extensions = prop_oneof![
        Just(json!({})),
        Just(json!({ id: {"own": 1} })),
        Just(json!({ "com.example/other": {} })),
        any_json(),
    ];
    let inside = prop::collection::btree_map(
        prop_oneof![Just("tools".to_owned()), "[a-z]{1,4}"],
        any_json(),
        0..3,
    );
    let with_extensions =
        (inside, prop::option::of(extensions)).prop_map(|(members, extensions)| {
            let mut all: Map<String, Value> = members.into_iter().collect();
            if let Some(extensions) = extensions {
                all.insert("extensions".into(), extensions);
            }
            Value::Object(all)
        });
    let capabilities = prop_oneof![4 => with_extensions, 1 => any_json()];
    let tool = prop_oneof![
        Just(json!({"name": "ours_a"})),
        Just(json!({"name": "theirs"})),
        any_json(),
    ];
    let tools =
        prop_oneof![4 => prop::collection::vec(tool, 0..4).prop_map(Value::from), 1 => any_json()];
    let rest = prop::collection::btree_map(
        prop_oneof![
            Just("ttlMs".to_owned()),
            Just("cacheScope".to_owned()),
            "[a-z\"é]{1,4}"
        ],
        any_json(),
        0..4,
    );
    (
        prop::option::of(capabilities),
        prop::option::of(tools),
        rest,
    )
        .prop_map(|(c, t, rest)| {
            let mut all: Map<String, Value> = rest.into_iter().collect();
            all.extend(c.map(|c| ("capabilities".to_owned(), c)));
            all.extend(t.map(|t| ("tools".to_owned(), t)));
            all
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn text_and_value_merges_agree(
        result in result(),
        pretty in any::<bool>(),
        modern in any::<bool>(),
        first_page in any::<bool>(),
        filter in any::<bool>(),
        discover in any::<bool>(),
    ) {
        let set = set(filter);
        let server = Server::new(set.clone());
        let frame = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        let line = if pretty {
            serde_json::to_string_pretty(&frame).unwrap()
        } else {
            frame.to_string()
        };
        let message = Message::read(line.as_bytes()).unwrap();
        let raw: &RawValue = message.result.unwrap();
        let (era, version) = if modern {
            (Era::Modern, Some(ProtocolVersion::V2026_07_28))
        } else {
            (Era::Legacy, Some(ProtocolVersion::V2025_11_25))
        };
        let cx = AmendCx { era, version, declared: Declared::Known(None), first_page };
        let mut splice = Splice::of(line.as_bytes());
        let mut expected = result.clone();
        if discover {
            capabilities(&mut splice, &server, raw, era, version);
            set.amend("server/discover", &mut expected, &cx);
        } else {
            tools(&mut splice, &server, raw, &cx);
            set.amend("tools/list", &mut expected, &cx);
        }
        let spliced = splice.finish();
        let mut got: Value = serde_json::from_slice(&spliced)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&spliced)));
        // Where there is nothing to add, the text is left alone; the core makes an empty array of it.
        if expected.get("tools") == Some(&json!([])) && got["result"].get("tools").is_none() {
            got["result"]["tools"] = json!([]);
        }
        prop_assert_eq!(&got["result"], &Value::Object(expected));
    }
}
