//! Identifiers, each with the rule it breaks.
use mcp_ext_core::extension;

#[extension(id = "grading")]
pub trait Id1NoSlash {}
#[extension(id = "com.example/a/b")]
pub trait Id1TwoSlashes {}
#[extension(id = "com.1example/x")]
pub trait Id2LabelStart {}
#[extension(id = "com.ex-/x")]
pub trait Id2LabelEnd {}
#[extension(id = "com..example/x")]
pub trait Id2EmptyLabel {}
#[extension(id = "com.exämple/x")]
pub trait Id2Ascii {}
#[extension(id = "com.example/-x")]
pub trait Id3NameStart {}
#[extension(id = "com.example/x y")]
pub trait Id3NameChar {}
#[extension(id = "com.example/")]
pub trait Id4Empty {}
#[extension(id = "io.modelcontextprotocol/x")]
pub trait Id5Reserved {}
#[extension(id = "dev.mcp/x")]
pub trait Id5Mcp {}
#[extension(id = "tools/x")]
pub trait Req4Core {}
#[extension(id = "tasks/x")]
pub trait Req4Official {}
#[extension(id = "rpc.example/x")]
pub trait Req4Rpc {}
#[extension(id = "com.example/x", official)]
pub trait NotOfficial {}
#[extension(id = "io.modelcontextprotocol/x", official(prefix = "tools"))]
pub trait OfficialCore {}
#[extension(id = "io.modelcontextprotocol/y", official(prefix = "a b"))]
pub trait OfficialBad {}
#[extension(revision = "1")]
pub trait MissingId {}
#[extension]
pub trait NothingAtAll {}

fn main() {}
