//! What is not ours passes byte for byte.

use proptest::prelude::*;

use mcp_ext_core::ExtensionSet;

use crate::common::*;
use crate::rig::*;

/// Pieces of frames, whole and broken, that belong to nobody here.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n".to_vec()),
        Just(b"{\"jsonrpc\":\"2.0\",\"id\":\"\xc3\xbc\",\"result\":{\"x\":1.00}}\r\n".to_vec()),
        Just(b"\xef\xbb\xbf{}\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"[{\"id\":3,\"method\":\"a/b\"}]\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(Just(b'x'), 0..9000),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

async fn passes_down(set: ExtensionSet, down: &[u8]) {
    let mut bench = bench_with(set, Default::default(), 1024);
    let Some(mut server) = bench.server.write.take() else {
        panic!()
    };
    let mut at_client = Vec::new();
    tokio::join!(
        async {
            tokio::io::AsyncWriteExt::write_all(&mut server, down)
                .await
                .unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut server)
                .await
                .unwrap();
        },
        async {
            tokio::io::AsyncReadExt::read_to_end(&mut bench.client.read, &mut at_client)
                .await
                .unwrap();
        },
    );
    assert_eq!(at_client, down);
}

async fn passes_up(set: ExtensionSet, up: &[u8]) {
    let mut bench = bench_with(set, Default::default(), 1024);
    let Some(mut client) = bench.client.write.take() else {
        panic!()
    };
    let mut at_server = Vec::new();
    tokio::join!(
        async {
            tokio::io::AsyncWriteExt::write_all(&mut client, up)
                .await
                .unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut client)
                .await
                .unwrap();
        },
        async {
            tokio::io::AsyncReadExt::read_to_end(&mut bench.server.read, &mut at_server)
                .await
                .unwrap();
        },
    );
    assert_eq!(at_server, up);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn bytes_pass_both_ways_with_and_without_extensions(up in lines(), down in lines()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for set in [empty(), set()] {
                passes_up(set.clone(), &up).await;
                passes_down(set, &down).await;
            }
        });
    }
}

#[tokio::test]
async fn an_empty_set_leaves_even_the_handshakes_alone() {
    let up = format!(
        "{}\n{}\n{}\n",
        initialize(1, "2025-11-25"),
        modern(2, "server/discover", serde_json::json!({})),
        modern(3, ECHO, serde_json::json!({"text": "x"}))
    );
    passes_up(empty(), up.as_bytes()).await;
    let mut bench = bench(empty());
    bench.client.send_raw(up.as_bytes()).await;
    for _ in 0..3 {
        bench.server.line().await;
    }
    let down = b"{\"id\":1,\"result\":{}}\n";
    bench.server.send_raw(down).await;
    assert_eq!(bench.client.line().await, down);
}
