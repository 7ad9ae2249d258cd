//! The standards as scripts: one file per chapter, each test a sentence of behaviour that cites
//! the statements it shows. The rows are those of `spec/`.

mod alias;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod errors;
mod flow_control;
mod keep_alive;
mod listener;
mod memory;
mod mount;
mod promises;
mod publish;
mod qos;
mod races;
mod rates;
mod restart;
mod retained;
mod rights;
mod routing;
mod scram;
mod session;
mod shared;
mod subscribe;
mod topics;
mod unsubscribe;
mod v31;
mod web_socket;
mod will;
