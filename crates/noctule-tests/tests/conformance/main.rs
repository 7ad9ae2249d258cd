//! The standards as scripts: one file per chapter, each test a sentence of behaviour that cites
//! the statements it shows. The rows are those of `spec/`.

mod connack;
mod connect;
mod errors;
mod keep_alive;
mod publish;
mod qos;
mod retained;
mod subscribe;
mod unsubscribe;
mod will;
