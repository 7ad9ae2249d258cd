//! Messages that are for the server, and what comes of them: dynamic security, and answers about
//! the broker.

use super::Shard;
use super::lines::News;
use crate::dynsec::{self, Connected, Order, Question, Rights};
use noctule_core::input::SystemPublish;
use noctule_core::output::ControlRequest;
use noctule_core::{ConnId, Index, Input};
use noctule_proto::{QoS, ReasonCode};

impl Shard {
    /// A client's message is for the server.
    pub(super) fn control(&mut self, conn: ConnId, request: ControlRequest) {
        let epoch = self.lines.connections.get_mut(conn).map_or(0, |it| it.epoch);
        let own = self.control_api && *request.topic == *dynsec::BROKER_TOPIC;
        let taken = match (self.broker.client_of(conn), &self.desk) {
            (Some((_, client_id, _)), _) if own || self.desk.is_none() => {
                let user = self.broker.user_of(conn).unwrap_or("(null)");
                let payload = match own {
                    true => self.api.answer(&request.payload, &format!("{client_id}/{user}")),
                    false => dynsec::NO_ENDPOINT.into(),
                };
                let topic = format!("{}/response", request.topic);
                let answered =
                    Order::Answered { conn, epoch, tenant: request.tenant, topic, payload };
                self.lines.news.push_back(News::Answered(Box::new(answered)));
                true
            }
            (Some((_, client_id, _)), Some(desk)) => desk.ask(Question {
                shard: self.id.0,
                conn,
                epoch,
                client_id: client_id.into(),
                user_name: self.broker.user_of(conn).map(Into::into),
                request,
            }),
            (Some(_) | None, _) => false,
        };
        if !taken {
            self.lines.news.push_back(News::Controlled(conn, false));
        }
    }

    /// The desk has something to say.
    pub(super) fn dynsec(&mut self, index: &Index, order: Order) {
        match order {
            Order::Rights(rights, heeded) => {
                self.heed(index, rights);
                drop(heeded);
            }
            Order::Answered { conn, epoch, tenant, topic, payload } => {
                let publish = SystemPublish {
                    tenant,
                    topic: &topic,
                    payload: payload.as_bytes(),
                    qos: QoS::AtMostOnce,
                    retain: false,
                };
                self.tell(index, Input::Publish(publish));
                self.tell_if_same(index, (conn, epoch), Input::Controlled { conn, taken: true });
            }
            Order::End(users) => {
                for conn in (0..self.broker.connections_end()).map(ConnId) {
                    let user = self.broker.user_of(conn).map(Into::into);
                    let is_client = self.broker.client_of(conn).is_some();
                    // Bridges are under none of these rules.
                    if is_client && users.contains(&user) && !self.is_inside(conn) {
                        let reason = ReasonCode::AdministrativeAction;
                        let why = "who this is, or what it may do, has changed";
                        self.tell(index, Input::Revoked { conn, reason, why });
                    }
                }
            }
            Order::Find(users, tell) => {
                let all = (0..self.broker.connections_end()).map(ConnId).filter_map(|conn| {
                    let user_name =
                        self.broker.user_of(conn).filter(|name| users.contains(*name))?;
                    let (_, client_id, remote) = self.broker.client_of(conn)?;
                    let address = remote.map(|it| it.ip().to_canonical().to_string());
                    Some(Connected {
                        user_name: user_name.into(),
                        client_id: client_id.into(),
                        address,
                    })
                });
                // Nobody waits any more, if it took too long.
                drop(tell.send(all.collect()));
            }
        }
    }

    /// These hold from here on.
    pub(super) fn heed(&mut self, index: &Index, Rights { model, ranked }: Rights) {
        for conn in self.auth.heed(model) {
            let reason = ReasonCode::NotAuthorized;
            let why = "the user was changed while its password was checked";
            self.tell(index, Input::Revoked { conn, reason, why });
        }
        self.tell(index, Input::Ranked(ranked));
    }

    fn tell(&mut self, index: &Index, input: Input<'_>) {
        self.broker.handle(self.now, index, input, &mut self.outbox);
    }
}
