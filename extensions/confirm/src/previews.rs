//! Who says what a call would do.

use mcp_ext_core::block::BlockCall;
use mcp_ext_core::request::BoxFuture;
use serde_json::Value;

use crate::preview::Preview;

/// Says what a call would do. It must change nothing, and give the same preview for as long as the call would do the same:
/// it is asked once more when the call is confirmed, and a preview that differs must be confirmed anew.
///
/// ```
/// use mcp_ext_confirm::{Preview, Previews};
/// use mcp_ext_core::block::BlockCall;
/// use mcp_ext_core::request::BoxFuture;
///
/// struct Grades;
///
/// impl Previews for Grades {
///     fn preview<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Result<Preview, String>> {
///         Box::pin(async move {
///             let course = call.params["course"].as_str().unwrap_or("?");
///             Ok(Preview::new(format!("Release the grades of {course}?"), [format!("students of {course} see them")]))
///         })
///     }
/// }
/// ```
pub trait Previews: Send + Sync + 'static {
    /// What this call would do. The arguments have not been read by the handler's type yet: they may be of any form.
    ///
    /// # Errors
    /// Why it cannot be told, in a sentence for the caller, without secrets.
    fn preview<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Result<Preview, String>>;

    /// Looks, after a call that was run, whether its effect is there as it was confirmed; `None`: it cannot be told. What the
    /// handler has written through the call's unit of work is read through the unit: it is not committed yet.
    fn read_back<'a>(
        &'a self,
        _call: &'a BlockCall<'a>,
        _result: &'a Value,
    ) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async { None })
    }
}

/// Shows the title of the tool and its arguments; of an item marked `sensitive` the title alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct TitleAndArguments;

impl Previews for TitleAndArguments {
    fn preview<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Result<Preview, String>> {
        let tool = call.item.tool.as_ref();
        let name = tool
            .map(|tool| tool.name)
            .or(call.item.method.map(|method| method.wire))
            .unwrap_or(call.item.name);
        let title = tool.and_then(|tool| tool.title).unwrap_or(name);
        let preview = match call.params {
            _ if call.item.sensitive => {
                Preview::new(format!("{title}? (its arguments are not shown)"), [""; 0])
            }
            Value::Object(members) if !members.is_empty() => {
                let lines = members
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"));
                Preview::new(format!("{title}, with these arguments?"), lines)
            }
            _ => Preview::new(format!("{title}?"), [""; 0]),
        };
        Box::pin(async move { Ok(preview) })
    }
}
