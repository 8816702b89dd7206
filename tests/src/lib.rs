//! What the tests of this folder share: programs, their surroundings, and the oracle.
//!
//! - [`examples`] and [`generate`] are where programs come from.
//! - [`world`] is what a program is given, the same under plain wasmtime and under the engine.
//! - [`plain`] runs the *original* in plain wasmtime, which is the outside opinion on everything.
//! - [`oracle`] states the property that all tests are after and checks it.
//! - [`processes`] runs a program by the command line tool, each slice in a process of its own.
//! - `states` are programs that make a few calls of WASI, and what those are to answer.
//! - [`campaign`] checks it of many generated modules, [`hostile`] damages them.

pub mod campaign;
pub mod examples;
pub mod generate;
pub mod hostile;
pub mod oracle;
pub mod parallel;
pub mod plain;
pub mod processes;
pub mod random;
pub mod reveal;
pub mod spec;
#[cfg(unix)]
pub mod states;
pub mod world;

use std::path::PathBuf;
use std::sync::OnceLock;

use tasklet_engine::{CacheMode, Engine, EngineOptions, Memories};

/// Options for the engines of tests: as users have them, but without a cache, so that nothing stale
/// is ever tested, for the target that `TASKLET_TESTS_TARGET` names (`pulley`, say), and with the
/// memories that `TASKLET_TESTS_MEMORIES` says (`dense`).
pub fn options() -> EngineOptions {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    if let Ok(name) = std::env::var("TASKLET_TESTS_TARGET") {
        options.target = name.parse().expect("TASKLET_TESTS_TARGET is a target that runs here");
    }
    if let Ok(name) = std::env::var("TASKLET_TESTS_MEMORIES") {
        assert_eq!(name, "dense", "TASKLET_TESTS_MEMORIES can be `dense`");
        options.memories = Memories::Dense;
    }
    options
}

/// The engine of all tests. It looks at the interrupt flag often, so that slices end inside budgets
/// too.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut options = options();
        options.slice_steps = 1_000_003;
        Engine::new(&options).expect("the options are good on every machine")
    })
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("this crate lies in the workspace's folder").to_path_buf()
}

/// Where cargo puts what it builds with this profile: the folder of the test's own executable.
pub fn target_dir() -> PathBuf {
    let own = std::env::current_exe().expect("a running test has an executable");
    let deps = own.parent().expect("it lies in a folder");
    deps.parent().expect("target/PROFILE/deps").to_path_buf()
}
