//! What flags and the environment say, put over a file.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::tables::{ALLOW_AMPLIFICATION, Admin, Listen, REFUSE, Server, Table};
use super::{Config, Value};
use crate::cli::{AdminFlags, ServeArgs};

impl Config {
    /// The whole configuration, but for the endpoints where none were given: what the file of `args` says, and instead of that
    /// what `args` say. It reads the file anew each time.
    ///
    /// # Errors
    /// What is wrong with the file, a line each.
    pub(crate) fn gather(args: &ServeArgs) -> Result<Self, Vec<String>> {
        let mut config = match &args.config {
            Some(file) => Self::read(file)?,
            None => Self::default(),
        };
        config.listen.extend(args.endpoints.iter().map(Listen::on));
        config.override_by(args);
        config.listen.iter_mut().for_each(|listen| listen.override_by(args));
        Ok(config)
    }

    fn override_by(&mut self, args: &ServeArgs) {
        for (name, text) in args.limits.given() {
            match Server::keys().iter().any(|key| key.name == name) {
                true => self.server.set(name, Value::given(text)),
                false => self.set_limit(name, text),
            }
        }
        if let Some(text) = &args.refuse {
            self.set_limit(REFUSE, text.clone());
        }
        if let Some(allowed) = args.allow_amplification {
            self.set_limit(ALLOW_AMPLIFICATION, allowed.to_string());
        }
        replace(&mut self.server.workers, args.workers);
        replace(&mut self.server.until_eof, args.until_eof);
        let delay = args.drain_delay.map(|delay| format!("{delay:?}"));
        replace(&mut self.server.drain_delay, delay);
        if args.admin.is_given() {
            self.admin.get_or_insert_default().override_by(&args.admin);
        }
        replace(&mut self.log.level, args.log.as_ref());
        let format = args.log_format.as_ref().and_then(ValueEnum::to_possible_value);
        replace(&mut self.log.format, format.as_ref().map(PossibleValue::get_name));
    }

    /// Sets a limit of all listeners: none has another.
    fn set_limit(&mut self, name: &'static str, text: String) {
        self.limits.set(name, Value::given(text));
        self.listen.iter_mut().for_each(|listen| listen.limits.remove(name));
    }
}

impl Admin {
    fn override_by(&mut self, args: &AdminFlags) {
        replace(&mut self.listen, args.admin_listen.as_ref());
        replace(&mut self.expose, args.admin_expose);
        replace(&mut self.hosts, args.admin_hosts.as_ref().map(|hosts| hosts.replace(' ', "")));
    }
}

impl Listen {
    /// Listens on this endpoint, with nothing of its own.
    pub(crate) fn on(endpoint: impl ToString) -> Self {
        Self { endpoint: Some(Value::given(endpoint.to_string())), ..Self::default() }
    }

    /// Sets what `args` say of all listeners.
    pub(crate) fn override_by(&mut self, args: &ServeArgs) {
        replace(&mut self.handler, args.handler.as_ref());
        replace(&mut self.framing, args.framing.as_ref());
        #[cfg(feature = "ws")]
        if self.shows_pages() {
            replace(&mut self.page, args.page.as_ref().map(|page| page.as_deref().unwrap_or_default()));
        }
    }

    /// Whether browsers can open its address.
    #[cfg(feature = "ws")]
    fn shows_pages(&self) -> bool {
        let endpoint = self.endpoint.as_ref().and_then(|endpoint| endpoint.text.parse::<swapwire::Endpoint>().ok());
        endpoint.is_some_and(|endpoint| endpoint.scheme().split('+').any(|part| matches!(part, "ws" | "wss")))
    }
}

fn replace(value: &mut Option<Value>, given: Option<impl ToString>) {
    if let Some(given) = given {
        *value = Some(Value::given(given.to_string()));
    }
}
