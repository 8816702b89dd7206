//! Shares and quotas, and lines that even out.

use super::*;
use crate::executor::line::LAG_MAX;
use crate::sched::limits::LINE_MAX;

/// Has workers act in an order that a seed decides, without anybody looking in between.
fn act(shared: &Shared, hands: &mut [Hand], number: &mut impl FnMut(usize) -> usize, acts: usize) {
    for _ in 0..acts {
        let worker = number(hands.len());
        let hand = std::mem::replace(&mut hands[worker], Hand::Free(None));
        hands[worker] = one_act(shared, worker, hand, number(100) == 0);
    }
}

fn free(workers: usize) -> Vec<Hand> {
    (0..workers).map(|_| Hand::Free(None)).collect()
}

/// Runs until no turn has begun that is not over, and no longer.
fn come_to_rest(shared: &Shared, hands: &mut [Hand]) {
    drop(shared.stop());
    for (worker, hand) in hands.iter_mut().enumerate() {
        while !matches!(hand, Hand::Free(_)) {
            *hand = one_act(shared, worker, std::mem::replace(hand, Hand::Free(None)), false);
        }
    }
}

fn forever(module: &Module, count: usize) -> (Scheduler, Vec<TaskletId>) {
    let mut sched = Scheduler::new(module.engine());
    let ids = (0..count).map(|_| spawn(&mut sched, module, "forever", 0)).collect();
    (sched, ids)
}

/// Turns are as long as shares, and steps end to the step.
#[test]
fn shares_and_quotas() {
    let module = module();
    let (sched, ids) = forever(&module, 3);
    let shared = Shared::new(sched, &ExecutorOptions { workers: 1, slice_steps: 100 });
    shared.recall().set_quota(ids[1], &Quota { share: 3, steps: None, time: None });
    let quota = Quota { share: 2, steps: Some(1234), time: None };
    shared.recall().set_quota(ids[2], &quota);
    let (mut hands, mut number) = (free(1), numbers(1));
    act(&shared, &mut hands, &mut number, 401);
    let granted = |shared: &Shared| {
        let crew = shared.recall();
        let granted = |id: &TaskletId| crew.sched.tasklet(*id).map_or(0, |it| it.granted());
        ids.iter().map(granted).collect::<Vec<u64>>()
    };
    come_to_rest(&shared, &mut hands);
    let steps = granted(&shared);
    assert_eq!(steps[2], 1234);
    assert!(steps[0] > 5000 && steps[1].abs_diff(3 * steps[0]) <= 300, "{steps:?}");
    let mut crew = shared.lock();
    assert!(matches!(crew.take_events()[..], [Event::UsedUp(id)] if id == ids[2]));
    crew.stopping = false;
    // Without more it does not go on.
    crew.sched.insert(ids[2]).unwrap();
    crew.sched.remove(ids[0]).unwrap();
    crew.sched.remove(ids[1]).unwrap();
    assert!(shared.look(&mut crew, 0, None, false).is_none());
    assert!(crew.sched.flags(ids[2]).paused && crew.take_events().len() == 1);
    let time = Some(Duration::from_millis(1));
    crew.set_quota(ids[0], &Quota { share: 1, steps: None, time });
    crew.sched.insert(ids[0]).unwrap();
    let mut charge = shared.look(&mut crew, 0, None, false).unwrap();
    drop(crew);
    let stretch = Stretch::Ran(charge.lent.run(1 << 20));
    let Own::Decide(charge) = shared.keep(0, charge, &stretch, false) else {
        panic!("its time is not for a line to say")
    };
    let mut crew = shared.lock();
    assert!(shared.decide(&mut crew, 0, charge, stretch, Duration::from_millis(2)).is_none());
    assert!(shared.look(&mut crew, 0, None, false).is_none());
    assert!(matches!(crew.take_events()[..], [Event::UsedUp(id)] if id == ids[0]));
}

/// However many tasklets there are for each worker, all have had as many turns at any time, but for a
/// few; and who has a share of three has had turns that are three times as long.
#[test]
fn shares_hold_with_any_number_of_workers_and_tasklets() {
    let module = module();
    let numbers_of =
        [(2, 3), (2, 5), (3, 4), (3, 7), (4, 5), (4, 9), (5, 23), (7, 8), (1, 3), (4, 3)];
    for (seed, (workers, count)) in (0..).zip(numbers_of) {
        for has_share in [false, true] {
            let (sched, ids) = forever(&module, count);
            let options = ExecutorOptions { workers, slice_steps: 100 };
            let shared = Shared::new(sched, &options);
            let share = if has_share { 3 } else { 1 };
            shared.recall().set_quota(ids[1], &Quota { share, ..Quota::default() });
            let (mut hands, mut number) = (free(workers), numbers(seed));
            act(&shared, &mut hands, &mut number, 4000 * workers);
            come_to_rest(&shared, &mut hands);
            let crew = shared.recall();
            let turns = ids.iter().zip(0..).map(|(id, at)| {
                let share = if at == 1 { share } else { 1 };
                crew.sched.tasklet(*id).expect("all go on").granted() / 100 / u64::from(share)
            });
            let turns: Vec<u64> = turns.collect();
            let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
            let about = 2000 * workers.min(count) as u64 / count as u64;
            assert!(*least > about * 8 / 10, "{workers} workers: {turns:?}");
            // With as many workers as tasklets nobody waits, and each is as fast as its worker.
            let is_even = count <= workers || most - least <= LAG_MAX * 3;
            assert!(is_even, "{workers} workers: {turns:?}");
        }
    }
}

/// A worker whose line is empty takes half of another's, and one that is late finds all in line.
#[test]
fn who_has_nothing_to_run_takes_half_of_anothers() {
    let module = module();
    let (mut sched, mut ids) = forever(&module, 4);
    ids.extend((0..4).map(|_| spawn(&mut sched, &module, "sum", 5)));
    let shared = Shared::new(sched, &ExecutorOptions { workers: 2, slice_steps: 1000 });
    let mut number = numbers(3);
    let mut hands = free(2);
    act(&shared, &mut hands[..1], &mut number, 1);
    assert_eq!((shared.lines.hold(0).len(), shared.lock().sched.ready().len()), (3, 4));
    // The second takes the others, which end, then two of the three that wait, and once these are
    // ahead of it the third.
    for _ in 0..40 {
        hands[1] = one_act(&shared, 1, std::mem::replace(&mut hands[1], Hand::Free(None)), false);
    }
    assert_eq!((shared.lines.hold(0).len(), shared.lines.hold(1).len()), (0, 2));
    let running = shared.running();
    assert!(running.len() == 2 && running[0] != running[1]);
    // All are ready or run, wherever they are.
    let crew = shared.recall();
    let mut all = [&running[..], &crew.sched.ready()[..]].concat();
    all.sort();
    assert_eq!(all, ids[..4]);
    assert_eq!(crew.sched.run_count(), 4);
}

/// What is counted by turns, or hears of them, hears of each; what is changed meanwhile counts from
/// the end of the turn on.
#[test]
fn hooks_and_quotas_count_from_the_next_turn_on() {
    let module = module();
    let (sched, ids) = forever(&module, 3);
    let shared = Shared::new(sched, &ExecutorOptions { workers: 1, slice_steps: 100 });
    let (mut hands, mut number) = (free(1), numbers(3));
    act(&shared, &mut hands, &mut number, 50);
    let (send, noted) = mpsc::channel();
    shared.recall().sched.on_switch(move |_, next| send.send(next).unwrap());
    act(&shared, &mut hands, &mut number, 80);
    assert!(noted.try_iter().count() > 20 && shared.lines.hold(0).len() == 0);
    shared.recall().set_quota(ids[0], &Quota { steps: Some(100), ..Quota::default() });
    act(&shared, &mut hands, &mut number, 50);
    assert!(matches!(shared.lock().take_events()[..], [Event::UsedUp(id)] if id == ids[0]));
}

/// More than a line takes in at once go round all the same.
#[test]
fn more_than_fit_into_a_line_go_round() {
    let module = module();
    let count = LINE_MAX + 40;
    for workers in [1, 2] {
        let (sched, ids) = forever(&module, count);
        let shared = Shared::new(sched, &ExecutorOptions { workers, slice_steps: 10 });
        let (mut hands, mut number) = (free(workers), numbers(5));
        act(&shared, &mut hands, &mut number, 5 * 2 * count);
        come_to_rest(&shared, &mut hands);
        let crew = shared.recall();
        let turns = |id: &TaskletId| crew.sched.tasklet(*id).unwrap().granted() / 10;
        let turns: Vec<u64> = ids.iter().map(turns).collect();
        let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
        assert!(*least >= 3 && most - least <= 1 + (workers as u64 - 1) * LAG_MAX, "{turns:?}");
    }
}

/// Whoever pauses, moves, looks and spawns while workers run finds everybody, and in the end all have
/// done what they do.
#[test]
fn whoever_meddles_finds_everybody() {
    let module = module();
    for seed in 0..6 {
        let (mut sched, all) = crowd(&module);
        let mut forever: Vec<TaskletId> =
            (0..5).map(|_| spawn(&mut sched, &module, "forever", 0)).collect();
        let options = ExecutorOptions { workers: 1 + seed as usize % 4, slice_steps: 200 };
        let executor = Executor::start(sched, &options).unwrap();
        let mut number = numbers(seed);
        for _ in 0..300 {
            let id = forever[number(forever.len())];
            match number(6) {
                0 => {
                    assert!(executor.pause(id, PATIENCE).unwrap());
                    let is_here = |sched: &mut Scheduler| sched.tasklet(id).is_some();
                    assert!(
                        executor.with(is_here) && executor.with(|sched| sched.flags(id).paused)
                    );
                    executor.with(|sched| sched.insert(id)).unwrap();
                }
                1 => {
                    executor.pause(id, PATIENCE).unwrap();
                    executor.with(|sched| sched.kill(id)).unwrap();
                    forever.retain(|other| *other != id);
                    forever.push(executor.with(|sched| spawn(sched, &module, "forever", 0)));
                }
                2 => executor
                    .set_quota(id, &Quota { share: 1 + id.0 as u32 % 3, ..Quota::default() }),
                3 => {
                    // All but one for each worker are in the scheduler for whoever looks.
                    let (here, count) = executor.with(|sched| {
                        let all = sched.tasklets();
                        let here = all.iter().filter(|id| sched.tasklet(**id).is_some());
                        (here.count(), all.len())
                    });
                    assert!(here + options.workers >= count && here <= count);
                }
                4 => thread::sleep(Duration::from_micros(number(300) as u64)),
                _ => drop(executor.with(|sched| sched.run_count())),
            }
        }
        for id in forever {
            executor.pause(id, PATIENCE).unwrap();
            executor.with(|sched| sched.kill(id)).unwrap();
        }
        let rest = executor.wait(PATIENCE);
        assert!(matches!(&rest, Some(RunResult::Deadlock(blocked)) if blocked.len() == 3));
        let (mut sched, events) = executor.drain(PATIENCE).unwrap();
        let is_pause = |event: &Event| matches!(event, Event::Interrupted(_));
        assert!(events.iter().all(is_pause), "{events:?}");
        let sums = all[..5].iter().map(|id| sched.end(*id).cloned());
        assert!(sums.into_iter().all(|end| matches!(end, Some(Status::Finished(_)))));
        sched.dump_all(&mut Vec::new(), &Default::default()).unwrap();
    }
}
