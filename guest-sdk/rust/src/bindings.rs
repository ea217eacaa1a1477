//! What wit-bindgen makes of `wit/`: the raw shapes below the typed layer, for the rare plugin that needs them.
//!
//! Three worlds, so that a plugin exports what it has and nothing else: `imports` (everything a plugin may import; the linker
//! drops what the code never calls, so that a component asks for no more than it uses), [`node`] and [`toolset`]. All share
//! the types of the first.

#![expect(missing_docs, reason = "generated; the WIT files say what it all means")]

mod imports {
    wit_bindgen::generate!({
        inline: "
            package floe:guest;
            world imports {
                include floe:plugin/base@0.1.0;
                import floe:capability/state@0.1.0;
                import floe:capability/secrets@0.1.0;
                import floe:capability/http@0.1.0;
                import floe:capability/clock@0.1.0;
                import floe:capability/random@0.1.0;
                import floe:capability/tools@0.1.0;
                import floe:capability/subflow@0.1.0;
                import floe:capability/model@0.0.1;
                import floe:capability/approval@0.0.1;
            }
        ",
        path: ["wit/plugin", "wit/capability", "wit/draft"],
        world: "floe:guest/imports",
        additional_derives: [PartialEq],
        generate_all,
    });
}

pub use imports::floe::plugin;

/// The interfaces of `floe:capability`, served ones and drafts.
pub mod capability {
    pub use super::imports::floe::capability0_0_1::*;
    pub use super::imports::floe::capability0_1_0::*;
}

/// The interface `node`: its records, the trait `Guest` and the macro `export_node!`.
pub mod node {
    wit_bindgen::generate!({
        path: ["wit/plugin"],
        world: "floe:plugin/node-plugin",
        with: {
            "floe:plugin/types@0.1.0": crate::bindings::plugin::types,
            "floe:plugin/log@0.1.0": crate::bindings::plugin::log,
            "floe:plugin/budget@0.1.0": crate::bindings::plugin::budget,
            "floe:plugin/emit@0.1.0": crate::bindings::plugin::emit,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_node",
    });
    pub use exports::floe::plugin::node::*;
}

/// The interface `toolset`: its records, the trait `Guest` and the macro `export_toolset!`.
pub mod toolset {
    wit_bindgen::generate!({
        path: ["wit/plugin"],
        world: "floe:plugin/tool-plugin",
        with: {
            "floe:plugin/types@0.1.0": crate::bindings::plugin::types,
            "floe:plugin/log@0.1.0": crate::bindings::plugin::log,
            "floe:plugin/budget@0.1.0": crate::bindings::plugin::budget,
            "floe:plugin/emit@0.1.0": crate::bindings::plugin::emit,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_toolset",
    });
    pub use exports::floe::plugin::toolset::*;
}
