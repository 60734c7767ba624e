//! Whether a plan can be carried out, before anything is opened.

use std::time::Duration;

use swapwire_core::{Capabilities, Place, Registry, Transport};

use crate::{Goal, Load, Plan, PlanError, Sizes, Target};

/// Threads at most.
const THREADS: usize = 1024;
/// Requests under way on one connection at most.
const PIPELINE: usize = 65_536;

impl Plan {
    /// Looks for everything that is wrong with the plan, without opening anything.
    ///
    /// # Errors
    /// [`PlanError::Impossible`] with a line for each problem.
    pub fn check(&self, registry: &Registry) -> Result<(), PlanError> {
        let mut problems = self.contradictions();
        for target in &self.targets {
            match registry.transport(&target.endpoint) {
                Ok(transport) => {
                    let capabilities = transport.capabilities(target.endpoint.scheme());
                    problems.extend(self.unsourced(target, &*transport));
                    for load in &self.loads {
                        problems.extend(self.misfits(target, load, &capabilities));
                    }
                }
                Err(error) => problems.push(format!("{}: {error}", target.endpoint)),
            }
        }
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(PlanError::Impossible(problems)) }
    }

    /// What is wrong whatever the wire.
    fn contradictions(&self) -> Vec<String> {
        let conditions = &self.conditions;
        let zero_time = conditions.goal == Goal::Time(Duration::ZERO);
        let loads = &self.loads;
        let length = conditions.message.as_ref().map(|message| Sizes::Fixed(message.bytes().len()));
        [
            (self.targets.is_empty(), "no target: name an endpoint"),
            (loads.is_empty(), "no load: name a size"),
            (self.rounds == 0, "no rounds: at least 1 is needed"),
            (zero_time, "a duration of 0 measures nothing"),
            (conditions.goal == Goal::Requests(0), "0 requests measure nothing"),
            (conditions.threads == 0, "no threads: at least 1 is needed"),
            (conditions.threads > THREADS, "too many threads: 1024 are the most"),
            (conditions.timeout == Some(Duration::ZERO), "a timeout of 0 loses every request"),
            (conditions.reconnect_every == Some(0), "a connection must have at least 1 reply before it is opened anew"),
            (loads.iter().any(|load| load.connections == 0), "no connections: at least 1 is needed"),
            (loads.iter().any(|load| load.pipeline == 0), "a pipeline of 0 sends nothing"),
            (
                loads.iter().any(|load| load.pipeline > PIPELINE),
                "a pipeline of more than 65536 requests on a connection",
            ),
            (
                length.is_some_and(|length| loads.iter().any(|load| load.sizes != length)),
                "a message sets the size of its requests",
            ),
            (
                loads.iter().filter_map(|load| load.rate).any(|rate| !rate.is_finite() || rate <= 0.0),
                "a rate must be more than 0 requests per second",
            ),
        ]
        .into_iter()
        .filter(|(wrong, _)| *wrong)
        .map(|(_, problem)| problem.to_owned())
        .collect()
    }

    /// Whether connections of this wire can come from an address.
    fn unsourced(&self, target: &Target, transport: &dyn Transport) -> Option<String> {
        let mut options = transport.options(target.endpoint.scheme()).iter();
        let has = self.conditions.sources.is_empty() || options.any(|option| option.name == "source");
        (!has).then(|| {
            format!(
                "{}: its connections have no source address (--source); those of tcp and udp have one",
                target.endpoint
            )
        })
    }

    /// What this wire cannot carry.
    fn misfits(&self, target: &Target, load: &Load, capabilities: &Capabilities) -> Vec<String> {
        let (conditions, endpoint) = (&self.conditions, &target.endpoint);
        let mut problems = Vec::new();
        let mut problem = |text: String| problems.push(format!("{endpoint}: {text}"));
        if matches!(endpoint.place(), Place::Host { port: 0, .. }) {
            problem("port 0 cannot be dialled; write the port of a server".to_owned());
        }
        if let Some(max) = capabilities.max_message
            && load.sizes.max() > max
        {
            problem(format!("requests of {} bytes are too large: this wire carries {max}", load.sizes.max()));
        }
        if capabilities.boundaries() {
            return problems;
        }
        if !conditions.framing.boundaries() {
            if load.sizes.min() == 0 {
                problem("a request of 0 bytes cannot be seen on a byte stream; choose a framing".to_owned());
            }
            if conditions.expect.reply_len(1).is_none() && load.pipeline > 1 {
                let expect = &conditions.expect;
                problem(format!(
                    "where replies may have any length (expect {expect}), a byte stream without a framing needs a pipeline of 1"
                ));
            }
        }
        let made_up = || [load.sizes.min(), load.sizes.max()].map(|size| vec![b'x'; size]).to_vec();
        let requests = conditions.message.as_ref().map_or_else(made_up, |message| vec![message.bytes().to_vec()]);
        for request in requests {
            let (mut encoder, mut frame) = (conditions.framing.encoder(usize::MAX), Vec::new());
            encoder.begin(&mut frame);
            frame.extend_from_slice(&request);
            let size = request.len();
            if let Err(error) = encoder.finish(&mut frame, 0) {
                problem(format!("framing {} with requests of {size} bytes: {error}", conditions.framing));
            }
        }
        problems
    }
}
