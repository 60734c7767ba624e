//! From a configuration to what a server is composed of. Nothing is bound here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use swapwire::admin::Admin;
use swapwire::core::Place;
use swapwire::{
    BuildError, BuildProblem, Endpoint, Framing, HandlerRegistry, Limits, Listen, Registry, ServerBuilder, Service,
    SettingError, Settings as _, WhenFull,
};

use super::admin::AdminPlan;
use crate::cli::ServeArgs;
use crate::config::{self, ALLOW_AMPLIFICATION, Config, LimitTable, REFUSE, Table as _, Value};
use crate::values::{count, switch, time};

/// The handler where none is named.
const HANDLER: &str = "uppercase-echo";

/// Plans servers of configurations, one after another: a handler lives as long as this, so that listeners of an earlier plan
/// and of a later one have the same.
pub(crate) struct Planner {
    registry: Registry,
    handlers: HandlerRegistry,
    made: BTreeMap<String, Arc<dyn Service>>,
}

/// What a server is composed of.
pub(crate) struct Plan {
    pub(crate) listens: Vec<Listen>,
    /// Where they listen, as it was written, and whether there is a page.
    pub(crate) places: Vec<(Endpoint, bool)>,
    pub(crate) limits: Limits,
    pub(crate) workers: Option<usize>,
    pub(crate) until_eof: bool,
    pub(crate) drain_delay: Duration,
    pub(crate) admin: Option<AdminPlan>,
    allow_amplification: bool,
}

impl Planner {
    pub(crate) fn new() -> Self {
        let (registry, handlers) = (swapwire::default_registry(), swapwire::default_handlers());
        Self { registry, handlers, made: BTreeMap::new() }
    }

    /// Plans the server that `config` describes. Files of pages are read.
    ///
    /// # Errors
    /// All that is wrong and is known before anything is bound, but for what the composition finds ([`Planner::builder`]): a line
    /// each.
    pub(crate) fn plan(&mut self, config: &Config) -> Result<Plan, Vec<String>> {
        let mut problems = Problems(Vec::new());
        let mut limits = Limits::default();
        problems.of(set_limits(&mut limits, &[&config.limits]));
        if let Some(time) = &config.server.drain_timeout {
            problems.of(limits.set("drain_timeout", &time.text).map_err(|error| time.problem(error)));
        }
        let workers = problems.read(config.server.workers.as_ref(), count).flatten();
        let until_eof = problems.read(config.server.until_eof.as_ref(), switch).flatten().unwrap_or(false);
        let drain_delay = problems.read(config.server.drain_delay.as_ref(), time).flatten().unwrap_or_default();
        let admin = config.admin.as_ref().and_then(|admin| self.admin(admin, &mut problems));
        let allowed = config.limits.get(ALLOW_AMPLIFICATION);
        let allow_amplification = problems.read(allowed, switch).flatten().unwrap_or(false);
        let (mut listens, mut places) = (Vec::new(), Vec::new());
        for listen in &config.listen {
            let written = listen.endpoint.as_ref();
            let planned = self.listen(listen, &config.limits, &mut problems);
            let Some((listen, endpoint, has_page)) = planned else { continue };
            problems.of(self.alone(&endpoint, &places, written));
            listens.push(listen);
            places.push((endpoint, has_page));
        }
        let plan = Plan { listens, places, limits, workers, until_eof, drain_delay, admin, allow_amplification };
        if problems.0.is_empty() { Ok(plan) } else { Err(problems.0) }
    }

    /// Reads everything anew for a server that started as `started` says: what its listeners should be by now, and the
    /// configuration, for [`explain`].
    ///
    /// # Errors
    /// As of [`Config::gather`] and of [`plan`](Self::plan), or something is another that cannot change while a server runs: a line
    /// each.
    pub(crate) fn again(&mut self, args: &ServeArgs, started: &Config) -> Result<(Config, Vec<Listen>), Vec<String>> {
        let config = Config::gather(args)?;
        let plan = self.plan(&config)?;
        let changes = config.lasting_changes(started);
        if changes.is_empty() { Ok((config, plan.listens)) } else { Err(changes) }
    }

    /// The composition, but for the workers.
    pub(crate) fn builder(&self, plan: &Plan) -> ServerBuilder {
        let builder = swapwire::server().registry(self.registry.clone()).limits(plan.limits.clone());
        let builder = builder.allow_amplification(plan.allow_amplification);
        plan.listens.iter().cloned().fold(builder, ServerBuilder::listen)
    }

    /// What is as it should be and may not be what was meant: limits of the server that hold for some of its listeners alone.
    pub(crate) fn remarks(&self, plan: &Plan) -> Vec<String> {
        let of_sources = Limits::OF_SOURCES.iter().copied();
        let set: Vec<_> = of_sources.filter(|name| plan.limits.get(name) != Limits::default().get(name)).collect();
        let has_no_sources = |endpoint: &Endpoint| {
            let transport = self.registry.transport(endpoint);
            transport.is_ok_and(|transport| !transport.capabilities(endpoint.scheme()).stable_peers)
        };
        let listeners = plan.places.iter().filter(|(endpoint, _)| !set.is_empty() && has_no_sources(endpoint));
        let remark = |endpoint: &Endpoint| {
            format!(
                "{endpoint}: each request has another address here, so these limits do not apply: {}",
                set.join(", ")
            )
        };
        listeners.map(|(endpoint, _)| remark(endpoint)).collect()
    }

    /// Whether `endpoint` is bound for none of these as well, whatever stands on it.
    fn alone(&self, endpoint: &Endpoint, others: &[(Endpoint, bool)], written: Option<&Value>) -> Result<(), String> {
        let base = |endpoint: &Endpoint| {
            let transport = self.registry.transport(endpoint).ok()?;
            if !transport.capabilities(endpoint.scheme()).exclusive_bind {
                return None;
            }
            let base = transport.base(endpoint);
            let is_shared = base.option("reuse_port").is_some() || matches!(base.place(), Place::Host { port: 0, .. });
            (!is_shared).then(|| base.without_options())
        };
        let own = base(endpoint);
        match others.iter().find(|(other, _)| own.is_some() && base(other) == own) {
            Some((other, _)) if other == endpoint => {
                Err(problem_of(written, format_args!("{endpoint} is there twice")))
            }
            Some((other, _)) => Err(problem_of(written, format_args!("{endpoint} and {other} are one place"))),
            None => Ok(()),
        }
    }

    fn admin(&self, config: &config::Admin, problems: &mut Problems) -> Option<AdminPlan> {
        let explain = |error| self.registry.explain(error);
        let listen = problems.read(config.listen.as_ref(), |text| text.parse::<Endpoint>().map_err(explain))?;
        let expose = problems.read(config.expose.as_ref(), switch)?.unwrap_or(false);
        let hosts = config.hosts.as_ref().map_or("", |hosts| &hosts.text).split(',').map(str::trim);
        let hosts = hosts.filter(|name| !name.is_empty()).map(str::to_owned);
        Some(AdminPlan::new(self.registry.clone(), listen, Admin::new().expose(expose).hosts(hosts)))
    }

    fn listen(
        &mut self,
        config: &config::Listen,
        common: &LimitTable,
        problems: &mut Problems,
    ) -> Option<(Listen, Endpoint, bool)> {
        let handler = config.handler.as_ref().map_or(HANDLER, |handler| &handler.text);
        let entry = self.handlers.get(handler).map_err(|error| problem_of(config.handler.as_ref(), error));
        let entry = problems.of(entry).cloned();
        let framing = problems.read(config.framing.as_ref(), str::parse::<Framing>);
        let explain = |error| self.registry.explain(error);
        let endpoint = problems.read(config.endpoint.as_ref(), |text| text.parse::<Endpoint>().map_err(explain));
        let (endpoint, entry, framing) = (endpoint.flatten()?, entry?, framing?);
        let mut listen = Listen::on(endpoint.clone());
        #[cfg(feature = "ws")]
        let has_page = if let Some(page) = &config.page {
            use swapwire::WithLayer as _;
            let page = problems.of(super::page::of(page, handler, &endpoint))?;
            listen = listen.registry(self.registry.clone().with_layer(swapwire::ws::Ws::new().with_page(page)));
            true
        } else {
            false
        };
        #[cfg(not(feature = "ws"))]
        let has_page = false;
        if let Some(name) = &config.name {
            listen = listen.named(&*name.text);
        }
        let framing = framing.or_else(|| entry.framing().cloned()).unwrap_or(Framing::Chunks);
        let service = self.made.entry(handler.to_owned()).or_insert_with(|| entry.make());
        listen = listen.handler(Arc::clone(service)).framing(framing);
        let (common, own) = (common.clone(), config.limits.clone());
        listen = listen.limits(move |of_the_server| {
            let mut limits = Limits::default();
            // They were checked where they were written.
            let _ = set_limits(&mut limits, &[&common, &own]);
            // These are as they were when the server started, whatever a file says by now.
            for name in Limits::OF_THE_SERVER {
                let _ = of_the_server.get(name).map(|text| limits.set(name, &text));
            }
            limits
        });
        Some((listen, endpoint, has_page))
    }
}

/// Sets what is in the tables. An echo of the largest message fits into a reply, unless that has a limit of its own.
fn set_limits(limits: &mut Limits, tables: &[&LimitTable]) -> Result<(), String> {
    for (name, value) in tables.iter().flat_map(|table| table.values()) {
        match name {
            ALLOW_AMPLIFICATION => {}
            REFUSE => limits.when_full = WhenFull::refuse(value.text.clone()),
            _ => limits.set(name, &value.text).map_err(|error: SettingError| value.problem(error))?,
        }
    }
    if tables.iter().all(|table| table.get("max_reply").is_none()) {
        limits.max_reply = limits.max_reply.max(limits.max_message);
    }
    Ok(())
}

/// What is wrong with a composition, a line each, at the place of the file that is at fault.
pub(crate) fn explain(error: &BuildError, config: &Config) -> Vec<String> {
    let at = |problem: &BuildProblem| match problem {
        BuildProblem::Workers { .. } => config.server.workers.as_ref(),
        BuildProblem::Limit { name, .. } => config.limits.get(name),
        BuildProblem::Name { name } => {
            let mut named = config.listen.iter().filter_map(|listen| listen.name.as_ref());
            named.rfind(|value| value.text == *name)
        }
        _ => {
            let mut endpoints = config.listen.iter().filter_map(|listen| listen.endpoint.as_ref());
            endpoints.find(|value| value.text.parse().ok().as_ref() == problem.endpoint())
        }
    };
    error.problems().iter().map(|problem| problem_of(at(problem), problem)).collect()
}

fn problem_of(value: Option<&Value>, problem: impl ToString) -> String {
    value.map_or_else(|| problem.to_string(), |value| value.problem(problem.to_string()))
}

/// Each is told once, though several listeners may have it.
struct Problems(Vec<String>);

impl Problems {
    fn of<T>(&mut self, result: Result<T, String>) -> Option<T> {
        let tell = |problem| {
            if !self.0.contains(&problem) {
                self.0.push(problem);
            }
        };
        result.map_err(tell).ok()
    }

    /// Reads a value, if there is one; nothing, if it is malformed.
    fn read<T, E: ToString>(
        &mut self,
        value: Option<&Value>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        let read = |value: &Value| read(&value.text).map_err(|error| value.problem(error.to_string()));
        self.of(value.map(read).transpose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_room_for_the_largest_message_unless_it_has_a_limit() {
        let table = |limits: &[(&'static str, &str)]| {
            let mut table = LimitTable::default();
            limits.iter().for_each(|(name, text)| table.set(name, Value::given(*text)));
            table
        };
        let max_reply = |tables: &[&LimitTable]| {
            let mut limits = Limits::default();
            set_limits(&mut limits, tables).unwrap();
            limits.max_reply
        };
        let (large, small, other) = (table(&[("max_message", "4MiB")]), table(&[("max_reply", "1k")]), table(&[]));
        assert_eq!(max_reply(&[&large]), 4 << 20);
        assert_eq!(max_reply(&[&other, &large]), 4 << 20);
        assert_eq!(max_reply(&[&small, &large]), 1024);
        assert_eq!(max_reply(&[&large, &small]), 1024);
    }
}
