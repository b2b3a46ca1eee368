//! What a trait that is an extension cannot be.
use mcp_ext_core::extension;

#[allow(unused_macros)]
macro_rules! some_macro {
    () => {};
}

#[extension(id = "com.example/a")]
pub trait Generic<T> {}

#[extension(id = "com.example/b")]
pub trait Lifetime<'a> {}

#[extension(id = "com.example/c")]
pub trait Where
where
    Self: Sized,
{
}

#[extension(id = "com.example/d")]
pub unsafe trait Unsafe {}

#[extension(id = "com.example/e")]
pub trait Super: std::fmt::Debug + Send + 'static {}

#[extension(id = "com.example/f")]
pub trait Others {
    const LIMIT: usize;
    type Store;
    some_macro!();
}

#[extension(id = "com.example/g")]
pub auto trait Auto {}

fn main() {}
