//! A sieve: a pipeline of generators, each a tasklet, which grows at its end. The first stage counts.
//! Every other keeps the first number that comes to it, which is a prime, and hands on those that it
//! does not divide. The argument is where to stop counting.
//!
//! Whoever makes a stage makes the channel to it.

use tasklet_guest::{Channel, Error, Preference, argument, entry, spawn};

entry! {
    /// The first stage.
    fn count() {
        let limit = std::str::from_utf8(&argument()).ok().and_then(|text| text.parse().ok());
        generate(limit.expect("the argument is a number")).expect("nobody closes what is counted");
    }

    /// One that is spawned, and told on which channel the numbers come.
    fn stage() {
        let number = argument().try_into().map(u32::from_le_bytes);
        let channel = Channel::numbered(number.expect("a stage is told a number"));
        sieve(channel).expect("nobody closes what is sieved");
    }
}

fn generate(limit: u32) -> Result<(), Error> {
    let next = grow()?;
    for n in 2..=limit {
        next.send(&n.to_le_bytes())?;
    }
    next.close()
}

fn sieve(channel: Channel) -> Result<(), Error> {
    let mut numbers = channel.messages().map(|message| {
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
                None => *next.insert(grow()?),
            };
            next.send(&number.to_le_bytes())?;
        }
    }
    next.map_or(Ok(()), Channel::close)
}

/// Spawns a stage; the channel to it.
fn grow() -> Result<Channel, Error> {
    let channel = Channel::new(Preference::Receiver)?;
    spawn("stage", &channel.number().to_le_bytes())?;
    Ok(channel)
}
