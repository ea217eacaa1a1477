//! Imports WASI HTTP: the host must refuse to load it unless that is granted, and say so.

use floe_guest::{Context, Failure, Json, Node, Outcome, Result};

mod bindings {
    // A part of the real interface; the linker knows the whole of it, and would refuse anything that does not fit.
    wit_bindgen::generate!({
        inline: "
            package wasi:http@0.2.0;
            interface types {
                resource fields { constructor(); }
                type headers = fields;
                resource outgoing-request {
                    constructor(headers: headers);
                    set-authority: func(authority: option<string>) -> result;
                }
            }
            world client { import types; }
        ",
    });
}

use bindings::wasi::http::types::{Fields, OutgoingRequest};

floe_guest::export!(nodes: [Fetch]);

/// Prepares a request.
struct Fetch;

impl Node for Fetch {
    const NAME: &'static str = "fetch";
    const DESCRIPTION: &'static str = "Prepares a request to the host that the payload names.";
    type Config = ();
    type Input = String;
    type Output = Json;

    fn handle((): (), authority: String, _: &Context) -> Result<Outcome<Json>> {
        let request = OutgoingRequest::new(Fields::new());
        request.set_authority(Some(&authority)).map_err(|()| Failure::invalid_input("that is no host"))?;
        Ok(Json::from_text("true").into())
    }
}
