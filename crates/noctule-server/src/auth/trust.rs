//! Who is believed, and how a reload changes that.

use super::file::AuthFileError;
use super::token::Tokens;
use super::verifier::Users;
use super::webhook::{Hook, Webhook};
use crate::config::{AuthenticatorKind, Config, Listener};
use crate::http::HttpThread;
use crate::inside;
use noctule_core::ListenerId;
use noctule_core::grant::Policies;
use std::io;
use std::sync::Arc;

/// Who is believed, and in which order that is found out. A reload brings another one.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// One for each listener, and one for connections that begin within this process.
    pub(crate) by_listener: Vec<Arc<Chain>>,
    pub(crate) otherwise: Arc<Chain>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) hook: Option<Hook>,
    pub(crate) policies: Policies,
    /// Some role says how many connections a user may have.
    pub(crate) bounds_users: bool,
}

/// Who is asked at a listener, in this order, and which users there are.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) order: Vec<AuthenticatorKind>,
    pub(crate) users: Users,
    /// The listener says that nobody is asked.
    pub(crate) unasked: bool,
    /// Its clients are parts of this process.
    pub(crate) inside: bool,
}

impl Chain {
    fn of(config: &Config, listener: &Listener) -> Chain {
        Chain {
            unasked: listener.authenticators.as_ref().is_some_and(Vec::is_empty),
            order: config.authenticators_of(listener).into(),
            users: config.users_of(listener).clone(),
            inside: false,
        }
    }

    /// Of connections that begin within this process: they are what they say.
    fn inside() -> Chain {
        Chain { unasked: true, inside: true, ..Chain::default() }
    }

    pub(super) fn asks(&self, kind: AuthenticatorKind) -> bool {
        self.order.contains(&kind)
    }
}

impl Trust {
    /// What holds at a listener.
    pub(super) fn at(&self, listener: ListenerId) -> &Arc<Chain> {
        self.by_listener.get(usize::from(listener.0)).unwrap_or(&self.otherwise)
    }

    /// Whether some listener's rules have this role.
    pub(super) fn has_role(&self, role: &str) -> bool {
        let Policies { by_listener, otherwise, beyond_ranks: _ } = &self.policies;
        let all = by_listener.iter().chain([otherwise]);
        all.filter_map(|policy| policy.roles.as_ref()).any(|it| it.rules.contains_key(role))
    }

    /// Nobody can be checked against anything there.
    pub(super) fn is_empty_at(&self, listener: ListenerId) -> bool {
        let chain = self.at(listener);
        let hook = chain.asks(AuthenticatorKind::Webhook) && self.hook.is_some();
        chain.unasked || (chain.users.is_empty() && self.tokens.is_empty() && !hook)
    }
}

/// Who is believed beside the configured users.
pub(crate) struct Believed {
    tokens: Arc<Tokens>,
    webhook: Option<Arc<Webhook>>,
}

impl Believed {
    /// Reads the files. What is configured as it was `before` keeps what it knows.
    ///
    /// # Errors
    /// One of the files is of no use.
    pub(crate) fn load(
        config: &Config,
        before: Option<&Believed>,
    ) -> Result<Believed, AuthFileError> {
        let webhook = match &config.webhook {
            None => None,
            Some(options) => {
                let same = before.and_then(|it| it.webhook.as_ref()).filter(|it| it.is(options));
                let same = same.inspect(|it| it.refresh()).cloned();
                Some(same.map_or_else(|| Webhook::load(options).map(Arc::new), Ok)?)
            }
        };
        let tokens = Tokens::load(&config.jwt, before.map(|it| &*it.tokens))?;
        Ok(Believed { tokens: Arc::new(tokens), webhook })
    }

    /// Believes whom the configuration says from now on; if one of its files is of no use, whom it
    /// believed before. The HTTP thread is started if it is needed for the first time.
    ///
    /// # Errors
    /// Why all stays as it was.
    pub(crate) fn reload(
        &mut self,
        config: &Config,
        http: &mut Option<HttpThread>,
    ) -> Result<(), String> {
        let new = Believed::load(config, Some(self)).map_err(|error| error.to_string())?;
        if http.is_none() {
            *http = new.http().map_err(|error| format!("the system refuses: {error}"))?;
        }
        *self = new;
        Ok(())
    }

    /// A thread for HTTP, if anybody has to be asked by it.
    pub(crate) fn http(&self) -> io::Result<Option<HttpThread>> {
        let needed = self.webhook.is_some() || self.tokens.need_fetching();
        needed.then(HttpThread::start).transpose()
    }

    /// Who is believed, in all.
    pub(crate) fn trust(&self, config: &Config, http: Option<&HttpThread>) -> Trust {
        let hook = |(webhook, http): (&Arc<Webhook>, &HttpThread)| Hook {
            webhook: Arc::clone(webhook),
            runtime: http.runtime().clone(),
        };
        let own = |it: &Listener| it.authenticators.is_some() || it.users.is_some();
        let otherwise = Arc::new(Chain {
            order: config.authenticators.clone(),
            users: config.users.clone(),
            unasked: false,
            inside: false,
        });
        let chain = |it: &Listener| match own(it) {
            true => Arc::new(Chain::of(config, it)),
            false => Arc::clone(&otherwise),
        };
        let inside = Arc::new(Chain::inside());
        let by_listener = config.listeners.iter().map(chain).chain([inside]).collect();
        Trust {
            by_listener,
            otherwise,
            tokens: Arc::clone(&self.tokens),
            hook: self.webhook.as_ref().zip(http).map(hook),
            policies: inside::policies(config),
            bounds_users: config.policies.bound_connections(),
        }
    }

    /// Fetches the keys that come from URLs.
    pub(crate) fn begin_fetching(&self, http: &HttpThread) {
        self.tokens.begin_fetching(http.runtime());
    }

    /// Reads the files again that have changed.
    pub(crate) fn refresh(&self) {
        self.tokens.refresh();
        self.webhook.iter().for_each(|webhook| webhook.refresh());
    }
}
