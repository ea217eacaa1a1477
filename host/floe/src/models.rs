//! Where models are asked: on a thread of their own for I/O, apart from those on which nodes and guests compute.

use std::sync::{Arc, OnceLock};

use floe_llm::{Abilities, Answering, Error, Model, Request};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// A model that is asked there. Whoever waits may drop it: the exchange ends.
#[derive(Debug)]
pub(crate) struct Elsewhere(Arc<dyn Model>);

impl Elsewhere {
    pub(crate) fn new(model: Arc<dyn Model>) -> Self {
        Self(model)
    }
}

impl Model for Elsewhere {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        Box::pin(async move {
            let (model, request) = (Arc::clone(&self.0), request.clone());
            let asking = threads()?.spawn(async move { model.complete(&request).await });
            let ended = AbortOnDropHandle::new(asking).await;
            ended.unwrap_or_else(|_| Err(Error::Invalid(format!("the host failed while it asked `{}`", self.name()))))
        })
    }
}

/// Started when a model is first asked, and there as long as the process.
fn threads() -> Result<Handle, Error> {
    static THREADS: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let start = || {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("floe-models").enable_all().build();
        runtime.map_err(|error| format!("a thread for models does not start: {error}"))
    };
    let threads = THREADS.get_or_init(start).as_ref();
    threads.map(|runtime| runtime.handle().clone()).map_err(|error| Error::Invalid(error.clone()))
}
