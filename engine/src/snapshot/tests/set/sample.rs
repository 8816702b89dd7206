//! Sets to test with: a fixed one with something of everything, and any number of random ones.

use super::super::sample::{self, Random};
use super::*;
use crate::sched::{ChannelOptions, Direction, Preference};

fn module(bytes: &'static [u8]) -> ModuleRef<'static> {
    ModuleRef::embed(bytes)
}

/// A snapshot as a member of a set has it.
fn of(module: &ModuleRef<'_>, snapshot: Snapshot<'static>) -> Snapshot<'static> {
    let module = ModuleRef { hash: module.hash, size: module.size, bytes: None };
    Snapshot { module, base: None, labels: vec![], ..snapshot }
}

fn own(closed: bool, external: bool, preference: Preference) -> Option<ChannelState> {
    Some(ChannelState { closed, options: ChannelOptions { preference, external } })
}

/// Every place, kind of channel and preference, a module with its bytes and one without.
pub fn fixed() -> Set<'static> {
    let mut modules = vec![module(b"\0asm\x01\0\0\0"), ModuleRef::name(b"another")];
    modules.sort_by_key(|module| module.hash);
    let channel = |name: &str, own| Channel { name: name.into(), made: None, own };
    let made = |number, own| Channel { name: String::new(), made: Some(number), own };
    let member = |number, place, channels: &[Option<u32>], module: usize, snapshot| Member {
        number,
        place,
        channels: channels.to_vec(),
        snapshot: of(&modules[module], snapshot),
    };
    let tasklets = vec![
        member(8, Place::Ready, &[Some(0), None, Some(0)], 0, sample::paused()),
        member(3, Place::Ready, &[Some(6), Some(5)], 1, sample::finished()),
        member(70, Place::Waiting, &[Some(4)], 0, sample::paused()),
        member(9, Place::Blocked(0, Direction::Send), &[Some(0)], 0, sample::paused()),
        member(4, Place::Blocked(0, Direction::Send), &[Some(2), Some(0)], 1, sample::paused()),
        member(5, Place::Blocked(2, Direction::Receive), &[Some(2)], 0, sample::paused()),
        member(1, Place::Paused, &[Some(5)], 0, sample::references()),
        member(6, Place::Paused, &[Some(1)], 0, sample::paused_with_pages()),
    ];
    let channels = vec![
        channel("b", None),
        channel("c", own(true, false, Preference::Both)),
        channel("aa", own(false, true, Preference::Receiver)),
        channel("ab", own(false, false, Preference::Sender)),
        channel("zz", own(false, false, Preference::Neither)),
        made(2, own(false, false, Preference::Receiver)),
        made(7, own(true, false, Preference::Sender)),
    ];
    let labels = vec![("why".into(), "a test".into())];
    Set { numbered: 71, made: 9, labels, modules, channels, tasklets }
}

/// The same as version 1 has it, in which guests made no channels.
pub fn first() -> Set<'static> {
    let mut set = fixed();
    set.made = 0;
    set.channels.retain(|channel| channel.made.is_none());
    let len = set.channels.len() as u32;
    for one in &mut set.tasklets {
        one.channels.retain(|channel| channel.is_none_or(|at| at < len));
    }
    set
}

/// Sets that break a rule each.
pub fn broken() -> Vec<(&'static str, Set<'static>)> {
    let with = |change: fn(&mut Set<'static>)| {
        let mut set = fixed();
        change(&mut set);
        set
    };
    vec![
        ("a tasklet's number is beyond 63 bits", with(|set| set.numbered = 1 << 63)),
        ("a tasklet has a number that was not given yet", with(|set| set.numbered = 69)),
        ("a tasklet has a number that was not given yet", with(|set| set.tasklets[0].number = 0)),
        ("two tasklets have one number", with(|set| set.tasklets[0].number = 9)),
        ("modules are not unique and sorted", with(|set| set.modules.reverse())),
        (
            "modules are not unique and sorted",
            with(|set| {
                set.modules.insert(1, set.modules[0].clone());
            }),
        ),
        (
            "a module is no tasklet's",
            with(|set| {
                set.tasklets.retain(|one| one.snapshot.module.hash != set.modules[0].hash);
            }),
        ),
        ("a tasklet is of a module that is not there", with(|set| drop(set.modules.remove(0)))),
        (
            "a tasklet is of a module that is not there",
            with(|set| {
                set.tasklets[0].snapshot.module.size += 1;
            }),
        ),
        ("names are not unique and sorted", with(|set| set.channels.swap(0, 2))),
        ("names are not unique and sorted", with(|set| set.channels[1].name = "b".into())),
        ("names are not unique and sorted", with(|set| set.labels.push(set.labels[0].clone()))),
        (
            "a tasklet was given a channel that is not there",
            with(|set| {
                set.tasklets[0].channels.push(Some(7));
            }),
        ),
        ("a channel's number is beyond 62 bits", with(|set| set.made = (1 << 62) + 1)),
        ("a channel has a number that was not given yet", with(|set| set.made = 6)),
        (
            "channels that guests made are not unique and sorted",
            with(|set| set.channels[6].made = Some(2)),
        ),
        (
            "channels that guests made are not unique and sorted",
            with(|set| set.channels[5].made = Some(0)),
        ),
        ("names are behind numbers", with(|set| set.channels.swap(4, 5))),
        ("a channel that a guest made has a name", with(|set| set.channels[5].name = "b".into())),
        ("a channel that a guest made lies outside", with(|set| set.channels[5].own = None)),
        (
            "a channel is neither the set's nor a tasklet's",
            with(|set| set.tasklets[1].channels.clear()),
        ),
        ("a channel is neither the set's nor a tasklet's", with(|set| set.channels[3].own = None)),
        ("tasklets are not in the order of their places", with(|set| set.tasklets.swap(1, 2))),
        ("tasklets are not in the order of their places", with(|set| set.tasklets.swap(4, 5))),
        ("tasklets are not in the order of their places", with(|set| set.tasklets.swap(6, 7))),
        (
            "a tasklet waits on a channel that it was not given",
            with(|set| {
                set.tasklets[3].channels.clear();
            }),
        ),
        (
            "a tasklet waits on a channel that is closed",
            with(|set| {
                set.channels[0].own = own(true, false, Preference::Both);
            }),
        ),
        (
            "tasklets that wait on one channel want to send and to receive",
            with(|set| {
                set.tasklets[4].place = Place::Blocked(0, Direction::Receive);
            }),
        ),
        (
            "a tasklet of a set has a base",
            with(|set| {
                set.tasklets[0].snapshot.base = Some(Digest([1; 32]));
            }),
        ),
        (
            "a tasklet of a set has labels of its own",
            with(|set| {
                set.tasklets[0].snapshot.labels = vec![("a".into(), "b".into())];
            }),
        ),
    ]
}

/// A random set that keeps all rules.
pub fn random(random: &mut Random) -> Set<'static> {
    let mut modules: Vec<ModuleRef<'static>> = (0..1 + random.below(3))
        .map(|n| {
            let bytes = [&[n as u8][..], &random.list(50, |r| r.next() as u8)].concat();
            match random.below(2) {
                0 => ModuleRef::name(&bytes),
                _ => ModuleRef { bytes: Some(bytes.clone().into()), ..ModuleRef::name(&bytes) },
            }
        })
        .collect();
    modules.sort_by_key(|module| module.hash);
    let mut names: Vec<String> = random.list(6, Random::text);
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names.dedup();
    let all = [Preference::Receiver, Preference::Neither, Preference::Sender, Preference::Both];
    let state = |r: &mut Random| {
        (r.below(4) > 0)
            .then(|| own(r.below(3) == 0, r.below(2) == 0, all[r.below(4) as usize]))
            .flatten()
    };
    let named = |name| Channel { name, made: None, own: state(random) };
    let mut channels: Vec<Channel> = names.into_iter().map(named).collect();
    for number in 1..=random.below(4) {
        let own = own(random.below(4) == 0, random.below(2) == 0, all[random.below(4) as usize]);
        channels.push(Channel { name: String::new(), made: Some(3 * number), own });
    }
    let directions: Vec<Direction> = (channels.iter())
        .map(|_| if random.below(2) == 0 { Direction::Send } else { Direction::Receive })
        .collect();
    // Every module, and every channel, has somebody.
    let count = 6 + random.below(4);
    let mut tasklets: Vec<Member<'static>> = (0..count)
        .map(|n| {
            let all: Vec<Option<u32>> = (0..channels.len() as u32).map(Some).collect();
            let mut given = random.list(3, |_| None);
            given.extend(all);
            let on = random.below(channels.len() as u64 + 1) as usize;
            let open = channels.get(on).is_some_and(|it| it.own.is_none_or(|own| !own.closed));
            let place = match random.below(4) {
                0 => Place::Ready,
                1 => Place::Waiting,
                2 if open => Place::Blocked(on as u32, directions[on]),
                _ => Place::Paused,
            };
            let snapshot = of(&modules[n as usize % modules.len()], random.snapshot());
            Member { number: 1 + (n * 7919) % 10_000, place, channels: given, snapshot }
        })
        .collect();
    tasklets.sort_by_key(|one| match one.place {
        Place::Ready => (0, 0),
        Place::Waiting => (1, 0),
        Place::Blocked(channel, _) => (2, channel.into()),
        Place::Paused => (3, one.number),
    });
    Set { numbered: 10_000, made: 12, labels: vec![], modules, channels, tasklets }
}
