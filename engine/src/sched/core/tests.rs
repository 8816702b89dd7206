//! The state machine alone: by scenario, and against a model under random operations.

use std::collections::VecDeque;

use super::*;
use crate::sched::Preference;
use crate::sched::watchers::Watcher;

fn tasklets<const N: usize>(core: &mut Core) -> [TaskletId; N] {
    [(); N].map(|()| {
        let id = core.add();
        core.insert(id).unwrap();
        id
    })
}

/// The one that runs.
fn current(core: &Core) -> Option<TaskletId> {
    let all = core.nodes.sorted().into_iter();
    let mut running = all.filter(|(_, slot)| core.nodes.get(*slot).place == Place::Current);
    let current = running.next().map(|(id, _)| id);
    assert_eq!((running.next(), core.running), (None, usize::from(current.is_some())));
    current
}

fn ready(core: &Core) -> Vec<TaskletId> {
    core.ready().collect()
}

#[test]
fn who_is_queued_again_goes_last() {
    let mut core = Core::default();
    let [a, b, c] = tasklets(&mut core);
    assert_eq!((core.next(), core.run_count()), (Some(a), 3));
    core.requeue(a);
    assert_eq!(ready(&core), [b, c, a]);
    // To insert one that is queued does not move it.
    core.insert(b).unwrap();
    core.remove(c).unwrap();
    assert_eq!(ready(&core), [b, a]);
    core.insert(c).unwrap();
    assert_eq!(ready(&core), [b, a, c]);
    assert_eq!(core.next(), Some(b));
    core.park(b);
    assert_eq!((current(&core), core.run_count()), (None, 2));
}

#[test]
fn who_is_put_first_runs_next() {
    let mut core = Core::default();
    let [a, b, c] = tasklets(&mut core);
    core.remove(b).unwrap();
    core.insert_first(b).unwrap();
    core.insert_first(c).unwrap();
    assert_eq!(ready(&core), [c, b, a]);
    assert_eq!(core.next(), Some(c));
    assert_eq!(core.insert_first(c), Err(Refusal::Current));
    assert_eq!(core.insert_first(TaskletId(99)), Err(Refusal::Unknown));
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut core = Core::default();
    let [a, b] = tasklets(&mut core);
    let channel = core.add_channel(ChannelOptions::default());
    core.next();
    assert_eq!(core.exchange(a, channel, Direction::Send, Wait::Not), Exchange::WouldBlock);
    assert_eq!(current(&core), Some(a));
    assert_eq!((core.insert(a), core.remove(a)), (Err(Refusal::Current), Err(Refusal::Current)));
    assert_eq!(core.exchange(a, channel, Direction::Send, Wait::Forever), Exchange::Waits);
    assert_eq!((core.insert(a), core.remove(a)), (Err(Refusal::Blocked), Err(Refusal::Blocked)));
    let gone = TaskletId(99);
    assert_eq!(
        (core.insert(gone), core.remove(gone)),
        (Err(Refusal::Unknown), Err(Refusal::Unknown))
    );
    core.forget(gone);
    assert_eq!(core.exchange(b, ChannelId(99), Direction::Send, Wait::Forever), Exchange::Closed);
    assert_eq!((ready(&core), core.channel(channel).unwrap().balance()), (vec![b], 1));
    assert_eq!(core.blocked().collect::<Vec<_>>(), [(a, channel)]);
}

#[test]
fn forgetting_leaves_every_line() {
    let mut core = Core::default();
    let [a, b, c, d] = tasklets(&mut core);
    let channel = core.add_channel(ChannelOptions::default());
    core.next();
    core.exchange(a, channel, Direction::Receive, Wait::Forever);
    core.next();
    core.wait_outside(b);
    core.next();
    for id in [a, b, c, d] {
        core.forget(id);
        assert_eq!(core.place(id), None);
    }
    assert_eq!((core.len(), core.run_count(), core.outside().count()), (0, 0, 0));
    assert_eq!((core.channel(channel).unwrap().balance(), core.next()), (0, None));
}

#[test]
fn closing_wakes_in_order_and_removing_is_closing_for_good() {
    let mut core = Core::default();
    let [a, b, c] = tasklets(&mut core);
    let channel = core.add_channel(ChannelOptions::default());
    for id in [a, b] {
        core.next();
        core.exchange(id, channel, Direction::Send, Wait::Forever);
    }
    assert_eq!(core.close(channel), [a, b]);
    assert_eq!(ready(&core), [c, a, b]);
    assert_eq!(core.exchange_outside(channel, Direction::Receive), Exchange::Closed);
    core.channel_mut(channel).unwrap().closed = false;
    assert_eq!(core.exchange_outside(channel, Direction::Receive), Exchange::WouldBlock);
    assert_eq!(core.remove_channel(channel), []);
    assert_eq!(core.exchange_outside(channel, Direction::Receive), Exchange::Closed);
}

#[test]
fn those_that_wait_for_the_system_ask_again_behind_the_others() {
    let mut core = Core::default();
    let [a, b, c] = tasklets(&mut core);
    for id in [a, b] {
        core.next();
        core.wait_outside(id);
    }
    assert_eq!(core.outside().collect::<Vec<_>>(), [a, b]);
    core.ask_outside_again();
    assert_eq!(ready(&core), [c, a, b]);
}

#[test]
fn time_wakes_in_the_order_in_which_it_comes() {
    let mut core = Core::default();
    let [a, b, c, d] = tasklets(&mut core);
    let channel = core.add_channel(ChannelOptions::default());
    for (id, due) in [(a, 30), (b, 10)] {
        core.next();
        core.sleep(id, due);
    }
    core.next();
    core.exchange(c, channel, Direction::Receive, Wait::Until(10));
    assert_eq!((core.next_due_ns(), core.timed().collect::<Vec<_>>()), (Some(10), vec![b, c, a]));
    assert_eq!(
        (core.insert(b), core.insert_first(b)),
        (Err(Refusal::Sleeping), Err(Refusal::Sleeping))
    );
    assert_eq!((core.pop_due(9), core.due_ns(c)), (None, Some(10)));
    assert_eq!(core.pop_due(10), Some(Due { id: b, slept: true }));
    assert_eq!(core.pop_due(10), Some(Due { id: c, slept: false }));
    assert_eq!((core.pop_due(10), core.channel(channel).unwrap().balance()), (None, 0));
    assert_eq!(ready(&core), [d, b, c]);
    // By another clock it waits as long; taken out of time it waits for it no more.
    core.change_clock(10, 1_000);
    assert_eq!(core.next_due_ns(), Some(1_020));
    core.remove(a).unwrap();
    assert_eq!((core.has_timers(), core.place(a)), (false, Some(Place::Paused)));
}

#[test]
fn who_meets_somebody_in_time_waits_for_it_no_more() {
    let mut core = Core::default();
    let [a, b] = tasklets(&mut core);
    let channel = core.add_channel(ChannelOptions::default());
    core.next();
    core.exchange(a, channel, Direction::Receive, Wait::Until(10));
    core.next();
    core.exchange(b, channel, Direction::Send, Wait::Until(5));
    assert_eq!((core.has_timers(), core.pop_due(u64::MAX)), (false, None));
    core.park(a);
    core.exchange(a, channel, Direction::Receive, Wait::Until(10));
    assert!(core.has_timers());
    assert_eq!((core.close(channel), core.has_timers()), (vec![a], false));
}

#[test]
fn the_innermost_watches_and_the_outermost_limits() {
    let mut core = Core::default();
    let [a, b, c, d, e] = tasklets(&mut core);
    for (id, steps) in [(a, 0), (b, 70), (c, 5), (d, 0)] {
        assert_eq!(core.next(), Some(id));
        core.watch(id, steps);
    }
    assert_eq!((core.innermost(), core.limiting()), (Some(d), Some(Watcher { id: b, steps: 70 })));
    assert_eq!((core.insert(c), core.run_count()), (Err(Refusal::Watching), 1));
    // Woken, an outer one runs next, and those within it return behind it.
    assert_eq!(core.wake(b), [d, c]);
    assert_eq!(
        (ready(&core), core.innermost(), core.limiting()),
        (vec![b, e, d, c], Some(a), None)
    );
    core.forget(a);
    assert_eq!((core.innermost(), core.wake(a)), (None, vec![]));
}

/// The same in the plainest way: lines are lists that are searched.
#[derive(Default)]
struct Model {
    ready: VecDeque<TaskletId>,
    /// Of one channel each, and what all in it want.
    waiting: [(VecDeque<TaskletId>, Option<Direction>); 2],
    current: Option<TaskletId>,
}

impl Model {
    fn leave(&mut self, id: TaskletId) {
        self.ready.retain(|other| *other != id);
        self.waiting.iter_mut().for_each(|(line, _)| line.retain(|other| *other != id));
        self.current = self.current.filter(|current| *current != id);
    }

    /// The current sends or receives; whether it has met somebody.
    fn exchange(&mut self, channel: usize, wants: Direction, preference: Preference) {
        let Some(id) = self.current else { return };
        let (line, direction) = &mut self.waiting[channel];
        if line.is_empty() || *direction == Some(wants) {
            *direction = Some(wants);
            line.push_back(id);
            self.current = None;
            return;
        }
        let partner = line.pop_front().unwrap();
        let receiver = if wants == Direction::Receive { id } else { partner };
        let goes_on = match preference {
            Preference::Neither => Some(id),
            Preference::Both => None,
            Preference::Receiver => Some(receiver),
            Preference::Sender => Some(if receiver == id { partner } else { id }),
        };
        let both = [partner, id].into_iter();
        self.ready.extend(both.filter(|other| Some(*other) != goes_on));
        self.current = goes_on;
    }
}

/// A small generator, so that a failure is its seed.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Under random operations the machine does what the model does, and everybody is in one place.
#[test]
fn random_operations_agree_with_the_model() {
    let preferences =
        [Preference::Receiver, Preference::Neither, Preference::Sender, Preference::Both];
    for seed in 1..=200u64 {
        let mut state = seed;
        let (mut core, mut model) = (Core::default(), Model::default());
        let preference = preferences[seed as usize % 4];
        let options = ChannelOptions { preference, external: false };
        let channels = [(); 2].map(|()| core.add_channel(options));
        let mut living: Vec<TaskletId> = tasklets::<6>(&mut core).into();
        model.ready.extend(&living);
        for step in 0..300 {
            if current(&core).is_none() {
                assert_eq!(core.next(), model.ready.front().copied());
                model.current = model.ready.pop_front();
            }
            let channel = random(&mut state) as usize % 2;
            let pick = living[random(&mut state) as usize % living.len()];
            let is_current = model.current == Some(pick);
            match (random(&mut state) % 10, model.current) {
                (0..=2, Some(id)) => {
                    core.exchange(id, channels[channel], Direction::Send, Wait::Forever);
                    model.exchange(channel, Direction::Send, preference);
                }
                (3..=5, Some(id)) => {
                    core.exchange(id, channels[channel], Direction::Receive, Wait::Forever);
                    model.exchange(channel, Direction::Receive, preference);
                }
                (6, Some(id)) => {
                    core.requeue(id);
                    model.leave(id);
                    model.ready.push_back(id);
                }
                (7, _) if !is_current => {
                    let waits = model.waiting.iter().any(|(line, _)| line.contains(&pick));
                    assert_eq!(core.remove(pick).is_err(), waits);
                    model.ready.retain(|other| *other != pick);
                }
                (8, _) if !is_current => {
                    let waits = model.waiting.iter().any(|(line, _)| line.contains(&pick));
                    assert_eq!(core.insert(pick).is_err(), waits);
                    if !waits && !model.ready.contains(&pick) {
                        model.ready.push_back(pick);
                    }
                }
                (9, _) if !is_current && step % 3 == 0 => {
                    let waits = model.waiting.iter().any(|(line, _)| line.contains(&pick));
                    assert_eq!(core.insert_first(pick).is_err(), waits);
                    if !waits {
                        model.leave(pick);
                        model.ready.push_front(pick);
                    }
                }
                (9, _) => {
                    core.forget(pick);
                    model.leave(pick);
                    living.retain(|other| *other != pick);
                    let [new] = tasklets(&mut core);
                    living.push(new);
                    model.ready.push_back(new);
                }
                _ => {}
            }
            let context = format!("seed {seed}, step {step}");
            assert_eq!(current(&core), model.current, "{context}");
            assert_eq!(ready(&core), Vec::from(model.ready.clone()), "{context}");
            for (id, (line, direction)) in channels.iter().zip(&model.waiting) {
                let channel = core.channel(*id).unwrap();
                assert_eq!(core.waiting_on(*id).collect::<Vec<_>>(), Vec::from(line.clone()));
                let count = line.len() as i64;
                let balance = if *direction == Some(Direction::Receive) { -count } else { count };
                assert_eq!(channel.balance(), balance, "{context}");
            }
        }
    }
}

#[test]
fn those_that_are_stuck_are_told_by_number_and_not_all() {
    let mut core = Core::default();
    let closed_to_outside = core.add_channel(ChannelOptions::default());
    let external = ChannelOptions { external: true, ..ChannelOptions::default() };
    let external = core.add_channel(external);
    assert_eq!(core.stuck(9), (vec![], false), "nobody waits on it");
    let [a, b, c, d] = tasklets(&mut core);
    for (id, channel) in [(a, external), (d, closed_to_outside), (b, closed_to_outside)] {
        core.park(id);
        core.exchange(id, channel, Direction::Receive, Wait::Forever);
    }
    assert_eq!(core.stuck(9), (vec![a, b, d], true));
    assert_eq!(core.stuck(2), (vec![b, d], true));
    assert_eq!(core.stuck(1), (vec![d], true));
    core.forget(a);
    assert_eq!(core.stuck(9), (vec![b, d], false));
    assert!(core.ready().eq([c]));
}

/// What is done with one of many that have others run does not cost more the more there are.
#[test]
fn many_can_watch_and_sleep() {
    let mut core = Core::default();
    let ids: Vec<TaskletId> = (0..100_000).map(|_| core.add()).collect();
    for (at, id) in ids.iter().enumerate() {
        core.watch(*id, u64::from(at == 99_998) * 7);
    }
    // Each of these would take minutes if it looked at all.
    for _ in 0..100_000 {
        assert_eq!(core.limiting().map(|it| (it.id, it.steps)), Some((ids[99_998], 7)));
        assert_eq!(core.innermost(), Some(ids[99_999]));
    }
    for id in &ids[..50_000] {
        core.remove(*id).unwrap();
        core.sleep(*id, 5);
    }
    assert_eq!(core.watching().next(), Some(ids[50_000]));
    let inner = core.wake(ids[50_000]);
    assert_eq!((inner.len(), inner[0], inner[49_998]), (49_999, ids[99_999], ids[50_001]));
    assert_eq!((core.innermost(), core.limiting()), (None, None));
    assert_eq!(core.next(), Some(ids[50_000]));
}
