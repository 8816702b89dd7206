//! Two tasklets and a ball, with neither std nor an allocator. The argument is how often the ball
//! goes there and back.
#![no_std]

use core::fmt::Write;

use tasklet_guest::{Channel, Error, argument_into, entry, spawn};

entry! {
    /// Has the first ball.
    fn ping() {
        let mut text = [0; 8];
        let len = argument_into(&mut text).min(text.len());
        let rallies = text[..len].iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
        must(spawn("pong", b"").map(drop).and_then(|()| play(rallies)));
    }

    /// Plays back whatever comes.
    fn pong() {
        must(play_back());
    }
}

fn play(rallies: u32) -> Result<(), Error> {
    let there = Channel::named("there")?;
    let back = Channel::named("back")?;
    let mut ball = [0; 4];
    for rally in 1..=rallies {
        say("ping", rally)?;
        there.send(&rally.to_le_bytes())?;
        back.receive_into(&mut ball)?;
    }
    there.close()
}

fn play_back() -> Result<(), Error> {
    let there = Channel::named("there")?;
    let back = Channel::named("back")?;
    let mut ball = [0; 4];
    loop {
        match there.receive_into(&mut ball) {
            Err(Error::Closed) => return Ok(()),
            received => received?,
        };
        say("pong", u32::from_le_bytes(ball))?;
        back.send(&ball)?;
    }
}

/// A line that grows; what does not fit is left out.
#[derive(Default)]
struct Line {
    text: [u8; 32],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (to, from) in self.text[self.len..].iter_mut().zip(text.bytes()) {
            *to = from;
            self.len += 1;
        }
        Ok(())
    }
}

/// Hands a line to the program outside.
fn say(who: &str, rally: u32) -> Result<(), Error> {
    let mut line = Line::default();
    let _ = write!(line, "{who} {rally}");
    Channel::named("out")?.send(&line.text[..line.len])
}

/// What fails here ends the tasklet with a trap.
fn must(result: Result<(), Error>) {
    if result.is_err() {
        core::arch::wasm32::unreachable()
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
