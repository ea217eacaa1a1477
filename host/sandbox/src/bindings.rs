//! What `wit/plugin` says, in Rust: generated. Arguments of exports are borrowed, so that a payload is copied only once, into
//! the guest.

wasmtime::component::bindgen!({
    path: "../../wit/plugin",
    world: "plugin",
    imports: {
        "floe:plugin/emit.chunk": async | trappable | tracing,
        "floe:plugin/emit.progress": async | trappable | tracing,
        default: trappable | tracing,
    },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});
