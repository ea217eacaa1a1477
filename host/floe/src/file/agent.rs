//! Agents in the flow file: which models decide, which tools they may call, and what one run may use.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use floe_agent::{Agent, Catalog, Limits, Policy, Tool};
use floe_egress::Client;
use floe_egress::address::System;
use floe_flow::Schema;
use floe_llm::{Backoff, Ladder, Model, Prices, Provider, Remote, Retry, Scripted, Secret, TimeOuts};
use floe_sandbox::ToolSpec;
use schemars::JsonSchema;
use serde::Deserialize;

use super::named::Named;
use super::policy::PolicyConfig;
use super::tree::Step;
use super::units::{Bytes, Time};
use crate::models::Elsewhere;
use crate::settings;

/// Something wrong, and where below the node.
pub(crate) type Wrong = (Vec<Step>, String);

/// Reaches a goal by calling tools, one step after the other, as a model decides. It takes a question, a text or
/// `{"query": …, "context": …}`, and gives one answer with all that led to it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentNode {
    /// The agent.
    pub agent: AgentConfig,
    /// How the node is run. A retry is a new run.
    #[serde(default)]
    pub policy: PolicyConfig,
}

/// An agent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The model that decides.
    pub model: ModelConfig,
    /// Models that are asked, in this order, where the one before does not answer.
    #[serde(default)]
    pub fallback: Vec<ModelConfig>,
    /// Tools that it may call, `PLUGIN/TOOL`, in the order in which the model sees them.
    #[serde(default)]
    pub tools: Named<ToolConfig>,
    /// What the model is told about its task, beside the rules that all have.
    #[serde(default)]
    pub instructions: Option<String>,
    /// From 0, the likeliest words, to 2 (the provider's own).
    #[serde(default)]
    pub temperature: Option<f64>,
    /// What one run may use and do.
    #[serde(default)]
    pub limits: AgentLimits,
    /// Beside what everybody may call: for a tenant, which of the tools are there.
    #[serde(default)]
    pub tenants: Named<VisibleConfig>,
}

/// A tool of an agent.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolConfig {
    /// How long a call may take (as long as its plugin's limits say).
    pub timeout: Option<Time>,
    /// Calls that are made again if one fails for a while; only of tools that may be called twice (0).
    pub retries: Option<u32>,
}

/// Tools that are there for a tenant.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VisibleConfig {
    /// These and no others.
    pub allowed: Option<BTreeSet<String>>,
    /// None of these.
    pub denied: BTreeSet<String>,
    /// Only those with all of these tags.
    pub tags: BTreeSet<String>,
}

/// What one run of an agent may use and do.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Decisions of the model; in the last one it can only finish (8).
    #[schemars(range(min = 1))]
    pub steps: Option<u32>,
    /// Calls of tools, each branch of a plan counted (100).
    pub tool_calls: Option<u32>,
    /// Tokens read and written (unlimited).
    pub tokens: Option<u64>,
    /// Millionths of a dollar (unlimited).
    pub cost: Option<u64>,
    /// Branches of one plan, at most 50 (50).
    pub parallel: Option<usize>,
    /// Calls of one tool with the same arguments (2).
    #[schemars(range(min = 1))]
    pub repeats: Option<u32>,
    /// Bytes of what one call gave that the model sees (16KiB).
    pub observation: Option<Bytes>,
    /// It may call tools that change something outside and cannot take that twice (false).
    pub effects: Option<bool>,
    /// Tools that the model is told never to call.
    pub disallow: BTreeSet<String>,
    /// Tools that are not called beside others.
    pub sequential: BTreeSet<String>,
}

/// A model: a script, or one of a provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// A file of answers, one a line, relative to the flow file: for tests and examples without a network.
    #[serde(default)]
    pub script: Option<PathBuf>,
    /// Whose interface it has.
    #[serde(default)]
    pub provider: Option<ProviderConfig>,
    /// Its name there, such as `gpt-4.1-mini`.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the interface begins, such as `http://localhost:8080/v1` (the provider's own).
    #[serde(default)]
    pub base_url: Option<String>,
    /// The environment variable that has the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The server's name may lead to this machine or its network (false).
    #[serde(default)]
    pub private: bool,
}

/// Whose interface a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderConfig {
    /// OpenAI's chat completions, which many servers speak.
    Openai,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama.
    Ollama,
}

impl AgentConfig {
    /// The agent, of these tools by their names. `resolve` says where a path of the file leads.
    pub(crate) fn agent(&self, tools: Vec<(String, ToolSpec)>, resolve: impl Fn(&str) -> PathBuf) -> Result<Agent, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut models: Vec<Arc<dyn Model>> = Vec::new();
        let places = std::iter::once(vec![Step::from("model")]);
        let places = places.chain((0..self.fallback.len()).map(|index| vec![Step::from("fallback"), index.into()]));
        for (place, config) in places.zip(std::iter::once(&self.model).chain(&self.fallback)) {
            match config.model(&resolve) {
                Ok(model) => models.push(model),
                Err(message) => wrong.push((place, message)),
            }
        }
        let mut catalog = Catalog::default();
        for (name, spec) in tools {
            match self.tool(&name, spec) {
                Ok(tool) => catalog.tools.push(Arc::new(tool)),
                Err(message) => wrong.push((vec!["tools".into(), name.as_str().into()], message)),
            }
        }
        for (tenant, visible) in self.tenants.iter() {
            let VisibleConfig { allowed, denied, tags } = visible.clone();
            catalog.tenants.insert(tenant.into(), Policy { allowed, denied, tags });
        }
        let limits = self.limits.limits().map_err(|(key, message)| wrong.push((vec!["limits".into(), key.into()], message)));
        match limits {
            Ok(limits) if wrong.is_empty() => Ok(Agent {
                model: Ladder::new(models),
                catalog,
                instructions: self.instructions.clone(),
                temperature: self.temperature,
                limits,
            }),
            _ => Err(wrong),
        }
    }

    fn tool(&self, name: &str, spec: ToolSpec) -> Result<Tool, String> {
        let config = self.tools.get(name).copied().unwrap_or_default();
        let check = Schema::compile(&spec.input)
            .map_err(|error| format!("the plugin's schema of `{name}`'s arguments cannot be used: {error}"))?;
        Ok(Tool {
            name: name.to_owned(),
            description: spec.description,
            input: spec.input,
            check,
            output: spec.output,
            side_effect: spec.side_effect,
            idempotent: spec.idempotent,
            tags: spec.tags,
            timeout: config.timeout.map(|timeout| timeout.0),
            retries: config.retries.unwrap_or_default(),
        })
    }
}

impl AgentLimits {
    fn limits(&self) -> Result<Limits, (&'static str, String)> {
        let default = Limits::default();
        if self.steps == Some(0) {
            return Err(("steps", "without a step there is no answer; give it 1 or more, or leave it out".to_owned()));
        }
        if self.parallel.is_some_and(|parallel| parallel > default.parallel) {
            return Err(("parallel", format!("a plan has at most {} branches", default.parallel)));
        }
        Ok(Limits {
            steps: self.steps.unwrap_or(default.steps),
            tool_calls: self.tool_calls.unwrap_or(default.tool_calls),
            tokens: self.tokens,
            cost: self.cost,
            parallel: self.parallel.unwrap_or(default.parallel),
            repeats: self.repeats.unwrap_or(default.repeats),
            observation: self.observation.map_or(default.observation, |bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX)),
            effects: self.effects.unwrap_or(default.effects),
            disallow: self.disallow.clone(),
            sequential: self.sequential.clone(),
        })
    }
}

impl ModelConfig {
    fn model(&self, resolve: impl Fn(&str) -> PathBuf) -> Result<Arc<dyn Model>, String> {
        match (&self.script, self.provider) {
            (Some(script), None) => {
                let path = resolve(&script.display().to_string());
                let shown = script.display().to_string();
                let text =
                    std::fs::read_to_string(&path).map_err(|error| format!("cannot read the script `{shown}`: {error}"))?;
                Ok(Arc::new(Scripted::parse(&shown, &text).map_err(|error| error.to_string())?))
            }
            (None, Some(provider)) => self.remote(provider),
            _ => Err("a model is either a `script` or of a `provider`".to_owned()),
        }
    }

    fn remote(&self, provider: ProviderConfig) -> Result<Arc<dyn Model>, String> {
        let name = self.name.clone().ok_or("a provider's model has a `name`")?;
        let key = self.key_env.as_deref().map(settings::variable).transpose()?;
        let client = floe_egress::Config { resolver: Arc::new(System::new()), roots: Vec::new() };
        let config = floe_llm::Config {
            provider: match provider {
                ProviderConfig::Openai => Provider::OpenAi,
                ProviderConfig::Anthropic => Provider::Anthropic,
                ProviderConfig::Gemini => Provider::Gemini,
                ProviderConfig::Ollama => Provider::Ollama,
            },
            base_url: self.base_url.clone(),
            model: name,
            key: key.map(|key| Secret::new(&key)),
            time_outs: TimeOuts::DEFAULT,
            max_answer: floe_llm::DEFAULT_MAX_ANSWER,
            max_request: floe_llm::DEFAULT_MAX_REQUEST,
            private: self.private,
            prices: Arc::new(Prices::shipped()),
            client: Client::try_new(client).map_err(|error| error.to_string())?,
        };
        let backoff = Backoff {
            attempts: floe_llm::DEFAULT_ATTEMPTS,
            base: floe_llm::DEFAULT_BASE,
            cap: floe_llm::DEFAULT_CAP,
            total: floe_llm::DEFAULT_TOTAL,
            // Hosts that are told the same come back at times of their own.
            seed: std::process::id().into(),
        };
        let model = Remote::try_new(config).map_err(|error| error.to_string())?;
        Ok(Arc::new(Retry::new(Arc::new(Elsewhere::new(Arc::new(model))), backoff)))
    }
}
