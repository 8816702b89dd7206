//! Calls everything that the crate has, and says what comes of it. `calls-c` is the same in C.

use std::fmt::Display;
use std::time::Duration;

use tasklet_guest::{
    Channel, Error, Preference, argument, atomic, block_trap, entry, id, park, run, sleep, spawn, steps_left,
    yield_now,
};

entry! {
    /// The one that says something.
    fn calls() {
        call().expect("what fails here ends with a trap");
    }

    /// Has what the other receives.
    fn sender() {
        serve().expect("somebody receives it");
    }

    /// Receives until the channel is closed.
    fn receiver() {
        let closed = channel().receive();
        say(&format!("the receiver: {}", text(closed)));
    }

    /// Answers on the channel that it is told the number of.
    fn answerer() {
        let number = argument().try_into().map(u32::from_le_bytes);
        let channel = Channel::numbered(number.expect("it is told one"));
        say(&format!("a channel that was made: {}", text(channel.send(b"answer"))));
    }

    /// Counts for some ten thousand steps.
    fn counter() {
        let mut n = 0u32;
        while std::hint::black_box(n) < 10_000 {
            n += 1;
        }
    }

    /// Ends with a trap.
    fn failing() {
        core::arch::wasm32::unreachable()
    }
}

const MOMENT: Duration = Duration::from_millis(1);

fn channel() -> Channel {
    Channel::named("c").expect("it was given one")
}

fn say(line: &str) {
    let out = Channel::named("out").expect("it was given one");
    out.send(line.as_bytes()).expect("somebody outside reads it");
}

/// What came of something, less what a message says.
fn text<T>(result: Result<T, Error>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "done".to_string())
}

fn told(what: &str, value: impl Display) {
    say(&format!("{what}: {value}"));
}

fn call() -> Result<(), Error> {
    told("argument", String::from_utf8_lossy(&argument()));
    told("numbered", id().number() > 0);
    told("steps left", steps_left().map_or("no end", |_| "some"));
    told("yield", text(yield_now()));
    told("sleep", text(sleep(MOMENT)));
    told("unknown channel", text(Channel::named("d")));
    told("unknown entry", text(spawn("nothing", b"")));
    refused();
    sections()?;
    messages()?;
    made()?;
    others()?;
    told("parked", text(park()));
    Ok(())
}

fn refused() {
    let c = channel();
    told("try_send", text(c.try_send(b"x")));
    told("try_receive", text(c.try_receive()));
    told("send_timeout", text(c.send_timeout(b"x", MOMENT)));
    told("receive_timeout", text(c.receive_timeout(MOMENT)));
}

fn sections() -> Result<(), Error> {
    let outer = block_trap()?;
    drop(block_trap()?);
    let sent = text(channel().send(b"x"));
    outer.end();
    told("send in a block trap", sent);
    let section = atomic()?;
    told("receive in an atomic section", text(channel().receive_timeout(MOMENT)));
    section.end();
    Ok(())
}

fn messages() -> Result<(), Error> {
    let c = channel();
    spawn("sender", b"")?;
    yield_now()?;
    told("balance", c.balance()?);
    let long = c.receive()?;
    let sum: u32 = long.iter().map(|byte| u32::from(*byte)).sum();
    told("a long message", format!("{} bytes, {sum} in all", long.len()));
    told("an error", text(c.receive()));
    for _ in 0..3 {
        told("one of many", String::from_utf8_lossy(&c.receive()?));
    }
    spawn("receiver", b"")?;
    yield_now()?;
    told("balance", c.balance()?);
    c.close()?;
    told("send", text(c.send(b"x")));
    Ok(())
}

fn serve() -> Result<(), Error> {
    let long: Vec<u8> = (0..=255).chain(0..=255).collect();
    channel().send(&long)?;
    channel().send_error(b"oops")?;
    let sent = channel().send_all(&[b"a", b"bb", b"ccc"])?;
    told("sent of many", sent);
    Ok(())
}

fn made() -> Result<(), Error> {
    let preferences =
        [Preference::Receiver, Preference::Neither, Preference::Sender, Preference::Both];
    let made = preferences.map(Channel::new);
    let [first, second, ..] = made.clone().map(|channel| channel.expect("there is room"));
    spawn("answerer", &second.number().to_le_bytes())?;
    told("an answer", String::from_utf8_lossy(&second.receive()?));
    yield_now()?;
    first.release()?;
    told("a channel that was released", text(first.try_send(b"x")));
    let again = Channel::new(Preference::Receiver)?;
    told("its number is used again", again == first);
    for channel in made.into_iter().flatten() {
        channel.release()?;
    }
    let mut many = 0;
    while Channel::new(Preference::Receiver).is_ok() {
        many += 1;
    }
    told("channels until a limit is exceeded", many);
    Ok(())
}

fn others() -> Result<(), Error> {
    told("run", run(0)?.map_or("all have run", |_| "interrupted"));
    spawn("counter", b"")?;
    told("run", run(1000)?.map_or("all have run", |_| "interrupted"));
    spawn("failing", b"")?;
    told("run", match run(0) {
        Err(Error::Thrown(payload)) if !payload.is_empty() => "an error was thrown",
        _ => "something else",
    });
    Ok(())
}
