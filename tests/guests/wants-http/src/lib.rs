//! Speaks WASI HTTP as any component does that was not made for this host. The host must refuse to load it unless that is granted,
//! and then hold it to the grant.

use std::sync::atomic::{AtomicU32, Ordering};

use floe_guest::{Context, Failure, Json, Node, Outcome, Result, SideEffect};
use serde_json::json;

mod bindings {
    // The real interfaces, of `wasi:http` what is used here; the linker would refuse anything that does not fit.
    wit_bindgen::generate!({
        inline: "
            package floe:wants-http;

            world client {
                import wasi:http/types@0.2.0;
                import wasi:http/outgoing-handler@0.2.0;
            }

            package wasi:io@0.2.0 {
                interface error { resource error { to-debug-string: func() -> string; } }
                interface poll {
                    resource pollable { ready: func() -> bool; block: func(); }
                    poll: func(in: list<borrow<pollable>>) -> list<u32>;
                }
                interface streams {
                    use error.{error};
                    use poll.{pollable};
                    variant stream-error { last-operation-failed(error), closed }
                    resource input-stream {
                        read: func(len: u64) -> result<list<u8>, stream-error>;
                        blocking-read: func(len: u64) -> result<list<u8>, stream-error>;
                        skip: func(len: u64) -> result<u64, stream-error>;
                        blocking-skip: func(len: u64) -> result<u64, stream-error>;
                        subscribe: func() -> pollable;
                    }
                    resource output-stream {
                        check-write: func() -> result<u64, stream-error>;
                        write: func(contents: list<u8>) -> result<_, stream-error>;
                        blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                        flush: func() -> result<_, stream-error>;
                        blocking-flush: func() -> result<_, stream-error>;
                        subscribe: func() -> pollable;
                        write-zeroes: func(len: u64) -> result<_, stream-error>;
                        blocking-write-zeroes-and-flush: func(len: u64) -> result<_, stream-error>;
                        splice: func(src: borrow<input-stream>, len: u64) -> result<u64, stream-error>;
                        blocking-splice: func(src: borrow<input-stream>, len: u64) -> result<u64, stream-error>;
                    }
                }
            }

            package wasi:http@0.2.0 {
                interface types {
                    use wasi:io/streams@0.2.0.{input-stream, output-stream};
                    use wasi:io/poll@0.2.0.{pollable};
                    variant method { get, head, post, put, delete, connect, options, trace, patch, other(string) }
                    variant scheme { HTTP, HTTPS, other(string) }
                    record DNS-error-payload { rcode: option<string>, info-code: option<u16> }
                    record TLS-alert-received-payload { alert-id: option<u8>, alert-message: option<string> }
                    record field-size-payload { field-name: option<string>, field-size: option<u32> }
                    variant error-code {
                        DNS-timeout, DNS-error(DNS-error-payload),
                        destination-not-found, destination-unavailable, destination-IP-prohibited, destination-IP-unroutable,
                        connection-refused, connection-terminated, connection-timeout, connection-read-timeout,
                        connection-write-timeout, connection-limit-reached,
                        TLS-protocol-error, TLS-certificate-error, TLS-alert-received(TLS-alert-received-payload),
                        HTTP-request-denied, HTTP-request-length-required, HTTP-request-body-size(option<u64>),
                        HTTP-request-method-invalid, HTTP-request-URI-invalid, HTTP-request-URI-too-long,
                        HTTP-request-header-section-size(option<u32>), HTTP-request-header-size(option<field-size-payload>),
                        HTTP-request-trailer-section-size(option<u32>), HTTP-request-trailer-size(field-size-payload),
                        HTTP-response-incomplete, HTTP-response-header-section-size(option<u32>),
                        HTTP-response-header-size(field-size-payload), HTTP-response-body-size(option<u64>),
                        HTTP-response-trailer-section-size(option<u32>), HTTP-response-trailer-size(field-size-payload),
                        HTTP-response-transfer-coding(option<string>), HTTP-response-content-coding(option<string>),
                        HTTP-response-timeout, HTTP-upgrade-failed, HTTP-protocol-error, loop-detected, configuration-error,
                        internal-error(option<string>),
                    }
                    variant header-error { invalid-syntax, forbidden, immutable }
                    type field-key = string;
                    type field-name = field-key;
                    type field-value = list<u8>;
                    resource fields {
                        constructor();
                        append: func(name: field-name, value: field-value) -> result<_, header-error>;
                        entries: func() -> list<tuple<field-name, field-value>>;
                    }
                    type headers = fields;
                    type trailers = fields;
                    resource outgoing-request {
                        constructor(headers: headers);
                        body: func() -> result<outgoing-body>;
                        set-method: func(method: method) -> result;
                        set-path-with-query: func(path-with-query: option<string>) -> result;
                        set-scheme: func(scheme: option<scheme>) -> result;
                        set-authority: func(authority: option<string>) -> result;
                    }
                    type status-code = u16;
                    resource request-options { constructor(); }
                    resource incoming-response {
                        status: func() -> status-code;
                        headers: func() -> headers;
                        consume: func() -> result<incoming-body>;
                    }
                    resource incoming-body { %stream: func() -> result<input-stream>; }
                    resource outgoing-body {
                        write: func() -> result<output-stream>;
                        finish: static func(this: outgoing-body, trailers: option<trailers>) -> result<_, error-code>;
                    }
                    resource future-incoming-response {
                        subscribe: func() -> pollable;
                        get: func() -> option<result<result<incoming-response, error-code>>>;
                    }
                }
                interface outgoing-handler {
                    use types.{outgoing-request, request-options, future-incoming-response, error-code};
                    handle: func(request: outgoing-request, options: option<request-options>)
                        -> result<future-incoming-response, error-code>;
                }
            }
        ",
        world: "floe:wants-http/client",
        generate_all,
    });
}

use bindings::wasi::http::outgoing_handler::handle;
use bindings::wasi::http::types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme};
use bindings::wasi::io::streams::StreamError;

floe_guest::export!(nodes: [Fetch]);

/// Makes one request and gives the status, the headers and the body.
struct Fetch;

/// Calls that this instance has served.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Method, scheme, authority, path with query, headers, body. `NONE` is no request, and `LEAVE` one whose answer is left as it is, open.
type Wanted = (String, String, String, String, Vec<(String, String)>, String);

impl Node for Fetch {
    const NAME: &'static str = "fetch";
    const DESCRIPTION: &'static str = "Makes the request that the payload describes; `$NAME` in a header is a variable's value.";
    const SIDE_EFFECT: SideEffect = SideEffect::External;
    type Config = ();
    type Input = Wanted;
    type Output = Json;

    fn handle((): (), wanted: Wanted, _: &Context) -> Result<Outcome<Json>> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let method = wanted.0.clone();
        if method == "NONE" {
            return Ok(Json::new(&json!({ "calls": calls }))?.into());
        }
        let response = exchange(wanted)?;
        if method == "LEAVE" {
            std::mem::forget(response);
            return Ok(Json::new(&json!({ "calls": calls }))?.into());
        }
        let headers = format!("{:?}", response.headers().entries());
        let (status, body) = (response.status(), read(&response)?);
        let told = json!({ "status": status, "memory": hex(&body), "headers": hex(headers.as_bytes()) });
        Ok(Json::new(&told)?.into())
    }
}

fn exchange((method, scheme, authority, path, headers, body): Wanted) -> Result<IncomingResponse> {
    let fields = Fields::new();
    for (name, value) in headers {
        let value = match value.strip_prefix('$') {
            Some(name) => std::env::var_os(name)
                .and_then(|value| value.into_string().ok())
                .ok_or_else(|| Failure::not_found("there is no such variable"))?,
            None => value,
        };
        fields.append(&name, value.as_bytes()).map_err(|error| Failure::invalid_input(format!("header: {error:?}")))?;
    }
    let request = OutgoingRequest::new(fields);
    let bad = |()| Failure::invalid_input("no such request");
    request.set_method(&if method == "POST" { Method::Post } else { Method::Get }).map_err(bad)?;
    request.set_scheme(Some(&if scheme == "http" { Scheme::Http } else { Scheme::Https })).map_err(bad)?;
    request.set_authority(Some(&authority)).map_err(bad)?;
    request.set_path_with_query(Some(&path)).map_err(bad)?;
    let told = |error| Failure::unavailable(format!("{error:?}"));
    let outgoing = request.body().map_err(bad)?;
    let answer = handle(request, None).map_err(told)?;
    if !body.is_empty() {
        let stream = outgoing.write().map_err(bad)?;
        for piece in body.as_bytes().chunks(4096) {
            // A request that was refused takes nothing; why is in the answer.
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(outgoing, None);
    answer.subscribe().block();
    answer.get().and_then(Result::ok).ok_or_else(|| Failure::internal("there is no answer"))?.map_err(told)
}

fn read(response: &IncomingResponse) -> Result<Vec<u8>> {
    let bad = |()| Failure::internal("no body");
    let incoming = response.consume().map_err(bad)?;
    let stream = incoming.stream().map_err(bad)?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(error)) => return Err(Failure::unavailable(error.to_debug_string())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
