//! New versions of plugins in a flow that runs: a trace that begins runs the newest, one that is under way runs on with those that it
//! began with, and a version goes when the last trace that may call it has ended.
//!
//! A flow's nodes are made of the plugins that were loaded first ([`Plugin::node`]), and stay the same. What takes a plugin's place
//! is looked up by it for each call, in the release that the call's trace began with.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use floe_flow::{Context, NodeSpec, Release, Releases};
use serde_json::Value;

use crate::Error;
use crate::call::Loaded;
use crate::describe::ToolSpec;
use crate::plugin::Plugin;
use crate::text::plain;

/// Releases that traces under way run on at once, the newest included. Each may have code of its own for every plugin, some four
/// times a component's bytes.
pub const MAX_RELEASES: usize = 8;

/// The releases of a running flow, for [`floe_flow::Config::releases`].
#[derive(Debug)]
pub struct Versions(Mutex<State>);

#[derive(Debug)]
struct State {
    newest: u64,
    code: Arc<Replaced>,
    /// Of every release that some trace may still run on.
    alive: BTreeMap<u64, Weak<Replaced>>,
}

/// What has taken the place of plugins: each as it was loaded first, with what is called instead.
#[derive(Clone, Default)]
struct Replaced(Vec<(Arc<Loaded>, Arc<Loaded>)>);

impl std::fmt::Debug for Replaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, now)| &now.digest)).finish()
    }
}

impl Replaced {
    fn get(&self, first: &Arc<Loaded>) -> Option<&Arc<Loaded>> {
        self.0.iter().find(|(loaded, _)| Arc::ptr_eq(loaded, first)).map(|(_, now)| now)
    }

    /// The same, with `now` instead of `first`; what was called instead of it so far.
    fn with(&self, first: &Arc<Loaded>, now: &Arc<Loaded>) -> (Self, Arc<Loaded>) {
        let before = Arc::clone(self.get(first).unwrap_or(first));
        let mut all = self.clone();
        all.0.retain(|(loaded, _)| !Arc::ptr_eq(loaded, first));
        if !Arc::ptr_eq(first, now) {
            all.0.push((Arc::clone(first), Arc::clone(now)));
        }
        (all, before)
    }
}

impl Loaded {
    /// What is called instead of this for a trace, if that began after it was replaced.
    pub(crate) fn replaced(self: &Arc<Self>, ctx: &Context) -> Option<Arc<Self>> {
        ctx.release()?.code.downcast_ref::<Replaced>()?.get(self).cloned()
    }
}

impl Versions {
    /// Before anything is replaced. `number` is the first release's: 0, or of a run that goes on, its last one's.
    pub fn new(number: u64) -> Arc<Self> {
        let code = Arc::<Replaced>::default();
        let alive = [(number, Arc::downgrade(&code))].into();
        Arc::new(Self(Mutex::new(State { newest: number, code, alive })))
    }

    /// Whether [`Versions::replace`] would do it now.
    ///
    /// # Errors
    /// As that.
    pub fn check(&self, first: &Plugin, with: &Plugin) -> Result<(), Error> {
        check(first, with)?;
        if self.alive().len() >= MAX_RELEASES { Err(Error::Releases { max: MAX_RELEASES }) } else { Ok(()) }
    }

    /// From now on, traces that begin call `with` wherever the flow was made of `first`. Returns the number of that release.
    ///
    /// # Errors
    /// [`Error::Changed`] if `with` is no other version of the same for whoever calls it: nodes, tools, schemas and effects that
    /// `first` has must be there; more may be. [`Error::Releases`] while traces run on [`MAX_RELEASES`].
    pub fn replace(&self, first: &Plugin, with: &Plugin) -> Result<u64, Error> {
        check(first, with)?;
        // It may have been replaced before.
        with.loaded.retired.store(false, Ordering::SeqCst);
        let (number, before) = {
            let mut state = self.lock();
            state.alive.retain(|_, code| code.strong_count() > 0);
            if state.alive.len() >= MAX_RELEASES {
                return Err(Error::Releases { max: MAX_RELEASES });
            }
            let (code, before) = state.code.with(&first.loaded, &with.loaded);
            state.newest += 1;
            state.code = Arc::new(code);
            let (number, code) = (state.newest, Arc::downgrade(&state.code));
            state.alive.insert(number, code);
            (number, before)
        };
        if Arc::ptr_eq(&before, &with.loaded) {
            return Ok(number);
        }
        // Instances that wait for another call of the older code wait for nothing.
        before.retire();
        Ok(number)
    }

    /// A release of an earlier process: `instead` has each plugin that was another one than `first` there, and that one. Traces of
    /// that release go on as long as what is returned is kept, and what they hold of it.
    ///
    /// # Errors
    /// [`Error::Changed`], as [`Versions::replace`].
    pub fn restore(&self, number: u64, instead: &[(&Plugin, &Plugin)]) -> Result<Release, Error> {
        let mut code = Replaced::default();
        for (first, plugin) in instead {
            check(first, plugin)?;
            code = code.with(&first.loaded, &plugin.loaded).0;
        }
        let code = Arc::new(code);
        self.lock().alive.insert(number, Arc::downgrade(&code));
        Ok(Release { number, code })
    }

    /// The releases that some trace may still run on, the newest last.
    pub fn alive(&self) -> Vec<u64> {
        let mut state = self.lock();
        state.alive.retain(|_, code| code.strong_count() > 0);
        state.alive.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Releases for Versions {
    fn current(&self) -> Release {
        let state = self.lock();
        Release { number: state.newest, code: Arc::clone(&state.code) as _ }
    }

    fn numbered(&self, number: u64) -> Option<Release> {
        let code = self.lock().alive.get(&number)?.upgrade()?;
        Some(Release { number, code })
    }
}

/// Whether the nodes that a flow has of the one plugin can be calls of the other.
fn check(first: &Plugin, with: &Plugin) -> Result<(), Error> {
    let changed = |what: String| Error::Changed { what }.of(&first.name);
    for old in &first.nodes {
        let Some(new) = with.nodes.iter().find(|new| new.name == old.name) else {
            return Err(changed(format!("it has no node `{}` any more", plain(&old.name, 64))));
        };
        if let Some(part) = part_of_node(old, new) {
            return Err(changed(format!("node `{}` has another {part}", plain(&old.name, 64))));
        }
    }
    for old in &first.tools {
        let Some(new) = with.tools.iter().find(|new| new.name == old.name) else {
            return Err(changed(format!("it has no tool `{}` any more", plain(&old.name, 64))));
        };
        if let Some(part) = part_of_tool(old, new) {
            return Err(changed(format!("tool `{}` has another {part}", plain(&old.name, 64))));
        }
    }
    Ok(())
}

/// What differs of that by which a flow was checked and is run.
fn part_of_node(old: &NodeSpec, new: &NodeSpec) -> Option<&'static str> {
    let schemas = [(&old.input, &new.input), (&old.output, &new.output), (&old.config, &new.config)];
    part(schemas).or_else(|| effect((old.side_effect, old.idempotent) != (new.side_effect, new.idempotent)))
}

fn part_of_tool(old: &ToolSpec, new: &ToolSpec) -> Option<&'static str> {
    let (old_input, new_input) = (Some(old.input.clone()), Some(new.input.clone()));
    let schemas = [(&old_input, &new_input), (&old.output, &new.output), (&old.config, &new.config)];
    part(schemas).or_else(|| effect((old.side_effect, old.idempotent) != (new.side_effect, new.idempotent)))
}

fn part(schemas: [(&Option<Value>, &Option<Value>); 3]) -> Option<&'static str> {
    let names = ["schema of what it takes", "schema of what it gives", "schema of its configuration"];
    names.into_iter().zip(schemas).find(|(_, (old, new))| old != new).map(|(name, _)| name)
}

fn effect(differs: bool) -> Option<&'static str> {
    differs.then_some("effect")
}
