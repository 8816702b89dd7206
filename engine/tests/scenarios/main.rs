//! The fifteen scenarios that tell most of Stackless Python's own tests, and its runners-up, played
//! by guests that take part in a scheduler. Each is a test named `scenario_NN_...`.
//!
//! What Stackless's harness asserts around every test is asserted around each: see [`World`].
//! Where our semantics differ by design, ours are asserted, and the test says what differs and why.

#[path = "../common/mod.rs"]
mod common;
mod copies;
mod exceptions;
mod hosts;
mod nested;
mod refused;
mod routing;
mod thrown;
mod waiting;
mod world;

use world::World;
