//! A sieve: a pipeline of generators, each a tasklet, which grows at its end. The first stage counts.
//! Every other keeps the first number that comes to it, which is a prime, and hands on those that it
//! does not divide. The argument is where to stop counting.
//!
//! Stage n receives on the channel called n, so there are as many primes as there are channels.

use tasklet_guest::{Channel, Error, argument, entry, spawn};

entry! {
    /// The first stage.
    fn count() {
        let limit = std::str::from_utf8(&argument()).ok().and_then(|text| text.parse().ok());
        generate(limit.expect("the argument is a number")).expect("nobody closes what is counted");
    }

    /// One that is spawned, and told its number.
    fn stage() {
        let number = argument().try_into().map(u32::from_le_bytes);
        sieve(number.expect("a stage is told its number")).expect("there are enough channels");
    }
}

fn generate(limit: u32) -> Result<(), Error> {
    let next = grow(0)?;
    for n in 2..=limit {
        next.send(&n.to_le_bytes())?;
    }
    next.close()
}

fn sieve(stage: u32) -> Result<(), Error> {
    let mut numbers = Channel::named(&stage.to_string())?.messages().map(|message| {
        let message = message?.try_into();
        Ok::<_, Error>(u32::from_le_bytes(message.expect("stages send numbers")))
    });
    let Some(prime) = numbers.next().transpose()? else { return Ok(()) };
    Channel::named("out")?.send(prime.to_string().as_bytes())?;
    let mut next = None;
    for number in numbers {
        let number = number?;
        if number % prime != 0 {
            let next = match next {
                Some(next) => next,
                None => *next.insert(grow(stage + 1)?),
            };
            next.send(&number.to_le_bytes())?;
        }
    }
    next.map_or(Ok(()), Channel::close)
}

/// Spawns a stage; the channel to it.
fn grow(stage: u32) -> Result<Channel, Error> {
    let channel = Channel::named(&stage.to_string())?;
    spawn("stage", &stage.to_le_bytes())?;
    Ok(channel)
}
