//! The macro that makes a plugin of nodes and tools, and the functions that it calls.

use crate::bindings::plugin::types::Failure;
use crate::bindings::toolset::Caller;
use crate::bindings::{node, toolset};
use crate::failure::Result;
use crate::json::{FromJson, IntoJson, Json, config_schema, parse_config};
use crate::node::{Context, Node};
use crate::tool::Tool;

/// Makes a plugin: `export!(nodes: [Split, Count])`, `export!(tools: [Search])`, or both.
///
/// Stands once in a crate. Names that occur twice do not compile.
#[macro_export]
macro_rules! export {
    (nodes: [$($node:ty),+ $(,)?], tools: [$($tool:ty),+ $(,)?] $(,)?) => {
        $crate::export!(nodes: [$($node),+]);
        $crate::export!(tools: [$($tool),+]);
    };
    (nodes: [$($node:ty),+ $(,)?] $(,)?) => {
        const _: () = {
            assert!($crate::distinct(&[$(<$node as $crate::Node>::NAME),+]), "two nodes have the same NAME");
            struct Plugin;
            impl $crate::bindings::node::Guest for Plugin {
                fn describe() -> ::std::vec::Vec<$crate::bindings::node::Spec> {
                    ::std::vec![$($crate::describe_node::<$node>()),+]
                }
                fn handle(
                    node: ::std::string::String,
                    config: ::std::string::String,
                    message: $crate::bindings::node::Message,
                ) -> $crate::Result<$crate::bindings::node::Outcome> {
                    $(if node == <$node as $crate::Node>::NAME {
                        return $crate::handle_node::<$node>(config, message);
                    })+
                    $crate::no_such("node", &node)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::node::export_node!(Plugin with_types_in $crate::bindings::node);
        };
    };
    (tools: [$($tool:ty),+ $(,)?] $(,)?) => {
        const _: () = {
            assert!($crate::distinct(&[$(<$tool as $crate::Tool>::NAME),+]), "two tools have the same NAME");
            struct Plugin;
            impl $crate::bindings::toolset::Guest for Plugin {
                fn describe() -> ::std::vec::Vec<$crate::bindings::toolset::Spec> {
                    ::std::vec![$($crate::describe_tool::<$tool>()),+]
                }
                fn call(
                    tool: ::std::string::String,
                    config: ::std::string::String,
                    arguments: ::std::string::String,
                    caller: $crate::Caller,
                ) -> $crate::Result<::std::string::String> {
                    $(if tool == <$tool as $crate::Tool>::NAME {
                        return $crate::call_tool::<$tool>(config, arguments, &caller);
                    })+
                    $crate::no_such("tool", &tool)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::toolset::export_toolset!(Plugin with_types_in $crate::bindings::toolset);
        };
    };
}

/// The node's line in `describe`.
pub fn describe_node<N: Node>() -> node::Spec {
    node::Spec {
        name: N::NAME.to_owned(),
        description: N::DESCRIPTION.to_owned(),
        input: N::Input::schema().map(Json::into_text),
        output: N::Output::schema().map(Json::into_text),
        config: config_schema::<N::Config>(),
        side_effect: N::SIDE_EFFECT,
        idempotent: N::IDEMPOTENT,
        tags: N::TAGS.iter().map(ToString::to_string).collect(),
        hints: N::hints().map(Json::into_text),
    }
}

/// Reads, handles, writes.
pub fn handle_node<N: Node>(config: String, message: node::Message) -> Result<node::Outcome> {
    let config = parse_config(config).map_err(|failure| failure.about("config"))?;
    let (ctx, payload) = Context::split(message);
    let input = N::Input::from_json(payload).map_err(|failure| failure.about("payload"))?;
    N::handle(config, input, &ctx)?.into_raw()
}

/// The tool's line in `describe`.
pub fn describe_tool<T: Tool>() -> toolset::Spec {
    toolset::Spec {
        name: T::NAME.to_owned(),
        description: T::DESCRIPTION.to_owned(),
        input: T::Input::schema().map_or_else(|| r#"{"type":"object"}"#.to_owned(), Json::into_text),
        output: T::Output::schema().map(Json::into_text),
        config: config_schema::<T::Config>(),
        side_effect: T::SIDE_EFFECT,
        idempotent: T::IDEMPOTENT,
        tags: T::TAGS.iter().map(ToString::to_string).collect(),
        scopes: T::SCOPES.iter().map(ToString::to_string).collect(),
        hints: T::hints().map(Json::into_text),
    }
}

/// Reads, calls, writes.
pub fn call_tool<T: Tool>(config: String, arguments: String, caller: &Caller) -> Result<String> {
    let config = parse_config(config).map_err(|failure| failure.about("config"))?;
    let arguments = T::Input::from_json(Json::from_text(arguments)).map_err(|failure| failure.about("arguments"))?;
    T::call(config, arguments, caller)?.into_json().map(Json::into_text)
}

/// What the host asked for is not in this plugin.
pub fn no_such<T>(what: &str, name: &str) -> Result<T> {
    Err(Failure::not_found(format_args!("this plugin has no {what} `{name}`")))
}

/// Whether no name occurs twice; `const`, so that the compiler can say it.
pub const fn distinct(names: &[&str]) -> bool {
    let mut first = 0;
    while first < names.len() {
        let mut second = first + 1;
        while second < names.len() {
            if same(names[first].as_bytes(), names[second].as_bytes()) {
                return false;
            }
            second += 1;
        }
        first += 1;
    }
    true
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}
