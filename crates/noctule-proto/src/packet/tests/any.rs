//! Random packets. Their parts are leaked, which is cheap for as long as a test runs.

use crate::packet::*;
use crate::property::{
    OtherProperties, PropertiesBuf, SubscriptionIds, UserProperties, UserPropertiesBuf,
};
use crate::{PacketId, PacketType, QoS, ReasonCode, Role, TopicFilter, TopicName, Version};
use alloc::vec;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};
use proptest::option;
use proptest::prelude::*;

/// A packet as v5 knows it, and who sends it.
pub(super) fn packet() -> impl Strategy<Value = (Packet<'static>, Role)> {
    prop_oneof![
        connect().prop_map(|connect| (Packet::Connect(connect), Role::Client)),
        connack().prop_map(|connack| (Packet::ConnAck(connack), Role::Server)),
        (publish(), role()).prop_map(|(publish, sender)| (from(publish, sender), sender)),
        (0_usize..4, role()).prop_flat_map(|(which, sender)| acks(which, sender)),
        subscribe().prop_map(|subscribe| (Packet::Subscribe(subscribe), Role::Client)),
        suback(PacketType::SubAck).prop_map(|suback| (Packet::SubAck(suback), Role::Server)),
        unsubscribe().prop_map(|it| (Packet::Unsubscribe(it), Role::Client)),
        suback(PacketType::UnsubAck).prop_map(|suback| (Packet::UnsubAck(suback), Role::Server)),
        Just((Packet::PingReq, Role::Client)),
        Just((Packet::PingResp, Role::Server)),
        role().prop_flat_map(disconnect),
        role().prop_flat_map(auth),
    ]
}

/// What remains of a packet in this version; `None`: the version has no such packet.
pub(super) fn seen_in(packet: Packet<'static>, version: Version) -> Option<Packet<'static>> {
    if version == Version::V5 {
        return Some(packet);
    }
    Some(match packet {
        Packet::Connect(connect) => Packet::Connect(Connect {
            version,
            password: connect.password.filter(|_| connect.user_name.is_some()),
            will: connect.will.map(|will| Will {
                delay_secs: 0,
                message_expiry_secs: None,
                others: OtherProperties::EMPTY,
                ..will
            }),
            properties: ConnectProperties::default(),
            ..connect
        }),
        Packet::ConnAck(connack) => {
            let code = connack.reason.v3_return_code()?;
            let reason = ReasonCode::from_v3_return_code(code)?;
            let present = connack.session_present && version == Version::V311;
            Packet::ConnAck(ConnAck::new(present, reason))
        }
        Packet::Publish(publish) if publish.topic.is_empty() => return None,
        Packet::Publish(publish) => {
            Packet::Publish(Publish { properties: PublishProperties::default(), ..publish })
        }
        Packet::PubAck(ack) => Packet::PubAck(Ack::new(ack.packet_id, ReasonCode::Success)),
        Packet::PubRec(ack) => Packet::PubRec(Ack::new(ack.packet_id, ReasonCode::Success)),
        Packet::PubRel(ack) => Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::Success)),
        Packet::PubComp(ack) => Packet::PubComp(Ack::new(ack.packet_id, ReasonCode::Success)),
        Packet::Subscribe(subscribe) => {
            let mut filters = SubscribeFiltersBuf::new();
            for (filter, SubscribeOptions { qos, .. }) in subscribe.filters {
                filters.push(filter, SubscribeOptions { qos, ..SubscribeOptions::default() });
            }
            Packet::Subscribe(Subscribe {
                subscription_id: None,
                user_properties: UserProperties::EMPTY,
                filters: leak(filters).as_filters(),
                ..subscribe
            })
        }
        Packet::SubAck(suback) => {
            let codes = suback.codes.iter().map(|code| *code.min(&0x80)).collect::<Vec<u8>>();
            Packet::SubAck(SubAck::new(suback.packet_id, codes.leak()))
        }
        Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe(Unsubscribe {
            user_properties: UserProperties::EMPTY,
            ..unsubscribe
        }),
        Packet::UnsubAck(suback) => Packet::UnsubAck(SubAck::new(suback.packet_id, &[])),
        Packet::PingReq | Packet::PingResp => packet,
        // Before v5 a server has no DISCONNECT, and that of a client says nothing.
        Packet::Disconnect(it) if it.reason == ReasonCode::DisconnectWithWill => {
            Packet::Disconnect(Disconnect::new(ReasonCode::Success))
        }
        Packet::Disconnect(_) | Packet::Auth(_) => return None,
    })
}

fn leak<T>(value: T) -> &'static T {
    alloc::boxed::Box::leak(alloc::boxed::Box::new(value))
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => "[a-zA-Z0-9 /+#ü温😀]{0,10}", 1 => "[a-z]{120,140}"]
        .prop_map(|text| &*text.leak())
}

fn binary() -> impl Strategy<Value = &'static [u8]> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| &*bytes.leak())
}

fn topic() -> impl Strategy<Value = TopicName<'static>> {
    "[a-z0-9/$ü温]{1,12}"
        .prop_map(|name| TopicName::parse(name.leak()).expect("the pattern is valid"))
}

fn filter() -> impl Strategy<Value = TopicFilter<'static>> {
    r"(\$share/[a-z]{1,3}/)?(\+/|[a-zü]{0,3}/){0,3}(#|\+|[a-z]{1,3})"
        .prop_map(|filter| TopicFilter::parse(filter.leak()).expect("the pattern is valid"))
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).expect("not 0"))
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

/// A code that `sender` may put into a packet of this type.
fn reason(packet: PacketType, sender: Role) -> impl Strategy<Value = ReasonCode> {
    let codes: Vec<_> = ReasonCode::all().filter(|code| code.allowed_in(packet, sender)).collect();
    prop::sample::select(codes)
}

fn users() -> impl Strategy<Value = UserProperties<'static>> {
    prop::collection::vec((text(), text()), 0..3).prop_map(|pairs| {
        let mut users = UserPropertiesBuf::new();
        for (name, value) in pairs {
            users.push(name, value).expect("short");
        }
        leak(users).as_properties()
    })
}

fn others() -> impl Strategy<Value = OtherProperties<'static>> {
    let texts = (option::of(text()), option::of(topic()), option::of(binary()));
    let users = prop::collection::vec((text(), text()), 0..3);
    (option::of(any::<bool>()), texts, users).prop_map(|(format, texts, users)| {
        let mut others = PropertiesBuf::new();
        let (content_type, response_topic, correlation_data) = texts;
        for (name, value) in users {
            others.user_property(name, value).expect("short");
        }
        if let Some(format) = format {
            others.payload_format(format);
        }
        if let Some(content_type) = content_type {
            others.content_type(content_type).expect("short");
        }
        if let Some(response_topic) = response_topic {
            others.response_topic(response_topic).expect("short");
        }
        if let Some(correlation_data) = correlation_data {
            others.correlation_data(correlation_data).expect("short");
        }
        leak(others).as_properties()
    })
}

fn will() -> impl Strategy<Value = Will<'static>> {
    (topic(), binary(), qos(), any::<bool>(), any::<u32>(), option::of(any::<u32>()), others())
        .prop_map(|(topic, payload, qos, retain, delay_secs, message_expiry_secs, others)| Will {
            topic,
            payload,
            qos,
            retain,
            delay_secs,
            message_expiry_secs,
            others,
        })
}

fn connect() -> impl Strategy<Value = Connect<'static>> {
    let flags = (any::<bool>(), any::<u16>(), text(), option::of(will()));
    let credentials = (option::of(text()), option::of(binary()));
    (flags, credentials, connect_properties()).prop_map(|(flags, credentials, properties)| {
        let (clean_start, keep_alive_secs, client_id, will) = flags;
        let (user_name, password) = credentials;
        Connect {
            version: Version::V5,
            bridge: false,
            clean_start,
            keep_alive_secs,
            client_id,
            will,
            user_name,
            password,
            properties,
        }
    })
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(any::<NonZeroU32>()),
        option::of(any::<u16>()),
    );
    let flags = (option::of(any::<bool>()), option::of(any::<bool>()));
    let method = (option::of(text()), option::of(binary()));
    (numbers, flags, method, users()).prop_map(|(numbers, flags, method, user_properties)| {
        ConnectProperties {
            session_expiry_secs: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_size: numbers.2,
            topic_alias_maximum: numbers.3,
            request_response_information: flags.0,
            request_problem_information: flags.1,
            authentication_method: method.0,
            authentication_data: method.1.filter(|_| method.0.is_some()),
            user_properties,
        }
    })
}

fn connack() -> impl Strategy<Value = ConnAck<'static>> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(any::<NonZeroU32>()),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
        option::of(prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce)]),
    );
    let flags = prop::array::uniform4(option::of(any::<bool>()));
    let texts = prop::array::uniform5(option::of(text()));
    let head = (any::<bool>(), reason(PacketType::ConnAck, Role::Server));
    (head, numbers, flags, texts, (option::of(binary()), users())).prop_map(
        |((present, reason), numbers, flags, texts, (data, user_properties))| ConnAck {
            session_present: present && reason == ReasonCode::Success,
            reason,
            properties: ConnAckProperties {
                session_expiry_secs: numbers.0,
                receive_maximum: numbers.1,
                maximum_qos: numbers.5,
                retain_available: flags[0],
                maximum_packet_size: numbers.2,
                assigned_client_id: texts[0],
                topic_alias_maximum: numbers.3,
                reason_string: texts[1],
                wildcard_subscription_available: flags[1],
                subscription_identifiers_available: flags[2],
                shared_subscription_available: flags[3],
                server_keep_alive_secs: numbers.4,
                response_information: texts[2],
                server_reference: texts[3],
                authentication_method: texts[4],
                authentication_data: data.filter(|_| texts[4].is_some()),
                user_properties,
            },
        },
    )
}

fn publish() -> impl Strategy<Value = Publish<'static>> {
    let flags = (any::<bool>(), qos(), any::<bool>());
    let ids = prop::collection::vec(1..=crate::REMAINING_LENGTH_MAX, 0..3);
    let properties = (option::of(any::<u32>()), option::of(any::<NonZeroU16>()), ids, others());
    (flags, option::of(topic()), packet_id(), properties, binary()).prop_map(
        |((dup, qos, retain), topic, id, (message_expiry_secs, alias, ids, others), payload)| {
            let alias = alias.or(NonZeroU16::new(1).filter(|_| topic.is_none()));
            let mut raw = Vec::new();
            ids.into_iter().for_each(|id| SubscriptionIds::push(id, &mut raw));
            Publish {
                dup: dup && qos != QoS::AtMostOnce,
                qos,
                retain,
                topic: topic.unwrap_or(TopicName::EMPTY),
                packet_id: Some(id).filter(|_| qos != QoS::AtMostOnce),
                properties: PublishProperties {
                    message_expiry_secs,
                    topic_alias: alias,
                    subscription_ids: SubscriptionIds::from_clean(raw.leak()),
                    others,
                },
                payload,
            }
        },
    )
}

/// Only a server sends Subscription Identifiers.
fn from(mut publish: Publish<'static>, sender: Role) -> Packet<'static> {
    if sender == Role::Client {
        publish.properties.subscription_ids = SubscriptionIds::EMPTY;
    }
    Packet::Publish(publish)
}

fn acks(which: usize, sender: Role) -> impl Strategy<Value = (Packet<'static>, Role)> {
    let packet = [PacketType::PubAck, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp];
    let packet = packet[which];
    let parts = (packet_id(), reason(packet, sender), option::of(text()), users());
    parts.prop_map(move |(packet_id, reason, reason_string, user_properties)| {
        let ack = Ack { packet_id, reason, reason_string, user_properties };
        let packet = match which {
            0 => Packet::PubAck(ack),
            1 => Packet::PubRec(ack),
            2 => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        (packet, sender)
    })
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
    (qos(), any::<bool>(), any::<bool>(), prop::sample::select(handling.to_vec())).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscribeOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn subscribe() -> impl Strategy<Value = Subscribe<'static>> {
    let filters = prop::collection::vec((filter(), options()), 1..4);
    let subscription_id = option::of(1..=crate::REMAINING_LENGTH_MAX);
    (packet_id(), subscription_id, users(), filters).prop_map(
        |(packet_id, subscription_id, user_properties, filters)| {
            let mut buf = SubscribeFiltersBuf::new();
            for (filter, mut options) in filters {
                options.no_local &= filter.share().is_none();
                buf.push(filter, options);
            }
            let filters = leak(buf).as_filters();
            Subscribe { packet_id, subscription_id, user_properties, filters }
        },
    )
}

fn unsubscribe() -> impl Strategy<Value = Unsubscribe<'static>> {
    (packet_id(), users(), prop::collection::vec(filter(), 1..4)).prop_map(
        |(packet_id, user_properties, filters)| {
            let mut buf = UnsubscribeFiltersBuf::new();
            for filter in filters {
                buf.push(filter);
            }
            Unsubscribe { packet_id, user_properties, filters: leak(buf).as_filters() }
        },
    )
}

fn suback(packet: PacketType) -> impl Strategy<Value = SubAck<'static>> {
    let codes = prop::collection::vec(reason(packet, Role::Server), 1..4);
    (packet_id(), codes, option::of(text()), users()).prop_map(
        |(packet_id, codes, reason_string, user_properties)| {
            let codes = codes.into_iter().map(ReasonCode::as_u8).collect::<Vec<u8>>().leak();
            SubAck { packet_id, codes, reason_string, user_properties }
        },
    )
}

fn disconnect(sender: Role) -> impl Strategy<Value = (Packet<'static>, Role)> {
    let reason = reason(PacketType::Disconnect, sender);
    let only_client = option::of(any::<u32>());
    let only_server = option::of(text());
    (reason, only_client, option::of(text()), only_server, users()).prop_map(
        move |(reason, expiry, reason_string, reference, user_properties)| {
            let disconnect = Disconnect {
                reason,
                session_expiry_secs: expiry.filter(|_| sender == Role::Client),
                reason_string,
                server_reference: reference.filter(|_| sender == Role::Server),
                user_properties,
            };
            (Packet::Disconnect(disconnect), sender)
        },
    )
}

fn auth(sender: Role) -> impl Strategy<Value = (Packet<'static>, Role)> {
    let reason = reason(PacketType::Auth, sender);
    (reason, option::of(text()), option::of(binary()), option::of(text()), users()).prop_map(
        move |(reason, method, data, reason_string, user_properties)| {
            (Packet::Auth(Auth { reason, method, data, reason_string, user_properties }), sender)
        },
    )
}
