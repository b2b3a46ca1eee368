use mcp_ext_core::Cx;

/// Answers a ping.
#[extension(id = "com.example/ping")]
pub trait Ping {
    /// Answers.
    #[method]
    async fn ping(&self, cx: &Cx<PingExtension>) -> Result<Pong, std::convert::Infallible>;
}

/// The answer.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Pong {}

/// A provider.
pub struct Server;

#[handlers]
impl Ping for Server {
    async fn ping(&self, _: &Cx<PingExtension>) -> Result<Pong, std::convert::Infallible> {
        Ok(Pong {})
    }
}
